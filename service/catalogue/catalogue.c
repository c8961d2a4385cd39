#include "service/catalogue/catalogue.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/durable.h"
#include "service/catalogue/definition.h"
#include "service/catalogue/shape.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])
#define COPY_MAX_BYTES (64L * 1024 * 1024)
#define APPS_MAX 100000
#define KEYS_MAX 1000000

/* An open-addressing table of indexes into some array; what equality means is the caller's. */
struct table {
    uint32_t *slots; /* index + 1; 0: empty */
    size_t mask;     /* size - 1, the size a power of two and at least twice the entries */
};

struct key {
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    enum catalogue_key_kind kind;
    uint32_t app;
};

struct entry {
    struct app app;
    int64_t sealed_until_ms;
};

struct catalogue {
    atomic_uint references;
    uint64_t version;
    uint32_t shards;
    struct entry *entries; /* ascending by id */
    const struct app **apps;
    size_t app_count;
    struct key *keys;
    size_t key_count;
    const char **origins; /* of all apps, borrowed from them */
    size_t origin_count;
    bool any_origin;
    struct table by_id, by_name, by_key, by_origin;
};

static const struct shape_member root_members[] = {
    {"format", SHAPE_INTEGER, true, 1, 1, NULL},
    {"version", SHAPE_INTEGER, true, 0, SEQ_MAX, NULL},
    {"shards", SHAPE_INTEGER, true, 1, SHARDS_MAX, NULL},
    {"apps", SHAPE_OBJECTS, true, 0, APPS_MAX, NULL},
    {"write_keys", SHAPE_OBJECTS, true, 0, KEYS_MAX, NULL},
    {"ingest_keys", SHAPE_OBJECTS, true, 0, KEYS_MAX, NULL},
    {"erase_keys", SHAPE_OBJECTS, false, 0, KEYS_MAX, NULL},
};

static const char *const modes[] = {[APP_MODE_LIVE] = "live", [APP_MODE_IMPORTING] = "importing", NULL};

static const struct shape_member app_members[] = {
    {"id", SHAPE_INTEGER, true, 1, UINT32_MAX, NULL},
    {"version", SHAPE_INTEGER, true, 1, UINT32_MAX, NULL},
    {"mode", SHAPE_CHOICE, true, 0, 0, modes},
    {"sealed_until_ms", SHAPE_INTEGER, true, TS_MIN_MS, TS_MAX_MS, NULL},
    {"definition", SHAPE_OBJECT, true, 0, 0, NULL},
};

static const struct shape_member key_members[] = {
    {"hash", SHAPE_TEXT, true, CATALOGUE_KEY_HASH_BYTES * 2, CATALOGUE_KEY_HASH_BYTES * 2, NULL},
    {"app", SHAPE_INTEGER, true, 0, UINT32_MAX, NULL},
};

/* Tables */

static enum result no_memory(struct failure *why)
{
    failure_set(why, NULL, "out of memory");
    return RESULT_FAILED;
}

static enum result table_make(struct table *table, size_t entries, struct failure *why)
{
    size_t size = 2;
    while (size < entries * 2)
        size *= 2;
    table->slots = calloc(size, sizeof *table->slots);
    table->mask = size - 1;
    return table->slots == NULL ? no_memory(why) : RESULT_OK;
}

typedef bool is_thing(const struct catalogue *catalogue, size_t index, const void *wanted);

/* The slot of the thing that is wanted, or the empty one where it would go. */
static uint32_t *table_find(const struct catalogue *catalogue, const struct table *table, uint64_t hash, is_thing *is,
    const void *wanted)
{
    size_t at = hash & table->mask;
    while (table->slots[at] != 0 && !is(catalogue, table->slots[at] - 1, wanted))
        at = (at + 1) & table->mask;
    return &table->slots[at];
}

/* FNV-1a: what is hashed here comes from operators. */
static uint64_t hash_text(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    return hash ^ hash >> 32;
}

static uint64_t hash_id(uint32_t id)
{
    return id * 11400714819323198485u >> 32;
}

