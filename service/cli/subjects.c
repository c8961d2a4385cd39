#include "service/cli/subjects.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/cli/ask.h"
#include "service/db/db.h"

#define POLL_MS 200
#define SELECT                                                                                                                   \
    "SELECT r.id::text, r.kind, coalesce(a.name, ''), r.received_at, r.due_at, r.last_due_at, r.applied_at, r.purge_due_at,"     \
    " r.purged_at, r.received_leaf::text, r.applied_leaf::text, coalesce(r.purged_leaf::text, '')"                               \
    " FROM subject.request r LEFT JOIN config.app a USING (app) "

/* The id, from the order or from standard input. */
static enum result read_user(const char *given, char out[RAW_ID_MAX_BYTES + 2], struct failure *why)
{
    if (strcmp(given, "-") == 0) {
        if (fgets(out, RAW_ID_MAX_BYTES + 2, stdin) == NULL)
            out[0] = '\0';
        out[strcspn(out, "\n")] = '\0';
    } else {
        (void)snprintf(out, RAW_ID_MAX_BYTES + 2, "%s", given);
    }
    size_t length = strlen(out);
    if (length >= 1 && length <= RAW_ID_MAX_BYTES)
        return RESULT_OK;
    failure_set(why, "user", "an id has 1 to %d bytes", RAW_ID_MAX_BYTES);
    return RESULT_INVALID;
}

static enum result post(struct command_context *context, const struct subjects_order *order, json_t **out, struct failure *why)
{
    char path[NAME_MAX_BYTES + 64], user[RAW_ID_MAX_BYTES + 2];
    enum result result = read_user(order->user, user, why);
    if (result != RESULT_OK)
        return result;
    const char *place = strcmp(order->kind, "erasure") == 0 ? "erasures" : "objections";
    if (strcmp(order->kind, "access") == 0)
        place = "access-requests";
    (void)snprintf(path, sizeof path, "/v1/apps/%.*s/%s", NAME_MAX_BYTES, order->app, place);
    json_t *body = json_object();
    int failed = json_object_set_new(body, "user", json_string(user));
    sodium_memzero(user, sizeof user);
    if (order->seal_to != NULL)
        failed |= json_object_set_new(body, "seal_to", json_string(order->seal_to));
    if (order->withdraw)
        failed |= json_object_set_new(body, "withdraw", json_true());
    if (failed != 0) {
        failure_set(why, "user", "is not UTF-8");
        result = RESULT_INVALID;
    } else {
        result = ask_ingest(context, "POST", path, body, out, why);
    }
    json_decref(body);
    return result;
}

/* What ingest's 202 says. */
static enum result read_answer(const json_t *document, const struct subjects_order *order, struct subjects_request *out, uint8_t *id,
    struct failure *why)
{
    const char *request = json_string_value(json_object_get(document, "request"));
    if (request == NULL || !uuid_parse(request, id)) {
        failure_set(why, "ingest", "its answer names no request: is it of this version?");
        return RESULT_CORRUPT;
    }
    *out = (struct subjects_request){.received_ms = json_integer_value(json_object_get(document, "received_at")),
        .due_ms = json_integer_value(json_object_get(document, "due_at")),
        .last_due_ms = json_integer_value(json_object_get(document, "last_due_at"))};
    (void)uuid_format(id, out->id);
    const char *kind = json_string_value(json_object_get(document, "kind"));
    (void)snprintf(out->kind, sizeof out->kind, "%s", kind == NULL ? order->kind : kind);
    (void)snprintf(out->app, sizeof out->app, "%s", order->app);
    return RESULT_OK;
}

static void read_row(const PGresult *rows, int row, struct subjects_request *out)
{
    int64_t *const times[] = {&out->received_ms, &out->due_ms, &out->last_due_ms, &out->applied_ms, &out->purge_due_ms,
        &out->purged_ms};
    *out = (struct subjects_request){0};
    (void)snprintf(out->id, sizeof out->id, "%s", db_get_text(rows, row, 0));
    (void)snprintf(out->kind, sizeof out->kind, "%s", db_get_text(rows, row, 1));
    (void)snprintf(out->app, sizeof out->app, "%s", db_get_text(rows, row, 2));
    for (int i = 0; i < 6; i++)
        *times[i] = db_is_null(rows, row, 3 + i) ? 0 : db_get_time(rows, row, 3 + i);
    for (int i = 0; i < 3; i++)
        (void)snprintf(out->leaves[i], sizeof out->leaves[i], "%s", db_get_text(rows, row, 9 + i));
}

enum result subjects_find(struct db *db, const uint8_t id[UUID_BYTES], struct subjects_request *out, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_uuid(params, id);
    enum result result = db_run(db, "subject_find", SELECT "WHERE r.id = $1", params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 1) {
        read_row(rows, 0, out);
    } else {
        failure_set(why, "ID", "there is no such request, or it is not applied yet");
        result = RESULT_NOT_FOUND;
    }
    PQclear(rows);
    return result;
}

