/*
 * Leaves of the aggregator's acts: what service/db/trail.h leaves to each.
 *
 * Sees:     nothing of a person.
 * Uses:     libsodium, service/db.
 * Threads:  any.
 * Failure:  as service/db/trail.h.
 */
#ifndef THRONG_AGGREGATE_ACTS_H
#define THRONG_AGGREGATE_ACTS_H

#include "service/aggregate/directory.h"
#include "service/db/trail.h"

/* The name of app, borrowed from directory; "" if it does not have it. */
const char *acts_tenant(const struct directory *directory, uint32_t app);

/* trail_begin, with app for a tenant. */
enum result acts_begin(const char *act, const struct directory *directory, uint32_t app, enum leaf_out out, const uint8_t *ref,
    struct trail *trail);

/* The same for what happened at an ingest node at at_ms; its actor is ingest. */
enum result acts_begin_told(const char *act, const struct directory *directory, uint32_t app, int64_t at_ms, const uint8_t *ref,
    struct trail *trail);

/* Append members to leaf: a uuid, a hash, a node. */
void acts_uuid(struct leaf *leaf, const char *key, const uint8_t uuid[16]);
/* See acts_uuid. 32 bytes in hexadecimal. */
void acts_hash(struct leaf *leaf, const char *key, const uint8_t hash[32]);
/* See acts_uuid. 16 hexadecimal digits. */
void acts_node(struct leaf *leaf, const char *key, uint64_t node);

/* The largest power of two that is not more than count; 0 of 0. */
int64_t acts_power_of_two(int64_t count);

#endif
