#include "anonymizer/release/threshold.h"

#include <float.h>
#include <math.h>

_Static_assert(LDBL_MANT_DIG >= 64, "the margins are made for long double of at least 64 bits");

#define SUMMED_MAX 0x1p24L /* the largest σ² whose tail is summed */
#define FURTHEST 14        /* in σ: what lies beyond is below 10^-42 of the whole */
#define SAFE (1 + 0x1p-40L)
#define TWO_SIDED_ONE_IN 40 /* 5 % on both sides */
#define ONE_IN_MAX 1000000000000u

static long double density(int64_t x, long double sigma2)
{
    long double at = (long double)x;
    return expl(-at * at / (2 * sigma2));
}

/* The smallest t by summing from far outside inwards. */
static int64_t summed(long double sigma2, long double one_in)
{
    int64_t furthest = (int64_t)(FURTHEST * sqrtl(sigma2)) + 1;
    long double side = 0;
    for (int64_t x = furthest; x > 0; x--)
        side += density(x, sigma2);
    long double limit = (1 + 2 * side) / one_in;
    long double tail = 0;
    int64_t t = furthest + 1;
    while (t > 0 && (tail + density(t - 1, sigma2)) * SAFE <= limit)
        tail += density(--t, sigma2);
    return t;
}

/* The smallest t > σ + 1/2 by the bound for wide noise. */
static int64_t integrated(long double sigma2, long double one_in)
{
    long double sigma = sqrtl(sigma2);
    int64_t low = (int64_t)sigma + 1;
    int64_t high = (int64_t)(FURTHEST * sigma) + 1;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        long double tail = erfcl(((long double)middle - 0.5L) / sigma / sqrtl(2)) / 2;
        if (tail * SAFE <= 1 / one_in)
            high = middle;
        else
            low = middle;
    }
    return high;
}

enum result threshold_tail(struct rational sigma2, uint64_t one_in, int64_t *out, struct failure *why)
{
    enum result result = sigma2_check(sigma2, why);
    if (result != RESULT_OK)
        return result;
    if (one_in < TWO_SIDED_ONE_IN || one_in > ONE_IN_MAX) {
        failure_set(why, "one_in", "must be 40 to 10^12");
        return RESULT_INVALID;
    }
    long double variance = (long double)sigma2.numerator / (long double)sigma2.denominator;
    *out = variance <= SUMMED_MAX ? summed(variance, (long double)one_in) : integrated(variance, (long double)one_in);
    return RESULT_OK;
}

enum result threshold_display(struct rational sigma2, int64_t k, int64_t *out, struct failure *why)
{
    if (k < 1 || k > THRESHOLD_K_MAX) {
        failure_set(why, "k", "must be 1 to %d", THRESHOLD_K_MAX);
        return RESULT_INVALID;
    }
    int64_t t;
    enum result result = threshold_tail(sigma2, THRESHOLD_ONE_IN, &t, why);
    if (result == RESULT_OK)
        *out = k - 1 + t;
    return result;
}

enum result threshold_half_width(struct rational sigma2, int64_t *out, struct failure *why)
{
    int64_t t;
    enum result result = threshold_tail(sigma2, TWO_SIDED_ONE_IN, &t, why);
    if (result == RESULT_OK)
        *out = t - 1;
    return result;
}