static uint64_t hash_key(const uint8_t *hash)
{
    uint64_t first;
    memcpy(&first, hash, sizeof first);
    return first;
}

static bool is_app_id(const struct catalogue *catalogue, size_t index, const void *wanted)
{
    return catalogue->entries[index].app.id == *(const uint32_t *)wanted;
}

static bool is_app_name(const struct catalogue *catalogue, size_t index, const void *wanted)
{
    return strcmp(catalogue->entries[index].app.name, wanted) == 0;
}

static bool is_key(const struct catalogue *catalogue, size_t index, const void *wanted)
{
    return sodium_memcmp(catalogue->keys[index].hash, wanted, CATALOGUE_KEY_HASH_BYTES) == 0;
}

static bool is_origin(const struct catalogue *catalogue, size_t index, const void *wanted)
{
    return strcmp(catalogue->origins[index], wanted) == 0;
}

/* Parsing */

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    return left->app.id < right->app.id ? -1 : left->app.id > right->app.id;
}

/* A definition's complaint lies inside the document: put its place before the path. */
static void deepen(const struct failure *inner, size_t index, struct failure *why)
{
    char path[sizeof inner->field + 64];
    (void)snprintf(path, sizeof path, "apps[%zu].definition%s%s", index, inner->field[0] == '\0' ? "" : ".", inner->field);
    failure_set(why, path, "%s", inner->text);
}

static enum result parse_app(const json_t *object, size_t index, struct catalogue *catalogue, struct failure *why)
{
    struct shape_place list = {.member = "apps"}, at = {.above = &list, .index = index};
    enum result result = shape_check(object, app_members, ROWS(app_members), &at, why);
    if (result != RESULT_OK)
        return result;
    struct failure inner = {0};
    struct entry *entry = &catalogue->entries[catalogue->app_count];
    result = definition_compile(json_object_get(object, "definition"), &entry->app, &inner);
    if (result != RESULT_OK) {
        deepen(&inner, index, why);
        return result;
    }
    catalogue->app_count++;
    entry->app.id = (uint32_t)shape_integer(object, "id", 0);
    entry->app.version = (uint32_t)shape_integer(object, "version", 0);
    entry->app.mode = (enum app_mode)shape_choice(object, "mode", modes, APP_MODE_LIVE);
    entry->sealed_until_ms = shape_integer(object, "sealed_until_ms", 0);
    return RESULT_OK;
}

/* Index apps by id and name; both must be unique. */
static enum result index_apps(struct catalogue *catalogue, struct failure *why)
{
    enum result result = table_make(&catalogue->by_id, catalogue->app_count, why);
    if (result == RESULT_OK)
        result = table_make(&catalogue->by_name, catalogue->app_count, why);
    for (size_t i = 0; result == RESULT_OK && i < catalogue->app_count; i++) {
        const struct app *app = &catalogue->entries[i].app;
        uint32_t *id = table_find(catalogue, &catalogue->by_id, hash_id(app->id), is_app_id, &app->id);
        uint32_t *name = table_find(catalogue, &catalogue->by_name, hash_text(app->name), is_app_name, app->name);
        if (*id != 0 || *name != 0)
            return shape_fail(NULL, "apps", why, "two apps have the same %s", *id != 0 ? "id" : "name");
        *id = *name = (uint32_t)i + 1;
        catalogue->apps[i] = app;
    }
    return result;
}

static enum result parse_apps(const json_t *root, struct catalogue *catalogue, struct failure *why)
{
    const json_t *list = json_object_get(root, "apps");
    size_t count = json_array_size(list);
    catalogue->entries = calloc(count + 1, sizeof *catalogue->entries);
    catalogue->apps = calloc(count + 1, sizeof *catalogue->apps);
    if (catalogue->entries == NULL || catalogue->apps == NULL)
        return no_memory(why);
    for (size_t i = 0; i < count; i++) {
        enum result result = parse_app(json_array_get(list, i), i, catalogue, why);
        if (result != RESULT_OK)
            return result;
    }
    qsort(catalogue->entries, count, sizeof *catalogue->entries, compare_entries);
    return index_apps(catalogue, why);
}

