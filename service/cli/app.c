/*
 * throng app: apps, their definitions and write keys. Every change is one transaction with its audit leaf.
 *
 * Sees:     write keys while they are made; nothing of a person.
 * Uses:     service/catalogue, service/db, service/cli/act, apps, diff, embedded, snippet, twin, types, writekey.
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
#include "service/cli/embedded.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/snippet.h"
#include "service/cli/twin.h"
#include "service/cli/types.h"
#include "service/cli/writekey.h"

#define DEFINITION_MAX_BYTES (4 * 1024 * 1024)

/* A definition from a file: its text, as JSON, and compiled. */
struct draft {
    char *text;
    size_t length;
    json_t *root;
    struct app app;
    bool compiled;
    uint8_t hash[APPS_HASH_BYTES];
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
    apps_hash_definition(out->root, out->hash);
    return RESULT_OK;
}

static bool is_unprotected(enum app_preset preset)
{
    return preset == APP_PRESET_THRESHOLD || preset == APP_PRESET_EXACT;
}

/* What everybody who adds, changes or lists such an app is told. */
static void warn_unprotected(const struct app *app)
{
    if (app->preset == APP_PRESET_EXACT)
        printf("WARNING: app %s releases exact numbers (preset exact): nothing protects the people in them\n", app->name);
    else if (app->preset == APP_PRESET_THRESHOLD)
        printf("WARNING: the numbers of app %s are not differentially private (preset threshold-only): nothing protects the people"
               " in them from those who know or send some of the events\n", app->name);
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
        failure_set(why, "name", "there is an app of this name already, or a test app; `throng app apply` changes an app");
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
        result = apps_write_definition(db, id, 1, draft->text, draft->hash, act.head.id, why);
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
    warn_unprotected(app);
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
        result = apps_write_definition(db, change->now->id, change->now->version + 1, change->next->text,
            change->next->hash, act.head.id, why);
    if (result == RESULT_OK)
        result = move_version(db, change->now, &act, why);
    if (result == RESULT_OK)
        result = twin_follow(db, change->now->id, change->next->root, why);
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

static void print_applied(struct command_context *context, const struct apps_row *now, const struct app *next,
    json_t *differences)
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
        warn_unprotected(next);
        return;
    }
    printf("app %s, version %d -> %d:\n", now->app.name, (int)now->version, (int)now->version + 1);
    diff_print(differences);
    say_from_now(differences);
    if (next->preset != now->app.preset && !is_unprotected(next->preset))
        printf("Months with released numbers stay under preset %s; preset %s begins with the next one.\n",
            apps_preset_name(now->app.preset), apps_preset_name(next->preset));
    warn_unprotected(next);
}

static enum result apply_draft(struct command_context *context, struct db *db, const struct draft *draft,
    struct failure *why)
{
    struct apps_row now = {0};
    enum result result = apps_find(db, draft->app.name, &now, why);
    if (result != RESULT_OK)
        return result;
    if (now.twin) {
        apps_row_free(&now);
        failure_set(why, "name", "is that of a test app, which follows its app");
        return RESULT_INVALID;
    }
    json_t *body = json_loads(now.body, 0, NULL);
    json_t *differences = diff_documents(body, draft->root);
    struct change change = {.now = &now, .next = draft};
    if (json_array_size(differences) > 0) {
        result = definition_check_successor(&now.app, &draft->app, why);
        if (result == RESULT_OK)
            result = db_transaction(db, apply_in_transaction, &change, why);
    }
    if (result == RESULT_OK)
        print_applied(context, &now, &draft->app, differences);
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
    if (context->json)
        printf("{\"app\":\"%s\",\"valid\":true}\n", draft.app.name);
    else
        printf("ok: app %s, %zu events, %zu routes, preset %s, time zone %s\n", draft.app.name, draft.app.event_count,
            draft.app.route_count, apps_preset_name(draft.app.preset), draft.app.time_zone);
    if (!context->json)
        warn_unprotected(&draft.app);
    free_draft(&draft);
    return 0;
}

/* --- list and show ------------------------------------------------------------------------------------------------- */

static const char *text_or_null(const PGresult *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? NULL : db_get_text(rows, row, column);
}

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
    return json_pack("{s:s,s:i,s:s,s:s,s:s,s:I,s:s*,s:s*,s:s*}", "app", db_get_text(rows, row, 0), "version",
        (int)db_get_int4(rows, row, 1), "mode", db_get_text(rows, row, 2), "time_zone", db_get_text(rows, row, 4), "preset",
        preset, "events", (json_int_t)events, "sealed_through",
        text_or_null(rows, row, 5), "twin_of", text_or_null(rows, row, 6), "lives_until", text_or_null(rows, row, 7));
}

