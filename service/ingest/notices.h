/*
 * Notices: what happens at this node and belongs in the audit trail. Keys are told of by state, so that no crash makes one
 * forgotten: DIRECTORY/told holds the commitments that were told of, and is replaced only when the packets about what
 * changed since are safe. A key told twice is harmless, never told cannot be. Of the rest, what nothing else would show again
 * is in the same file until it is told: a crash between telling and noting that it is told tells it twice, with the same time and
 * count. Everything goes to shard 0.
 *
 *   told APP EPOCH COMMITMENT         an operator's order is noted before it is carried out:
 *   order APP ACT EPOCH REQUEST       the key of that epoch is this order's doing
 *   waiting ACT TIME COUNT            a spool replayed, a clock that stepped back, a self-test failed: not told yet
 *   passed DAY                        the last day of which a passed self-test was told
 *
 * DIRECTORY/joined (lines as the first) names keys that came in another node's key file.
 *
 * Sees:     commitments, never keys.
 * Uses:     keyd, writer, keep, schema/packet.
 * Threads:  any; one lock inside. Not the writer's own.
 * Failure:  RESULT_UNAVAILABLE: neither Redis nor the spool takes it; the next notices_sync tries again.
 */
#ifndef THRONG_INGEST_NOTICES_H
#define THRONG_INGEST_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "anonymizer/edge/keyd.h"
#include "schema/failure.h"
#include "schema/packet.h"

struct notices;
struct writer;

/* Read what was told, and look which orders keyd had carried out: right after keyd_start, before anything changes a key.
 * keyd is borrowed. RESULT_CORRUPT, RESULT_FAILED, RESULT_UNAVAILABLE (keyd). */
enum result notices_open(const char *directory, struct keyd *keyd, struct notices **out, struct failure *why);
/* Free; the file stays. NULL is allowed. */
void notices_close(struct notices *notices);

/* Write down, durably, that all keys of keyd came from another node: offline, after an import. */
enum result notices_note_joined(const char *directory, struct keyd *keyd, struct failure *why);

/* From now on notices go out through writer (borrowed). */
void notices_begin(struct notices *notices, struct writer *writer);

/* Tell of something beside keys: act, at_ms, and what else its act has. It is kept until a sync makes it safe, over a crash too
 * if it is of those that can be `waiting`: durable on return, or else logged. Counts of an act that waits are added up. A
 * passed self-test is told once a day. */
void notices_add(struct notices *notices, const struct packet_notice *notice);

/* Whether a notice PACKET_STARTED is safe: before that nothing is acknowledged, so that a crash cannot hide a start. Any thread. */
bool notices_have_begun(const struct notices *notices);

/* Whether the spool has entries: PACKET_SPOOL_REPLAYED waits, and adds up, until it has none; and until this was called. */
void notices_set_replaying(struct notices *notices, bool replaying);

/* Note the clocks, each second: a wall clock that went back by over a second against the steady one is told of. */
void notices_check_clock(struct notices *notices, int64_t wall_ms, int64_t steady_ms);

/* Compare keyd's keys with what was told, and tell the difference and what waits. */
enum result notices_sync(struct notices *notices, struct failure *why);

/* A change of keys that an operator ordered. */
struct notices_change {
    uint32_t app;
    enum packet_notice_act act; /* PACKET_KEY_RATCHETED, _ROTATED, _DESTROYED, or _BORN (a new root after that) */
    uint8_t request[16];        /* the order; zeros: none */
    uint32_t epoch_days, link_epochs; /* PACKET_KEY_BORN only */
};

/* Carry out change and tell of it. RESULT_NOT_FOUND: app has no key; RESULT_DENIED: it may not be made here. Nothing but
 * a destruction is carried out while what came before cannot be told. */
enum result notices_change_key(struct notices *notices, const struct notices_change *change, struct failure *why);

#endif
