#include "api/numbers.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/family.h"
#include "anonymizer/release/plan.h"
#include "api/accept.h"
#include "api/describe.h"
#include "api/series/answer.h"
#include "api/series/items.h"
#include "api/series/layout.h"
#include "api/series/notice.h"
#include "api/series/rows.h"
#include "api/tenant.h"
#include "service/base/clock.h"
#include "service/catalogue/definition.h"

#define FIRST_DAY (-25000) /* before and after any day that is released */
#define LAST_DAY 100000
#define CURSOR_BYTES 64
#define TAIL_BYTES (NAME_MAX_BYTES + 16)
#define LINK_BYTES 768
#define TAG_BYTES 48
#define PERIOD_ROWS_MAX ((size_t)PATHS_MAX * (DIMENSION_VALUES_MAX + 1) * DIMENSION_VALUES_MAX) /* of any metric */

/* A request for numbers, and what answers it. */
struct ask {
    struct call *call;
    const char *path_tail; /* "metrics/NAME", "retention", "funnels/NAME" or "outcomes/NAME", for links */
    const char *path_kind; /* of retention, or NULL */
    const char *name;      /* of the app */
    const char *asked;     /* the metric's name in the answer */
    const char *by, *item; /* as asked for, or NULL */
    struct app app;
    struct answer_question question;
    int32_t from, to; /* as asked for; question.from may come later: the cursor's */
    bool csv;
    size_t limit;
    bool has_cursor;
    int32_t cursor_period, cursor_item, cursor_n;
    struct answer answer;
    size_t first, count;    /* the page, in answer.points */
    char next[LINK_BYTES];  /* empty: this is the last page */
};

/* --- the request --------------------------------------------------------------------------------------------------- */

