/*
 * keyd: the process that holds the pseudonymization keys, and the calls by which ingest asks it. keyd_start() forks;
 * the child keeps a socketpair and one pre-opened key file, locks its memory, refuses core dumps and tracing, enters
 * a seccomp filter and answers until the other end closes. Keys never cross the socketpair, but for spool segment
 * keys.
 *
 * Sees:     raw identifiers (both sides); keys (the child only).
 * Uses:     libsodium, libseccomp, schema/.
 * Threads:  calls on one struct keyd are serialised by a mutex inside; any thread may call.
 * Failure:  RESULT_UNAVAILABLE means the child is gone: the caller must exit (a process with open sockets never forks
 *           a new keyd). RESULT_FAILED from a call that changes keys means that the key file could not be written:
 *           nothing was told of the new keys, and keyd has ended. Outputs are untouched on failure.
 */
#ifndef THRONG_EDGE_KEYD_H
#define THRONG_EDGE_KEYD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "anonymizer/edge/pseudonym.h"
#include "schema/failure.h"
#include "schema/packet.h"

#define KEYD_SPOOL_KEY_BYTES 32
#define KEYD_APPS_MAX 256 /* of one key file */
#define KEYD_IDS_MAX 65536u     /* identifiers of one keyd_map */
#define KEYD_GRACE_MS (3LL * 24 * 3600 * 1000) /* after a ratchet: sessions and sources also get their earlier name */

struct keyd; /* the caller's end */

struct keyd_options {
    const char *key_file;   /* made (mode 0600) if absent and may_create; its directory must exist. One process at a
                             * time: keyd locks it */
    const char *passphrase; /* seals the file (crypto_pwhash); borrowed during keyd_start */
    uint32_t shards;        /* 1 to SHARDS_MAX */
    bool may_create;        /* make the file, and roots for apps not in it; a node that joined others does not */
    bool sandbox;           /* seccomp; off only under sanitizers */
    const char *import_file; /* not NULL: make key_file of this exported one, instead of opening it; its spool chain is
                              * a new one */
    const char *import_passphrase; /* that seals import_file; borrowed during keyd_start */
};

/* Open the key file, fork keyd and wait until it is ready. Call before any thread or socket exists, from the thread
 * that lives as long as the process (keyd is killed when it ends). On success *out is owned by the caller until
 * keyd_stop. RESULT_INVALID (wrong passphrase; a file that others may read), RESULT_CORRUPT (no valid slot),
 * RESULT_NOT_FOUND (no file and not may_create), RESULT_UNAVAILABLE (another process holds the file), RESULT_DENIED
 * (import_file is set and there is a key file already). keyd ignores
 * SIGINT, SIGTERM and SIGHUP, so that a signal to the whole group lets the caller drain first.
 * THRONG_TEST_CLOCK_OFFSET_MS in the environment shifts keyd's wall clock. */
enum result keyd_start(const struct keyd_options *options, struct keyd **out, struct failure *why);

/* Ask keyd to end, wait for it, free keyd. NULL is allowed. */
void keyd_stop(struct keyd *keyd);

/* The child's process id, and a descriptor that becomes readable when it has ended (both stay keyd's). */
pid_t keyd_pid(const struct keyd *keyd);
/* See keyd_pid. */
int keyd_watch_fd(const struct keyd *keyd);

/* Tell keyd of an app: makes its root if new and allowed (RESULT_DENIED if not), sets how its epochs run: epoch_days
 * 92 (calendar quarters) or 7 to 366, link_epochs 1 to LINK_EPOCHS_MAX (else RESULT_INVALID). RESULT_FULL beyond 256
 * apps. Idempotent; needed once per app and process before keyd_map names it. A changed epoch_days holds from the
 * next keyd_tick that finds the clocks to agree; a smaller link_epochs destroys the keys beyond it at once. */
enum result keyd_declare(struct keyd *keyd, uint32_t app, uint32_t epoch_days, uint32_t link_epochs,
    struct failure *why);

/* One identifier to map. */
struct keyd_id {
    uint32_t app;
    enum pseudonym_kind kind;
    struct raw_id id;
};

/* Its names. */
struct keyd_name {
    enum result result; /* RESULT_OK, RESULT_INVALID (length; names is 0), RESULT_NOT_FOUND (app not declared) */
    bool grace;         /* within KEYD_GRACE_MS of the app's last ratchet */
    uint8_t names;      /* users: 1 + passed epochs still linked; sessions, sources: 2 in grace, else 1; visitors,
                           * entities: 1 */
    uint16_t shard;     /* users and visitors: where their packets go; else 0 */
    uint32_t epoch;
    struct pseudonym name[NAMES_MAX]; /* [0] of this epoch */
};

