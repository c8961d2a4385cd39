/*
 * throng keys: the state of the pseudonymization keys, which only keyd holds, and an ordered ratchet. A ratchet is an act
 * outside the database: its intent goes into the trail before, its outcome after.
 *
 * Sees:     commitments to keys, never keys.
 * Uses:     service/cli/poster (ingest's admin socket), act.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/cli/act.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/poster.h"

/* Ask ingest; *out is the document of a 200, owned by the caller. */
static enum result call(struct command_context *context, const char *method, const char *path, json_t **out,
    struct failure *why)
{
    long status = 0;
    char *text = NULL;
    enum result result = poster_call(command_admin_socket(context), method, path, &status, &text, why);
    if (result != RESULT_OK)
        return result;
    json_t *document = json_loads(text, 0, NULL);
    free(text);
    if (status == 200 && document != NULL) {
        *out = document;
        return RESULT_OK;
    }
    const char *detail = json_string_value(json_object_get(document, "detail"));
    failure_set(why, "ingest", "answered %ld: %s", status, detail == NULL ? "without an explanation" : detail);
    json_decref(document);
    return status == 404 ? RESULT_NOT_FOUND : RESULT_FAILED;
}

static void time_cell(struct grid *grid, const json_t *row, const char *key)
{
    char text[32];
    json_int_t ms = json_integer_value(json_object_get(row, key));
    grid_cell(grid, ms == 0 ? "never" : clock_format(ms, text, sizeof text));
}

static void print_status(const json_t *keys)
{
    static const char *const heads[] = {"app", "epoch", "linked", "last ratchet", "next ratchet", "commitment"};
    size_t index;
    json_t *row;
    struct grid *grid = grid_new("lrrlll");
    for (size_t i = 0; i < 6; i++)
        grid_cell(grid, heads[i]);
    json_array_foreach(keys, index, row)
    {
        const char *app = json_string_value(json_object_get(row, "app"));
        const char *commitment = json_string_value(json_object_get(row, "commitment"));
        grid_cell(grid, app == NULL ? "(removed)" : app);
        grid_format(grid, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(row, "epoch")));
        grid_format(grid, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(row, "linked_epochs")));
        time_cell(grid, row, "ratcheted_at_ms");
        time_cell(grid, row, "next_ratchet_ms");
        grid_format(grid, "%.16s…", commitment == NULL ? "" : commitment);
    }
    grid_print(grid, stdout);
    grid_free(grid);
}

static int status(struct command_context *context)
{
    struct failure why = {0};
    json_t *document = NULL;
    if (call(context, "GET", "/v1/keys", &document, &why) != RESULT_OK)
        return command_fail("keys", &why);
    json_t *keys = json_object_get(document, "keys");
    if (context->json)
        json_dumpf(keys, stdout, JSON_COMPACT), putchar('\n');
    else
        print_status(keys);
    json_decref(document);
    return 0;
}

/* A leaf about the ratchet: its intent, or its outcome with the intent's id as ref. */
struct note {
    const char *app;
    enum leaf_out out;
    bool done;
    uint8_t intent[16];
};

static enum result write_note(struct db *db, void *context, struct failure *why)
{
    struct note *note = context;
    struct act act;
    enum result result = act_begin_outcome(db, "key_ratcheted", note->app, note->out, note->done ? note->intent : NULL,
        &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "stage", note->done ? "outcome" : "intent");
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK && !note->done)
        memcpy(note->intent, act.head.id, sizeof note->intent);
    act_free(&act);
    return result;
}

static enum result ratchet_app(struct command_context *context, struct db *db, const char *app, struct failure *why)
{
    char path[NAME_MAX_BYTES + 32];
    struct apps_row row = {0};
    struct note note = {.app = app};
    json_t *document = NULL;
    enum result result = apps_find(db, app, &row, why);
    apps_row_free(&row);
    if (result == RESULT_OK)
        result = db_transaction(db, write_note, &note, why);
    if (result != RESULT_OK)
        return result;
    snprintf(path, sizeof path, "/v1/keys/%s/ratchet", app);
    result = call(context, "POST", path, &document, why);
    json_decref(document);
    note.done = true;
    note.out = result == RESULT_OK ? LEAF_OK : LEAF_FAILED;
    enum result noted = db_transaction(db, write_note, &note, why);
    return result != RESULT_OK ? result : noted;
}

static int ratchet(struct command_context *context, const char *app)
{
    struct failure why = {0};
    struct db *db = command_db(context, "keys", true);
    if (db == NULL)
        return 1;
    enum result result = ratchet_app(context, db, app, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail("keys", &why);
    if (context->json)
        printf("{\"app\":\"%s\",\"ratcheted\":true}\n", app);
    else
        printf("%s has moved to its next epoch; the key of the last unlinked epoch is gone for good\n", app);
    return 0;
}

int keys_command(struct command_context *context, int argc, char **argv)
{
    const char *app = NULL, *verb = NULL;
    const struct flag flags[] = {{.name = "app", .text = &app}};
    int count = flags_parse(context, argc, argv, flags, 1, &verb, 1);
    if (count < 0)
        return 2;
    if (count == 1 && strcmp(verb, "status") == 0)
        return status(context);
    if (count == 1 && strcmp(verb, "ratchet") == 0 && app != NULL)
        return ratchet(context, app);
    return command_usage("keys", "status or ratchet --app APP is needed");
}
