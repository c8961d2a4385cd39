/*
 * The policy of a bundle, policy.json: what log it is of, whose signatures count, and what of the log is in it. RFC 8785:
 *
 *   {"keys":["VKEY",…],"origin":"…","pruned_below":0,"quorum":0,"size":991,"version":"0.1.0","witnesses":["VKEY",…]}
 *
 * keys are the log's own, the newest last; quorum is how many of the witnesses must have cosigned; entries below pruned_below
 * have no body any more, which is a multiple of 256 or the size; version is that of the program that made the bundle.
 *
 * And an earlier checkpoint with its proof, consistency/OLD-NEW.json:
 *
 *   {"checkpoint":"the signed note of OLD","new":NEW,"old":OLD,"proof":["base64 of a hash",…]}
 *
 * Sees:     public texts.
 * Uses:     compliance/audit.
 * Threads:  every function may run anywhere.
 * Failure:  result codes and a struct failure; outputs are undefined on failure.
 */
#ifndef THRONG_BUNDLE_TERMS_H
#define THRONG_BUNDLE_TERMS_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/note.h"
#include "compliance/audit/text.h"
#include "compliance/audit/tree.h"
#include "schema/failure.h"

#define TERMS_NAME "policy.json"
#define TERMS_KEYS_MAX 32
#define TERMS_WITNESSES_MAX 32
#define TERMS_VERSION_MAX_BYTES 32
#define TERMS_MAX_BYTES (1024 + (TERMS_KEYS_MAX + TERMS_WITNESSES_MAX) * 2 * NOTE_KEY_MAX_BYTES)
#define TERMS_LINK_MAX_BYTES (2 * NOTE_MAX_BYTES + TREE_PROOF_MAX * 64 + 256)
#define TERMS_PEM_BYTES 128

struct terms {
    size_t key_count, witness_count;
    struct note_key keys[TERMS_KEYS_MAX];
    struct note_key witnesses[TERMS_WITNESSES_MAX];
    char origin[CHECKPOINT_ORIGIN_MAX_BYTES + 1];
    uint64_t pruned_below, quorum, size;
    char version[TERMS_VERSION_MAX_BYTES];
};

/* Append policy.json. */
void terms_print(const struct terms *terms, struct text_writer *out);

/* Parse policy.json. RESULT_CORRUPT if it is not in its one form. */
enum result terms_parse(struct text_view text, struct terms *terms, struct failure *why);

/* An earlier checkpoint. */
struct terms_link {
    uint64_t older, newer;
    size_t note_length;
    char note[NOTE_MAX_BYTES]; /* the signed checkpoint of the older one */
    struct tree_proof proof;
};

/* Append consistency/OLD-NEW.json. note is a string. */
void terms_link_print(const struct terms_link *link, struct text_writer *out);

/* Parse consistency/OLD-NEW.json. RESULT_CORRUPT if it is not in its one form. */
enum result terms_link_parse(struct text_view text, struct terms_link *link, struct failure *why);

/* Write a log key's public key as OpenSSL reads it: PEM of a SubjectPublicKeyInfo (RFC 8410 section 4), with a NUL. */
void terms_pem(const struct note_key *key, char out[TERMS_PEM_BYTES]);

#endif
