/*
 * The log's signing keys in one sealed file, and the name that the log was given when the first was made.
 *
 *   magic[8] ‖ salt[16] ‖ nonce[24] ‖ XChaCha20-Poly1305(origin, keys; associated data: magic ‖ salt)
 *
 * The sealing key is Argon2id of the passphrase. Beside it, for everybody: log.vkey (the newest verifier key) and log.vkeys
 * (all, a line each: size of the tree that it signs from, a space, the key).
 *
 * Sees:     the log's signing keys. A struct keystore lies in locked memory (sodium_malloc).
 * Uses:     libsodium, compliance/audit.
 * Threads:  one.
 * Failure:  RESULT_NOT_FOUND (no such file), RESULT_INVALID (another passphrase or origin, or readable by others),
 *           RESULT_CORRUPT, RESULT_FULL (KEYSTORE_MAX keys), RESULT_FAILED.
 */
#ifndef THRONG_SEQUENCER_KEYSTORE_H
#define THRONG_SEQUENCER_KEYSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/note.h"

#define KEYSTORE_MAX 32

struct keystore_key {
    struct note_signer signer;
    uint64_t from_size; /* it signs trees of this size and larger */
    int64_t until_ms;   /* and, once it is not the newest, until then */
};

struct keystore {
    char directory[512];
    char origin[CHECKPOINT_ORIGIN_MAX_BYTES + 1];
    size_t count; /* at least 1 */
    struct keystore_key keys[KEYSTORE_MAX]; /* the newest last */
    uint8_t salt[16], sealing[32];
};

/* Open directory/key with passphrase. origin: as configured, "" if it is not; must be the file's, if it is. Owned by the
 * caller until keystore_close. */
enum result keystore_open(
    const char *directory, const char *passphrase, const char *origin, struct keystore **out, struct failure *why);

/* Make directory/key, which is not there, with one key. origin "": throng.invalid/ and 8 hex digits of the key. */
enum result keystore_create(
    const char *directory, const char *passphrase, const char *origin, struct keystore **out, struct failure *why);

/* Overwrite and free; NULL is allowed. */
void keystore_close(struct keystore *store);

/* Add a key that signs from the tree of from_size leaves on; the former signs too until until_ms. */
enum result keystore_rotate(struct keystore *store, uint64_t from_size, int64_t until_ms, struct failure *why);

/* The newest key. */
const struct keystore_key *keystore_newest(const struct keystore *store);

/* Whether key index signs a tree of size leaves at now_ms. */
bool keystore_signs(const struct keystore *store, size_t index, uint64_t size, int64_t now_ms);

/* Write log.vkey and log.vkeys. */
enum result keystore_tell(const struct keystore *store, struct failure *why);

#endif