/* Each check returns MHD_YES when it has nothing to say; *said is set when it answered. */
static enum MHD_Result refuse(struct ask *ask, bool *said, const char *field, const char *text)
{
    *said = true;
    return call_problem(ask->call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", field, "%s", text);
}

static bool read_dates(struct ask *ask, const char **field)
{
    const char *from = call_argument(ask->call, "from"), *to = call_argument(ask->call, "to");
    ask->from = FIRST_DAY;
    ask->to = LAST_DAY;
    *field = "from";
    if (from != NULL && !clock_parse_date(from, &ask->from))
        return false;
    *field = "to";
    return to == NULL || clock_parse_date(to, &ask->to);
}

static bool read_limit(struct ask *ask)
{
    const char *limit = call_argument(ask->call, "limit");
    size_t most = (size_t)ask->call->service->config->api_page_rows;
    ask->limit = most;
    if (limit == NULL)
        return true;
    size_t length = strspn(limit, "0123456789");
    if (length == 0 || length > 6 || limit[length] != '\0')
        return false;
    size_t wanted = strtoul(limit, NULL, 10);
    ask->limit = wanted < most ? wanted : most;
    return wanted > 0;
}

/* A cursor is base64url of "period item n" of the last row seen. */
static bool read_cursor(struct ask *ask)
{
    const char *cursor = call_argument(ask->call, "cursor");
    char text[CURSOR_BYTES];
    size_t length = 0;
    int used = -1;
    int period, item, n;
    if (cursor == NULL)
        return true;
    if (sodium_base642bin((unsigned char *)text, sizeof text - 1, cursor, strlen(cursor), NULL, &length, NULL,
            sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return false;
    text[length] = '\0';
    if (sscanf(text, "%9d %9d %9d%n", &period, &item, &n, &used) != 3 || used != (int)length)
        return false;
    ask->has_cursor = true;
    ask->cursor_period = period;
    ask->cursor_item = item;
    ask->cursor_n = n;
    return period >= FIRST_DAY && period <= LAST_DAY;
}

/* JSON unless CSV is asked for, by name or by a better quality. */
static bool read_format(struct ask *ask)
{
    const char *format = call_argument(ask->call, "format");
    if (format != NULL) {
        ask->csv = strcmp(format, "csv") == 0;
        return ask->csv || strcmp(format, "json") == 0;
    }
    ask->csv = accept_prefers_csv(call_header(ask->call, "Accept"));
    return true;
}

/* Only what is a sum of others by its meaning can be made to add up. */
static bool read_consistent(struct ask *ask)
{
    const char *consistent = call_argument(ask->call, "consistent");
    if (consistent == NULL || strcmp(consistent, "false") == 0)
        return true;
    ask->question.consistent = strcmp(consistent, "true") == 0;
    return ask->question.consistent && strcmp(ask->question.metric->name, "new_users") == 0 &&
        strcmp(ask->question.interval, "month") != 0;
}

/* The interval's static name, NULL if the metric is never released in the one that was asked for. */
static const char *read_interval(const struct ask *ask)
{
    const struct metric *metric = ask->question.metric;
    const char *asked = call_argument(ask->call, "interval");
    if (asked == NULL)
        asked = metric_default_interval(metric);
    enum family_interval interval = family_interval_named(asked);
    if (interval == INTERVAL_COUNT || (metric_is_monthly(metric) && interval != INTERVAL_MONTH) ||
        family_number_named(metric->above, interval) == NUMBER_COUNT)
        return NULL;
    return family_interval_name(interval);
}

/* The item, or the dimension that active users are broken down by: that is a metric of its own. */
static bool read_item(struct ask *ask, const char **field)
{
    struct answer_question *question = &ask->question;
    ask->by = call_argument(ask->call, "by");
    ask->item = call_argument(ask->call, "item");
    question->declared = &ask->app;
    *field = "by";
    if (ask->by != NULL) {
        if (strcmp(question->metric->name, "active_users") != 0)
            return false;
        bool events = items_find(&ask->app, METRIC_LIST_DIMENSIONS, ask->by) >= 0;
        question->metric = metric_named(events ? "dimension_users" : "session_dimension_users");
        question->item = ask->by;
        question->by = true;
        return items_find(&ask->app, question->metric->list, ask->by) >= 0;
    }
    *field = "item";
    if (ask->item == NULL)
        return true;
    question->item = ask->item;
    return !metric_is_declared(question->metric) && items_find(&ask->app, question->metric->list, ask->item) >= 0;
}

static enum MHD_Result read_request(struct ask *ask, bool *said)
{
    const char *field;
    if (!read_item(ask, &field))
        return refuse(ask, said, field, "this metric has no such thing; the app's catalogue of metrics says which");
    ask->question.interval = read_interval(ask);
    if (ask->question.interval == NULL)
        return refuse(ask, said, "interval", "this metric knows no such interval; the app's catalogue of metrics says which");
    if (!read_consistent(ask))
        return refuse(ask, said, "consistent", "is true or false, and true of new_users by day or week only");
    if (!read_dates(ask, &field))
        return refuse(ask, said, field, "must be a date, YYYY-MM-DD");
    if (ask->from > ask->to)
        return refuse(ask, said, "from", "must not come after to");
    if (!read_limit(ask))
        return refuse(ask, said, "limit", "must be a positive number");
    if (!read_cursor(ask))
        return refuse(ask, said, "cursor", "is not one of ours: take `next` as it is");
    if (!read_format(ask))
        return refuse(ask, said, "format", "must be json or csv");
    ask->question.app = (int32_t)ask->app.id;
    ask->question.from = ask->has_cursor && ask->cursor_period > ask->from ? ask->cursor_period : ask->from;
    ask->question.to = ask->to;
    /* the rest of the cursor's period, the page, and a last period that may be cut */
    if (ask->question.metric->kind == METRIC_KIND_COUNT && !ask->question.consistent)
        ask->question.most = ask->limit + 2 * PERIOD_ROWS_MAX + 1;
    return MHD_YES;
}

/* --- the page ------------------------------------------------------------------------------------------------------ */

static bool is_after_cursor(const struct ask *ask, const struct series_point *point)
{
    if (!ask->has_cursor || point->period > ask->cursor_period)
        return true;
    if (point->period < ask->cursor_period || point->item < ask->cursor_item)
        return false;
    return point->item > ask->cursor_item || point->n > ask->cursor_n;
}

static void write_next(struct ask *ask, const struct series_point *last)
{
    char text[CURSOR_BYTES], cursor[2 * CURSOR_BYTES], from[CLOCK_DATE_BYTES], to[CLOCK_DATE_BYTES];
    (void)snprintf(text, sizeof text, "%d %d %d", (int)last->period, (int)last->item, (int)last->n);
    (void)sodium_bin2base64(cursor, sizeof cursor, (const unsigned char *)text, strlen(text),
        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    int used = snprintf(ask->next, sizeof ask->next, "/v1/apps/%s/%s?interval=%s&format=%s&limit=%zu&cursor=%s", ask->name,
        ask->path_tail, ask->question.interval, ask->csv ? "csv" : "json", ask->limit, cursor);
    if (ask->from != FIRST_DAY)
        used += snprintf(ask->next + used, sizeof ask->next - (size_t)used, "&from=%s", clock_format_date(ask->from, from));
    if (ask->to != LAST_DAY)
        used += snprintf(ask->next + used, sizeof ask->next - (size_t)used, "&to=%s", clock_format_date(ask->to, to));
    if (ask->question.consistent)
        used += snprintf(ask->next + used, sizeof ask->next - (size_t)used, "&consistent=true");
    if (ask->path_kind != NULL)
        used += snprintf(ask->next + used, sizeof ask->next - (size_t)used, "&kind=%s", ask->path_kind);
    if (ask->by != NULL || ask->item != NULL)
        (void)snprintf(ask->next + used, sizeof ask->next - (size_t)used, "&%s=%s", ask->by != NULL ? "by" : "item",
            ask->by != NULL ? ask->by : ask->item);
}

static void cut_page(struct ask *ask)
{
    const struct answer *answer = &ask->answer;
    while (ask->first < answer->count && !is_after_cursor(ask, &answer->points[ask->first]))
        ask->first++;
    ask->count = answer->count - ask->first;
    if (ask->count <= ask->limit)
        return;
    ask->count = ask->limit;
    write_next(ask, &answer->points[ask->first + ask->count - 1]);
}

/* The same rows, parameters and program give the same bytes, and this tag. */
static void write_tag(const struct ask *ask, char out[TAG_BYTES])
{
    uint8_t hash[24];
    char text[LINK_BYTES * 2];
    crypto_generichash_state state;
    (void)snprintf(text, sizeof text, "%s|%s|%s|%s|%s|%u|%s|%d|%d|%d|%d|%zu|%zu|%zu|%s", THRONG_VERSION, ask->app.name,
        ask->path_tail, ask->question.metric->name, ask->question.item == NULL ? "" : ask->question.item, ask->app.version, ask->question.interval, ask->csv,
        ask->question.consistent, (int)ask->from, (int)ask->to, ask->limit,
        ask->first, ask->count, ask->next);
    (void)crypto_generichash_init(&state, NULL, 0, sizeof hash);
    (void)crypto_generichash_update(&state, (const unsigned char *)text, strlen(text));
    (void)crypto_generichash_update(&state, ask->answer.digest, sizeof ask->answer.digest);
    (void)crypto_generichash_final(&state, hash, sizeof hash);
    out[0] = '"';
    (void)sodium_bin2base64(out + 1, TAG_BYTES - 2, hash, sizeof hash, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    (void)strcat(out, "\"");
}

/* --- CSV, as `throng query` writes it ------------------------------------------------------------------------------- */

static char *write_csv(const struct ask *ask)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return NULL;
    layout_csv(file, &ask->question, &ask->answer, ask->first, ask->count);
    if (fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

/* Why nothing of the metric is ever released of the app as it is; NULL: nothing is yet. Static. */
static const char *unreleased(const struct ask *ask)
{
    struct plan plan;
    struct failure why = {0};
    enum family_interval interval = family_interval_named(ask->question.interval);
    if (plan_make(&ask->app, ask->app.preset, ask->app.k, &plan, &why) != RESULT_OK)
        return NULL;
    return plan_reason(&plan, family_number_named(ask->question.metric->above, interval), interval);
}

/* null: there is nothing to say. */
static json_t *notice_json(const struct ask *ask)
{
    char text[NOTICE_BYTES];
    const char *reason = ask->answer.count > 0 || ask->question.metric->kind == METRIC_KIND_RETURNING ? NULL : unreleased(ask);
    if (notice_write(&ask->question, &ask->answer, text))
        return json_string(text);
    return reason == NULL ? json_null() : json_sprintf("It is not released: %s. The app's catalogue says what is.", reason);
}

static char *write_json(const struct ask *ask)
{
    const struct answer_question *question = &ask->question;
    json_t *root = json_pack("{s:s,s:s,s:o,s:s,s:s,s:s,s:i,s:o}", "app", ask->app.name, "metric", ask->asked, "definition",
        describe_definition_of(question->metric), "interval", question->interval, "time_zone", ask->app.time_zone, "unit",
        rows_unit(question), "linkable_days", (int)tenant_linkable_days(&ask->app), "protection",
        describe_protection(&ask->app, &ask->answer));
    json_object_set_new(root, "notice", notice_json(ask));
    rows_describe(root, question, &ask->answer);
    json_object_set_new(root, "rows", rows_list(question, &ask->answer, ask->first, ask->count));
    json_object_set_new(root, "next", ask->next[0] == '\0' ? json_null() : json_string(ask->next));
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(root);
    return text;
}

/* --- the answer ---------------------------------------------------------------------------------------------------- */

static enum MHD_Result send_page(struct ask *ask)
{
    char tag[TAG_BYTES], link[LINK_BYTES + 32];
    cut_page(ask);
    write_tag(ask, tag);
    (void)snprintf(link, sizeof link, "<%s>; rel=\"next\"", ask->next);
    call_count_read(ask->call, ask->app.name);
    return call_send_tagged(ask->call, tag, ask->csv ? CALL_CSV : REPLY_JSON, ask->next[0] == '\0' ? NULL : link,
        ask->csv ? write_csv(ask) : write_json(ask));
}

/* Reads several numbers of one state of the database. */
static enum result read_answer(struct db *db, void *context, struct failure *why)
{
    struct ask *ask = context;
    answer_free(&ask->answer);
    return answer_read(db, &ask->question, &ask->answer, why);
}

static enum MHD_Result answer(struct ask *ask, struct db *db)
{
    struct failure why = {0};
    bool said = false;
    enum MHD_Result result = read_request(ask, &said);
    if (said)
        return result;
    if (db_transaction(db, read_answer, ask, &why) != RESULT_OK)
        result = call_unavailable(ask->call);
    else
        result = send_page(ask);
    answer_free(&ask->answer);
    return result;
}

/* What the path's name means for the app: a metric that every app has, or one of its measures; or with a list, one of its funnels
 * or outcomes. False: nothing. */
static bool find_metric(struct ask *ask, const char *name, const struct metric *declared)
{
    const struct metric *metric = declared == NULL ? metric_named(name) : NULL;
    if (metric != NULL && !metric_is_declared(metric)) {
        ask->question.metric = metric;
        ask->asked = metric->name;
        return true;
    }
    ask->question.metric = declared == NULL ? metric_named("measure") : declared;
    ask->question.item = name;
    ask->asked = declared == NULL ? name : declared->name;
    return items_find(&ask->app, ask->question.metric->list, name) >= 0;
}

/* Find the app, then answer. A metric that is none is told only to who may see the app. */
static enum MHD_Result respond(struct ask *ask, const char *name, const struct metric *declared, const char *const *arguments)
{
    struct failure why = {0};
    struct call *call = ask->call;
    struct db *db = call_db(call, &why);
    enum result found = db == NULL ? RESULT_UNAVAILABLE : tenant_find(db, &call->identity, ask->name, &ask->app, &why);
    if (found == RESULT_NOT_FOUND) {
        if (call->identity.app != 0)
            journal_count(call->service->journal, &call->identity, JOURNAL_APP, "");
        return call_not_found(call);
    }
    if (found != RESULT_OK)
        return call_unavailable(call);
    enum MHD_Result result;
    if (!find_metric(ask, name, declared))
        result = call_problem(call, MHD_HTTP_NOT_FOUND, "unknown_metric", declared == NULL ? "metric" : declared->name,
            "the app's catalogue of metrics has no such");
    else if (!call_knows_arguments(call, arguments))
        result = call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", "", "there is a parameter that is not known here");
    else
        result = answer(ask, db);
    definition_free(&ask->app);
    return result;
}

enum MHD_Result numbers_metric(struct call *call, const char *app, const char *metric)
{
    static const char *const arguments[] = {"from", "to", "interval", "by", "item", "consistent", "format", "limit", "cursor",
        NULL};
    char tail[TAIL_BYTES];
    (void)snprintf(tail, sizeof tail, "metrics/%s", metric);
    struct ask ask = {.call = call, .path_tail = tail, .name = app};
    return respond(&ask, metric, NULL, arguments);
}

static enum MHD_Result answer_declared(struct call *call, const char *app, const char *kind, const char *name)
{
    static const char *const arguments[] = {"from", "to", "interval", "format", "limit", "cursor", NULL};
    char tail[TAIL_BYTES];
    (void)snprintf(tail, sizeof tail, "%ss/%s", kind, name);
    struct ask ask = {.call = call, .path_tail = tail, .name = app};
    return respond(&ask, name, metric_named(kind), arguments);
}

enum MHD_Result numbers_funnel(struct call *call, const char *app, const char *funnel)
{
    return answer_declared(call, app, "funnel", funnel);
}

enum MHD_Result numbers_outcome(struct call *call, const char *app, const char *outcome)
{
    return answer_declared(call, app, "outcome", outcome);
}

enum MHD_Result numbers_retention(struct call *call, const char *app)
{
    static const char *const arguments[] = {"from", "to", "interval", "format", "limit", "cursor", "kind", NULL};
    const char *kind = call_argument(call, "kind");
    struct ask ask = {.call = call, .path_tail = "retention", .name = app};
    if (kind != NULL && strcmp(kind, "on_or_after") == 0) {
        ask.path_kind = "on_or_after";
        return respond(&ask, "retention_on_or_after", NULL, arguments);
    }
    if (kind != NULL && strcmp(kind, "on") != 0)
        return call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", "kind", "must be on or on_or_after");
    return respond(&ask, "retention", NULL, arguments);
}
