#include "anonymizer/release/gaussian.h"

#include "anonymizer/release/laplace.h"

/* The largest t with t² <= n/d; n below 2^64. */
static uint64_t square_root(uint64_t n, uint64_t d)
{
    uint64_t whole = n / d;
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit != 0; bit >>= 1)
        if ((root | bit) * (root | bit) <= whole)
            root |= bit;
    return root;
}

/* Whether a candidate stays: a coin of exp(-(size·t·d - n)²/(2·n·t²·d)). */
static enum result accept(const struct noise_source *source, struct rational sigma2, uint64_t t, uint64_t size, bool *out,
    struct failure *why)
{
    rational_wide n = sigma2.numerator;
    rational_wide d = sigma2.denominator;
    rational_wide at, square, bound;
    bool lost = __builtin_mul_overflow((rational_wide)size * t, d, &at);
    rational_wide distance = at > n ? at - n : n - at;
    lost |= __builtin_mul_overflow(distance, distance, &square);
    lost |= __builtin_mul_overflow((rational_wide)t * t, 2 * n * d, &bound);
    if (lost) {
        failure_set(why, "noise", "128 bits do not hold a square");
        return RESULT_FULL;
    }
    return bernoulli_exp(source, square, bound, out, why);
}

enum result gaussian_sample(const struct noise_source *source, struct rational sigma2, int64_t *out, struct failure *why)
{
    enum result result = sigma2_check(sigma2, why);
    if (result != RESULT_OK)
        return result;
    uint64_t t = square_root(sigma2.numerator, sigma2.denominator) + 1;
    for (int i = 0; i < BERNOULLI_TRIES; i++) {
        int64_t y;
        result = laplace_sample(source, (struct rational){t, 1}, &y, why);
        if (result != RESULT_OK)
            return result;
        bool stays = false;
        result = accept(source, sigma2, t, (uint64_t)(y < 0 ? -y : y), &stays, why);
        if (result != RESULT_OK)
            return result;
        if (stays) {
            *out = y;
            return RESULT_OK;
        }
    }
    failure_set(why, "noise", "the source of randomness is stuck");
    return RESULT_FAILED;
}
