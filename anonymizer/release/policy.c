#include "anonymizer/release/policy.h"

static const struct policy exact = {
    .preset = APP_PRESET_EXACT,
    .protection = PROTECTION_NONE,
    .k = 1,
    .rounding = 1,
    .rolling = true,
    .breakdowns = true,
};

static const struct policy threshold_only = {
    .preset = APP_PRESET_THRESHOLD,
    .protection = PROTECTION_THRESHOLD,
    .k = POLICY_K_MIN,
    .rounding = POLICY_ROUNDING,
    .complementary = true,
};

static enum result unprotected(const struct policy *policy, bool allowed, uint32_t k, struct policy *out, struct failure *why)
{
    if (!allowed) {
        failure_set(why, "privacy.allow_unprotected",
            "the preset is not differentially private: set allow_unprotected to release under it");
        return RESULT_DENIED;
    }
    if (k > INT32_MAX) {
        failure_set(why, "privacy.k", "must be at most %d", INT32_MAX);
        return RESULT_INVALID;
    }
    *out = *policy;
    if (policy->protection == PROTECTION_THRESHOLD && (int32_t)k > out->k)
        out->k = (int32_t)k;
    return RESULT_OK;
}

enum result policy_make(enum app_preset preset, bool allow_unprotected, uint32_t k, struct policy *out, struct failure *why)
{
    switch (preset) {
    case APP_PRESET_EXACT:
        return unprotected(&exact, allow_unprotected, k, out, why);
    case APP_PRESET_THRESHOLD:
        return unprotected(&threshold_only, allow_unprotected, k, out, why);
    case APP_PRESET_STRICT:
    case APP_PRESET_STANDARD:
    case APP_PRESET_SMALL:
        break;
    }
    failure_set(why, "privacy.preset",
        "this version has no noise mechanism, so nothing is released under a differentially private preset; numbers wait, "
        "collected and unreleased");
    return RESULT_DENIED;
}

/* Whether the family parts the same people or steps in many cells, to be compared with each other. */
static bool is_breakdown(enum family_id family)
{
    return family == FAMILY_DIMENSIONS || family == FAMILY_SESSION_DIMENSIONS || family == FAMILY_SEGMENTS ||
        family == FAMILY_OUTCOMES || family == FAMILY_PATHS;
}

bool policy_allows(const struct policy *policy, enum family_number number, enum family_interval interval)
{
    if ((family_number(number)->intervals >> interval & 1u) == 0)
        return false;
    if (is_breakdown(family_number(number)->family) && !policy->breakdowns)
        return false;
    bool rolling = interval == INTERVAL_ROLLING_7 || interval == INTERVAL_ROLLING_28 || interval == INTERVAL_ROLLING_30;
    return !rolling || policy->rolling;
}

const char *policy_preset_name(enum app_preset preset)
{
    static const char *const names[] = {
        [APP_PRESET_STRICT] = "strict",
        [APP_PRESET_STANDARD] = "standard",
        [APP_PRESET_SMALL] = "small",
        [APP_PRESET_THRESHOLD] = "threshold-only",
        [APP_PRESET_EXACT] = "exact",
    };
    return names[preset];
}

const char *policy_protection_name(enum policy_protection protection)
{
    return protection == PROTECTION_NONE ? "none" : "threshold";
}

const char *policy_mechanism(const struct policy *policy)
{
    return policy->rounding == 1 ? "none" : "round_to_5";
}
