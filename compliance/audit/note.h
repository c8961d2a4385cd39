/*
 * Signed notes: a text and the signatures under it (C2SP signed-note v1), and the timestamped cosignatures that witnesses
 * give (C2SP tlog-cosignature, "Ed25519 signed message").
 *
 *   note       text that ends in a newline, an empty line, then lines of: — NAME base64(key id[4] ‖ signature)
 *   key id     SHA-256(name ‖ 0x0A ‖ kind ‖ public key)[:4], big-endian
 *   kind 0x01  signature = Ed25519(text)
 *   kind 0x04  signature = time[8] big-endian ‖ Ed25519("cosignature/v1\ntime " ‖ decimal time ‖ "\n" ‖ text)
 *   verifier   NAME+hex key id+base64(kind ‖ public key)                  signed-note, "Verifier keys"
 *   signer     PRIVATE+KEY+NAME+hex key id+base64(kind ‖ seed)            golang.org/x/mod/sumdb/note, "Signing a Note"
 *
 * A signature of a key nobody knows is passed over; one of a known key that does not verify rejects the note. Lower-case
 * hex, canonical base64 and no byte beyond: what a note's own key signed cannot be told in other bytes.
 *
 * Sees:     public texts; a struct note_signer holds a secret key.
 * Uses:     libsodium (Ed25519, SHA-256); sodium_init() was called.
 * Threads:  every function may run anywhere.
 * Failure:  result codes and a struct failure; outputs are untouched on failure, unless the contract says otherwise.
 */
#ifndef THRONG_AUDIT_NOTE_H
#define THRONG_AUDIT_NOTE_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/text.h"
#include "schema/failure.h"

#define NOTE_MAX_BYTES (256 * 1024) /* of a whole note */
#define NOTE_SIGNATURES_MAX 64
#define NOTE_NAME_MAX_BYTES 255 /* of a key of ours; a line that is passed over may have a longer one */
#define NOTE_LINE_MAX_BYTES (NOTE_NAME_MAX_BYTES + 4 + 1 + TEXT_BASE64_BYTES(4 + 8 + 64) + 1) /* one of ours */
#define NOTE_KEY_MAX_BYTES (12 + NOTE_NAME_MAX_BYTES + 10 + TEXT_BASE64_BYTES(33) + 1)        /* key text with its NUL */
#define NOTE_PUBLIC_BYTES 32
#define NOTE_SEED_BYTES 32

enum note_kind { NOTE_ED25519 = 0x01, NOTE_COSIGNATURE = 0x04 };

/* A key that signatures are verified with. */
struct note_key {
    enum note_kind kind;
    uint32_t id;
    char name[NOTE_NAME_MAX_BYTES + 1];
    uint8_t public_key[NOTE_PUBLIC_BYTES];
};

/* A key that signs. Secret: lies in locked memory if the caller can, and ends in note_signer_wipe. */
struct note_signer {
    struct note_key key;
    uint8_t secret[64]; /* seed ‖ public key, as libsodium has it */
};

/* One signature line. Borrowed from the note. */
struct note_line {
    struct text_view name;
    struct text_view base64; /* of key id ‖ signature */
    uint32_t key_id;
};

/* A parsed note, of which nothing is to be believed before note_verify. Borrows the bytes that note_parse got. */
struct note {
    struct text_view text; /* with its last newline */
    size_t count;
    struct note_line lines[NOTE_SIGNATURES_MAX];
};

/* What note_verify found of one key. */
struct note_seal {
    int valid;       /* 1: it signed the note */
    uint64_t time_s; /* of its (first) cosignature, seconds since 1970; 0 for NOTE_ED25519 */
};

/* Make *key from a name (a string, see text_name) of 1 to NOTE_NAME_MAX_BYTES bytes, a kind and a public key.
 * RESULT_INVALID for another name or kind. */
enum result note_key_make(const char *name, enum note_kind kind, const uint8_t public_key[NOTE_PUBLIC_BYTES],
    struct note_key *key, struct failure *why);

/* Parse a verifier's text (a string). RESULT_INVALID: not of that form, an unknown kind, or an id that is not the key's. */
enum result note_key_parse(const char *text, struct note_key *key, struct failure *why);

/* Write the verifier's text of key, with a NUL. */
void note_key_print(const struct note_key *key, char out[NOTE_KEY_MAX_BYTES]);

/* Make *signer from a name and kind as note_key_make, and a secret seed. */
enum result note_signer_make(const char *name, enum note_kind kind, const uint8_t seed[NOTE_SEED_BYTES],
    struct note_signer *signer, struct failure *why);

/* Parse a signer's text (a string, a secret). As note_key_parse. */
enum result note_signer_parse(const char *text, struct note_signer *signer, struct failure *why);

/* Write the signer's text, with a NUL: a secret. */
void note_signer_print(const struct note_signer *signer, char out[NOTE_KEY_MAX_BYTES]);

/* Overwrite the secret. */
void note_signer_wipe(struct note_signer *signer);

/* Parse length bytes, which *note borrows. RESULT_INVALID: not a note in its one form, or without a signature line;
 * RESULT_FULL: beyond NOTE_MAX_BYTES or NOTE_SIGNATURES_MAX. *note is undefined on failure. */
enum result note_parse(const char *bytes, size_t length, struct note *note, struct failure *why);

/* Verify every line whose name and key id are those of one of the count keys (at least one, no two alike), and write what
 * each key did to seals[0..count-1]. RESULT_CORRUPT if one of these lines does not verify; RESULT_NOT_FOUND if there is
 * none. How many and which must have signed is the caller's rule. seals are undefined on failure. */
enum result note_verify(const struct note *note, const struct note_key *keys, size_t count, struct note_seal *seals,
    struct failure *why);

/* Append the signature line over text to out, which may hold a note already: that is how a witness adds its own. text
 * is plain and ends in a newline; for a NOTE_COSIGNATURE it must be a checkpoint that the caller has examined, and time_s
 * is when, seconds since 1970, at most 2^63 - 1 (unused for NOTE_ED25519). RESULT_INVALID: another text or time;
 * RESULT_FULL: longer than NOTE_MAX_BYTES, or no room in out, whose bytes before are kept. */
enum result note_sign(struct text_view text, const struct note_signer *signer, uint64_t time_s, struct text_writer *out,
    struct failure *why);

/* Append text, an empty line and signer's line to out: a whole note. As note_sign. */
enum result note_write(struct text_view text, const struct note_signer *signer, uint64_t time_s, struct text_writer *out,
    struct failure *why);

#endif
