/*
 * Thresholds of display, from the exact tail of the discrete Gaussian: who would be shown by noise alone, and how far noise
 * goes. The probability is of the noise being at least t (>=), not above t (>): with the other, a cell of k - 1 people would be
 * shown more often than said. In floating point: a statement about the mechanism, no part of it, and no sampler may use it.
 *
 * Exact up to a σ² of 2^24: the tail is summed term by term, smallest first, with a margin of 2^-40 on the safe side. Above, the
 * tail is bounded by the integral from t - 1/2 (the density is convex there) over σ·√(2π) (which the sum over all integers is
 * never below, by Poisson's summation), so that t is never too small and at most 1 too great.
 *
 * Sees:     parameters of a policy; nothing of a person.
 * Uses:     sigma2.h, libm in long double.
 * Threads:  pure functions. A σ² near 2^24 takes some milliseconds: once a plan, not once a cell.
 * Failure:  RESULT_INVALID for parameters out of range; outputs are untouched on failure.
 */
#ifndef THRONG_RELEASE_THRESHOLD_H
#define THRONG_RELEASE_THRESHOLD_H

#include "anonymizer/release/sigma2.h"

#define THRESHOLD_ONE_IN 1000 /* how rarely noise alone may lift a cell of k - 1 people to τ */
#define THRESHOLD_K_MAX 1000000000

/* The smallest t >= 0 with P[noise >= t] <= 1/one_in, for noise of variance sigma2 (as sigma2_check allows) and
 * 40 <= one_in <= 10^12. */
enum result threshold_tail(struct rational sigma2, uint64_t one_in, int64_t *out, struct failure *why);

/* The display threshold τ = k - 1 + t: a noisy count of τ or more is shown. A cell of at most k - 1 people reaches it at most
 * once in THRESHOLD_ONE_IN. 1 <= k <= THRESHOLD_K_MAX. */
enum result threshold_display(struct rational sigma2, int64_t k, int64_t *out, struct failure *why);

/* The half-width w of the 95 % interval: the smallest with P[|noise| > w] <= 0.05. */
enum result threshold_half_width(struct rational sigma2, int64_t *out, struct failure *why);

#endif
