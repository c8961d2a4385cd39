/*
 * The log as the database has it: the newest published checkpoint, and the tiles and entries below its size.
 *
 * Sees:     hashes and audit leaves.
 * Uses:     compliance/audit/tile, service/db (role throng_read).
 * Threads:  as struct db.
 * Failure:  as service/db; RESULT_CORRUPT if something is missing that a published size says is there.
 */
#ifndef THRONG_API_LOGSTORE_H
#define THRONG_API_LOGSTORE_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/tile.h"
#include "service/db/db.h"

/* The newest checkpoint. What lies below its size never changes: no transaction is needed to read more. */
struct logstore {
    struct db *db;
    uint64_t size;        /* leaves */
    int64_t signed_at_ms; /* since 1970 */
    char *note;           /* the signed note, with a NUL behind it */
    size_t note_length;
    unsigned loads; /* tiles read through logstore_load so far */
};

/* Read the newest checkpoint through db, which is borrowed until logstore_close. RESULT_NOT_FOUND: none was published yet;
 * nothing is to be closed then. */
enum result logstore_open(struct db *db, struct logstore *out, struct failure *why);
/* See logstore_open. */
void logstore_close(struct logstore *store);

/* Read tile's hashes, width times TREE_HASH_BYTES: the load of a struct tile_source, with a struct logstore as context. */
enum result logstore_load(void *store, const struct tile *tile, uint8_t *hashes, struct failure *why);

/* Read a bundle of entries to *bytes, owned by the caller (free). RESULT_DENIED: some of them were pruned. */
enum result logstore_bundle(struct logstore *store, const struct tile *tile, uint8_t **bytes, size_t *length, struct failure *why);

/* Read the verifier keys of the log, the newest first, one a line, to *text, owned by the caller (free); "" if none is known. */
enum result logstore_keys(struct db *db, char **text, struct failure *why);

#endif