enum result subjects_list(struct db *db, const char *app, bool open, struct subjects_request **out, size_t *count,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, app);
    db_bool(params, open);
    enum result result = db_run(db, "subject_list",
        SELECT "WHERE ($1::text IS NULL OR a.name = $1) AND (NOT $2 OR (r.purged_at IS NULL AND r.purge_due_at IS NOT NULL))"
               " ORDER BY r.received_at DESC, r.id",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    size_t found = (size_t)PQntuples(rows);
    struct subjects_request *list = calloc(found + 1, sizeof *list);
    for (int row = 0; list != NULL && row < (int)found; row++)
        read_row(rows, row, &list[row]);
    PQclear(rows);
    if (list == NULL) {
        failure_set(why, "", "out of memory");
        return RESULT_FAILED;
    }
    *out = list;
    *count = found;
    return RESULT_OK;
}

enum result subjects_place(struct command_context *context, struct db *db, const struct subjects_order *order,
    struct subjects_request *out, struct failure *why)
{
    uint8_t id[UUID_BYTES];
    json_t *document = NULL;
    enum result result = post(context, order, &document, why);
    if (result != RESULT_OK)
        return result;
    result = read_answer(document, order, out, id, why);
    json_decref(document);
    int64_t until_ms = clock_steady_ms() + order->timeout_s * 1000;
    while (result == RESULT_OK) {
        struct failure unsaid = {0};
        if (subjects_find(db, id, out, &unsaid) == RESULT_OK)
            return RESULT_OK;
        if (clock_steady_ms() >= until_ms) {
            failure_set(why, "request", "%s is taken and will be done, but is not applied yet; see later: throng request show %s",
                out->id, out->id);
            return RESULT_UNAVAILABLE;
        }
        (void)usleep(POLL_MS * 1000);
    }
    return result;
}

const char *subjects_stage(const struct subjects_request *request)
{
    if (request->applied_ms == 0)
        return "received";
    return request->purged_ms == 0 ? "applied" : "purged";
}

/* Whether what had to be done by due_ms was done later, or is not done though that is past. due_ms 0: nothing is due. */
static bool is_late(int64_t due_ms, int64_t done_ms, int64_t now_ms)
{
    return due_ms != 0 && (done_ms == 0 ? now_ms : done_ms) > due_ms;
}

bool subjects_overdue(const struct subjects_request *request, int64_t now_ms)
{
    return is_late(request->due_ms, request->applied_ms, now_ms) || is_late(request->purge_due_ms, request->purged_ms, now_ms);
}

static json_t *moment_json(int64_t ms)
{
    return ms == 0 ? json_null() : json_integer(ms);
}

static json_t *leaf_json(const char *leaf)
{
    return leaf[0] == '\0' ? json_null() : json_string(leaf);
}

json_t *subjects_json(const struct subjects_request *request, int64_t now_ms)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}}", "request", request->id, "kind",
        request->kind, "app", request->app, "stage", subjects_stage(request), "overdue", subjects_overdue(request, now_ms),
        "received_at", moment_json(request->received_ms), "due_at", moment_json(request->due_ms), "last_due_at",
        moment_json(request->last_due_ms), "applied_at", moment_json(request->applied_ms), "purge_due_at",
        moment_json(request->purge_due_ms), "purged_at", moment_json(request->purged_ms), "leaves", "received",
        leaf_json(request->leaves[0]), "applied", leaf_json(request->leaves[1]), "purged", leaf_json(request->leaves[2]));
}

static void print_time(const char *label, int64_t ms, const char *note)
{
    char text[32];
    if (ms != 0)
        (void)printf("%-12s %s%s\n", label, clock_format(ms, text, sizeof text), note);
}

static void print_receipt(const struct subjects_request *request, int64_t now_ms)
{
    static const char *const leaves[] = {"received", "applied", "purged"};
    (void)printf("%-12s %s\n%-12s %s of %s\n%-12s %s%s\n", "request", request->id, "kind", request->kind,
        request->app[0] == '\0' ? "an app that is gone" : request->app, "stage", subjects_stage(request),
        subjects_overdue(request, now_ms) ? " (OVERDUE)" : "");
    print_time("received", request->received_ms, "");
    print_time("due", request->due_ms, " (30 days)");
    print_time("last due", request->last_due_ms, " (45 days)");
    print_time("applied", request->applied_ms, "");
    print_time("purged by", request->purge_due_ms, " (no copy is left in files and backups)");
    print_time("purged", request->purged_ms, "");
    if (strcmp(request->kind, "withdrawal") == 0)
        (void)printf("%-12s if a backup from before is restored, the objection holds again: withdraw it anew\n", "note");
    for (size_t i = 0; i < 3; i++) {
        if (request->leaves[i][0] != '\0')
            (void)printf("%-12s %s (%s)\n", "audit leaf", request->leaves[i], leaves[i]);
    }
}

void subjects_print(const struct subjects_request *request, bool json)
{
    int64_t now_ms = clock_now_ms();
    if (!json) {
        print_receipt(request, now_ms);
        return;
    }
    json_t *document = subjects_json(request, now_ms);
    (void)json_dumpf(document, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(document);
}

int subjects_command(struct command_context *context, const char *name, const struct subjects_order *order)
{
    struct failure why = {0};
    struct subjects_request request = {0};
    struct db *db = command_db(context, name, true);
    if (db == NULL)
        return 1;
    enum result result = subjects_place(context, db, order, &request, &why);
    db_free(db);
    if (request.id[0] != '\0')
        subjects_print(&request, context->json);
    return result == RESULT_OK ? 0 : command_fail(name, &why);
}
