/*
 * Policy: what an app's preset lets leave, and how.
 *
 *   exact            every number as it is; no clamp, no threshold; needs allow_unprotected; "protection: none"
 *   threshold-only   cells of at least k >= 11 people, rounded to 5; no rolling windows, no breakdowns (dimensions,
 *                    segments, paths, outcomes by tier); needs allow_unprotected; no protection against anyone who can
 *                    submit events, nor against subtracting days from their week or month, or one declared thing from
 *                    another that contains it
 *                    Rounded in their unit: counts, seconds, and of measures steps. What a released sum would give away is
 *                    suppressed with what it completes: of new and returning users neither or both are shown; of the bins
 *                    of a measure and of the steps of a funnel never all but one, the least shown goes with the one below
 *                    k; of a measure with three values at most, not its sum while a bin is suppressed (two equations for
 *                    three bins). Features, goals, and sessions started and completed are parts of no released sum
 *   strict, standard, small   differentially private: nothing leaves without the noise and the ledger that they promise, and
 *                    of what an app declares only what its plan funds (plan.h); cells that may be of fewer than k people are
 *                    suppressed for their noise, not for protection, so that nothing is suppressed with them
 *
 * Sees:     nothing of a person.
 * Uses:     family.h, schema/.
 * Threads:  pure functions.
 * Failure:  RESULT_DENIED with what to do.
 */
#ifndef THRONG_RELEASE_POLICY_H
#define THRONG_RELEASE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "anonymizer/release/family.h"
#include "schema/app.h"
#include "schema/failure.h"

#define POLICY_K_MIN 11      /* the least threshold of threshold-only, standard and small */
#define POLICY_K_STRICT 20   /* that of strict */
#define POLICY_K_MAX 1000000000
#define POLICY_ROUNDING 5    /* what its numbers are rounded to, in their unit */

enum policy_protection { PROTECTION_NONE, PROTECTION_THRESHOLD, PROTECTION_DP };

struct policy {
    enum app_preset preset;
    enum policy_protection protection;
    int32_t k;             /* distinct people that a shown cell needs; 1: none is suppressed, empty ones neither */
    int64_t rounding;      /* 1: none */
    bool rolling;          /* rolling windows may leave */
    bool breakdowns;       /* numbers that part people by what they are or do may leave */
    bool complementary;    /* suppress what would give a suppressed cell away */
};

/* The policy of a preset with an app's k (raised to the preset's least) and its consent to unprotected releases. RESULT_DENIED
 * for unprotected presets without allow_unprotected, RESULT_INVALID for a k above POLICY_K_MAX; *out is untouched then. */
enum result policy_make(enum app_preset preset, bool allow_unprotected, uint32_t k, struct policy *out, struct failure *why);

/* Whether preset is differentially private. */
bool policy_is_private(enum app_preset preset);

/* Whether number may leave in interval. Under a differentially private preset: of an app whose plan funds it. */
bool policy_allows(const struct policy *policy, enum family_number number, enum family_interval interval);

/* Names as in release.release: "exact", "threshold-only", …; "none", "threshold", "dp". */
const char *policy_preset_name(enum app_preset preset);
/* See policy_preset_name. */
const char *policy_protection_name(enum policy_protection protection);

/* What is done to a number before it leaves, for release.release.mechanism: "none", "round_to_5" or "discrete_gaussian". */
const char *policy_mechanism(const struct policy *policy);

#endif
