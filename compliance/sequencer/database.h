/*
 * The log in the database: one statement a function.
 *
 * Sees:     audit leaves.
 * Uses:     service/db.
 * Threads:  one.
 * Failure:  as db.h; RESULT_CORRUPT if a tile is not of its form; RESULT_NOT_FOUND if it is not there.
 */
#ifndef THRONG_SEQUENCER_DATABASE_H
#define THRONG_SEQUENCER_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/text.h"
#include "compliance/audit/tile.h"
#include "compliance/sequencer/growth.h"
#include "service/db/db.h"

#define STORE_BATCH_LEAVES 4096
#define STORE_BATCH_BYTES (16 * 1024 * 1024) /* one leaf may be over it */

/* Leaves in the order of the log. Zero-initialise; database_release frees. */
struct database_batch {
    PGresult *rows;
    size_t count;
    struct text_view leaves[STORE_BATCH_LEAVES]; /* borrowed from rows; .bytes NULL: pruned */
    uint8_t ids[STORE_BATCH_LEAVES][16];
};

/* Be the only sequencer of this database, for the life of the connection. *held: whether we are. */
enum result database_lock(struct db *db, bool *held, struct failure *why);

/* *size: how many entries the log has by its last index. */
enum result database_size(struct db *db, uint64_t *size, struct failure *why);

/* *pending: how many leaves wait, at most limit. */
enum result database_pending(struct db *db, int64_t limit, int64_t *pending, struct failure *why);

/* Read pending leaves, the oldest first, at most a batch. */
enum result database_take(struct db *db, struct database_batch *batch, struct failure *why);

/* Read the entries of indexes first to first + count - 1 (count at most STORE_BATCH_LEAVES); fewer if the bytes are over
 * STORE_BATCH_BYTES, and at least one. RESULT_CORRUPT if one of those read is not there. */
enum result database_entries(
    struct db *db, uint64_t first, size_t count, struct database_batch *batch, struct failure *why);

/* Free what a batch holds. */
void database_release(struct database_batch *batch);

/* Give the batch's leaves the indexes from first on, with the tiles that growth says have changed. */
enum result database_sequence(
    struct db *db, uint64_t first, const struct database_batch *batch, const struct growth *growth, struct failure *why);

/* Put back leaves[0..count-1] as the entries from first on. */
enum result database_recover(struct db *db, uint64_t first, const struct text_view *leaves, size_t count,
    const struct growth *growth, struct failure *why);

/* Where the database's tiles come from; borrows db. */
struct tile_source database_source(struct db *db);

/* Publish a signed checkpoint. */
enum result database_publish(struct db *db, uint64_t size, int64_t signed_at_ms, const char *note, size_t length,
    struct failure *why);

/* Copy the newest published note of this size (0: of any) to note, with room; *length is 0 if there is none. */
enum result database_published(struct db *db, uint64_t size, char *note, size_t room, size_t *length, struct failure *why);

/* Note what a witness has seen. name is borrowed. */
enum result database_witness(struct db *db, const char *name, uint64_t size, int64_t seen_at_ms, struct failure *why);

/* *size: what the witness last had by our note; 0 if there is none. */
enum result database_witnessed(struct db *db, const char *name, uint64_t *size, struct failure *why);

/* Tell a verifier key of the log, and since what size it signs. */
enum result database_tell_key(struct db *db, const char *vkey, uint64_t from_size, struct failure *why);

/* *told: whether the trail has the act that brought in this verifier key. */
enum result database_key_told(struct db *db, const char *vkey, bool *told, struct failure *why);

/* *below: entries below it have no body any more. */
enum result database_pruned(struct db *db, uint64_t *below, struct failure *why);

#endif
