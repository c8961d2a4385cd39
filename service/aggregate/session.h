/*
 * Sessions out of fragments. A fragment is a stretch of one user's events without a gap longer than the timeout, cut at
 * every UTC hour. Whatever the order and the batches in which events arrived, the fragments of an hour, once merged, are
 * the same; and from them the sessions are.
 *
 *   session_merge     makes the fragments of each hour canonical: sorted, no two of one name within the timeout
 *   session_assemble  joins them over hours: the next fragment continues the session if it starts at most timeout after
 *                     the session's end and ends at most SESSION_MAX_MS after its start
 *
 * Neither needs what the other leaves: fragments may be stored as each flush found them, overlapping and of any number,
 * and assembled at last; the sessions are those of merged ones.
 *
 * Names: fragments with different session names never join. Around a change of epoch one session has two names; two
 * fragments are of the same session if any of their names (present or before) agree.
 *
 * Sees:     pseudonymous session names.
 * Uses:     libc, schema/.
 * Threads:  pure functions.
 */
#ifndef THRONG_AGGREGATE_SESSION_H
#define THRONG_AGGREGATE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/packet.h"

#define SESSION_HOUR_MS 3600000LL
#define SESSION_ENGAGED_MS 10000 /* GA4's rule: engaged from here on */
#define SESSION_DURATION_BINS 18 /* [0]: below 1 s; [i]: 2^(i-1) s to below 2^i s; the last is open */

struct session_fragment {
    bool named, named_before;
    struct pseudonym name, name_before;
    int64_t start_ms, end_ms; /* first and last event */
    int64_t events, views, goals, engaged_ms;
    uint64_t goal_bits; /* bit i: the app's goal i was reached; SESSION_STARTED, SESSION_DONE */
    bool has_entry, has_exit;
    uint8_t entry, exit;        /* class of the entry dimension in the first event that has one, of the exit dimension in the last */
    int64_t entry_ms, exit_ms;  /* when; of several at once the smallest class counts */
    uint32_t group; /* session_assemble's own */
};

#define SESSION_STARTED (1ULL << 62) /* with the event that `completion` starts with */
#define SESSION_DONE (1ULL << 63)    /* … is done with */

struct session {
    struct session_fragment whole; /* sums, first and last event, and its names: both around a change of epoch */
};

/* Tell fragment that an event of its at ms has class of the entry (exit) dimension: the first (last) in time counts, of
 * several at once the smallest class. */
void session_add_entry(struct session_fragment *fragment, int64_t ms, uint8_t class);
/* See session_add_entry. */
void session_add_exit(struct session_fragment *fragment, int64_t ms, uint8_t class);

/* Sort fragments[0..count-1] of one user by name and start, and merge those of one name and UTC hour whose gap is at most
 * timeout_ms. Returns the new count. */
size_t session_merge(struct session_fragment *fragments, size_t count, int64_t timeout_ms);

/* Join the fragments (any order; changed) of one user into sessions, written to out[0..], which has room for count, in
 * order of name, then start. Returns their number. */
size_t session_assemble(struct session_fragment *fragments, size_t count, int64_t timeout_ms, struct session *out);

/* Whether it counts as engaged: engaged time >= 10 s, a goal, or two views. */
bool session_is_engaged(const struct session *session);

/* Its bin in the histogram of durations: 0 to SESSION_DURATION_BINS - 1. */
size_t session_duration_bin(const struct session *session);

#endif
