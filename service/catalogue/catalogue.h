/*
 * The catalogue: all apps with their compiled definitions and the hashes of the keys that may write. The aggregator
 * publishes it from PostgreSQL through Redis; ingest keeps a local fsynced copy. The document:
 *   {"format":1,"version":7,"shards":16,
 *    "apps":[{"id":1,"version":3,"mode":"live","sealed_until_ms":1767225600000|0,"definition":{…}}],
 *    "write_keys":[{"hash":"hex of BLAKE2b-256(key text)","app":1}],
 *    "ingest_keys":[{"hash":"…","app":1|0}],              app 0: any app
 *    "erase_keys":[{"hash":"…","app":1|0}]}               may be absent: nobody enters people's requests by key
 *
 * Sees:     hashes of write keys; nothing of a person.
 * Uses:     jansson, libsodium, schema/.
 * Threads:  a struct catalogue is read-only and counted: hold it while using what it lends.
 * Failure:  RESULT_INVALID, RESULT_CORRUPT (local copy), RESULT_NOT_FOUND.
 */
#ifndef THRONG_CATALOGUE_CATALOGUE_H
#define THRONG_CATALOGUE_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"
#include "schema/failure.h"

#define CATALOGUE_KEY_HASH_BYTES 32

struct catalogue;

enum catalogue_key_kind { CATALOGUE_WRITE_KEY, CATALOGUE_INGEST_KEY, CATALOGUE_ERASE_KEY };

/* Parse a document; *out holds one reference. */
enum result catalogue_parse(const char *json, size_t length, struct catalogue **out, struct failure *why);

/* Take and give back a reference (atomic). catalogue_hold returns its argument. NULL is allowed. */
struct catalogue *catalogue_hold(struct catalogue *catalogue);
/* See catalogue_hold. */
void catalogue_release(struct catalogue *catalogue);

/* Its version and number of shards. */
uint64_t catalogue_version(const struct catalogue *catalogue);
/* See catalogue_version. */
uint32_t catalogue_shards(const struct catalogue *catalogue);

/* The apps, borrowed, ascending by id. */
const struct app *const *catalogue_apps(const struct catalogue *catalogue, size_t *count);

/* An app by name or id, borrowed; NULL if there is none. */
const struct app *catalogue_app_named(const struct catalogue *catalogue, const char *name);
/* See catalogue_app_named. */
const struct app *catalogue_app(const struct catalogue *catalogue, uint32_t id);

/* The moment at which the last sealed day of app id ended, ms (0: nothing sealed): imported events must not lie
 * before it. */
int64_t catalogue_sealed_until_ms(const struct catalogue *catalogue, uint32_t id);

/* What the key text[0..length-1] may write: RESULT_OK and its kind and app (0: any app, ingest keys only), or
 * RESULT_NOT_FOUND. Compares hashes only, in time independent of the key. An erase key writes nothing: it is not found
 * here. */
enum result catalogue_find_key(const struct catalogue *catalogue, const char *text, size_t length,
    enum catalogue_key_kind *kind, uint32_t *app);

/* Whether the key text[0..length-1] may enter people's requests: RESULT_OK and for which app (0: any),
 * RESULT_DENIED (it is a key, for something else) or RESULT_NOT_FOUND. */
enum result catalogue_find_erase_key(const struct catalogue *catalogue, const char *text, size_t length,
    uint32_t *app);

/* Hash a key text as it is stored. */
void catalogue_hash_key(const char *text, size_t length, uint8_t out[CATALOGUE_KEY_HASH_BYTES]);

/* Whether some app allows origin (for preflights, when the app is not known yet); and whether this app does. */
bool catalogue_allows_origin(const struct catalogue *catalogue, const char *origin);
/* See catalogue_allows_origin. An app's "*" allows every origin. */
bool catalogue_app_allows_origin(const struct app *app, const char *origin);

/* Write the document to path durably (temporary file, fsync, rename, fsync of the directory), mode 0600. */
enum result catalogue_store_copy(const char *path, const char *json, size_t length, struct failure *why);

/* Read and parse the copy at path. RESULT_NOT_FOUND if there is none. */
enum result catalogue_load_copy(const char *path, struct catalogue **out, struct failure *why);

#endif
