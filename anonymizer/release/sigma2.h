/*
 * What a variance of noise may be. Of its own, so that who reckons costs and thresholds links no sampler.
 *
 * Sees:     nothing of a person.
 * Uses:     rational.h; integers only.
 * Threads:  pure functions.
 * Failure:  RESULT_INVALID.
 */
#ifndef THRONG_RELEASE_SIGMA2_H
#define THRONG_RELEASE_SIGMA2_H

#include "anonymizer/release/rational.h"

/* The least σ² that there is, whatever a policy says. */
#define SIGMA2_MIN 4
/* Bound of σ²'s numerator and denominator. With it, a square in gaussian.c overflows for a candidate above 256 t only: a
 * chance below 2^-360. */
#define SIGMA2_MAX ((uint64_t)1 << 54)

/* Whether sigma2 is within both bounds; RESULT_INVALID if not. */
enum result sigma2_check(struct rational sigma2, struct failure *why);

#endif
