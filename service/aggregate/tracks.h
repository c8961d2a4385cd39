/*
 * Funnels and paths over one person's steps: pure algorithms.
 *
 * Sees:     one person's times and steps, no name.
 * Uses:     libc, schema/.
 * Threads:  pure functions.
 * Failure:  none.
 */
#ifndef THRONG_AGGREGATE_TRACKS_H
#define THRONG_AGGREGATE_TRACKS_H

#include <stddef.h>
#include <stdint.h>

#include "schema/limits.h"

/* An event on a track. Funnels: value is the bit mask of the steps that it can be; paths: its class. */
struct tracks_step {
    int64_t at_ms;
    int32_t value;
};

/* Two consecutive classes of a path; at_ms is the second's. */
struct tracks_pair {
    int64_t at_ms;
    int32_t from, to;
};

/* How far (step 0 …) the person got in a funnel of step_count steps. steps[0..count-1] are in order of time and begin with
 * all events of the anchor's millisecond, one of which can be step 0. Order holds, other events may lie between, an event
 * is one step at most, and the last one lies at most window_ms after the anchor. Events of one millisecond count in the
 * order that brings the person furthest, which is the declared one. */
uint32_t tracks_furthest(const struct tracks_step *steps, size_t count, uint32_t step_count, int64_t window_ms);

/* Write the pairs of consecutive steps of different classes, the second at most timeout_ms after the first, to out[0..],
 * which has room for count. steps are in order of time and value. Returns how many there are. */
size_t tracks_pairs(const struct tracks_step *steps, size_t count, int64_t timeout_ms, struct tracks_pair *out);

#endif
