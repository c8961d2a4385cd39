/*
 * Cost: what an amount of the privacy budget is called, for people: from ρ (zero-concentrated differential privacy) to ε at a
 * fixed δ, rounded up.
 *
 * Sees:     costs.
 * Uses:     anonymizer/release/epsilon.
 * Threads:  every function may run anywhere.
 */
#ifndef THRONG_REPORT_COST_H
#define THRONG_REPORT_COST_H

#include "compliance/meaning/decimal.h"

#define COST_DELTA "0.000000001"
#define COST_TEXT_BYTES 40

/* ε of rho at COST_DELTA with 3 decimals, rounded up; "0" for none; "more than 1 000 000" beyond that. Returns out. */
const char *cost_epsilon(decimal_units rho, char out[COST_TEXT_BYTES]);

/* What a preset promises of a month at most: "3", "8", "16"; NULL if it adds no noise. Static. */
const char *cost_promise(const char *preset);

#endif
