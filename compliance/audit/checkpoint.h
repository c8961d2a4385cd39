/*
 * Checkpoints: what a log says of its tree at one size (C2SP tlog-checkpoint, "Note text").
 *
 *   origin\n size\n base64(root)\n  and any number of extension lines, none of them empty
 *
 * size is decimal, 0 to 2^63 - 1; root is exactly 32 bytes, and that of the empty tree if size is 0. Parsing and printing
 * again gives the same bytes.
 *
 * Sees:     public texts.
 * Uses:     libsodium.
 * Threads:  every function may run anywhere.
 * Failure:  result codes and a struct failure; outputs are untouched on failure, unless the contract says otherwise.
 */
#ifndef THRONG_AUDIT_CHECKPOINT_H
#define THRONG_AUDIT_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/note.h"
#include "compliance/audit/text.h"
#include "compliance/audit/tree.h"
#include "schema/failure.h"

#define CHECKPOINT_ORIGIN_MAX_BYTES 255
/* A checkpoint without extension lines. */
#define CHECKPOINT_TEXT_MAX_BYTES (CHECKPOINT_ORIGIN_MAX_BYTES + 1 + 19 + 1 + TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 1)

struct checkpoint {
    char origin[CHECKPOINT_ORIGIN_MAX_BYTES + 1];
    uint64_t size; /* leaves */
    struct tree_hash root;
    struct text_view extension; /* the extension lines with their newlines, borrowed from what was parsed; often empty */
};

/* What a reader of a log has decided on beforehand. Everything is borrowed. */
struct checkpoint_trust {
    const char *origin;
    const struct note_key *keys; /* keys[0] is the log's own and must have signed; others are witnesses' */
    size_t count;                /* at least 1 */
};

/* Parse the text of a checkpoint, which checkpoint->extension borrows from. RESULT_INVALID if it is not one; a longer
 * origin than CHECKPOINT_ORIGIN_MAX_BYTES is not. */
enum result checkpoint_parse(struct text_view text, struct checkpoint *checkpoint, struct failure *why);

/* Append the text to out. RESULT_INVALID if it would not parse; RESULT_FULL if there is no room. out is untouched then. */
enum result checkpoint_print(const struct checkpoint *checkpoint, struct text_writer *out, struct failure *why);

/* Parse and verify a signed checkpoint, length bytes that checkpoint->extension borrows from. seals[0..trust->count-1]
 * tell which keys signed; how many witnesses are enough is the caller's rule. RESULT_INVALID and RESULT_FULL as note_parse
 * and checkpoint_parse; RESULT_CORRUPT as note_verify; RESULT_NOT_FOUND if the log's own key has not signed;
 * RESULT_DENIED if it is a checkpoint of another origin. seals are undefined on failure. */
enum result checkpoint_open(const char *bytes, size_t length, const struct checkpoint_trust *trust,
    struct note_seal *seals, struct checkpoint *checkpoint, struct failure *why);

#endif
