#include "api/live.h"

#include <stdlib.h>
#include <string.h>

#include "api/tenant.h"
#include "schema/packet.h"
#include "service/base/clock.h"
#include "service/catalogue/definition.h"

#define LIMIT 100
#define LIMIT_MAX 1000 /* as many as the view holds */
#define DIGITS_MAX 15
#define TIME_BYTES 32

/* A request, and what answers it. */
struct ask {
    struct call *call;
    int32_t app;
    int64_t after, limit;
    json_t *root; /* NULL: the app has no living test app */
};

/* A parameter that is a whole number from least on; false if it is there and none. */
static bool read_number(const struct call *call, const char *name, int64_t least, int64_t *out)
{
    const char *text = call_argument(call, name);
    if (text == NULL)
        return true;
    size_t length = strspn(text, "0123456789");
    if (length == 0 || length > DIGITS_MAX || text[length] != '\0')
        return false;
    *out = strtoll(text, NULL, 10);
    return *out >= least;
}

static json_t *time_json(const PGresult *rows, int row, int column)
{
    char text[TIME_BYTES];
    return json_string(clock_format(db_get_time(rows, row, column), text, sizeof text));
}

static json_t *number_or_null(const PGresult *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? json_null() : json_integer(db_get_int4(rows, row, column));
}

static enum result run(struct db *db, const char *name, const char *sql, const struct ask *ask, bool page, PGresult **rows,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int4(params, ask->app);
    if (page) {
        db_int8(params, ask->after);
        db_int8(params, ask->limit);
    }
    enum result result = db_run(db, name, sql, params, rows, why);
    db_params_free(params);
    return result;
}

/* The test app; one that nothing came to yet has no row in the view. */
static enum result read_twin(struct db *db, struct ask *ask, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = run(db, "live_twin",
        "SELECT o.name, a.name, a.lives_until, coalesce(t.events, 0), coalesce(t.people, 0), coalesce(t.sessions, 0)"
        " FROM config.app a JOIN config.app o ON o.app = a.twin_of LEFT JOIN live.twin t ON t.app = a.app"
        " WHERE a.twin_of = $1 AND a.lives_until > now()",
        ask, false, &rows, why);
    if (result == RESULT_OK && PQntuples(rows) == 1)
        ask->root = json_pack("{s:s,s:s,s:o,s:{s:I,s:i,s:i}}", "app", db_get_text(rows, 0, 0), "test_app", db_get_text(rows, 0, 1),
            "lives_until", time_json(rows, 0, 2), "seen", "events", (json_int_t)db_get_int8(rows, 0, 3), "people",
            (int)db_get_int4(rows, 0, 4), "sessions", (int)db_get_int4(rows, 0, 5));
    PQclear(rows);
    return result;
}

static const char *kind_of(const char *reason)
{
    for (enum packet_reason i = 0; i < PACKET_REASONS; i++) {
        if (strcmp(packet_reason_name(i), reason) == 0)
            return packet_reason_kind(i);
    }
    return "rejected";
}

static enum result read_refused(struct db *db, struct ask *ask, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = run(db, "live_refused",
        "SELECT r.reason, sum(r.count)::bigint, max(r.minute) FROM live.refused r JOIN config.app a USING (app)"
        " WHERE a.twin_of = $1 GROUP BY r.reason ORDER BY r.reason",
        ask, false, &rows, why);
    if (result != RESULT_OK)
        return result;
    json_t *list = json_array();
    for (int row = 0; row < PQntuples(rows); row++)
        json_array_append_new(list,
            json_pack("{s:s,s:s,s:I,s:o}", "reason", db_get_text(rows, row, 0), "kind", kind_of(db_get_text(rows, row, 0)), "count",
                (json_int_t)db_get_int8(rows, row, 1), "last_minute", time_json(rows, row, 2)));
    PQclear(rows);
    json_object_set_new(ask->root, "refused", list);
    return RESULT_OK;
}

