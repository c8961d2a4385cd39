/*
 * throng request: what became of people's requests, and by when the rest is due.
 *
 * Sees:     nothing of a person: requests have random ids.
 * Uses:     service/cli/subjects.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/subjects.h"

#define NAME "request"
#define COLUMNS 7

static void print_json(const struct subjects_request *requests, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, subjects_json(&requests[i], clock_now_ms()));
    (void)json_dumpf(list, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(list);
}

static void time_cell(struct grid *grid, int64_t ms)
{
    char text[32];
    grid_cell(grid, ms == 0 ? "-" : clock_format(ms, text, sizeof text));
}

static void print_requests(const struct subjects_request *requests, size_t count)
{
    static const char *const heads[COLUMNS] = {"request", "app", "kind", "stage", "received", "purged by", ""};
    struct grid *grid = grid_new("lllllll");
    for (size_t i = 0; i < COLUMNS; i++)
        grid_cell(grid, heads[i]);
    for (size_t i = 0; i < count; i++) {
        grid_cell(grid, requests[i].id);
        grid_cell(grid, requests[i].app[0] == '\0' ? "(gone)" : requests[i].app);
        grid_cell(grid, requests[i].kind);
        grid_cell(grid, subjects_stage(&requests[i]));
        time_cell(grid, requests[i].received_ms);
        time_cell(grid, requests[i].purge_due_ms);
        grid_cell(grid, subjects_overdue(&requests[i], clock_now_ms()) ? "OVERDUE" : "");
    }
    grid_print(grid, stdout);
    grid_free(grid);
}

static int list(struct command_context *context, struct db *db, const char *app, bool open)
{
    struct failure why = {0};
    struct subjects_request *requests = NULL;
    size_t count = 0;
    if (subjects_list(db, app, open, &requests, &count, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    if (context->json)
        print_json(requests, count);
    else if (count == 0)
        (void)puts(open ? "nothing is open" : "there was no request yet");
    else
        print_requests(requests, count);
    free(requests);
    return 0;
}

static int show(struct command_context *context, struct db *db, const uint8_t id[UUID_BYTES])
{
    struct failure why = {0};
    struct subjects_request request;
    if (subjects_find(db, id, &request, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    subjects_print(&request, context->json);
    return 0;
}

int request_command(struct command_context *context, int argc, char **argv)
{
    const char *app = NULL, *operand[2] = {NULL, NULL};
    uint8_t id[UUID_BYTES];
    bool open = false;
    const struct flag flags[] = {{.name = "app", .text = &app}, {.name = "open", .on = &open}};
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, operand, 2);
    if (count < 0)
        return 2;
    bool listed = count == 1 && strcmp(operand[0], "list") == 0;
    if (!listed && (count != 2 || strcmp(operand[0], "show") != 0))
        return command_usage(NAME, "list or show ID is needed");
    if (!listed && !uuid_parse(operand[1], id))
        return command_usage(NAME, "ID is a request's id, as `throng request list` shows it");
    struct db *db = command_db(context, NAME, false);
    if (db == NULL)
        return 1;
    int status = listed ? list(context, db, app, open) : show(context, db, id);
    db_free(db);
    return status;
}
