/*
 * The key file: one ring, sealed under a passphrase, in two slots that are always both overwritten, so that a crash
 * leaves the old or the new state and a key that was passed stays in neither.
 *
 *   header (4096 bytes)   "THKEYS1\n" | salt 16 | proof 32 | sum 32 | zeros
 *   slot 0, slot 1        generation u64le | nonce 24 | XChaCha20-Poly1305(ring as keyring_pack writes it) | zeros
 *
 *   key   = crypto_pwhash(passphrase, salt), Argon2id 1.3 at libsodium's "interactive" limits
 *   proof = BLAKE2b-256(key, "throng key file 1" ‖ salt): tells a wrong passphrase from a damaged slot
 *   sum   = BLAKE2b-256(magic ‖ salt ‖ proof): tells a wrong passphrase from a damaged header
 *   associated data of a slot = magic ‖ salt ‖ generation
 *
 * One process holds the file at a time (flock). A file that is being made has another name until it is whole.
 *
 * Sees:     keys.
 * Uses:     libsodium.
 * Threads:  a struct keyfile belongs to one thread.
 * Failure:  result codes and a struct failure. After a failed keyfile_store the file holds the old or the new state
 * and nobody knows which: end the process and open it again.
 */
#ifndef THRONG_EDGE_KEYFILE_H
#define THRONG_EDGE_KEYFILE_H

#include <stdint.h>

#include "anonymizer/edge/keyring.h"
#include "schema/failure.h"

#define KEYFILE_SLOTS 2
#define KEYFILE_HEADER_BYTES 4096
#define KEYFILE_SEALED_BYTES (8 + 24 + KEYRING_PACKED_BYTES + 16)
#define KEYFILE_SLOT_BYTES ((KEYFILE_SEALED_BYTES + 4095) / 4096 * 4096)
#define KEYFILE_BYTES (KEYFILE_HEADER_BYTES + KEYFILE_SLOTS * KEYFILE_SLOT_BYTES)

/* Lies in locked memory: the key and the buffers are secret. Zero-initialise, with fd = -1. */
struct keyfile {
    int fd;
    int newest;          /* slot that was written first last time */
    uint64_t generation; /* of both slots */
    uint8_t salt[16];
    uint8_t key[32];
    uint8_t packed[KEYRING_PACKED_BYTES];
    uint8_t slot[KEYFILE_SLOT_BYTES];
};

/* Make the file at path (mode 0600, synced with its directory) with ring in it, and hold it. RESULT_DENIED if there
 * is one already. On failure nothing is held. */
enum result keyfile_create(
    struct keyfile *file, const char *path, const char *passphrase, const struct keyring *ring, struct failure *why);

/* Open the file at path, read the newest valid slot into *ring and bring the other to the same state.
 * RESULT_NOT_FOUND, RESULT_INVALID (wrong passphrase; a file that others may read), RESULT_CORRUPT (header or both
 * slots), RESULT_UNAVAILABLE (another process holds it). On failure nothing is held and *ring is undefined. */
enum result keyfile_open(
    struct keyfile *file, const char *path, const char *passphrase, struct keyring *ring, struct failure *why);

/* Make ring durable: the older slot, sync, the other slot, sync. */
enum result keyfile_store(struct keyfile *file, const struct keyring *ring, struct failure *why);

/* One half of keyfile_store: write ring as generation into slot (0 or 1), sync. */
enum result keyfile_write_slot(
    struct keyfile *file, int slot, uint64_t generation, const struct keyring *ring, struct failure *why);

/* Read slot (0 or 1) of a file that is held. RESULT_CORRUPT, and *ring undefined, if it is not valid. */
enum result keyfile_read_slot(struct keyfile *file, int slot, uint64_t *generation, struct keyring *ring);

/* What seals a key file. */
struct keyfile_seal {
    uint8_t salt[16];
    uint8_t key[32];
};

/* A new salt, and the key for passphrase under it. RESULT_FAILED if the memory for it is missing. */
enum result keyfile_new_seal(const char *passphrase, struct keyfile_seal *out, struct failure *why);

/* Write a whole key file with ring in it, sealed by seal instead of the file's own, to out. file is held, and its
 * buffers are used. */
void keyfile_export(struct keyfile *file, const struct keyfile_seal *seal, const struct keyring *ring,
    uint8_t out[KEYFILE_BYTES]);

/* Which key file is held: BLAKE2b-256("throng key ring 1" ‖ salt). */
void keyfile_ring(const struct keyfile *file, uint8_t out[32]);

/* Let go of the file and wipe *file. */
void keyfile_close(struct keyfile *file);

#endif