static json_t *event_json(const PGresult *rows, int row)
{
    return json_pack("{s:I,s:o,s:o,s:i,s:o,s:s,s:o,s:o,s:b,s:b}", "id", (json_int_t)db_get_int8(rows, row, 0), "received_at",
        time_json(rows, row, 1), "ts", time_json(rows, row, 2), "person", (int)db_get_int4(rows, row, 3), "session",
        number_or_null(rows, row, 4), "name", db_get_text(rows, row, 5), "props",
        json_loads(db_get_text(rows, row, 6), 0, NULL), "engaged_ms", number_or_null(rows, row, 7), "view",
        (int)db_get_bool(rows, row, 8), "goal", (int)db_get_bool(rows, row, 9));
}

static enum result read_events(struct db *db, struct ask *ask, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = run(db, "live_events",
        "SELECT e.id, e.received_at, e.ts, e.person, e.session, e.name, e.props::text, e.engaged_ms, e.is_view, e.is_goal"
        " FROM live.event e JOIN config.app a USING (app) WHERE a.twin_of = $1 AND e.id > $2 ORDER BY e.id DESC LIMIT $3",
        ask, true, &rows, why);
    if (result != RESULT_OK)
        return result;
    json_t *list = json_array();
    for (int row = 0; row < PQntuples(rows); row++)
        json_array_append_new(list, event_json(rows, row));
    PQclear(rows);
    json_object_set_new(ask->root, "events", list);
    return RESULT_OK;
}

/* Reads the parts of one state of the database. */
static enum result read_view(struct db *db, void *context, struct failure *why)
{
    struct ask *ask = context;
    enum result result = read_twin(db, ask, why);
    if (result == RESULT_OK && ask->root != NULL)
        result = read_refused(db, ask, why);
    if (result == RESULT_OK && ask->root != NULL)
        result = read_events(db, ask, why);
    return result;
}

static enum MHD_Result answer(struct ask *ask, struct db *db, const char *name)
{
    struct failure why = {0};
    struct reply reply = {.cache_control = NULL}; /* no-store */
    struct call *call = ask->call;
    if (!read_number(call, "after", 0, &ask->after))
        return call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", "after", "must be an event's id");
    if (!read_number(call, "limit", 1, &ask->limit))
        return call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", "limit", "must be a positive number");
    if (ask->limit > LIMIT_MAX)
        ask->limit = LIMIT_MAX;
    if (db_transaction(db, read_view, ask, &why) != RESULT_OK) {
        json_decref(ask->root);
        return call_unavailable(call);
    }
    if (ask->root == NULL)
        return call_problem(call, MHD_HTTP_NOT_FOUND, "no_test_app", "",
            "the app has no test app at present: `throng app key %s --test` makes one for a day, and a key that writes to it", name);
    journal_count(call->service->journal, &call->identity, JOURNAL_READ, json_string_value(json_object_get(ask->root, "test_app")));
    char *body = json_dumps(ask->root, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(ask->root);
    return call_send(call, &reply, REPLY_JSON, body);
}

enum MHD_Result live_answer(struct call *call, const char *name)
{
    static const char *const arguments[] = {"after", "limit", NULL};
    struct failure why = {0};
    struct app app = {0};
    struct ask ask = {.call = call, .limit = LIMIT};
    struct db *db = call_db(call, &why);
    enum result found = db == NULL ? RESULT_UNAVAILABLE : tenant_find(db, &call->identity, name, &app, &why);
    if (found == RESULT_NOT_FOUND) {
        if (call->identity.app != 0)
            journal_count(call->service->journal, &call->identity, JOURNAL_APP, "");
        return call_not_found(call);
    }
    if (found != RESULT_OK)
        return call_unavailable(call);
    ask.app = (int32_t)app.id;
    enum MHD_Result result;
    if (!call_knows_arguments(call, arguments))
        result = call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", "", "there is a parameter that is not known here");
    else
        result = answer(&ask, db, app.name);
    definition_free(&app);
    return result;
}
