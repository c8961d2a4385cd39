#include "anonymizer/release/noise.h"

bool noise_is_identity(const struct policy *policy)
{
    switch (policy->protection) {
    case PROTECTION_NONE:
    case PROTECTION_THRESHOLD:
        return true;
    }
    return false;
}

enum result noise_apply(const struct policy *policy, const struct noise_source *source, int64_t value, int64_t *out,
    struct failure *why)
{
    (void)source;
    if (!noise_is_identity(policy)) {
        failure_set(why, "protection", "there is no noise mechanism for it");
        return RESULT_DENIED;
    }
    *out = value;
    return RESULT_OK;
}