/* Test apps are exact and never released. */
static void warn_of_list(const json_t *list)
{
    size_t index;
    json_t *row;
    json_array_foreach(list, index, row)
    {
        const char *preset = json_string_value(json_object_get(row, "preset"));
        bool unprotected = strcmp(preset, apps_preset_name(APP_PRESET_EXACT)) == 0 ||
            strcmp(preset, apps_preset_name(APP_PRESET_THRESHOLD)) == 0;
        if (unprotected && json_object_get(row, "twin_of") == NULL)
            printf("WARNING: the numbers of app %s are not differentially private (preset %s)\n",
                json_string_value(json_object_get(row, "app")), preset);
    }
}

static void print_list(const json_t *list)
{
    size_t index;
    json_t *row;
    const char *app, *mode, *zone, *preset, *sealed, *twin_of, *until;
    int version;
    json_int_t events;
    struct grid *grid = grid_new("lrllrlll");
    static const char *const heads[] = {"app", "version", "mode", "preset", "events", "time zone", "sealed through", "test app"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        grid_cell(grid, heads[i]);
    json_array_foreach(list, index, row)
    {
        sealed = "-";
        twin_of = until = NULL;
        json_unpack(row, "{s:s,s:i,s:s,s:s,s:s,s:I,s?s,s?s,s?s}", "app", &app, "version", &version, "mode", &mode, "time_zone",
            &zone, "preset", &preset, "events", &events, "sealed_through", &sealed, "twin_of", &twin_of, "lives_until", &until);
        grid_cell(grid, app);
        grid_format(grid, "%d", version);
        grid_cell(grid, mode);
        grid_cell(grid, preset);
        grid_format(grid, "%lld", (long long)events);
        grid_cell(grid, zone);
        grid_cell(grid, sealed);
        if (twin_of == NULL)
            grid_cell(grid, "-");
        else
            grid_format(grid, "of %s, until %s", twin_of, until);
    }
    grid_print(grid, stdout);
    grid_free(grid);
    warn_of_list(list);
}

static int list(struct command_context *context)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    struct db *db = command_db(context, "app", true);
    if (db == NULL)
        return 1;
    enum result result = db_run(db, "app_list",
        "SELECT a.name, a.version, a.mode, d.body::text, a.time_zone, p.activity_through::text, o.name,"
        " to_char(a.lives_until AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM config.app a"
        " JOIN config.definition d USING (app, version) LEFT JOIN release.progress p USING (app)"
        " LEFT JOIN config.app o ON o.app = a.twin_of ORDER BY a.name",
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
        if (row.twin)
            fputs("This is a test app: `throng app list` says of which, and until when.\n", stderr);
    }
    apps_row_free(&row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

/* --- key ----------------------------------------------------------------------------------------------------------- */

struct key_making {
    const struct apps_row *row;
    char text[WRITEKEY_BYTES];
};

static enum result key_in_transaction(struct db *db, void *context, struct failure *why)
{
    struct key_making *key = context;
    return writekey_make(db, key->row->id, key->row->app.name, "wk_", key->text, why);
}

static enum result check_browsers(const struct apps_row *row, struct failure *why)
{
    if (row->app.preset != APP_PRESET_THRESHOLD)
        return RESULT_OK;
    failure_set(why, "preset", "threshold-only protects only while nobody can send made-up users, so it takes no keys "
                               "that a browser shows: use `throng key add --scope ingest:%s` on a server",
        row->app.name);
    return RESULT_DENIED;
}

static enum result make_key(struct db *db, const struct apps_row *row, struct key_making *key, struct failure *why)
{
    if (row->twin) {
        failure_set(why, "APP", "is a test app: `throng app key` with the app's own name and --test makes its keys");
        return RESULT_DENIED;
    }
    if (check_browsers(row, why) != RESULT_OK)
        return RESULT_DENIED;
    key->row = row;
    return db_transaction(db, key_in_transaction, key, why);
}

static int key(struct command_context *context, const char *name)
{
    struct failure why = {0};
    struct apps_row row = {0};
    struct key_making made = {0};
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

static int test_key(struct command_context *context, const char *name)
{
    struct failure why = {0};
    struct apps_row row = {0};
    struct twin twin = {0};
    struct db *db = command_db(context, "app", true);
    if (db == NULL)
        return 1;
    enum result result = apps_find(db, name, &row, &why);
    if (result == RESULT_OK)
        result = twin_make(db, &row, &twin, &why);
    if (result == RESULT_OK && context->json)
        printf("{\"app\":\"%s\",\"twin_of\":\"%s\",\"lives_hours\":%d,\"key\":\"%s\"}\n", twin.name, row.app.name, TWIN_HOURS,
            twin.key);
    else if (result == RESULT_OK) {
        printf("%s\n", twin.key);
        fprintf(stderr, "Shown this once; only its hash is stored. It writes to the test app %s, %s, for %d hours,\n"
                        "and is in force within two seconds. What arrives is shown event by event to whoever may read %s:\n"
                        "send nothing of real people with it.\n",
            twin.name, twin.made ? "made for it" : "which lives on", TWIN_HOURS, row.app.name);
    }
    sodium_memzero(&twin, sizeof twin);
    apps_row_free(&row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

/* --- types --------------------------------------------------------------------------------------------------------- */

static int types(struct command_context *context, const char *name)
{
    struct failure why = {0};
    struct apps_row row = {0};
    struct db *db = command_db(context, "app", true);
    if (db == NULL)
        return 1;
    enum result result = apps_find(db, name, &row, &why);
    json_t *body = result == RESULT_OK ? json_loads(row.body, 0, NULL) : NULL;
    if (body != NULL)
        types_print(stdout, body, row.version);
    json_decref(body);
    apps_row_free(&row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

/* --- snippet ------------------------------------------------------------------------------------------------------- */

static void print_snippet_json(const struct snippet *snippet)
{
    char *tag = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&tag, &length);
    if (memory == NULL)
        return;
    snippet_print(memory, snippet);
    fclose(memory);
    json_t *root = json_pack("{s:s,s:s,s:o}", "app", snippet->app->name, "snippet", tag, "remarks", snippet_remarks(snippet));
    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(root);
    free(tag);
}

static void say_snippet(const struct snippet *snippet)
{
    size_t index;
    json_t *text, *remarks = snippet_remarks(snippet);
    snippet_print(stdout, snippet);
    putchar('\n');
    fflush(stdout);
    json_array_foreach(remarks, index, text)
    {
        fprintf(stderr, "%s\n", json_string_value(text));
    }
    json_decref(remarks);
}

/* Print the tag that is wanted, of the app called name. */
static int find_and_print_snippet(struct command_context *context, const char *name, const struct snippet *wanted)
{
    struct failure why = {0};
    struct apps_row row = {0};
    struct db *db = command_db(context, "app", true);
    if (db == NULL)
        return 1;
    enum result result = apps_find(db, name, &row, &why);
    bool test = row.twin || (wanted->key != NULL && strncmp(wanted->key, "wk_test_", strlen("wk_test_")) == 0);
    if (result == RESULT_OK && !test)
        result = check_browsers(&row, &why);
    if (result == RESULT_OK) {
        json_t *body = json_loads(row.body, 0, NULL);
        struct snippet made = *wanted;
        made.app = &row.app;
        made.root = body;
        if (context->json)
            print_snippet_json(&made);
        else
            say_snippet(&made);
        json_decref(body);
    }
    apps_row_free(&row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("app", &why);
}

static bool has_both_quotes(const char *value)
{
    return value != NULL && strchr(value, '"') != NULL && strchr(value, '\'') != NULL;
}

static int snippet(struct command_context *context, int argc, char **argv)
{
    const struct config *config = &context->config;
    const struct embedded_file *integrity = embedded_find("api/beacon/embedded/beacon.js.integrity");
    struct snippet made = {.beacon = config->ingest_beacon_path, .events = config->ingest_events_path};
    char address[512];
    const char *name = NULL;
    bool sealed = false;
    const struct flag flags[] = {{.name = "key", .text = &made.key}, {.name = "url", .text = &made.url},
        {.name = "user", .text = &made.user}, {.name = "nonce", .text = &made.nonce}, {.name = "integrity", .on = &sealed}};
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof flags[0], &name, 1);
    if (count < 0)
        return 2;
    if (count != 1)
        return command_usage("app", "snippet needs the app's name");
    if (made.url != NULL && strncmp(made.url, "https://", 8) != 0 && strncmp(made.url, "http://", 7) != 0)
        return command_usage("app", "--url is where pages reach throng-ingest, as https://stats.example.org");
    if (has_both_quotes(made.user) || has_both_quotes(made.nonce))
        return command_usage("app", "--user and --nonce stand in quotes: use one kind of them inside, \" or '");
    if (made.beacon[0] == '\0')
        return command_usage("app", "the script for pages is not served: ingest.beacon_path is empty");
    (void)snprintf(address, sizeof address, "http://%s", config->ingest_listen);
    made.url = made.url == NULL ? address : made.url;
    made.integrity = sealed && integrity != NULL ? integrity->text : NULL;
    return find_and_print_snippet(context, name, &made);
}

int app_command(struct command_context *context, int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "snippet") == 0) { /* it alone has options of its own */
        argv[1] = argv[0];
        return snippet(context, argc - 1, argv + 1);
    }
    const char *operand[2] = {NULL, NULL};
    bool test = false;
    const struct flag flags[] = {{.name = "test", .on = &test}};
    int count = flags_parse(context, argc, argv, flags, 1, operand, 2);
    if (count < 0)
        return 2;
    const char *verb = count == 0 ? "" : operand[0];
    if (test)
        return count == 2 && strcmp(verb, "key") == 0 ? test_key(context, operand[1])
                                                      : command_usage("app", "--test belongs to key APP");
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
    if (count == 2 && strcmp(verb, "types") == 0)
        return types(context, operand[1]);
    return command_usage("app", "add FILE, apply FILE, check FILE, list, show APP, key APP, types APP or snippet APP is needed");
}
