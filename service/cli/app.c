/*
 * throng app: apps, their definitions and write keys. Every change is one transaction with its audit leaf.
 *
 * Sees:     write keys while they are made; nothing of a person.
 * Uses:     service/catalogue, service/db, service/cli/act, apps, diff.
 * Threads:  one.
 * Failure:  exit status; nothing is changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/catalogue.h"
#include "service/catalogue/definition.h"
#include "service/cli/act.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/diff.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"

#define DEFINITION_MAX_BYTES (4 * 1024 * 1024)

/* A definition from a file: its text, as JSON, and compiled. */
struct draft {
    char *text;
    size_t length;
    json_t *root;
    struct app app;
    bool compiled;
    uint8_t hash[crypto_hash_sha256_BYTES];
};

static void free_draft(struct draft *draft)
{
    if (draft->compiled)
        definition_free(&draft->app);
    json_decref(draft->root);
    free(draft->text);
}

static enum result read_file(const char *path, struct draft *out, struct failure *why)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (file == NULL) {
        failure_set(why, "FILE", "cannot be read: %s", strerror(errno));
        return RESULT_NOT_FOUND;
    }
    out->text = malloc(DEFINITION_MAX_BYTES + 1);
    if (out->text != NULL)
        out->length = fread(out->text, 1, DEFINITION_MAX_BYTES + 1, file);
    bool failed = out->text == NULL || ferror(file) != 0;
    if (file != stdin)
        fclose(file);
    if (failed || out->length > DEFINITION_MAX_BYTES) {
        failure_set(why, "FILE", failed ? "cannot be read" : "is longer than 4 MiB");
        return RESULT_FAILED;
    }
    out->text[out->length] = '\0';
    return RESULT_OK;
}

/* SHA-256 of the canonical form: sorted, compact. */
static void hash_draft(struct draft *draft)
{
    char *canonical = json_dumps(draft->root, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(15));
    const char *text = canonical == NULL ? "" : canonical;
    crypto_hash_sha256(draft->hash, (const unsigned char *)text, strlen(text));
    free(canonical);
}

/* Read and check a definition. Free with free_draft whatever is returned. */
static enum result read_draft(const char *path, struct draft *out, struct failure *why)
{
    *out = (struct draft){0};
    enum result result = read_file(path, out, why);
    if (result != RESULT_OK)
        return result;
    result = definition_parse(out->text, out->length, &out->app, why);
    if (result != RESULT_OK)
        return result;
    out->compiled = true;
    out->root = json_loadb(out->text, out->length, 0, NULL);
    hash_draft(out);
    return RESULT_OK;
}

static bool is_unprotected(enum app_preset preset)
{
    return preset == APP_PRESET_THRESHOLD || preset == APP_PRESET_EXACT;
}

static void hex(const uint8_t hash[32], char out[65])
{
    sodium_bin2hex(out, 65, hash, 32);
}

/* --- add ----------------------------------------------------------------------------------------------------------- */

/* Whether sql, with one text parameter, yields true. */
static enum result ask(struct db *db, const char *name, const char *sql, const char *text, bool *answer,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, text);
    enum result result = db_run(db, name, sql, params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *answer = db_get_bool(rows, 0, 0);
    PQclear(rows);
    return RESULT_OK;
}

static enum result check_new(struct db *db, const struct app *app, struct failure *why)
{
    bool taken = false, known = false;
    enum result result = ask(db, "app_taken", "SELECT EXISTS (SELECT FROM config.app WHERE name = $1::text)", app->name,
        &taken, why);
    if (result == RESULT_OK && taken) {
        failure_set(why, "name", "there is an app of this name already; `throng app apply` changes it");
        return RESULT_INVALID;
    }
    if (result == RESULT_OK)
        result = ask(db, "app_zone", "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1::text)", app->time_zone,
            &known, why);
    if (result == RESULT_OK && !known) {
        failure_set(why, "time_zone", "the database does not know this time zone; an example is Europe/Vienna");
        return RESULT_INVALID;
    }
    return result;
}

