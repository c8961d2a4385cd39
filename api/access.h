/*
 * Who asks, and what may they read: API keys by their hashes, and users that a trusted proxy has signed in.
 *
 * Scopes: read (released numbers; perhaps of one app), metrics (gauges), ops (daemons, health), audit (the trail),
 * erase (receipts of people's requests); admin has all.
 *
 * Sees:     API keys while a request lasts, user names of operators behind a proxy; keeps hashes.
 * Uses:     libsodium, service/db (config.reader_key), service/http/proxy.
 * Threads:  any; the keys are kept for ACCESS_KEEP_MS behind a lock.
 * Failure:  RESULT_NOT_FOUND (no such key or user), RESULT_UNAVAILABLE (the keys cannot be read).
 */
#ifndef THRONG_API_ACCESS_H
#define THRONG_API_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "service/base/config.h"
#include "service/db/db.h"

#define ACCESS_KEEP_MS 2000    /* a key that was revoked is good for so long at most */
#define ACCESS_RETRY_MS 500    /* an unknown key has the keys read again, not more often than this */
#define ACCESS_OUTAGE_MS 60000 /* while the database is away, known keys are good for so long */

enum access_scope { ACCESS_READ = 1, ACCESS_METRICS = 2, ACCESS_OPS = 4, ACCESS_AUDIT = 8, ACCESS_ERASE = 16 };

struct access_identity {
    unsigned scopes;      /* of enum access_scope */
    int32_t app;          /* 0: any */
    const char *type;     /* of the actor in an audit leaf; a literal */
    char actor[40];       /* the key's id, or a role: never a person's name */
};

struct access;

/* Make it from the configuration (borrowed). RESULT_INVALID for api.trusted_proxies. */
enum result access_open(const struct config *config, struct access **out, struct failure *why);
/* See access_open. NULL is allowed. */
void access_close(struct access *access);

/* Who has the API key text (NUL-terminated). */
enum result access_by_key(struct access *access, struct db *db, const char *text, struct access_identity *out,
    struct failure *why);

/* Who the user named by the configured header is, if peer is a trusted proxy; user is NULL if the header is not there. */
enum result access_by_proxy(const struct access *access, const struct sockaddr *peer, const char *user,
    struct access_identity *out);

/* Whether text is a list of words, or "*", that has the word. */
bool access_lists(const char *text, const char *word);

#endif
