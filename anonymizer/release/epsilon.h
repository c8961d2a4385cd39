/*
 * Epsilon: zero-concentrated into approximate differential privacy and back, by the tight conversion of C. Canonne, G. Kamath,
 * T. Steinke: The Discrete Gaussian for Differential Privacy (2020), Proposition 12: for every α > 1,
 * δ = exp((α-1)(αρ-ε) + α·ln(1-1/α)) / (α-1) holds; the best α is taken. What a guarantee is called, no part of the mechanism:
 * the one place besides threshold.h with floating point, and no sampler may use it. Every α gives a true bound, so that an
 * inexact minimum only says too much; rounding is met by a margin of 2^-52 of the sizes summed, in the safe direction.
 *
 * Sees:     parameters of a policy; nothing of a person.
 * Uses:     rational.h, libm in long double (at least 64 bits of mantissa).
 * Threads:  pure functions.
 * Failure:  RESULT_INVALID for parameters out of range; outputs are untouched on failure.
 */
#ifndef THRONG_RELEASE_EPSILON_H
#define THRONG_RELEASE_EPSILON_H

#include "anonymizer/release/rational.h"

#define EPSILON_PLACES 6 /* decimals of a published ε */

/* The least ε for which rho-zCDP is known to be (ε, delta)-DP, rounded up to EPSILON_PLACES decimals; 0 for a rho of 0.
 * rho <= 10^6, 0 < delta < 1. */
enum result epsilon_of_rho(struct rational rho, struct rational delta, struct rational *out, struct failure *why);

/* The largest rho that is known to be (epsilon, delta)-DP, rounded down to a multiple of 1/unit: what a budget of epsilon
 * buys. 0 < epsilon <= 10^6, 0 < delta < 1; unit as in rational_round. */
enum result epsilon_to_rho(struct rational epsilon, struct rational delta, uint64_t unit, struct rational *out,
    struct failure *why);

/* The same as numbers, unrounded: an upper bound of ε (rho > 0), a lower bound of rho (epsilon > 0), and an upper bound of δ
 * (rho > 0, epsilon >= 0). 0 < delta < 1. */
double epsilon_bound(double rho, double delta);
/* See epsilon_bound. */
double epsilon_rho_bound(double epsilon, double delta);
/* See epsilon_bound. */
double epsilon_delta_bound(double rho, double epsilon);

#endif
