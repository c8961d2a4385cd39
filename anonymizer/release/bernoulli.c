#include "anonymizer/release/bernoulli.h"

/* A sound source reaches factor 128 with a chance of 1/127!, below 2^-700. */
#define FACTOR_MAX 128

static unsigned bit_length(rational_wide value)
{
    unsigned bits = 0;
    for (; value != 0; value >>= 1)
        bits++;
    return bits;
}

/* The next bits (1 to 128) of source as an integer. */
static enum result draw(const struct noise_source *source, unsigned bits, rational_wide *out, struct failure *why)
{
    unsigned char bytes[sizeof(rational_wide)] = {0};
    size_t n = (bits + 7u) / 8u;
    enum result result = source->bytes(source->context, bytes, n);
    if (result != RESULT_OK) {
        failure_set(why, "noise", "the source of randomness failed");
        return result;
    }
    rational_wide value = 0;
    for (size_t i = n; i-- > 0;)
        value = value << 8 | bytes[i];
    *out = value & (~(rational_wide)0 >> (128u - bits));
    return RESULT_OK;
}

enum result bernoulli_uniform(const struct noise_source *source, rational_wide m, rational_wide *out, struct failure *why)
{
    if (m == 0) {
        failure_set(why, "noise", "an integer below 0 was asked for");
        return RESULT_INVALID;
    }
    if (m == 1) {
        *out = 0;
        return RESULT_OK;
    }
    unsigned bits = bit_length(m - 1);
    for (int i = 0; i < BERNOULLI_TRIES; i++) {
        rational_wide value;
        enum result result = draw(source, bits, &value, why);
        if (result != RESULT_OK)
            return result;
        if (value < m) {
            *out = value;
            return RESULT_OK;
        }
    }
    failure_set(why, "noise", "the source of randomness is stuck");
    return RESULT_FAILED;
}

enum result bernoulli_ratio(const struct noise_source *source, rational_wide n, rational_wide d, bool *out,
    struct failure *why)
{
    if (n > d) {
        failure_set(why, "noise", "a probability is above 1");
        return RESULT_INVALID;
    }
    rational_wide value;
    enum result result = bernoulli_uniform(source, d, &value, why);
    if (result == RESULT_OK)
        *out = value < n;
    return result;
}

/* exp(-n/d) for n <= d: the first k with a tail, of coins of chance (n/d)/k, is odd. */
static enum result exp_of_fraction(const struct noise_source *source, rational_wide n, rational_wide d, bool *out,
    struct failure *why)
{
    for (unsigned k = 1; k <= FACTOR_MAX; k++) {
        rational_wide product;
        if (__builtin_mul_overflow(d, (rational_wide)k, &product)) {
            failure_set(why, "noise", "128 bits do not hold a denominator");
            return RESULT_FULL;
        }
        bool head = false;
        enum result result = bernoulli_ratio(source, n, product, &head, why);
        if (result != RESULT_OK)
            return result;
        if (!head) {
            *out = k % 2 == 1;
            return RESULT_OK;
        }
    }
    failure_set(why, "noise", "the source of randomness is stuck");
    return RESULT_FAILED;
}

enum result bernoulli_exp(const struct noise_source *source, rational_wide n, rational_wide d, bool *out, struct failure *why)
{
    if (d == 0) {
        failure_set(why, "noise", "a denominator is 0");
        return RESULT_INVALID;
    }
    if (n <= d)
        return exp_of_fraction(source, n, d, out, why);
    /* exp(-n/d) = exp(-1) as often as d goes into n, times what exp makes of the rest. */
    rational_wide wholes = n / d;
    for (rational_wide i = 0; i < wholes; i++) {
        if (i == BERNOULLI_TRIES) {
            failure_set(why, "noise", "the source of randomness is stuck");
            return RESULT_FAILED;
        }
        bool head = false;
        enum result result = exp_of_fraction(source, 1, 1, &head, why);
        if (result != RESULT_OK)
            return result;
        if (!head) {
            *out = false;
            return RESULT_OK;
        }
    }
    return exp_of_fraction(source, n % d, d, out, why);
}
