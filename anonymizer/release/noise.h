/*
 * The noise step, through which every value passes between its clamp and its threshold. The unprotected presets have none:
 * for them the step is the identity, takes no randomness, and noise_is_identity() says so to whoever records a mechanism.
 *
 * Sees:     exact bounded values.
 * Uses:     policy.h.
 * Threads:  any; a source belongs to one thread.
 * Failure:  as the source's; outputs are untouched on failure.
 */
#ifndef THRONG_RELEASE_NOISE_H
#define THRONG_RELEASE_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/policy.h"
#include "schema/failure.h"

/* Where random bytes come from: bytes(context, out, n) writes n of them, independent of all others, or fails. */
struct noise_source {
    enum result (*bytes)(void *context, void *out, size_t n);
    void *context;
};

/* Whether noise_apply changes nothing under policy. */
bool noise_is_identity(const struct policy *policy);

/* Write value with the policy's noise to *out. source may be NULL where noise_is_identity. */
enum result noise_apply(const struct policy *policy, const struct noise_source *source, int64_t value, int64_t *out,
    struct failure *why);

#endif
