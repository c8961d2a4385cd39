/*
 * The noise of every differentially private release: the exact discrete Gaussian, P[x] proportional to exp(-x²/(2σ²)) over all
 * integers. C. Canonne, G. Kamath, T. Steinke: The Discrete Gaussian for Differential Privacy (2020), Algorithm 3. Integers
 * only: no rounding that could be told from outside, no value that it cannot give. 128-bit arithmetic, checked.
 *
 * Bytes are consumed so: y from laplace.h with scale t = floor(σ) + 1; then a coin of exp(-(|y|·t·d - n)²/(2·n·t²·d)) for
 * σ² = n/d, the terms as they come; again on tails.
 *
 * Sees:     randomness, which must never be kept or shown.
 * Uses:     laplace.h, sigma2.h; integers only.
 * Threads:  as the source.
 * Failure:  RESULT_INVALID for a σ² out of bounds; else as bernoulli.h. No sample is better than a wrong one: the output is
 *           untouched on failure, and the release must not go on.
 */
#ifndef THRONG_RELEASE_GAUSSIAN_H
#define THRONG_RELEASE_GAUSSIAN_H

#include <stdint.h>

#include "anonymizer/release/noise.h"
#include "anonymizer/release/sigma2.h"

/* Write a sample of variance sigma2 (see sigma2_check) to *out. */
enum result gaussian_sample(const struct noise_source *source, struct rational sigma2, int64_t *out, struct failure *why);

#endif
