#include "anonymizer/release/noise.h"

#include "anonymizer/release/gaussian.h"

enum result noise_apply(const struct policy *policy, const struct noise_source *source, int64_t value, int64_t *out,
    struct failure *why)
{
    (void)source;
    if (policy->protection == PROTECTION_DP) {
        failure_set(why, "protection", "a value leaves under it with the noise of a plan only");
        return RESULT_DENIED;
    }
    *out = value;
    return RESULT_OK;
}

enum result noise_add(const struct noise_source *source, struct rational sigma2, int64_t value, int64_t *out,
    struct failure *why)
{
    int64_t noise;
    int64_t noisy;
    if (source == NULL || source->bytes == NULL) {
        failure_set(why, "noise", "there is no source of randomness");
        return RESULT_INVALID;
    }
    enum result result = gaussian_sample(source, sigma2, &noise, why);
    if (result != RESULT_OK)
        return result;
    if (__builtin_add_overflow(value, noise, &noisy)) {
        failure_set(why, "noise", "a value does not fit with its noise");
        return RESULT_FULL;
    }
    *out = noisy;
    return RESULT_OK;
}
