/*
 * Redis Streams, one per shard (`throng:{SHARD}`), and the catalogue beside them (`throng:catalogue`).
 *
 * Sees:     packets, never raw ids or keys.
 * Uses:     hiredis, OpenSSL, service/base; SIGPIPE must be ignored (lifecycle_begin does).
 * Threads:  one struct stream belongs to one thread; use several.
 * Failure:  RESULT_UNAVAILABLE when Redis is away or refuses for a passing reason (LOADING, MISCONF, OOM, READONLY,
 *           a time-out), or its certificate is not to be trusted: the connection is closed and the next call
 *           connects anew, once; the caller paces. No call takes longer than redis.timeout_ms (and block_ms) but for
 *           looking up a host's name. RESULT_DENIED for NOAUTH, WRONGPASS, NOPERM. RESULT_INVALID for redis.* that
 *           cannot be used. RESULT_FAILED for any other refusal. Outputs are untouched on failure.
 */
#ifndef THRONG_STREAM_STREAM_H
#define THRONG_STREAM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "service/base/config.h"

#define STREAM_ID_BYTES 48 /* "1767225600000-0" with its NUL */

struct stream;

/* Make a handle; connects at its first use. config is borrowed for the handle's life. */
struct stream *stream_new(const struct config *config);
/* Close and free; NULL is allowed. */
void stream_free(struct stream *stream);

/* Connect if not connected, and PING. */
enum result stream_connect(struct stream *stream, struct failure *why);

/* Redis's TIME in ms. */
enum result stream_time_ms(struct stream *stream, int64_t *ms, struct failure *why);

/* One packet to append. */
struct stream_append {
    uint16_t shard;
    const uint8_t *bytes;
    size_t length;
    bool done; /* out: Redis has it */
};

/* Append entries[0..count-1] in one pipeline and wait for all replies, at most the configured time. Sets each done.
 * RESULT_OK only if all are done. Entries not done may nevertheless be in the stream: send them again with the same
 * n. */
enum result stream_add(struct stream *stream, struct stream_append *entries, size_t count, struct failure *why);

/* One entry read. Borrows from the stream until its next read. */
struct stream_entry {
    uint16_t shard;
    const char *id;
    const uint8_t *bytes; /* NULL if the entry is not of our form: no single field "p" */
    size_t length;
};

/* Where to go on in one shard. */
struct stream_position {
    uint16_t shard;
    char after[STREAM_ID_BYTES]; /* "0" for the start */
};

/* Read up to per_shard entries of each position, waiting up to block_ms (0: not at all) for the first. Writes a
 * borrowed array to *entries and its length to *count, in order within a shard; 0 if none came. */
enum result stream_read(struct stream *stream, const struct stream_position *positions, size_t position_count,
    size_t per_shard, int64_t block_ms, const struct stream_entry **entries, size_t *count, struct failure *why);

/* Whether the entry id is in shard's stream. */
enum result stream_has(struct stream *stream, uint16_t shard, const char *id, bool *has, struct failure *why);

/* Drop what lies before id; id's own entry stays. */
enum result stream_trim(struct stream *stream, uint16_t shard, const char *id, struct failure *why);

/* Entries in shard's stream, those trimmed left out (XLEN). */
enum result stream_length(struct stream *stream, uint16_t shard, uint64_t *length, struct failure *why);

/* When the oldest entry in shard's stream was added, by Redis's clock; INT64_MAX if there is none. */
enum result stream_first_ms(struct stream *stream, uint16_t shard, int64_t *ms, struct failure *why);

/* Marks of a shard, beside its stream: a hash `throng:{SHARD}:marks`. Borrowed; without NUL inside. */
struct stream_mark {
    const char *field, *value;
};

/* Set marks[0..count-1]. */
enum result stream_marks_set(
    struct stream *stream, uint16_t shard, const struct stream_mark *marks, size_t count, struct failure *why);

/* Delete the marks with the fields[0..count-1], as far as they are there. */
enum result stream_marks_delete(
    struct stream *stream, uint16_t shard, const char *const *fields, size_t count, struct failure *why);

/* Give each mark of shard to take, which borrows it for the call. */
enum result stream_marks_read(struct stream *stream, uint16_t shard,
    void (*take)(void *context, const struct stream_mark *mark), void *context, struct failure *why);

/* What of Redis's files matters to whom must be forgotten. */
struct stream_disk {
    bool appends, rewriting, rewrite_failed; /* an append-only file; it is being rewritten, or will be; the last time failed */
    bool saves, saving, save_failed;         /* snapshots, likewise */
    bool lingers;                            /* what was trimmed stays in memory and files while its neighbours do */
};
/* See struct stream_disk. */
enum result stream_disk(struct stream *stream, struct stream_disk *disk, struct failure *why);

/* Have Redis rewrite its append-only file, or (snapshot) its snapshot, without what is in no key any more. It is done in the
 * background: stream_disk tells. */
enum result stream_rewrite(struct stream *stream, bool snapshot, struct failure *why);

/* Note in `throng:dead` that an entry cannot be applied: its shard, id and length, and a reason (a literal); not its content, which
 * may name people and would be there after they were erased. Capped at 10,000 entries. */
enum result stream_set_aside(struct stream *stream, const struct stream_entry *entry, const char *reason,
    struct failure *why);

/* Publish the catalogue document with its version, atomically. */
enum result stream_publish_catalogue(struct stream *stream, uint64_t version, const char *json, size_t length,
    struct failure *why);

/* Its version; RESULT_NOT_FOUND if there is none. */
enum result stream_catalogue_version(struct stream *stream, uint64_t *version, struct failure *why);

/* The document: a NUL-terminated string owned by the caller, its length without the NUL. RESULT_NOT_FOUND. */
enum result stream_catalogue(struct stream *stream, char **json, size_t *length, struct failure *why);

/* Whether Redis's own appendfsync/appendonly settings give `durability` ("process": appendonly yes; "strict":
 * appendfsync always, also during rewrites), and that no eviction of keys is on. RESULT_INVALID with what to change
 * if not. */
enum result stream_check_durability(struct stream *stream, const char *durability, struct failure *why);

#endif
