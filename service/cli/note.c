/*
 * throng note: what an operator wants to be remembered beside the numbers, by day.
 *
 * Sees:     an operator's words.
 * Uses:     service/db (throng_owner writes, throng_read reads), api/series/annotation, service/cli/apps, grid.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/series/annotation.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/moment.h"

#define FIRST_DAY (-25000)
#define LAST_DAY 100000

static enum result find_app(struct db *db, const char *name, int32_t *app, struct failure *why)
{
    struct apps_row row;
    enum result result = apps_find(db, name, &row, why);
    if (result != RESULT_OK)
        return result;
    *app = row.id;
    apps_row_free(&row);
    return RESULT_OK;
}

static enum result insert(struct db *db, int32_t app, int32_t day, const char *text, char id[ANNOTATION_ID_BYTES],
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, app);
    db_date(params, day);
    db_text(params, text);
    enum result result = db_run(db, "note_add",
        "INSERT INTO config.annotation (app, day, text) VALUES ($1, $2, $3::text) RETURNING id::text", params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK)
        (void)snprintf(id, ANNOTATION_ID_BYTES, "%s", db_get_text(rows, 0, 0));
    PQclear(rows);
    return result;
}

static int add(struct command_context *context, const char *name, const char *date, const char *text)
{
    struct failure why = {0};
    int32_t app = 0, day = 0;
    char id[ANNOTATION_ID_BYTES];
    if (name == NULL || date == NULL || !moment_parse_date(date, &day))
        return command_usage("note", "add needs --app APP, --day YYYY-MM-DD and a TEXT");
    if (!annotation_is_text(text))
        return command_usage("note", "TEXT has 1 to %d characters, none of which is a control character",
            ANNOTATION_CHARACTERS_MAX);
    struct db *db = command_db(context, "note", true);
    if (db == NULL)
        return 1;
    enum result result = find_app(db, name, &app, &why);
    if (result == RESULT_OK)
        result = insert(db, app, day, text, id, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail("note", &why);
    if (context->json)
        printf("{\"id\":\"%s\"}\n", id);
    else
        printf("noted: %s\n", id);
    return 0;
}

static void print_json(const struct annotation_list *list)
{
    char date[MOMENT_DATE_BYTES];
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_pack("{s:s,s:s,s:s}", "id", list->items[i].id, "day",
                                         moment_format_date(list->items[i].day, date), "text", list->items[i].text));
    (void)json_dumpf(array, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(array);
}

static void print_table(const struct annotation_list *list)
{
    char date[MOMENT_DATE_BYTES];
    struct grid *grid = grid_new("lll");
    grid_cell(grid, "day");
    grid_cell(grid, "note");
    grid_cell(grid, "id");
    for (size_t i = 0; i < list->count; i++) {
        grid_cell(grid, moment_format_date(list->items[i].day, date));
        grid_cell(grid, list->items[i].text);
        grid_cell(grid, list->items[i].id);
    }
    grid_print(grid, stdout);
    grid_free(grid);
}

static int list(struct command_context *context, const char *name)
{
    struct failure why = {0};
    struct annotation_list notes = {NULL, 0};
    int32_t app = 0;
    if (name == NULL)
        return command_usage("note", "list needs --app APP");
    struct db *db = command_db(context, "note", false);
    if (db == NULL)
        return 1;
    enum result result = find_app(db, name, &app, &why);
    if (result == RESULT_OK)
        result = annotation_list_read(db, app, FIRST_DAY, LAST_DAY, &notes, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail("note", &why);
    if (context->json)
        print_json(&notes);
    else if (notes.count == 0)
        puts("there are no notes");
    else
        print_table(&notes);
    annotation_list_free(&notes);
    return 0;
}

static int remove_note(struct command_context *context, const char *id)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    struct db *db = command_db(context, "note", true);
    if (db == NULL)
        return 1;
    struct db_params *params = db_params_new();
    db_text(params, id);
    enum result result =
        db_run(db, "note_remove", "DELETE FROM config.annotation WHERE id::text = lower($1::text) RETURNING day", params, &rows, &why);
    db_params_free(params);
    if (result == RESULT_OK && PQntuples(rows) == 0) {
        failure_set(&why, "ID", "there is no such note; `throng note list --app APP` shows them");
        result = RESULT_NOT_FOUND;
    }
    PQclear(rows);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail("note", &why);
    puts(context->json ? "{\"removed\":true}" : "removed");
    return 0;
}

int note_command(struct command_context *context, int argc, char **argv)
{
    const char *operand[2] = {NULL, NULL}, *app = NULL, *day = NULL;
    const struct flag flags[] = {{.name = "app", .text = &app}, {.name = "day", .text = &day}};
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof flags[0], operand, 2);
    if (count < 0)
        return 2;
    if (count == 2 && strcmp(operand[0], "add") == 0)
        return add(context, app, day, operand[1]);
    if (count == 1 && strcmp(operand[0], "list") == 0 && day == NULL)
        return list(context, app);
    if (count == 2 && strcmp(operand[0], "remove") == 0 && app == NULL && day == NULL)
        return remove_note(context, operand[1]);
    return command_usage("note", "add --app APP --day DATE TEXT, list --app APP or remove ID is needed");
}
