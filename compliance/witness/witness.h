/*
 * A witness (C2SP tlog-witness): signs a log's checkpoint if it goes on from the newest that it signed before, and never one
 * that does not.
 *
 * Sees:     public texts; the witness's own signing key.
 * Uses:     compliance/audit.
 * Threads:  one at a time.
 * Failure:  an HTTP status; 500 if what was signed cannot be remembered.
 */
#ifndef THRONG_WITNESS_WITNESS_H
#define THRONG_WITNESS_WITNESS_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/note.h"
#include "compliance/audit/text.h"

#define WITNESS_LOGS_MAX 32
#define WITNESS_REQUEST_MAX_BYTES (32 * 1024)
#define WITNESS_ANSWER_MAX_BYTES (NOTE_LINE_MAX_BYTES + 16)
#define WITNESS_SIZE_TYPE "text/x.tlog.size"

/* A log that is witnessed: its origin and the keys that may sign for it (several: one log whose key changed). */
struct witness_log {
    char origin[CHECKPOINT_ORIGIN_MAX_BYTES + 1];
    struct note_key key;
};

struct witness {
    const char *directory; /* of memory.h; borrowed */
    struct note_signer signer; /* NOTE_COSIGNATURE */
    size_t count;
    struct witness_log logs[WITNESS_LOGS_MAX];
};

/* Add a log: "ORIGIN VKEY", or a verifier key whose name is the origin. RESULT_INVALID, RESULT_FULL. */
enum result witness_add_log(struct witness *witness, const char *text, struct failure *why);

/* Decide on the body of an add-checkpoint request, at time_s seconds since 1970. Returns the HTTP status; answer gets the
 * body: of 200 the cosignature, of 409 the size (WITNESS_SIZE_TYPE), else an explanation. */
unsigned witness_decide(
    const struct witness *witness, const char *body, size_t length, uint64_t time_s, struct text_writer *answer);

#endif
