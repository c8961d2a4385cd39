/*
 * throng incident: what went wrong, as an operator records it for the report: a kind, when it was opened and closed. What happened
 * is written elsewhere: the trail takes no free text.
 *
 * Sees:     nothing of a person.
 * Uses:     service/db, service/cli/act.
 * Threads:  one.
 * Failure:  exit status; nothing is changed.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/cli/act.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/uuid.h"

#define NAME "incident"
#define COLUMNS 4

static const char *const kinds[] = {"confidentiality", "integrity", "availability", "retention", "other"};

struct incident {
    const char *kind;
    uint8_t id[UUID_BYTES];
};

static enum result write_row(struct db *db, const char *name, const char *sql, const struct incident *incident, const struct act *act,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_uuid(params, incident->id);
    db_uuid(params, act->head.id);
    db_time(params, act->head.at_ms);
    if (incident->kind != NULL)
        db_text(params, incident->kind);
    enum result result = db_run(db, name, sql, params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result open_in_transaction(struct db *db, void *context, struct failure *why)
{
    const struct incident *incident = context;
    char id[UUID_TEXT_BYTES];
    struct act act;
    enum result result = act_begin(db, "incident_opened", "", &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "incident", uuid_format(incident->id, id));
        leaf_text(act.leaf, "kind", incident->kind);
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK)
        result = write_row(db, "incident_open", "INSERT INTO config.incident (id, leaf, opened_at, kind) VALUES ($1, $2, $3, $4)",
            incident, &act, why);
    act_free(&act);
    return result;
}

/* RESULT_NOT_FOUND, or RESULT_INVALID if it is closed. Locks the row. */
static enum result find_open(struct db *db, const struct incident *incident, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_uuid(params, incident->id);
    enum result result = db_run(db, "incident_find", "SELECT closed_at IS NULL FROM config.incident WHERE id = $1 FOR UPDATE", params,
        &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    bool found = PQntuples(rows) == 1, open = found && db_get_bool(rows, 0, 0);
    PQclear(rows);
    if (open)
        return RESULT_OK;
    failure_set(why, "ID", found ? "is closed already" : "there is no such incident; `throng incident list` shows them");
    return found ? RESULT_INVALID : RESULT_NOT_FOUND;
}

static enum result close_in_transaction(struct db *db, void *context, struct failure *why)
{
    const struct incident *incident = context;
    char id[UUID_TEXT_BYTES];
    struct act act = {0};
    enum result result = find_open(db, incident, why);
    if (result == RESULT_OK)
        result = act_begin(db, "incident_closed", "", &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "incident", uuid_format(incident->id, id));
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK)
        result = write_row(db, "incident_close", "UPDATE config.incident SET closed_leaf = $2, closed_at = $3 WHERE id = $1", incident,
            &act, why);
    act_free(&act);
    return result;
}

static int list(struct command_context *context, struct db *db)
{
    static const char *const heads[COLUMNS] = {"incident", "kind", "opened", "closed"};
    struct failure why = {0};
    PGresult *rows = NULL;
    if (db_run(db, "incident_list", "SELECT id::text, kind, opened_at, closed_at FROM config.incident ORDER BY opened_at, id", NULL,
            &rows, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    struct grid *grid = grid_new("llll");
    json_t *all = json_array();
    for (size_t i = 0; i < COLUMNS; i++)
        grid_cell(grid, heads[i]);
    for (int row = 0; row < PQntuples(rows); row++) {
        char opened[32], closed[32] = "-";
        bool open = db_is_null(rows, row, 3);
        (void)clock_format(db_get_time(rows, row, 2), opened, sizeof opened);
        if (!open)
            (void)clock_format(db_get_time(rows, row, 3), closed, sizeof closed);
        grid_cell(grid, db_get_text(rows, row, 0));
        grid_cell(grid, db_get_text(rows, row, 1));
        grid_cell(grid, opened);
        grid_cell(grid, closed);
        (void)json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s?}", "incident", db_get_text(rows, row, 0), "kind",
            db_get_text(rows, row, 1), "opened_at", opened, "closed_at", open ? NULL : closed));
    }
    PQclear(rows);
    if (context->json)
        (void)json_dumpf(all, stdout, JSON_COMPACT), (void)putchar('\n');
    else
        grid_print(grid, stdout);
    grid_free(grid);
    json_decref(all);
    return 0;
}

static int act_on(struct command_context *context, struct db *db, struct incident *incident)
{
    struct failure why = {0};
    char id[UUID_TEXT_BYTES];
    bool opens = incident->kind != NULL;
    if (opens)
        uuid_make(incident->id);
    enum result result = db_transaction(db, opens ? open_in_transaction : close_in_transaction, incident, &why);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    (void)printf(context->json ? "{\"incident\":\"%s\",\"state\":\"%s\"}\n" : "incident %s is %s\n", uuid_format(incident->id, id),
        opens ? "open" : "closed");
    return 0;
}

static const char *find_kind(const char *text)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i], text) == 0)
            return kinds[i];
    }
    return NULL;
}

int incident_command(struct command_context *context, int argc, char **argv)
{
    const char *operand[2] = {"", ""};
    struct incident incident = {0};
    int count = flags_parse(context, argc, argv, NULL, 0, operand, 2);
    if (count < 0)
        return 2;
    bool lists = count == 1 && strcmp(operand[0], "list") == 0;
    bool opens = count == 2 && strcmp(operand[0], "open") == 0;
    bool closes = count == 2 && strcmp(operand[0], "close") == 0;
    incident.kind = opens ? find_kind(operand[1]) : NULL;
    if (opens && incident.kind == NULL)
        return command_usage(NAME, "KIND is confidentiality, integrity, availability, retention or other");
    if (closes && !uuid_parse(operand[1], incident.id))
        return command_usage(NAME, "ID is an incident's id, as `throng incident list` shows it");
    if (!lists && !opens && !closes)
        return command_usage(NAME, "open KIND, close ID or list is needed");
    struct db *db = command_db(context, NAME, true);
    if (db == NULL)
        return 1;
    int status = lists ? list(context, db) : act_on(context, db, &incident);
    db_free(db);
    return status;
}
