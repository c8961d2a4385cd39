/*
 * Coins: the exact uniform integer, Bernoulli(n/d) and Bernoulli(exp(-n/d)) from random bytes, of which the noise is made.
 * C. Canonne, G. Kamath, T. Steinke: The Discrete Gaussian for Differential Privacy (2020), Algorithm 1. No rounding anywhere:
 * 128-bit integers, checked; what would overflow fails and gives no coin.
 *
 * How bytes are consumed is part of the contract, so that published sequences can be compared byte for byte:
 * an integer below m takes nothing if m = 1, else ceil(bits(m-1)/8) bytes, little-endian, cut to bits(m-1) bits, again while
 * it is not below m.
 *
 * Sees:     randomness, which must never be kept or shown.
 * Uses:     noise.h (the source), rational.h; integers only.
 * Threads:  as the source.
 * Failure:  as the source's bytes(); RESULT_INVALID for a parameter out of range; RESULT_FULL for an overflow; RESULT_FAILED
 *           if the source cannot be random (something of less than 2^-300 came true). Outputs are untouched on failure.
 */
#ifndef THRONG_RELEASE_BERNOULLI_H
#define THRONG_RELEASE_BERNOULLI_H

#include <stdbool.h>

#include "anonymizer/release/noise.h"
#include "anonymizer/release/rational.h"

/* Tries of anything that a sound source lets pass with a chance above 1/3 each. */
#define BERNOULLI_TRIES 1024

/* Write an integer uniform in [0, m) to *out; m >= 1. */
enum result bernoulli_uniform(const struct noise_source *source, rational_wide m, rational_wide *out, struct failure *why);

/* Write true with probability n/d to *out; 0 <= n <= d, d >= 1. */
enum result bernoulli_ratio(const struct noise_source *source, rational_wide n, rational_wide d, bool *out,
    struct failure *why);

/* Write true with probability exp(-n/d) to *out; n >= 0, d >= 1. */
enum result bernoulli_exp(const struct noise_source *source, rational_wide n, rational_wide d, bool *out, struct failure *why);

#endif
