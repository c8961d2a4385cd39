/*
 * Pseudonymization: replace a raw identifier by a token that is stable for one app, one kind of identifier and one
 * epoch, and says nothing outside.
 *
 *   key(app, epoch + 1) = BLAKE2b-256(key = key(app, epoch), "throng ratchet 1")
 *   pseudonym           = BLAKE2b-128(key = key(app, epoch), kind u8 ‖ length u16le ‖ bytes)
 *   shard               = u64le(BLAKE2b-128(key = shard key(app), 'H' ‖ length u16le ‖ bytes)[:8]) mod shards
 *
 * (crypto_generichash of libsodium, RFC 7693, keyed.)
 *
 * Sees:     raw identifiers and keys.
 * Uses:     libsodium and schema/; no log, file, socket or clock.
 * Threads:  pure functions.
 * Failure:  result codes; outputs are untouched on failure.
 */
#ifndef THRONG_EDGE_PSEUDONYM_H
#define THRONG_EDGE_PSEUDONYM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "schema/packet.h"

#define PSEUDONYM_KEY_BYTES 32

enum pseudonym_kind {
    PSEUDONYM_USER = 'U',
    PSEUDONYM_SESSION = 'S',
    PSEUDONYM_SOURCE = 'R',
    PSEUDONYM_VISITOR = 'V', /* address and User-Agent of a day, under the day key */
    PSEUDONYM_ENTITY = 'E',  /* what an app counts beside users: a campaign, a document */
};

/* A 256-bit key. Lives in locked memory of keyd only. */
struct pseudonym_key {
    uint8_t bytes[PSEUDONYM_KEY_BYTES];
};

/* An identifier as a client sent it; borrows its bytes. Must not outlive the request. */
struct raw_id {
    const char *bytes;
    size_t length; /* 1 to RAW_ID_MAX_BYTES */
};

/* Whether kind is one of enum pseudonym_kind. */
bool pseudonym_is_kind(int kind);

/* Write the pseudonym of id under key to *out. RESULT_INVALID if id is empty or longer than RAW_ID_MAX_BYTES. */
enum result pseudonym_make(const struct pseudonym_key *key, enum pseudonym_kind kind, struct raw_id id,
    struct pseudonym *out);

/* The shard of user id: 0 to shards - 1 (shards: 1 to SHARDS_MAX). RESULT_INVALID as above. */
enum result pseudonym_shard(const struct pseudonym_key *shard_key, struct raw_id id, uint32_t shards, uint16_t *out);

/* Replace *key by that of the next epoch; the old bytes are gone. */
void pseudonym_ratchet(struct pseudonym_key *key);

#endif
