/*
 * This process as a node: its random id, the n of each shard, and what its watermarks may claim.
 *
 * A watermark says that everything received before it is in the stream. So a request is stamped and registered under
 * the lock that the watermark reads, and no stamp lies before a watermark that was given out, even if the wall clock
 * does. DIRECTORY/nodes holds the ids of incarnations that have not ended yet, one in hexadecimal a line: whoever
 * comes after a crash ends them in their name.
 *
 * Sees:     times and counters only.
 * Uses:     libsodium (the id), service/base/clock.
 * Threads:  any; one lock inside.
 * Failure:  RESULT_CORRUPT (a nodes file that is none), RESULT_FAILED (the disk).
 */
#ifndef THRONG_INGEST_NODE_H
#define THRONG_INGEST_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "schema/limits.h"

struct node;

/* A request on its way, embedded in its owner; lives from node_receive to node_settle. */
struct node_ticket {
    struct node_ticket *before, *after;
    int64_t received_at_ms;
};

/* Read directory/nodes, draw an id, and add it there durably. */
enum result node_open(const char *directory, struct node **out, struct failure *why);
/* Free; the file stays. NULL is allowed. */
void node_close(struct node *node);

/* This incarnation's id: 63 random bits, never 0. */
uint64_t node_id(const struct node *node);

/* The earlier incarnations that have not ended: the i-th id, or 0 behind the last. */
uint64_t node_earlier(struct node *node, size_t i);

/* Take id (an earlier one or this one's) off the file, durably: its last watermark is in every stream. */
enum result node_forget(struct node *node, uint64_t id, struct failure *why);

/* Stamp a request that is complete now, and register it as not acknowledged. Returns its received_at. */
int64_t node_receive(struct node *node, struct node_ticket *ticket);
/* It was answered: everything that was acknowledged of it is in the stream or in the spool, which must know it
 * already. */
void node_settle(struct node *node, struct node_ticket *ticket);

/* The oldest received_at not settled (INT64_MAX: none). */
int64_t node_oldest_ms(struct node *node);

/* The next n of shard, which is under way from now on. One writer. */
uint64_t node_assign(struct node *node, uint16_t shard);
/* Take back the last n of shard, which nobody has seen. */
void node_unassign(struct node *node, uint16_t shard, uint64_t n);
/* Nothing is under way any more: every n given out is in the stream, the spool, or a hole. */
void node_arrived(struct node *node);

/* n of shard may or may not have reached the stream and will not be sent again: an empty packet has to take its
 * place, so that no gap is reported as a loss. */
void node_add_hole(struct node *node, uint16_t shard, uint64_t n);
struct node_hole {
    uint16_t shard;
    uint64_t n;
};
/* Copy up to capacity holes to out; returns their number. */
size_t node_holes(struct node *node, struct node_hole *out, size_t capacity);
/* The first count holes are filled. */
void node_fill_holes(struct node *node, size_t count);

/* The n below which all of shard is in the stream, but for what the spool holds. */
uint64_t node_next_n(struct node *node, uint16_t shard);

/* The watermark to give out now: spool_oldest is called (with its argument) after the requests were looked at, since
 * one moves from there to the spool. */
int64_t node_watermark(struct node *node, int64_t (*spool_oldest)(void *), void *argument);

#endif
