#include "service/cli/twin.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"
#include "service/cli/act.h"

/* A twin's definition, and the row of config.app it belongs to. */
struct version {
    int32_t id, number; /* number 0: there is no row yet */
    bool alive;
    char name[NAME_MAX_BYTES + 1];
    char *text;
    uint8_t hash[APPS_HASH_BYTES];
};

/* The app's definition under the twin's name, with nothing held back. */
static enum result derive(const json_t *root, struct version *out, struct failure *why)
{
    struct app app;
    const char *name = json_string_value(json_object_get(root, "name"));
    if (strlen(name) + strlen(TWIN_SUFFIX) > NAME_MAX_BYTES) {
        failure_set(why, "APP", "has too long a name for a test app: with %s it has more than %d characters", TWIN_SUFFIX,
            NAME_MAX_BYTES);
        return RESULT_INVALID;
    }
    (void)snprintf(out->name, sizeof out->name, "%s" TWIN_SUFFIX, name);
    json_t *twin = json_deep_copy(root);
    json_object_set_new(twin, "name", json_string(out->name));
    json_object_set_new(twin, "population", json_string(out->name));
    json_object_set_new(twin, "privacy", json_pack("{s:s,s:b}", "preset", "exact", "allow_unprotected", 1));
    /* The catalogue is one document: what does not compile must not get into it. */
    enum result result = definition_compile(twin, &app, why);
    if (result == RESULT_OK) {
        definition_free(&app);
        apps_hash_definition(twin, out->hash);
        out->text = json_dumps(twin, JSON_COMPACT | JSON_REAL_PRECISION(17));
        result = out->text == NULL ? RESULT_FAILED : RESULT_OK;
    }
    json_decref(twin);
    return result;
}

/* Find and lock the twin of app; out->number stays 0 if it has none. */
static enum result find(struct db *db, int32_t app, struct version *out, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, app);
    enum result result = db_run(db, "twin_find",
        "SELECT app, version, lives_until > now() FROM config.app WHERE twin_of = $1 FOR UPDATE", params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK && PQntuples(rows) == 1) {
        out->id = db_get_int4(rows, 0, 0);
        out->number = db_get_int4(rows, 0, 1);
        out->alive = db_get_bool(rows, 0, 2);
    }
    PQclear(rows);
    return result;
}

static enum result is_taken(struct db *db, const char *name, bool *taken, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, name);
    enum result result = db_run(db, "twin_taken", "SELECT EXISTS (SELECT FROM config.app WHERE name = $1::text)", params, &rows,
        why);
    db_params_free(params);
    if (result == RESULT_OK)
        *taken = db_get_bool(rows, 0, 0);
    PQclear(rows);
    return result;
}

/* Whether the newest definition that the database has of the twin is this one. */
static enum result is_same(struct db *db, const struct version *version, bool *same, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, version->id);
    db_int4(params, version->number);
    db_bytes(params, version->hash, sizeof version->hash);
    enum result result = db_run(db, "twin_same", "SELECT hash = $3 FROM config.definition WHERE app = $1 AND version = $2",
        params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK)
        *same = db_get_bool(rows, 0, 0);
    PQclear(rows);
    return result;
}

/* Begin and append the leaf of act about the version that version->number says. */
static enum result record(struct db *db, const char *act_name, const char *twin_of, const struct version *version,
    struct act *act, struct failure *why)
{
    char hash[2 * APPS_HASH_BYTES + 1];
    enum result result = act_begin(db, act_name, version->name, act, why);
    if (result != RESULT_OK)
        return result;
    (void)sodium_bin2hex(hash, sizeof hash, version->hash, sizeof version->hash);
    leaf_text(act->leaf, "hash", hash);
    leaf_int(act->leaf, "lives_hours", TWIN_HOURS);
    leaf_text(act->leaf, "preset", "exact");
    leaf_text(act->leaf, "twin_of", twin_of);
    leaf_int(act->leaf, "version", version->number);
    return act_append(db, act, why);
}

