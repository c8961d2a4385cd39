/*
 * The range of a measure, in steps: its bounds are told in floating point, what leaves and its clamp in integers. The one place
 * where the one becomes the other; no part of the mechanism, and no sampler may use it.
 *
 * Sees:     a definition.
 * Uses:     schema/app.h, libm.
 * Threads:  pure function.
 * Failure:  none: a definition's bounds are checked when it is read.
 */
#ifndef THRONG_RELEASE_RANGE_H
#define THRONG_RELEASE_RANGE_H

#include <stdint.h>

#include "schema/app.h"

/* The steps from the least value of measure to its greatest, as ingest counts them. */
int64_t range_steps(const struct app_measure *measure);

#endif
