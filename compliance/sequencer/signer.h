/*
 * Signs checkpoints, and never two that contradict one another: what was signed last lies in a file of its own, outside the
 * database, and is written and synced before anybody gets a signature.
 *
 * Sees:     public texts; the log's signing keys.
 * Uses:     libsodium, compliance/audit.
 * Threads:  one.
 * Failure:  RESULT_DENIED (it would contradict what was signed), RESULT_CORRUPT (the file is not what was written),
 *           RESULT_FAILED.
 */
#ifndef THRONG_SEQUENCER_SIGNER_H
#define THRONG_SEQUENCER_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/text.h"
#include "compliance/audit/tree.h"
#include "compliance/sequencer/keystore.h"

#define SIGNER_FILE "signed"
#define SIGNER_NOTE_BYTES (64 * 1024)   /* room for a note with its cosignatures */
#define SIGNER_TEXT_BYTES (CHECKPOINT_TEXT_MAX_BYTES + 128)

struct signer {
    struct keystore *keys; /* borrowed */
    char directory[512];
    bool ever;             /* something was signed */
    uint64_t size;         /* of the tree signed last, and its root; those of the empty tree if none was */
    struct tree_hash root;
};

/* Fill *signer from directory/SIGNER_FILE, which must bear a signature of one of keys (borrowed); nothing was signed if it is
 * not there. */
enum result signer_open(const char *directory, struct keystore *keys, struct signer *signer, struct failure *why);

/* Sign the tree of size leaves (at least 1) with root, at now_ms, by every key that signs then: the note goes to out, the
 * file is durable by then. RESULT_DENIED, and nothing is written, if it is smaller than the last, or of its size with another
 * root. That the last is a beginning of it is the caller's to have checked (sequence.c). */
enum result signer_sign(struct signer *signer, uint64_t size, const struct tree_hash *root, int64_t now_ms,
    struct text_writer *out, struct failure *why);

/* Sign the hash of a bundle's manifest that was made at a checkpoint: the text is
 *   ORIGIN/bundle\nSIZE\nbase64(ROOT)\nHEX\n
 * which is a note of another origin, never a checkpoint of the log. RESULT_DENIED beyond the size signed last. */
enum result signer_sign_manifest(const struct signer *signer, uint64_t size, const struct tree_hash *root,
    const char hex[65], int64_t now_ms, struct text_writer *out, struct failure *why);

#endif