static enum result index_origins(struct catalogue *catalogue, struct failure *why)
{
    size_t count = 0;
    for (size_t i = 0; i < catalogue->app_count; i++)
        count += catalogue->apps[i]->origin_count;
    catalogue->origins = calloc(count + 1, sizeof *catalogue->origins);
    if (catalogue->origins == NULL)
        return no_memory(why);
    enum result result = table_make(&catalogue->by_origin, count, why);
    for (size_t i = 0; result == RESULT_OK && i < catalogue->app_count; i++) {
        const struct app *app = catalogue->apps[i];
        for (size_t j = 0; j < app->origin_count; j++) {
            const char *origin = app->origins[j];
            catalogue->any_origin |= strcmp(origin, "*") == 0;
            uint32_t *slot = table_find(catalogue, &catalogue->by_origin, hash_text(origin), is_origin, origin);
            if (*slot != 0)
                continue;
            catalogue->origins[catalogue->origin_count++] = origin;
            *slot = (uint32_t)catalogue->origin_count;
        }
    }
    return result;
}

static enum result parse_key(const json_t *object, const struct shape_place *at, enum catalogue_key_kind kind,
    struct catalogue *catalogue, struct failure *why)
{
    enum result result = shape_check(object, key_members, ROWS(key_members), at, why);
    if (result != RESULT_OK)
        return result;
    struct key *key = &catalogue->keys[catalogue->key_count];
    const char *hex = shape_text(object, "hash", "");
    size_t length;
    if (sodium_hex2bin(key->hash, sizeof key->hash, hex, strlen(hex), NULL, &length, NULL) != 0 ||
        length != sizeof key->hash)
        return shape_fail(at, "hash", why, "must be %d hexadecimal digits", CATALOGUE_KEY_HASH_BYTES * 2);
    key->kind = kind;
    key->app = (uint32_t)shape_integer(object, "app", 0);
    bool any = key->app == 0 && kind != CATALOGUE_WRITE_KEY;
    if (!any && catalogue_app(catalogue, key->app) == NULL)
        return shape_fail(at, "app", why, "is not the id of an app");
    uint32_t *slot = table_find(catalogue, &catalogue->by_key, hash_key(key->hash), is_key, key->hash);
    if (*slot != 0)
        return shape_fail(at, "hash", why, "is there twice");
    *slot = (uint32_t)++catalogue->key_count;
    return RESULT_OK;
}

static enum result parse_key_list(const json_t *root, const char *member, enum catalogue_key_kind kind,
    struct catalogue *catalogue, struct failure *why)
{
    const json_t *list = json_object_get(root, member);
    struct shape_place at = {.member = member};
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct shape_place item = {.above = &at, .index = i};
        enum result result = parse_key(json_array_get(list, i), &item, kind, catalogue, why);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

static enum result parse_keys(const json_t *root, struct catalogue *catalogue, struct failure *why)
{
    size_t count = json_array_size(json_object_get(root, "write_keys")) +
        json_array_size(json_object_get(root, "ingest_keys")) + json_array_size(json_object_get(root, "erase_keys"));
    catalogue->keys = calloc(count + 1, sizeof *catalogue->keys);
    if (catalogue->keys == NULL)
        return no_memory(why);
    enum result result = table_make(&catalogue->by_key, count, why);
    if (result == RESULT_OK)
        result = parse_key_list(root, "write_keys", CATALOGUE_WRITE_KEY, catalogue, why);
    if (result == RESULT_OK)
        result = parse_key_list(root, "ingest_keys", CATALOGUE_INGEST_KEY, catalogue, why);
    if (result == RESULT_OK)
        result = parse_key_list(root, "erase_keys", CATALOGUE_ERASE_KEY, catalogue, why);
    return result;
}

static enum result parse_root(const json_t *root, struct catalogue *catalogue, struct failure *why)
{
    enum result result = shape_check(root, root_members, ROWS(root_members), NULL, why);
    if (result != RESULT_OK)
        return result;
    catalogue->version = (uint64_t)shape_integer(root, "version", 0);
    catalogue->shards = (uint32_t)shape_integer(root, "shards", 0);
    result = parse_apps(root, catalogue, why);
    if (result == RESULT_OK)
        result = index_origins(catalogue, why);
    return result == RESULT_OK ? parse_keys(root, catalogue, why) : result;
}

enum result catalogue_parse(const char *json, size_t length, struct catalogue **out, struct failure *why)
{
    json_error_t error;
    struct catalogue *catalogue = calloc(1, sizeof *catalogue);
    if (catalogue == NULL)
        return no_memory(why);
    atomic_init(&catalogue->references, 1);
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &error);
    enum result result = RESULT_INVALID;
    if (root == NULL)
        failure_set(why, NULL, "not JSON at line %d, column %d", error.line, error.column);
    else
        result = parse_root(root, catalogue, why);
    json_decref(root);
    if (result == RESULT_OK)
        *out = catalogue;
    else
        catalogue_release(catalogue);
    return result;
}