/* Map ids[0..count-1] to out[0..count-1], all under one consistent set of keys; RESULT_INVALID if count >
 * KEYD_IDS_MAX or a kind is none of pseudonym.h. now_ms (wall clock) tells grace and picks the visitor's day (UTC): a
 * day earlier than one seen before is taken as that one, and more than 26 hours after what keyd expects from the time
 * it started at as that limit, so that a jump of the clock cannot burn the keys of days to come. */
enum result keyd_map(struct keyd *keyd, int64_t now_ms, const struct keyd_id *ids, size_t count,
    struct keyd_name *out, struct failure *why);

/* What a tick found. */
struct keyd_tick {
    bool clocks_disagree; /* wall clock, keyd's own monotonic time and Redis's TIME differ by over an hour: keys kept */
    uint32_t ratcheted;   /* apps moved to a new epoch by this call */
};

/* Ratchet every app whose epoch has passed by the clock; call at least each minute. redis_ms: Redis's TIME, or -1 if
 * it cannot be had (then nothing is ratcheted). */
enum result keyd_tick(struct keyd *keyd, int64_t redis_ms, struct keyd_tick *out, struct failure *why);

/* Move app to its next epoch now (an operator's order; the calendar goes on from there). RESULT_NOT_FOUND. */
enum result keyd_ratchet(struct keyd *keyd, uint32_t app, struct failure *why);

/* As keyd_ratchet, with fresh randomness mixed in: whoever held the earlier key cannot follow. Other nodes cannot
 * either, until they are given this key file. RESULT_NOT_FOUND. */
enum result keyd_rotate(struct keyd *keyd, uint32_t app, struct failure *why);

/* Destroy every key of app, durably: its names can never be computed again. The app is undeclared then; declaring it
 * anew makes a new root. RESULT_NOT_FOUND. */
enum result keyd_destroy(struct keyd *keyd, uint32_t app, struct failure *why);

/* A passed epoch whose key is still held. */
struct keyd_linked {
    uint32_t epoch;
    int64_t until_ms;       /* by the calendar: when the key is overwritten, and names under it link no more */
    uint8_t commitment[32]; /* as that of struct keyd_status */
};

/* What keyd_read_status tells of an app. */
struct keyd_status {
    uint32_t app;
    uint32_t epoch;           /* ratchets since the root was made + the first epoch's calendar number */
    uint32_t linked_epochs;   /* passed epochs whose key is still held */
    int64_t ratcheted_at_ms;  /* 0: never */
    int64_t next_ratchet_ms;  /* by the calendar */
    uint8_t commitment[32];   /* BLAKE2b-256("throng key commitment 1" ‖ key): says which key without telling it */
    int64_t until_ms;         /* of the present epoch's key: as keyd_linked */
    struct keyd_linked linked[LINK_EPOCHS_MAX]; /* linked_epochs of them, the last epoch first */
};

#define KEYD_RING_BYTES 32

/* Write the state of up to capacity apps (declared or only in the file) to out and their number to *count, and which
 * key file it is to ring: BLAKE2b-256("throng key ring 1" ‖ its salt). */
enum result keyd_read_status(struct keyd *keyd, struct keyd_status *out, size_t capacity, size_t *count,
    uint8_t ring[KEYD_RING_BYTES], struct failure *why);

/* All keys for another node: a key file sealed under passphrase (1 byte or more; borrowed), to be opened by its
 * keyd_start as import_file. *bytes is owned by the caller (free), *length its length. The key that seals it is derived
 * in this process, the keys that it seals never leave keyd. The spool's chain is not among them. */
enum result keyd_export(struct keyd *keyd, const char *passphrase, uint8_t **bytes, size_t *length,
    struct failure *why);

/* The key of spool segment `segment` (counted from 0; later than any forgotten). keyd derives them by a chain of its
 * own and keeps the chain at the first segment not forgotten. RESULT_NOT_FOUND if it is forgotten, RESULT_INVALID if
 * it is 2^20 or more segments ahead of that one. A node that was given another's key file has the same chain: nonces
 * under these keys must be random. */
enum result keyd_spool_key(struct keyd *keyd, uint64_t segment, uint8_t out[KEYD_SPOOL_KEY_BYTES],
    struct failure *why);

/* Destroy the keys of all segments <= segment, durably. RESULT_INVALID as above. */
enum result keyd_spool_forget(struct keyd *keyd, uint64_t segment, struct failure *why);

/* The first segment not forgotten. */
enum result keyd_spool_first(struct keyd *keyd, uint64_t *segment, struct failure *why);

#endif
