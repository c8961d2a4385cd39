/*
 * throng key: API keys with a scope (and an app), shown once and stored as hashes; write keys are listed and revoked here
 * too. A key's id is the id of the leaf that records its making.
 *
 * Sees:     keys while they are made.
 * Uses:     service/db, service/catalogue (hash), service/cli/act, apps.
 * Threads:  one.
 * Failure:  exit status; nothing is changed.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "service/catalogue/catalogue.h"
#include "service/cli/act.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"

#define UUID_TEXT_BYTES 37
#define COLUMNS 7 /* of the list */

struct api_key {
    char scope[16];
    char app[NAME_MAX_BYTES + 1]; /* empty: any */
    int32_t app_id;
    char text[64];
    uint8_t id[16];
};

static void uuid_text(const uint8_t id[16], char out[UUID_TEXT_BYTES])
{
    char hex[33];
    sodium_bin2hex(hex, sizeof hex, id, 16);
    snprintf(out, UUID_TEXT_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* "read:APP" and the like. Only read, ingest and erase may be narrowed to an app. */
static bool read_scope(const char *text, struct api_key *out)
{
    static const char *const scopes[] = {"read", "metrics", "ops", "erase", "audit", "ingest", "admin"};
    const char *colon = strchr(text, ':');
    size_t length = colon == NULL ? strlen(text) : (size_t)(colon - text);
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        if (strlen(scopes[i]) != length || memcmp(scopes[i], text, length) != 0)
            continue;
        snprintf(out->scope, sizeof out->scope, "%s", scopes[i]);
        if (colon == NULL)
            return true;
        snprintf(out->app, sizeof out->app, "%s", colon + 1);
        return colon[1] != '\0' && strlen(colon + 1) <= NAME_MAX_BYTES && (strcmp(out->scope, "read") == 0
            || strcmp(out->scope, "ingest") == 0 || strcmp(out->scope, "erase") == 0);
    }
    return false;
}

static enum result insert_key(struct db *db, const struct api_key *key, const struct act *act, const char *hint,
    struct failure *why)
{
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    catalogue_hash_key(key->text, strlen(key->text), hash);
    struct db_params *params = db_params_new();
    db_uuid(params, act->head.id);
    db_text(params, key->scope);
    if (key->app[0] == '\0')
        db_null(params);
    else
        db_int4(params, key->app_id);
    db_bytes(params, hash, sizeof hash);
    db_text(params, hint);
    enum result result = db_run(db, "key_insert",
        "INSERT INTO config.api_key (id, scope, app, hash, hint, leaf) VALUES ($1, $2::text, $3::int, $4, $5::text, $1)",
        params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result add_in_transaction(struct db *db, void *context, struct failure *why)
{
    struct api_key *key = context;
    struct act act;
    char hint[12];
    enum result result = act_begin(db, "api_key_made", key->app, &act, why);
    if (result != RESULT_OK)
        goto out;
    act_make_key(strcmp(key->scope, "ingest") == 0 ? "ik_" : "ak_", key->text, sizeof key->text);
    snprintf(hint, sizeof hint, "%.7s", key->text);
    leaf_text(act.leaf, "hint", hint);
    leaf_text(act.leaf, "scope", key->scope);
    result = act_append(db, &act, why);
    if (result == RESULT_OK)
        result = insert_key(db, key, &act, hint, why);
    memcpy(key->id, act.head.id, sizeof key->id);
out:
    act_free(&act);
    return result;
}

static int add(struct command_context *context, const char *scope)
{
    struct failure why = {0};
    struct api_key key = {0};
    struct apps_row row = {0};
    char id[UUID_TEXT_BYTES];
    if (!read_scope(scope, &key))
        return command_usage("key", "--scope is read[:APP], metrics, ops, erase[:APP], audit, ingest[:APP] or admin");
    struct db *db = command_db(context, "key", true);
    if (db == NULL)
        return 1;
    enum result result = key.app[0] == '\0' ? RESULT_OK : apps_find(db, key.app, &row, &why);
    if (result == RESULT_OK && row.twin && strcmp(key.scope, "read") == 0) {
        failure_set(&why, "scope", "names a test app: what it has is read by the key of its app");
        result = RESULT_INVALID;
    }
    key.app_id = row.id;
    if (result == RESULT_OK)
        result = db_transaction(db, add_in_transaction, &key, &why);
    uuid_text(key.id, id);
    if (result == RESULT_OK && context->json)
        printf("{\"id\":\"%s\",\"scope\":\"%s\",\"key\":\"%s\"}\n", id, scope, key.text);
    else if (result == RESULT_OK) {
        printf("%s\n", key.text);
        fprintf(stderr, "Shown this once; only its hash is stored. In force within two seconds.\n"
                        "To revoke it: throng key revoke %s\n", id);
    }
    sodium_memzero(&key, sizeof key);
    apps_row_free(&row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("key", &why);
}

static void print_row_json(const PGresult *rows, int row)
{
    printf("%s{\"id\":\"%s\",\"scope\":\"%s\",\"app\":", row == 0 ? "" : ",", db_get_text(rows, row, 0),
        db_get_text(rows, row, 1));
    if (db_is_null(rows, row, 2))
        fputs("null", stdout);
    else
        printf("\"%s\"", db_get_text(rows, row, 2));
    printf(",\"hint\":\"%s\",\"created\":\"%s\",\"revoked\":", db_get_text(rows, row, 3), db_get_text(rows, row, 4));
    if (db_is_null(rows, row, 5))
        fputs("null", stdout);
    else
        printf("\"%s\"", db_get_text(rows, row, 5));
    if (db_is_null(rows, row, 6))
        fputs(",\"ends\":null}", stdout);
    else
        printf(",\"ends\":\"%s\"}", db_get_text(rows, row, 6));
}

static void print_rows(const PGresult *rows, bool json)
{
    static const char *const heads[] = {"id", "scope", "app", "begins with", "made", "revoked", "ends"};
    if (json) {
        putchar('[');
        for (int row = 0; row < PQntuples(rows); row++)
            print_row_json(rows, row);
        puts("]");
        return;
    }
    struct grid *grid = grid_new("lllllll");
    for (size_t i = 0; i < COLUMNS; i++)
        grid_cell(grid, heads[i]);
    for (int row = 0; row < PQntuples(rows); row++) {
        for (int column = 0; column < COLUMNS; column++)
            grid_cell(grid, db_is_null(rows, row, column) ? (column == 2 ? "any" : "-") : db_get_text(rows, row, column));
    }
    grid_print(grid, stdout);
    grid_free(grid);
}

static int list(struct command_context *context)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    struct db *db = command_db(context, "key", true);
    if (db == NULL)
        return 1;
    enum result result = db_run(db, "key_list",
        "SELECT k.id::text, k.scope, a.name, k.hint, to_char(k.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'),"
        " to_char(k.revoked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'),"
        " to_char((CASE WHEN a.twin_of IS NULL THEN NULL WHEN k.scope = 'write' THEN least(a.lives_until,"
        "   k.created_at + interval '1 day') ELSE a.lives_until END) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM ("
        "SELECT id, scope, app, hint, created_at, revoked_at FROM config.api_key UNION ALL"
        " SELECT id, 'write', app, hint, created_at, revoked_at FROM config.write_key) k"
        " LEFT JOIN config.app a USING (app) ORDER BY k.created_at, k.id",
        NULL, &rows, &why);
    if (result == RESULT_OK)
        print_rows(rows, context->json);
    PQclear(rows);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("key", &why);
}

/* --- revoke -------------------------------------------------------------------------------------------------------- */

struct revocation {
    uint8_t id[16];
    char text[UUID_TEXT_BYTES];
    bool write_key;
    bool revoked; /* already */
    char app[NAME_MAX_BYTES + 1];
};

static bool read_uuid(const char *text, struct revocation *out)
{
    size_t length = 0;
    const char *end = NULL;
    if (strlen(text) != UUID_TEXT_BYTES - 1)
        return false;
    if (sodium_hex2bin(out->id, sizeof out->id, text, strlen(text), "-", &length, &end) != 0)
        return false;
    uuid_text(out->id, out->text);
    return length == sizeof out->id && *end == '\0';
}

static enum result find_key(struct db *db, struct revocation *revocation, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_uuid(params, revocation->id);
    enum result result = db_run(db, "key_find",
        "SELECT k.written, k.revoked_at IS NOT NULL, coalesce(a.name, '') FROM ("
        "SELECT id, app, revoked_at, false AS written FROM config.api_key UNION ALL"
        " SELECT id, app, revoked_at, true FROM config.write_key) k LEFT JOIN config.app a USING (app) WHERE k.id = $1",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 0) {
        PQclear(rows);
        failure_set(why, "ID", "there is no such key; `throng key list` shows them");
        return RESULT_NOT_FOUND;
    }
    revocation->write_key = db_get_bool(rows, 0, 0);
    revocation->revoked = db_get_bool(rows, 0, 1);
    snprintf(revocation->app, sizeof revocation->app, "%s", db_get_text(rows, 0, 2));
    PQclear(rows);
    return RESULT_OK;
}

static enum result mark_revoked(struct db *db, const struct revocation *revocation, const struct act *act,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_uuid(params, revocation->id);
    db_uuid(params, act->head.id);
    enum result result;
    if (revocation->write_key)
        result = db_run(db, "key_revoke_write",
            "UPDATE config.write_key SET revoked_at = clock_timestamp(), revoked_leaf = $2"
            " WHERE id = $1 AND revoked_at IS NULL",
            params, NULL, why);
    else
        result = db_run(db, "key_revoke_api",
            "UPDATE config.api_key SET revoked_at = clock_timestamp(), revoked_leaf = $2"
            " WHERE id = $1 AND revoked_at IS NULL",
            params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result revoke_in_transaction(struct db *db, void *context, struct failure *why)
{
    struct revocation *revocation = context;
    struct act act;
    const char *name = revocation->write_key ? "write_key_revoked" : "api_key_revoked";
    enum result result = act_begin(db, name, revocation->app, &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "key", revocation->text);
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK)
        result = mark_revoked(db, revocation, &act, why);
    act_free(&act);
    return result;
}

static int revoke(struct command_context *context, const char *id)
{
    struct failure why = {0};
    struct revocation revocation = {0};
    if (!read_uuid(id, &revocation))
        return command_usage("key", "revoke needs the ID that `throng key list` shows, not the key");
    struct db *db = command_db(context, "key", true);
    if (db == NULL)
        return 1;
    enum result result = find_key(db, &revocation, &why);
    if (result == RESULT_OK && !revocation.revoked)
        result = db_transaction(db, revoke_in_transaction, &revocation, &why);
    if (result == RESULT_OK && context->json)
        printf("{\"id\":\"%s\",\"revoked\":true}\n", revocation.text);
    else if (result == RESULT_OK)
        printf("%s is %s\n", revocation.text, revocation.revoked ? "revoked already" : "revoked");
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("key", &why);
}

int key_command(struct command_context *context, int argc, char **argv)
{
    const char *scope = NULL;
    const char *operand[2] = {NULL, NULL};
    const struct flag flags[] = {{.name = "scope", .text = &scope}};
    int count = flags_parse(context, argc, argv, flags, 1, operand, 2);
    if (count < 0)
        return 2;
    const char *verb = count == 0 ? "" : operand[0];
    if (count == 1 && strcmp(verb, "add") == 0 && scope != NULL)
        return add(context, scope);
    if (count == 1 && strcmp(verb, "list") == 0)
        return list(context);
    if (count == 2 && strcmp(verb, "revoke") == 0)
        return revoke(context, operand[1]);
    return command_usage("key", "add --scope SCOPE, list or revoke ID is needed");
}
