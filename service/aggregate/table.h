/*
 * A hash table from (app, kind, pseudonym) to an index. Pseudonyms are keyed hashes: their own bytes are the hash.
 *
 * Uses:     libc, schema/.
 * Threads:  a table belongs to one thread.
 * Failure:  out of memory ends the process: a batch is bounded by configuration.
 */
#ifndef THRONG_AGGREGATE_TABLE_H
#define THRONG_AGGREGATE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "schema/packet.h"

#define TABLE_NONE UINT32_MAX

enum table_kind { TABLE_USER = 1, TABLE_VISITOR, TABLE_SOURCE, TABLE_SESSION, TABLE_STRANGER };

struct table_slot;

/* Zero-initialise: {0} is empty. */
struct table {
    struct table_slot *slots;
    size_t size, used; /* size is a power of two */
};

/* The index stored under the key, or TABLE_NONE. */
uint32_t table_find(const struct table *table, uint32_t app, enum table_kind kind, const struct pseudonym *name);

/* Store index (not TABLE_NONE) under the key, replacing what was there. */
void table_put(struct table *table, uint32_t app, enum table_kind kind, const struct pseudonym *name, uint32_t index);

/* Forget everything; memory is kept for the next batch, table_free gives it back. */
void table_clear(struct table *table);
/* See table_clear. */
void table_free(struct table *table);

/* Memory held, in bytes. */
size_t table_bytes(const struct table *table);

#endif
