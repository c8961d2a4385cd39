/*
 * Proof files: that an entry is in a log, to be checked offline (C2SP tlog-proof v1, "Format"; extension .tlog-proof).
 *
 *   c2sp.org/tlog-proof@v1\n [extra base64\n] index decimal\n  base64 of one hash a line, from the leaf up\n \n checkpoint
 *
 * The checkpoint is a signed note, verbatim to the end of the file. extra is opaque and not authenticated. Parsing and
 * printing again gives the same bytes.
 *
 * Sees:     public texts.
 * Uses:     libsodium through note.h and tree.h.
 * Threads:  every function may run anywhere.
 * Failure:  result codes and a struct failure; outputs are untouched on failure, unless the contract says otherwise.
 */
#ifndef THRONG_AUDIT_PROOF_H
#define THRONG_AUDIT_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/text.h"
#include "compliance/audit/tree.h"
#include "schema/failure.h"

#define PROOF_EXTRA_MAX_BYTES (64 * 1024) /* of its base64 */
#define PROOF_MAX_BYTES                                                                                                \
    (64 + PROOF_EXTRA_MAX_BYTES + 32 + TREE_PROOF_MAX * (TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 1) + NOTE_MAX_BYTES)

/* What a proof file says. extra and checkpoint borrow what was parsed, or what the writer hands in. */
struct proof {
    uint64_t index; /* of the entry, 0 to 2^63 - 1 */
    struct tree_proof path;
    struct text_view extra;      /* base64; empty: none */
    struct text_view checkpoint; /* a signed note; its own form is proof_verify's matter */
};

/* Parse length bytes. RESULT_INVALID if they are not a proof in its one form; RESULT_FULL: longer than PROOF_MAX_BYTES, or
 * with more hashes than TREE_PROOF_MAX. *proof is undefined on failure. */
enum result proof_parse(const char *bytes, size_t length, struct proof *proof, struct failure *why);

/* Append the file to out. RESULT_INVALID if it would not parse; RESULT_FULL if there is no room. out is untouched then. */
enum result proof_print(const struct proof *proof, struct text_writer *out, struct failure *why);

/* Verify the checkpoint by trust, and that an entry with this leaf hash is at proof->index of its tree. Writes seals and
 * *checkpoint as checkpoint_open, and fails as it and as tree_verify_inclusion. */
enum result proof_verify(const struct proof *proof, const struct tree_hash *leaf, const struct checkpoint_trust *trust,
    struct note_seal *seals, struct checkpoint *checkpoint, struct failure *why);

#endif
