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

static const struct policy private = {
    .protection = PROTECTION_DP,
    .k = POLICY_K_MIN,
    .rounding = 1,
    .breakdowns = true,
};

static const struct policy *policy_of(enum app_preset preset)
{
    switch (preset) {
    case APP_PRESET_EXACT:
        return &exact;
    case APP_PRESET_THRESHOLD:
        return &threshold_only;
    case APP_PRESET_STRICT:
    case APP_PRESET_STANDARD:
    case APP_PRESET_SMALL:
        break;
    }
    return &private;
}

bool policy_is_private(enum app_preset preset)
{
    return policy_of(preset)->protection == PROTECTION_DP;
}

enum result policy_make(enum app_preset preset, bool allow_unprotected, uint32_t k, struct policy *out, struct failure *why)
{
    struct policy policy = *policy_of(preset);
    if (policy.protection != PROTECTION_DP && !allow_unprotected) {
        failure_set(why, "privacy.allow_unprotected",
            "the preset is not differentially private: set allow_unprotected to release under it");
        return RESULT_DENIED;
    }
    if (k > POLICY_K_MAX) {
        failure_set(why, "privacy.k", "must be at most %d", POLICY_K_MAX);
        return RESULT_INVALID;
    }
    policy.preset = preset;
    if (preset == APP_PRESET_STRICT)
        policy.k = POLICY_K_STRICT;
    if (policy.protection != PROTECTION_NONE && (int32_t)k > policy.k)
        policy.k = (int32_t)k;
    *out = policy;
    return RESULT_OK;
}

/* Whether the family parts the same people or steps in many cells, to be compared with each other. */
static bool is_breakdown(enum family_id family)
{
    return family == FAMILY_DIMENSIONS || family == FAMILY_SESSION_DIMENSIONS || family == FAMILY_SEGMENTS ||
        family == FAMILY_OUTCOMES || family == FAMILY_PATHS || family == FAMILY_LAST_ACTIVE;
}

bool policy_allows(const struct policy *policy, enum family_number number, enum family_interval interval)
{
    const struct family_number_row *row = family_number(number);
    if (policy->protection == PROTECTION_DP)
        return (row->private_intervals >> interval & 1u) != 0;
    if ((row->intervals >> interval & 1u) == 0)
        return false;
    if (is_breakdown(row->family) && !policy->breakdowns)
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
    static const char *const names[] = {
        [PROTECTION_NONE] = "none",
        [PROTECTION_THRESHOLD] = "threshold",
        [PROTECTION_DP] = "dp",
    };
    return names[protection];
}

const char *policy_mechanism(const struct policy *policy)
{
    static const char *const names[] = {
        [PROTECTION_NONE] = "none",
        [PROTECTION_THRESHOLD] = "round_to_5",
        [PROTECTION_DP] = "discrete_gaussian",
    };
    return names[policy->protection];
}