struct catalogue *catalogue_hold(struct catalogue *catalogue)
{
    if (catalogue != NULL)
        atomic_fetch_add_explicit(&catalogue->references, 1, memory_order_relaxed);
    return catalogue;
}

void catalogue_release(struct catalogue *catalogue)
{
    if (catalogue == NULL)
        return;
    unsigned before = atomic_fetch_sub_explicit(&catalogue->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    for (size_t i = 0; i < catalogue->app_count; i++)
        definition_free(&catalogue->entries[i].app);
    free(catalogue->entries);
    free(catalogue->apps);
    free(catalogue->keys);
    free(catalogue->origins);
    free(catalogue->by_id.slots);
    free(catalogue->by_name.slots);
    free(catalogue->by_key.slots);
    free(catalogue->by_origin.slots);
    free(catalogue);
}

/* Asking */

uint64_t catalogue_version(const struct catalogue *catalogue)
{
    return catalogue->version;
}

uint32_t catalogue_shards(const struct catalogue *catalogue)
{
    return catalogue->shards;
}

const struct app *const *catalogue_apps(const struct catalogue *catalogue, size_t *count)
{
    *count = catalogue->app_count;
    return catalogue->apps;
}

const struct app *catalogue_app_named(const struct catalogue *catalogue, const char *name)
{
    uint32_t slot = *table_find(catalogue, &catalogue->by_name, hash_text(name), is_app_name, name);
    return slot == 0 ? NULL : catalogue->apps[slot - 1];
}

const struct app *catalogue_app(const struct catalogue *catalogue, uint32_t id)
{
    uint32_t slot = *table_find(catalogue, &catalogue->by_id, hash_id(id), is_app_id, &id);
    return slot == 0 ? NULL : catalogue->apps[slot - 1];
}

int64_t catalogue_sealed_until_ms(const struct catalogue *catalogue, uint32_t id)
{
    uint32_t slot = *table_find(catalogue, &catalogue->by_id, hash_id(id), is_app_id, &id);
    return slot == 0 ? 0 : catalogue->entries[slot - 1].sealed_until_ms;
}

void catalogue_hash_key(const char *text, size_t length, uint8_t out[CATALOGUE_KEY_HASH_BYTES])
{
    int wrong = crypto_generichash(out, CATALOGUE_KEY_HASH_BYTES, (const unsigned char *)text, length, NULL, 0);
    assert(wrong == 0);
}

static const struct key *find_key(const struct catalogue *catalogue, const char *text, size_t length)
{
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    catalogue_hash_key(text, length, hash);
    uint32_t slot = *table_find(catalogue, &catalogue->by_key, hash_key(hash), is_key, hash);
    return slot == 0 ? NULL : &catalogue->keys[slot - 1];
}

enum result catalogue_find_key(const struct catalogue *catalogue, const char *text, size_t length,
    enum catalogue_key_kind *kind, uint32_t *app)
{
    const struct key *key = find_key(catalogue, text, length);
    if (key == NULL || key->kind == CATALOGUE_ERASE_KEY)
        return RESULT_NOT_FOUND;
    *kind = key->kind;
    *app = key->app;
    return RESULT_OK;
}

enum result catalogue_find_erase_key(
    const struct catalogue *catalogue, const char *text, size_t length, uint32_t *app)
{
    const struct key *key = find_key(catalogue, text, length);
    if (key == NULL)
        return RESULT_NOT_FOUND;
    if (key->kind != CATALOGUE_ERASE_KEY)
        return RESULT_DENIED;
    *app = key->app;
    return RESULT_OK;
}

bool catalogue_allows_origin(const struct catalogue *catalogue, const char *origin)
{
    return catalogue->any_origin ||
        *table_find(catalogue, &catalogue->by_origin, hash_text(origin), is_origin, origin) != 0;
}

bool catalogue_app_allows_origin(const struct app *app, const char *origin)
{
    for (size_t i = 0; i < app->origin_count; i++) {
        if (strcmp(app->origins[i], "*") == 0 || strcmp(app->origins[i], origin) == 0)
            return true;
    }
    return false;
}

/* The local copy */

static enum result system_failure(struct failure *why, const char *what)
{
    failure_set(why, "catalogue copy", "%s: %s", what, strerror(errno));
    return RESULT_FAILED;
}

/* Make a rename in path's directory durable. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    bool synced = folder != NULL && durable_sync(folder);
    free(folder);
    return synced;
}

enum result catalogue_store_copy(const char *path, const char *json, size_t length, struct failure *why)
{
    size_t size = strlen(path) + sizeof ".new";
    char *temporary = malloc(size);
    if (temporary == NULL)
        return no_memory(why);
    (void)snprintf(temporary, size, "%s.new", path);
    bool stored = durable_put(temporary, path, json, length) && sync_folder(path);
    free(temporary);
    return stored ? RESULT_OK : system_failure(why, "cannot be written");
}

static enum result read_whole(int file, char *bytes, size_t length, struct failure *why)
{
    while (length > 0) {
        ssize_t got = read(file, bytes, length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return system_failure(why, "cannot read");
        if (got == 0) {
            failure_set(why, "catalogue copy", "became shorter while it was read");
            return RESULT_CORRUPT;
        }
        bytes += got;
        length -= (size_t)got;
    }
    return RESULT_OK;
}

/* Read the regular file behind descriptor file to *bytes, owned by the caller. */
static enum result read_file(int file, char **bytes, size_t *length, struct failure *why)
{
    struct stat status;
    if (fstat(file, &status) != 0)
        return system_failure(why, "cannot stat");
    if (!S_ISREG(status.st_mode) || status.st_size > COPY_MAX_BYTES) {
        failure_set(why, "catalogue copy", "is not a regular file of at most %ld bytes", COPY_MAX_BYTES);
        return RESULT_CORRUPT;
    }
    size_t size = (size_t)status.st_size;
    char *buffer = malloc(size + 1);
    if (buffer == NULL)
        return no_memory(why);
    enum result result = read_whole(file, buffer, size, why);
    if (result != RESULT_OK) {
        free(buffer);
        return result;
    }
    *bytes = buffer;
    *length = size;
    return RESULT_OK;
}

enum result catalogue_load_copy(const char *path, struct catalogue **out, struct failure *why)
{
    char *bytes = NULL;
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) {
        failure_set(why, "catalogue copy", "there is none");
        return RESULT_NOT_FOUND;
    }
    if (file < 0)
        return system_failure(why, "cannot open");
    enum result result = read_file(file, &bytes, &length, why);
    close(file);
    if (result != RESULT_OK)
        return result;
    result = catalogue_parse(bytes, length, out, why);
    free(bytes);
    return result == RESULT_INVALID ? RESULT_CORRUPT : result;
}
