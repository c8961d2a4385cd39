/*
 * The exact discrete Laplace distribution: P[x] proportional to exp(-|x|/scale) over all integers. The step of which gaussian.h
 * makes its noise; nothing is released with it. C. Canonne, G. Kamath, T. Steinke (2020), Algorithm 2.
 *
 * Bytes are consumed so: u uniform below the numerator until a coin of exp(-u/numerator) falls head; v, the heads of coins of
 * exp(-1) before the first tail; a uniform sign below 2, 1 for minus; all again on a minus zero.
 *
 * Sees:     randomness, which must never be kept or shown.
 * Uses:     bernoulli.h; integers only.
 * Threads:  as the source.
 * Failure:  as bernoulli.h; the output is untouched on failure.
 */
#ifndef THRONG_RELEASE_LAPLACE_H
#define THRONG_RELEASE_LAPLACE_H

#include <stdint.h>

#include "anonymizer/release/bernoulli.h"

/* Bounds of the scale's numerator and denominator, 1 included. */
#define LAPLACE_SCALE_MAX ((uint64_t)1 << 52)

/* Write a sample with the given scale to *out. The scale's terms are used as they come: {2, 2} takes other bytes than {1, 1},
 * for the same distribution. */
enum result laplace_sample(const struct noise_source *source, struct rational scale, int64_t *out, struct failure *why);

#endif
