/*
 * The keys of every app, and what may be done to them: make, ratchet, forget, name an identifier. What keyd holds in
 * memory and seals in its file.
 *
 *   key(app, epoch + 1)    = BLAKE2b-256(key = key(app, epoch), "throng ratchet 1")
 *   rotated                = BLAKE2b-256(key = key(app, epoch), "throng rotate 1" ‖ fresh 32)
 *   visitor key(day + 1)   = as key(app, epoch + 1), from the app's visitor key
 *   spool chain(n + 1)     = BLAKE2b-256(key = spool chain(n), "throng spool chain 1")
 *   spool key(n)           = BLAKE2b-256(key = spool chain(n), "throng spool key 1")
 *
 * Roots, shard keys, visitor keys and the spool chain begin as random bytes, which are handed in.
 *
 * Sees:     raw identifiers and keys.
 * Uses:     libsodium and schema/; no log, file, socket or clock.
 * Threads:  a ring belongs to one thread.
 * Failure:  result codes; outputs and ring are untouched on failure.
 */
#ifndef THRONG_EDGE_KEYRING_H
#define THRONG_EDGE_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/edge/keyd.h"
#include "anonymizer/edge/pseudonym.h"

#define KEYRING_APPS_MAX KEYD_APPS_MAX
#define KEYRING_SPOOL_AHEAD_MAX (1u << 20) /* segments that may exist at once */

/* Random bytes from which an app's keys begin. */
struct keyring_seed {
    struct pseudonym_key root, shard, visitor;
};

struct keyring_app {
    uint32_t app;
    uint32_t epoch;                      /* strictly increasing: calendar steps and operators' steps */
    uint32_t epoch_days;                 /* of the calendar that `calendar` counts in */
    uint32_t link_epochs;                /* passed keys to keep */
    uint32_t held;                       /* keys in key[]: 1 + passed ones that still exist */
    int64_t calendar;                    /* the calendar epoch this app has come to */
    int64_t ratcheted_at_ms;             /* 0: never */
    struct pseudonym_key key[NAMES_MAX]; /* [0] of this epoch, [1] of the last, …; zeros from `held` on */
    struct pseudonym_key shard;
    struct pseudonym_key visitor; /* of the ring's visitor_day */
    bool declared;                /* in this process; not sealed */
    uint32_t wanted_days; /* declared epoch_days, taken over when a tick has found the clocks to agree; not sealed */
};

struct keyring {
    int64_t visitor_day;              /* days since 1970-01-01, UTC */
    uint64_t spool_first;             /* first segment not forgotten */
    struct pseudonym_key spool_chain; /* of spool_first */
    uint32_t count;
    struct keyring_app apps[KEYRING_APPS_MAX];
};

#define KEYRING_APP_BYTES (5 * 4 + 2 * 8 + (NAMES_MAX + 2) * PSEUDONYM_KEY_BYTES)
#define KEYRING_PACKED_BYTES (4 + 8 + 8 + PSEUDONYM_KEY_BYTES + KEYRING_APPS_MAX * KEYRING_APP_BYTES)

/* Start an empty ring on the day of now_ms; the spool chain begins as *chain. */
void keyring_init(struct keyring *ring, int64_t now_ms, const struct pseudonym_key *chain);

/* Begin the spool's chain anew, as *chain: for a ring that goes to another node. */
void keyring_new_chain(struct keyring *ring, const struct pseudonym_key *chain);

/* The app's keys, or NULL. Valid until the ring changes. */
const struct keyring_app *keyring_find(const struct keyring *ring, uint32_t app);

/* Add an undeclared app whose first epoch is the calendar's of now_ms. RESULT_FULL. app is not in the ring yet;
 * epoch_days and link_epochs are in their ranges. */
enum result keyring_add(struct keyring *ring, uint32_t app, uint32_t epoch_days, uint32_t link_epochs, int64_t now_ms,
    const struct keyring_seed *seed);

/* Declare an app of the ring: epoch_days is noted for the next keyring_advance, passed keys beyond link_epochs are
 * wiped. True if what is sealed has changed. */
bool keyring_declare(struct keyring *ring, uint32_t app, uint32_t epoch_days, uint32_t link_epochs);

/* Forget an app and all its keys. RESULT_NOT_FOUND. */
enum result keyring_remove(struct keyring *ring, uint32_t app);

/* Move app one epoch on, at now_ms. fresh: randomness to mix in, or NULL. RESULT_NOT_FOUND. */
enum result keyring_step(struct keyring *ring, uint32_t app, int64_t now_ms, const struct pseudonym_key *fresh);

/* Move every app to the calendar's epoch of now_ms, which the caller believes, one step for each epoch passed; then
 * take over wanted calendars. Write the number of apps that moved to *ratcheted. True if what is sealed has changed.
 */
bool keyring_advance(struct keyring *ring, int64_t now_ms, uint32_t *ratcheted);

/* Ratchet the visitor keys to the day of now_ms; an earlier one changes nothing. True if what is sealed has changed.
 */
bool keyring_set_day(struct keyring *ring, int64_t now_ms);

/* Name id. now_ms tells whether the app is in grace. Everything of *out is written; out->result is the answer
 * (RESULT_NOT_FOUND if app is NULL or not declared). */
void keyring_map(const struct keyring_app *app, int64_t now_ms, uint32_t shards, enum pseudonym_kind kind,
    struct raw_id id, struct keyd_name *out);

/* Describe app, with every key that is held, without telling one. */
void keyring_status(const struct keyring_app *app, struct keyd_status *out);

/* The key of a spool segment. RESULT_NOT_FOUND if forgotten, RESULT_INVALID if beyond KEYRING_SPOOL_AHEAD_MAX. */
enum result keyring_spool_key(const struct keyring *ring, uint64_t segment, uint8_t out[KEYD_SPOOL_KEY_BYTES]);

/* Ratchet the chain past segment. Harmless if it is forgotten already; RESULT_INVALID as above. */
enum result keyring_spool_forget(struct keyring *ring, uint64_t segment);

/* Write the sealed part of ring to out, always KEYRING_PACKED_BYTES. */
void keyring_pack(const struct keyring *ring, uint8_t out[KEYRING_PACKED_BYTES]);

/* Read what keyring_pack wrote. RESULT_CORRUPT, and *ring undefined, if no ring reads so. */
enum result keyring_unpack(const uint8_t in[KEYRING_PACKED_BYTES], struct keyring *ring);

#endif