static enum result record_lowered(struct db *db, const struct app *app, struct failure *why)
{
    struct act act;
    enum result result = act_begin(db, "protection_lowered", app->name, &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "preset", apps_preset_name(app->preset));
        result = act_append(db, &act, why);
    }
    act_free(&act);
    return result;
}

static enum result insert_definition(struct db *db, int32_t app, int32_t version, const struct draft *draft,
    const struct act *act, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int4(params, app);
    db_int4(params, version);
    db_text(params, draft->text);
    db_bytes(params, draft->hash, sizeof draft->hash);
    db_uuid(params, act->head.id);
    enum result result = db_run(db, "app_definition",
        "INSERT INTO config.definition (app, version, body, hash, leaf) VALUES ($1, $2, ($3::text)::jsonb, $4, $5)",
        params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result insert_app(struct db *db, const struct draft *draft, const struct act *act, int32_t *id,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, draft->app.name);
    db_text(params, draft->app.population);
    db_text(params, draft->app.time_zone);
    db_uuid(params, act->head.id);
    enum result result = db_run(db, "app_insert",
        "INSERT INTO config.app (name, population, time_zone, leaf) VALUES ($1::text, $2::text, $3::text, $4)"
        " RETURNING app",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *id = db_get_int4(rows, 0, 0);
    PQclear(rows);
    return RESULT_OK;
}

static enum result add_in_transaction(struct db *db, void *context, struct failure *why)
{
    const struct draft *draft = context;
    struct act act;
    char hash[65];
    int32_t id = 0;
    enum result result = act_begin(db, "app_added", draft->app.name, &act, why);
    if (result != RESULT_OK)
        goto out;
    hex(draft->hash, hash);
    leaf_text(act.leaf, "hash", hash);
    leaf_text(act.leaf, "preset", apps_preset_name(draft->app.preset));
    leaf_int(act.leaf, "version", 1);
    result = act_append(db, &act, why);
    if (result == RESULT_OK)
        result = insert_app(db, draft, &act, &id, why);
    if (result == RESULT_OK)
        result = insert_definition(db, id, 1, draft, &act, why);
    if (result == RESULT_OK && is_unprotected(draft->app.preset))
        result = record_lowered(db, &draft->app, why);
out:
    act_free(&act);
    return result;
}

static void say_next_step(const struct app *app)
{
    printf("added app %s: %zu events, preset %s, time zone %s\n", app->name, app->event_count,
        apps_preset_name(app->preset), app->time_zone);
    if (app->preset == APP_PRESET_THRESHOLD)
        printf("A threshold-only app takes events from your servers only. Next:\n  throng key add --scope ingest:%s\n",
            app->name);
    else
        printf("Next, a key for the beacon:\n  throng app key %s\nor one for your server:\n"
               "  throng key add --scope ingest:%s\n",
            app->name, app->name);
}

static int add(struct command_context *context, const char *path)
{
    struct failure why = {0};
    struct draft draft;
    struct db *db = NULL;
    enum result result = read_draft(path, &draft, &why);
    if (result == RESULT_OK)
        result = definition_check_releasable(&draft.app, &why);
    if (result == RESULT_OK && (db = command_db(context, "app", true)) == NULL) {
        free_draft(&draft);
        return 1;
    }
    if (result == RESULT_OK)
        result = check_new(db, &draft.app, &why);
    if (result == RESULT_OK)
        result = db_transaction(db, add_in_transaction, &draft, &why);
    if (result == RESULT_OK && context->json)
        printf("{\"app\":\"%s\",\"version\":1}\n", draft.app.name);
    else if (result == RESULT_OK)
        say_next_step(&draft.app);
    db_free(db);
    free_draft(&draft);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

/* --- apply --------------------------------------------------------------------------------------------------------- */

struct change {
    const struct apps_row *now;
    const struct draft *next;
};

static enum result old_hash(struct db *db, const struct apps_row *now, char out[65], struct failure *why)
{
    PGresult *rows = NULL;
    size_t length;
    struct db_params *params = db_params_new();
    db_int4(params, now->id);
    db_int4(params, now->version);
    enum result result = db_run(db, "app_hash", "SELECT hash FROM config.definition WHERE app = $1 AND version = $2", params,
        &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    hex(db_get_bytes(rows, 0, 0, &length), out);
    PQclear(rows);
    return RESULT_OK;
}

/* Move the app to its next version, unless another apply was faster. */
static enum result move_version(struct db *db, const struct apps_row *now, const struct act *act, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, now->id);
    db_int4(params, now->version);
    db_uuid(params, act->head.id);
    enum result result = db_run(db, "app_version",
        "UPDATE config.app SET version = version + 1, leaf = $3 WHERE app = $1 AND version = $2 RETURNING app", params,
        &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    bool moved = PQntuples(rows) == 1;
    PQclear(rows);
    if (moved)
        return RESULT_OK;
    failure_set(why, "APP", "was changed by someone else meanwhile; look at the difference again");
    return RESULT_FAILED;
}

static enum result apply_in_transaction(struct db *db, void *context, struct failure *why)
{
    const struct change *change = context;
    struct act act;
    char before[65], after[65];
    enum result result = act_begin(db, "app_changed", change->now->app.name, &act, why);
    if (result == RESULT_OK)
        result = old_hash(db, change->now, before, why);
    if (result != RESULT_OK)
        goto out;
    hex(change->next->hash, after);
    leaf_text(act.leaf, "hash", after);
    leaf_text(act.leaf, "hash_before", before);
    leaf_text(act.leaf, "preset", apps_preset_name(change->next->app.preset));
    leaf_int(act.leaf, "version", change->now->version + 1);
    result = act_append(db, &act, why);
    if (result == RESULT_OK)
        result = insert_definition(db, change->now->id, change->now->version + 1, change->next, &act, why);
    if (result == RESULT_OK)
        result = move_version(db, change->now, &act, why);
out:
    act_free(&act);
    return result;
}

/* What was released stays; name the members whose counting begins or changes with this version. */
static void say_from_now(const json_t *differences)
{
    static const char *const silent[] = {"title", "origins", "controller", "dpo", "purposes", "legal_basis", "recipients"};
    size_t index, said = 0;
    json_t *row;
    json_array_foreach(differences, index, row)
    {
        const char *member = json_string_value(json_object_get(row, "member"));
        bool counts = true;
        for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
            if (strncmp(member, silent[i], strlen(silent[i])) == 0)
                counts = false;
        }
        if (counts && said++ == 0)
            puts("Counts only from now on; events already taken and released numbers stay as they are:");
        if (counts)
            printf("  %s\n", member);
    }
}

static void print_applied(struct command_context *context, const struct apps_row *now, json_t *differences)
{
    bool same = json_array_size(differences) == 0;
    if (context->json) {
        json_t *root = json_pack("{s:s,s:i,s:b,s:O}", "app", now->app.name, "version", (int)now->version + !same, "changed",
            !same, "differences", differences);
        json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
        putchar('\n');
        json_decref(root);
        return;
    }
    if (same) {
        printf("app %s is unchanged: version %d says the same\n", now->app.name, (int)now->version);
        return;
    }
    printf("app %s, version %d -> %d:\n", now->app.name, (int)now->version, (int)now->version + 1);
    diff_print(differences);
    say_from_now(differences);
}

static enum result apply_draft(struct command_context *context, struct db *db, const struct draft *draft,
    struct failure *why)
{
    struct apps_row now = {0};
    enum result result = apps_find(db, draft->app.name, &now, why);
    if (result != RESULT_OK)
        return result;
    json_t *body = json_loads(now.body, 0, NULL);
    json_t *differences = diff_documents(body, draft->root);
    struct change change = {.now = &now, .next = draft};
    if (json_array_size(differences) > 0) {
        result = definition_check_successor(&now.app, &draft->app, why);
        if (result == RESULT_OK)
            result = db_transaction(db, apply_in_transaction, &change, why);
    }
    if (result == RESULT_OK)
        print_applied(context, &now, differences);
    else if (!context->json)
        diff_print(differences);
    json_decref(differences);
    json_decref(body);
    apps_row_free(&now);
    return result;
}

static int apply(struct command_context *context, const char *path)
{
    struct failure why = {0};
    struct draft draft;
    enum result result = read_draft(path, &draft, &why);
    if (result == RESULT_OK)
        result = definition_check_releasable(&draft.app, &why);
    if (result != RESULT_OK) {
        free_draft(&draft);
        return command_fail("app", &why);
    }
    struct db *db = command_db(context, "app", true);
    if (db == NULL) {
        free_draft(&draft);
        return 1;
    }
    result = apply_draft(context, db, &draft, &why);
    db_free(db);
    free_draft(&draft);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

static int check(struct command_context *context, const char *path)
{
    struct failure why = {0};
    struct draft draft;
    enum result result = read_draft(path, &draft, &why);
    if (result != RESULT_OK) {
        free_draft(&draft);
        return command_fail("app", &why);
    }
    bool releasable = definition_check_releasable(&draft.app, &why) == RESULT_OK;
    if (context->json)
        printf("{\"app\":\"%s\",\"valid\":true,\"releasable\":%s}\n", draft.app.name, releasable ? "true" : "false");
    else
        printf("ok: app %s, %zu events, %zu routes, preset %s, time zone %s\n", draft.app.name, draft.app.event_count,
            draft.app.route_count, apps_preset_name(draft.app.preset), draft.app.time_zone);
    if (!releasable && !context->json)
        printf("valid, but cannot be added: %s\n", why.text);
    free_draft(&draft);
    return 0;
}

/* --- list and show ------------------------------------------------------------------------------------------------- */

static json_t *list_row(const PGresult *rows, int row)
{
    struct app app;
    const char *body = db_get_text(rows, row, 3);
    const char *preset = "?";
    size_t events = 0;
    if (definition_parse(body, strlen(body), &app, NULL) == RESULT_OK) {
        preset = apps_preset_name(app.preset);
        events = app.event_count;
        definition_free(&app);
    }
    return json_pack("{s:s,s:i,s:s,s:s,s:s,s:I,s:s*}", "app", db_get_text(rows, row, 0), "version",
        (int)db_get_int4(rows, row, 1), "mode", db_get_text(rows, row, 2), "time_zone", db_get_text(rows, row, 4), "preset",
        preset, "events", (json_int_t)events, "sealed_through",
        db_is_null(rows, row, 5) ? NULL : db_get_text(rows, row, 5));
}

static void print_list(const json_t *list)
{
    size_t index;
    json_t *row;
    const char *app, *mode, *zone, *preset, *sealed;
    int version;
    json_int_t events;
    struct grid *grid = grid_new("lrllrll");
    static const char *const heads[] = {"app", "version", "mode", "preset", "events", "time zone", "sealed through"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        grid_cell(grid, heads[i]);
    json_array_foreach(list, index, row)
    {
        sealed = "-";
        json_unpack(row, "{s:s,s:i,s:s,s:s,s:s,s:I,s?s}", "app", &app, "version", &version, "mode", &mode, "time_zone",
            &zone, "preset", &preset, "events", &events, "sealed_through", &sealed);
        grid_cell(grid, app);
        grid_format(grid, "%d", version);
        grid_cell(grid, mode);
        grid_cell(grid, preset);
        grid_format(grid, "%lld", (long long)events);
        grid_cell(grid, zone);
        grid_cell(grid, sealed);
    }
    grid_print(grid, stdout);
    grid_free(grid);
}

static int list(struct command_context *context)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    struct db *db = command_db(context, "app", true);
    if (db == NULL)
        return 1;
    enum result result = db_run(db, "app_list",
        "SELECT a.name, a.version, a.mode, d.body::text, a.time_zone, p.activity_through::text FROM config.app a"
        " JOIN config.definition d USING (app, version) LEFT JOIN release.progress p USING (app) ORDER BY a.name",
        NULL, &rows, &why);
    if (result == RESULT_OK) {
        json_t *found = json_array();
        for (int row = 0; row < PQntuples(rows); row++)
            json_array_append_new(found, list_row(rows, row));
        if (context->json)
            json_dumpf(found, stdout, JSON_COMPACT), putchar('\n');
        else
            print_list(found);
        json_decref(found);
        PQclear(rows);
    }
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

static int show(struct command_context *context, const char *name)
{
    struct failure why = {0};
    struct apps_row row = {0};
    struct db *db = command_db(context, "app", true);
    if (db == NULL)
        return 1;
    enum result result = apps_find(db, name, &row, &why);
    if (result == RESULT_OK) {
        json_t *body = json_loads(row.body, 0, NULL);
        json_dumpf(body, stdout, (context->json ? JSON_COMPACT : (size_t)JSON_INDENT(2)) | JSON_REAL_PRECISION(15));
        putchar('\n');
        json_decref(body);
    }
    apps_row_free(&row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

/* --- key ----------------------------------------------------------------------------------------------------------- */

/* A key's id is the id of the leaf that records its making. */
struct write_key {
    const struct apps_row *row;
    char text[64];
};

static enum result key_in_transaction(struct db *db, void *context, struct failure *why)
{
    struct write_key *key = context;
    struct act act;
    char hint[12];
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    struct db_params *params = NULL;
    enum result result = act_begin(db, "write_key_made", key->row->app.name, &act, why);
    if (result != RESULT_OK)
        goto out;
    act_make_key("wk_", key->text, sizeof key->text);
    snprintf(hint, sizeof hint, "%.7s", key->text);
    catalogue_hash_key(key->text, strlen(key->text), hash);
    leaf_text(act.leaf, "hint", hint);
    result = act_append(db, &act, why);
    if (result != RESULT_OK)
        goto out;
    params = db_params_new();
    db_int4(params, key->row->id);
    db_bytes(params, hash, sizeof hash);
    db_text(params, hint);
    db_uuid(params, act.head.id);
    result = db_run(db, "app_key", "INSERT INTO config.write_key (id, app, hash, hint, leaf) VALUES ($4, $1, $2, $3::text, $4)",
        params, NULL, why);
out:
    db_params_free(params);
    act_free(&act);
    return result;
}

static enum result make_key(struct db *db, const struct apps_row *row, struct write_key *key, struct failure *why)
{
    if (row->app.preset == APP_PRESET_THRESHOLD) {
        failure_set(why, "preset", "threshold-only protects only while nobody can send made-up users, so it takes no keys "
                                   "that a browser shows: use `throng key add --scope ingest:%s` on a server",
            row->app.name);
        return RESULT_DENIED;
    }
    key->row = row;
    return db_transaction(db, key_in_transaction, key, why);
}

static int key(struct command_context *context, const char *name)
{
    struct failure why = {0};
    struct apps_row row = {0};
    struct write_key made = {0};
    struct db *db = command_db(context, "app", true);
    if (db == NULL)
        return 1;
    enum result result = apps_find(db, name, &row, &why);
    if (result == RESULT_OK)
        result = make_key(db, &row, &made, &why);
    if (result == RESULT_OK && context->json)
        printf("{\"app\":\"%s\",\"key\":\"%s\"}\n", row.app.name, made.text);
    else if (result == RESULT_OK)
        printf("%s\n", made.text);
    if (result == RESULT_OK && !context->json)
        fputs("Shown this once; only its hash is stored. It may write events of this app and read nothing.\n"
              "It is in force within two seconds.\n", stderr);
    sodium_memzero(&made, sizeof made);
    apps_row_free(&row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

int app_command(struct command_context *context, int argc, char **argv)
{
    const char *operand[2] = {NULL, NULL};
    int count = flags_parse(context, argc, argv, NULL, 0, operand, 2);
    if (count < 0)
        return 2;
    const char *verb = count == 0 ? "" : operand[0];
    if (count == 1 && strcmp(verb, "list") == 0)
        return list(context);
    if (count == 2 && strcmp(verb, "add") == 0)
        return add(context, operand[1]);
    if (count == 2 && strcmp(verb, "apply") == 0)
        return apply(context, operand[1]);
    if (count == 2 && strcmp(verb, "check") == 0)
        return check(context, operand[1]);
    if (count == 2 && strcmp(verb, "show") == 0)
        return show(context, operand[1]);
    if (count == 2 && strcmp(verb, "key") == 0)
        return key(context, operand[1]);
    return command_usage("app", "add FILE, apply FILE, check FILE, list, show APP or key APP is needed");
}
