#include "api/access.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/catalogue/catalogue.h"
#include "service/http/proxy.h"

struct access_key {
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    struct access_identity identity;
};

struct access {
    const struct config *config;
    struct proxy proxy;
    pthread_mutex_t lock; /* of what follows */
    struct access_key *keys;
    size_t count;
    int64_t read_ms; /* steady; when the keys were read last */
    bool read;
};

enum result access_open(const struct config *config, struct access **out, struct failure *why)
{
    struct access *access = calloc(1, sizeof *access);
    if (access == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    enum result result = proxy_parse(config->api_trusted_proxies, "api.trusted_proxies", &access->proxy, why);
    if (result != RESULT_OK) {
        free(access);
        return result;
    }
    access->config = config;
    pthread_mutex_init(&access->lock, NULL);
    *out = access;
    return RESULT_OK;
}

void access_close(struct access *access)
{
    if (access == NULL)
        return;
    pthread_mutex_destroy(&access->lock);
    free(access->keys);
    free(access);
}

static unsigned scopes_named(const char *scope)
{
    static const struct {
        const char *name;
        unsigned scopes;
    } names[] = {{"read", ACCESS_READ}, {"metrics", ACCESS_METRICS}, {"ops", ACCESS_OPS}, {"audit", ACCESS_AUDIT},
        {"erase", ACCESS_ERASE}, {"admin", ACCESS_READ | ACCESS_METRICS | ACCESS_OPS | ACCESS_AUDIT | ACCESS_ERASE}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, scope) == 0)
            return names[i].scopes;
    }
    return 0;
}

static void fill_key(struct access_key *key, const PGresult *rows, int row)
{
    size_t length = 0;
    const uint8_t *hash = db_get_bytes(rows, row, 3, &length);
    *key = (struct access_key){.identity.type = "key"};
    if (length == sizeof key->hash)
        memcpy(key->hash, hash, sizeof key->hash);
    key->identity.scopes = length == sizeof key->hash ? scopes_named(db_get_text(rows, row, 1)) : 0;
    key->identity.app = db_is_null(rows, row, 2) ? 0 : db_get_int4(rows, row, 2);
    (void)snprintf(key->identity.actor, sizeof key->identity.actor, "%s", db_get_text(rows, row, 0));
}

/* Read the keys; what was there stays if they cannot be read. */
static enum result read_keys(struct access *access, struct db *db, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result =
        db_run(db, "access_keys", "SELECT id::text, scope, app, hash FROM config.reader_key ORDER BY id", NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    size_t count = (size_t)PQntuples(rows);
    struct access_key *keys = calloc(count + 1, sizeof *keys);
    for (size_t i = 0; keys != NULL && i < count; i++)
        fill_key(&keys[i], rows, (int)i);
    PQclear(rows);
    if (keys == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    free(access->keys);
    access->keys = keys;
    access->count = count;
    access->read = true;
    access->read_ms = clock_steady_ms();
    return RESULT_OK;
}

/* All keys are compared: the time taken does not tell which one was met. */
static const struct access_key *find(const struct access *access, const uint8_t *hash)
{
    const struct access_key *found = NULL;
    for (size_t i = 0; i < access->count; i++) {
        if (sodium_memcmp(access->keys[i].hash, hash, CATALOGUE_KEY_HASH_BYTES) == 0 && access->keys[i].identity.scopes != 0)
            found = &access->keys[i];
    }
    return found;
}

/* Under the lock. Keys that are too old are read again; without a database they are good for a while longer. */
static enum result refresh(struct access *access, struct db *db, int64_t older_than_ms, struct failure *why)
{
    int64_t age_ms = clock_steady_ms() - access->read_ms;
    if (access->read && age_ms < older_than_ms)
        return RESULT_OK;
    enum result result = read_keys(access, db, why);
    return result != RESULT_OK && access->read && age_ms < ACCESS_OUTAGE_MS ? RESULT_OK : result;
}

enum result access_by_key(struct access *access, struct db *db, const char *text, struct access_identity *out,
    struct failure *why)
{
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    catalogue_hash_key(text, strlen(text), hash);
    pthread_mutex_lock(&access->lock);
    enum result result = refresh(access, db, ACCESS_KEEP_MS, why);
    const struct access_key *key = result == RESULT_OK ? find(access, hash) : NULL;
    if (result == RESULT_OK && key == NULL) {
        result = refresh(access, db, ACCESS_RETRY_MS, why);
        key = result == RESULT_OK ? find(access, hash) : NULL;
    }
    if (key != NULL)
        *out = key->identity;
    pthread_mutex_unlock(&access->lock);
    sodium_memzero(hash, sizeof hash);
    if (result != RESULT_OK)
        return RESULT_UNAVAILABLE;
    return key != NULL ? RESULT_OK : RESULT_NOT_FOUND;
}

bool access_lists(const char *text, const char *word)
{
    size_t wanted = strlen(word);
    while (*(text += strspn(text, " ,\t")) != '\0') {
        size_t length = strcspn(text, " ,\t");
        if ((length == 1 && *text == '*') || (length == wanted && memcmp(text, word, length) == 0))
            return true;
        text += length;
    }
    return false;
}

enum result access_by_proxy(const struct access *access, const struct sockaddr *peer, const char *user,
    struct access_identity *out)
{
    const struct config *config = access->config;
    if (config->api_auth_proxy_header[0] == '\0' || user == NULL || user[0] == '\0' || !proxy_trusts(&access->proxy, peer))
        return RESULT_NOT_FOUND;
    bool owner = access_lists(config->api_auth_proxy_owners, user);
    if (!owner && !access_lists(config->api_auth_proxy_viewers, user))
        return RESULT_NOT_FOUND;
    *out = (struct access_identity){.type = "operator"};
    out->scopes = owner ? scopes_named("admin") : ACCESS_READ;
    (void)snprintf(out->actor, sizeof out->actor, owner ? "proxy_owner" : "proxy_viewer");
    return RESULT_OK;
}
