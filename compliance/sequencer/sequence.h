/*
 * The sequencer: gives the leaves that wait their indexes, lets the tree and its copy grow, signs, has it witnessed and
 * publishes. Each step is durable before the next begins, so that an end at any point loses nothing and signs nothing twice:
 *
 *   indexes and tiles in the database (one transaction a batch) → copy of the log → signed (signer.h) → witnesses → published
 *
 * Sees:     audit leaves; the log's signing keys.
 * Uses:     service/db, compliance/audit.
 * Threads:  one.
 * Failure:  logged here; the next look tries again.
 */
#ifndef THRONG_SEQUENCER_SEQUENCE_H
#define THRONG_SEQUENCER_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "compliance/sequencer/recover.h"
#include "compliance/sequencer/witnesses.h"

/* What it works with; everything is borrowed, and outlives it. */
struct sequence_parts {
    struct db *db;
    struct mirror *mirror;
    struct keystore *keys;
    struct signer *signer;
    struct witnesses *witnesses;
    const uint8_t *binary, *configuration; /* fingerprints, for daemon_started; NULL: there is no such act */
    int64_t heartbeat_ms, overlap_ms;
    bool adopt;
};

struct sequence;

/* Owned by the caller until sequence_free. NULL without memory. */
struct sequence *sequence_new(const struct sequence_parts *parts);
/* Free; NULL is allowed. */
void sequence_free(struct sequence *sequence);

/* One look: what waits gets its index, and a checkpoint is published if there is a reason. RESULT_OK: all is done or goes on at
 * the next look; *more then says whether leaves still wait. RESULT_CORRUPT: refused (METRIC_AUDIT_REFUSED is 1). Else as db.h. */
enum result sequence_look(struct sequence *sequence, bool *more);

/* Say in the trail that the daemon ends, and publish that. */
void sequence_end(struct sequence *sequence);

/* Begin a new signing key; the act is in the trail at the next look. */
enum result sequence_rotate(struct sequence *sequence, struct failure *why);

/* Append a note over the hash (64 lower-case hex digits) of a bundle's manifest to out. size must be a published checkpoint's.
 * RESULT_NOT_FOUND if it is not; RESULT_CORRUPT if that checkpoint's root is not the copy's; as signer_sign_manifest. */
enum result sequence_sign_manifest(
    struct sequence *sequence, uint64_t size, const char hex[65], struct text_writer *out, struct failure *why);

/* Append the newest published note to out, which is empty if there is none. */
enum result sequence_newest(struct sequence *sequence, struct text_writer *out, struct failure *why);

#endif
