#include "anonymizer/release/laplace.h"

static enum result stuck(struct failure *why)
{
    failure_set(why, "noise", "the source of randomness is stuck");
    return RESULT_FAILED;
}

/* A remainder below range with P[u] proportional to exp(-u/range). */
static enum result remainder_below(const struct noise_source *source, uint64_t range, rational_wide *out, struct failure *why)
{
    for (int i = 0; i < BERNOULLI_TRIES; i++) {
        rational_wide u;
        enum result result = bernoulli_uniform(source, range, &u, why);
        if (result != RESULT_OK)
            return result;
        bool head = false;
        result = bernoulli_exp(source, u, range, &head, why);
        if (result != RESULT_OK)
            return result;
        if (head) {
            *out = u;
            return RESULT_OK;
        }
    }
    return stuck(why);
}

/* v with P[v] proportional to exp(-v). */
static enum result wholes(const struct noise_source *source, rational_wide *out, struct failure *why)
{
    for (unsigned v = 0; v < BERNOULLI_TRIES; v++) {
        bool head = false;
        enum result result = bernoulli_exp(source, 1, 1, &head, why);
        if (result != RESULT_OK)
            return result;
        if (!head) {
            *out = v;
            return RESULT_OK;
        }
    }
    return stuck(why);
}

/* |x|, below LAPLACE_SCALE_MAX × BERNOULLI_TRIES. */
static enum result magnitude(const struct noise_source *source, struct rational scale, int64_t *out, struct failure *why)
{
    rational_wide u;
    enum result result = remainder_below(source, scale.numerator, &u, why);
    if (result != RESULT_OK)
        return result;
    rational_wide v;
    result = wholes(source, &v, why);
    if (result == RESULT_OK)
        *out = (int64_t)((u + v * scale.numerator) / scale.denominator);
    return result;
}

enum result laplace_sample(const struct noise_source *source, struct rational scale, int64_t *out, struct failure *why)
{
    if (scale.numerator == 0 || scale.denominator == 0 || scale.numerator > LAPLACE_SCALE_MAX ||
        scale.denominator > LAPLACE_SCALE_MAX) {
        failure_set(why, "scale", "a scale's terms must be 1 to 2^52");
        return RESULT_INVALID;
    }
    for (int i = 0; i < BERNOULLI_TRIES; i++) {
        int64_t size;
        enum result result = magnitude(source, scale, &size, why);
        if (result != RESULT_OK)
            return result;
        rational_wide minus;
        result = bernoulli_uniform(source, 2, &minus, why);
        if (result != RESULT_OK)
            return result;
        /* Zero has one sign only, or it would come twice as often. */
        if (minus == 1 && size == 0)
            continue;
        *out = minus == 1 ? -size : size;
        return RESULT_OK;
    }
    return stuck(why);
}
