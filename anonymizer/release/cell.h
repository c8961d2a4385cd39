/*
 * Cells: an exact bounded value becomes what may be shown of it. Noise step, threshold, then rounding. Without noise the
 * threshold is on the cell's distinct people, and under threshold-only an empty cell, one that is too small and one that nobody
 * could be in look the same. With noise (cell_protect) all that follows it looks at the noisy value alone: the exact number of
 * people is not asked. What is below τ is not kept.
 *
 * Sees:     exact sums, of which the released form is made; nothing that names a person.
 * Uses:     noise.h, plan.h, policy.h; integers only.
 * Threads:  any.
 * Failure:  RESULT_INVALID (a negative value or number of people, a value out of range), or as noise.h; the output is untouched
 *           then, and the release must not go on.
 */
#ifndef THRONG_RELEASE_CELL_H
#define THRONG_RELEASE_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/noise.h"
#include "anonymizer/release/plan.h"
#include "anonymizer/release/policy.h"

/* An exact cell, each person's part already clamped; people: distinct people in it, as families.def says for its rule. */
struct cell {
    int64_t value;
    int64_t people;
};

enum cell_reliability {
    CELL_EXACT,
    CELL_HIGH,   /* the interval is within 5 % of the value */
    CELL_MEDIUM, /* within 20 % */
    CELL_LOW,
    CELL_SUPPRESSED
};

/* What leaves. If suppressed, the numbers are 0 and mean nothing; else low <= the exact value <= high: always without noise, in
 * 95 % of all draws with it. With noise low may be negative, and the value of a sum that another number governs too. */
struct released {
    bool suppressed;
    int64_t value, low, high;
    enum cell_reliability reliability;
};

/* Release cell of number under policy to *out. source as in noise_apply. RESULT_DENIED under a differentially private preset. */
enum result cell_release(const struct policy *policy, const struct noise_source *source, enum family_number number,
    const struct cell *cell, struct released *out, struct failure *why);

/* Release cell of number to *out with the noise of level, the one that asks for most of the plans of all months in the cell's
 * support. governor: what was released of the cell of plan_governor(number) with the same item, period and n; NULL where that is
 * number itself. A sample is drawn for a suppressed cell too. */
enum result cell_protect(const struct plan_level *level, const struct noise_source *source, enum family_number number,
    const struct cell *cell, const struct released *governor, struct released *out, struct failure *why);

/* The released cell of number that once was released as value under policy, with noise of sigma2 (0/1: none): its interval
 * and reliability again, to *out. RESULT_FULL if the interval does not fit; as threshold_half_width. */
enum result cell_again(const struct policy *policy, enum family_number number, struct rational sigma2, int64_t value,
    struct released *out, struct failure *why);

/* What a suppressed cell looks like. */
struct released cell_suppressed(void);

/* Complementary suppression of two cells whose sum is released too: where policy asks for it and one of them is
 * suppressed, so is the other. */
void cell_complement(const struct policy *policy, struct released *one, struct released *other);

/* Complementary suppression of parts[0 … count - 1], whose sum is released too or has another name: where policy asks for
 * it and exactly one is suppressed, so is the one of the least released value (of several the first). */
void cell_complement_parts(const struct policy *policy, struct released *const parts[], size_t count);

/* "exact", "high", … as in release.value. */
const char *cell_reliability_name(enum cell_reliability reliability);

#endif