static enum result insert(struct db *db, const struct apps_row *row, struct version *version, struct failure *why)
{
    struct act act;
    PGresult *rows = NULL;
    bool taken = false;
    enum result result = is_taken(db, version->name, &taken, why);
    if (result == RESULT_OK && taken) {
        failure_set(why, "APP", "cannot have a test app: %s is the name of another app", version->name);
        return RESULT_INVALID;
    }
    if (result != RESULT_OK)
        return result;
    version->number = 1;
    result = record(db, "app_added", row->app.name, version, &act, why);
    if (result != RESULT_OK)
        goto out;
    struct db_params *params = db_params_new();
    db_text(params, version->name);
    db_text(params, row->app.time_zone);
    db_int4(params, row->id);
    db_int4(params, TWIN_HOURS);
    db_uuid(params, act.head.id);
    result = db_run(db, "twin_insert",
        "INSERT INTO config.app (name, population, time_zone, twin_of, lives_until, leaf)"
        " VALUES ($1::text, $1::text, $2::text, $3, now() + $4::int * interval '1 hour', $5) RETURNING app",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        goto out;
    version->id = db_get_int4(rows, 0, 0);
    PQclear(rows);
    result = apps_write_definition(db, version->id, 1, version->text, version->hash, act.head.id, why);
out:
    act_free(&act);
    return result;
}

/* Give the twin the definition, if it is another one than it has, and hours to live from now (0: as before). */
static enum result change(struct db *db, const char *twin_of, struct version *version, int32_t hours, struct failure *why)
{
    struct act act;
    bool same = false;
    struct db_params *params = NULL;
    enum result result = is_same(db, version, &same, why);
    if (result != RESULT_OK || (same && hours == 0))
        return result;
    version->number += !same;
    result = record(db, "app_changed", twin_of, version, &act, why);
    if (result == RESULT_OK && !same)
        result = apps_write_definition(db, version->id, version->number, version->text, version->hash, act.head.id, why);
    if (result != RESULT_OK)
        goto out;
    params = db_params_new();
    db_int4(params, version->id);
    db_int4(params, version->number);
    db_int4(params, hours);
    db_uuid(params, act.head.id);
    result = db_run(db, "twin_change",
        "UPDATE config.app SET version = $2, leaf = $4,"
        " lives_until = CASE WHEN $3::int > 0 THEN now() + $3::int * interval '1 hour' ELSE lives_until END WHERE app = $1",
        params, NULL, why);
out:
    db_params_free(params);
    act_free(&act);
    return result;
}

struct making {
    const struct apps_row *row;
    const json_t *root;
    struct twin *out;
};

static enum result make(struct db *db, void *context, struct failure *why)
{
    struct making *making = context;
    struct version version = {0};
    enum result result = derive(making->root, &version, why);
    if (result == RESULT_OK)
        result = find(db, making->row->id, &version, why);
    making->out->made = version.number == 0;
    if (result == RESULT_OK && making->out->made)
        result = insert(db, making->row, &version, why);
    else if (result == RESULT_OK)
        result = change(db, making->row->app.name, &version, TWIN_HOURS, why);
    if (result == RESULT_OK)
        result = writekey_make(db, version.id, version.name, "wk_test_", making->out->key, why);
    (void)snprintf(making->out->name, sizeof making->out->name, "%s", version.name);
    free(version.text);
    return result;
}

enum result twin_make(struct db *db, const struct apps_row *row, struct twin *out, struct failure *why)
{
    if (row->twin) {
        failure_set(why, "APP", "is a test app itself: name the app it is of");
        return RESULT_INVALID;
    }
    json_t *root = json_loads(row->body, 0, NULL);
    struct making making = {.row = row, .root = root, .out = out};
    enum result result = root == NULL ? RESULT_FAILED : db_transaction(db, make, &making, why);
    json_decref(root);
    return result;
}

enum result twin_follow(struct db *db, int32_t app, const json_t *root, struct failure *why)
{
    struct version version = {0};
    enum result result = find(db, app, &version, why);
    if (result != RESULT_OK || !version.alive)
        return result;
    result = derive(root, &version, why);
    if (result == RESULT_OK)
        result = change(db, json_string_value(json_object_get(root, "name")), &version, 0, why);
    free(version.text);
    return result;
}
