/*
 * The noise step, through which every value passes between its clamp and its threshold. The unprotected presets have none: for
 * them the step is the identity and takes no randomness. Under the others every value, of empty cells too, gets a discrete
 * Gaussian of its own.
 *
 * Sees:     exact bounded values.
 * Uses:     policy.h, gaussian.h; integers only.
 * Threads:  any; a source belongs to one thread.
 * Failure:  as gaussian.h; outputs are untouched on failure: without a sample nothing leaves.
 */
#ifndef THRONG_RELEASE_NOISE_H
#define THRONG_RELEASE_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/policy.h"
#include "anonymizer/release/rational.h"
#include "schema/failure.h"

/* Where random bytes come from: bytes(context, out, n) writes n of them, independent of all others, or fails. */
struct noise_source {
    enum result (*bytes)(void *context, void *out, size_t n);
    void *context;
};

/* Write value to *out, and take nothing from source (which may be NULL). RESULT_DENIED under a differentially private policy:
 * what noise takes is a variance, see noise_add. */
enum result noise_apply(const struct policy *policy, const struct noise_source *source, int64_t value, int64_t *out,
    struct failure *why);

/* Write value plus a sample of variance sigma2 (as sigma2_check allows) to *out. RESULT_FULL if that does not fit. */
enum result noise_add(const struct noise_source *source, struct rational sigma2, int64_t value, int64_t *out,
    struct failure *why);

#endif
