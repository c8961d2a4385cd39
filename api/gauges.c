#include "api/gauges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/family.h"
#include "api/accept.h"
#include "api/budget.h"
#include "api/insights.h"
#include "api/series/answer.h"
#include "api/series/items.h"
#include "api/series/layout.h"
#include "api/tenant.h"

#define DAY_S 86400.0
#define LAG_MAX 64 /* periods after a cohort's that are looked at */

struct gauge {
    const char *name, *metric;
    unsigned intervals; /* bit i: interval i */
    const char *quantile, *help;
};

#define D (1u << INTERVAL_DAY)
#define W (1u << INTERVAL_WEEK)
#define M (1u << INTERVAL_MONTH)
static const struct gauge gauges[] = {
#define GAUGE(name, metric, intervals, quantile, help) {name, metric, intervals, quantile, help},
#include "api/gauges.def"
#undef GAUGE
};
#undef D
#undef W
#undef M

/* Gauges being collected, in one transaction. */
struct collection {
    const struct access_identity *identity;
    struct tenant_list tenants;
    struct exposition *exposition;
};

/* A series of one app and interval. */
struct series {
    const struct app *app;
    const struct gauge *gauge;
    const struct metric *metric;
    const char *interval;
    int32_t latest;   /* period */
    const char *item; /* NULL: all */
};

static enum result read_latest(struct db *db, struct series *series, bool *any, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, (int32_t)series->app->id);
    db_text(params, series->metric->above);
    db_text(params, series->interval);
    db_text(params, items_are_named(series->metric->list) ? series->item : "");
    enum result result = db_run(db, "gauges_latest",
        "SELECT max(period) FROM release.value WHERE app = $1 AND metric = $2::text AND interval = $3::text"
        " AND ($4::text IS NULL OR item = $4::text)", params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *any = !db_is_null(rows, 0, 0);
    if (*any)
        series->latest = db_get_date(rows, 0, 0);
    PQclear(rows);
    return RESULT_OK;
}

static const char *item_label(enum metric_list list)
{
    static const char *const labels[] = {
        [METRIC_LIST_FEATURES] = "feature",
        [METRIC_LIST_GOALS] = "goal",
        [METRIC_LIST_FUNNELS] = "funnel",
        [METRIC_LIST_OUTCOMES] = "outcome",
        [METRIC_LIST_PATHS] = NULL,
    };
    return labels[list];
}

/* A funnel's conversion to each step, an outcome's mean by tier. */
static void add_declared(struct exposition *exposition, const struct series *series, const struct answer_question *question,
    const struct answer *answer)
{
    bool funnel = series->metric->kind == METRIC_KIND_FUNNEL;
    for (size_t i = 0; i < answer->count; i++) {
        char step[16];
        struct layout_key keys[LAYOUT_KEYS_MAX];
        const struct series_point *point = funnel ? &answer->details[i * answer->detail_count + 1] : &answer->points[i];
        (void)layout_keys(question, &answer->points[i], keys);
        (void)snprintf(step, sizeof step, "%d", (int)keys[0].number);
        const struct exposition_label labels[] = {{"app", series->app->name}, {item_label(series->metric->list), series->item},
            {keys[0].name, funnel ? step : keys[0].text}};
        if (point->known)
            exposition_sample(exposition, "", labels, 3, point->value);
    }
}

static void add_point(struct exposition *exposition, const struct series *series, const struct series_point *point)
{
    struct exposition_label labels[EXPOSITION_LABELS_MAX] = {{"app", series->app->name}};
    size_t count = 1;
    if (!point->known)
        return;
    if (!metric_is_monthly(series->metric) && series->metric->kind != METRIC_KIND_FUNNEL)
        labels[count++] = (struct exposition_label){"window", series->interval};
    if (item_label(series->metric->list) != NULL)
        labels[count++] = (struct exposition_label){item_label(series->metric->list),
            items_at(series->app, series->metric->list, (size_t)point->item)->name};
    if (series->gauge->quantile != NULL)
        labels[count++] = (struct exposition_label){"quantile", series->gauge->quantile};
    exposition_sample(exposition, "", labels, count, point->value);
}

/* For each n the newest cohort that has a cell of it, as a share of the cohort. */
static void add_retention(struct exposition *exposition, const struct series *series, const struct answer *answer)
{
    for (int32_t n = 1; n <= LAG_MAX; n++) {
        char text[16];
        struct series_point share;
        const struct series_point *cell = NULL, *size = NULL;
        for (size_t i = 0; i < answer->count; i++) {
            if (answer->points[i].n == n)
                cell = &answer->points[i];
        }
        if (cell != NULL)
            size = series_find(answer->points, answer->count, cell->period, 0);
        if (size == NULL)
            continue;
        series_ratio(cell, size, 1, false, &share);
        series_clamp(&share, 0, 1);
        (void)snprintf(text, sizeof text, "%d", (int)n);
        const struct exposition_label labels[] = {{"app", series->app->name}, {"interval", series->interval}, {"n", text}};
        if (share.known)
            exposition_sample(exposition, "", labels, 3, share.value);
    }
}

/* How many days before the newest cohort the newest one that has a cell of LAG_MAX or of the last released n may lie. */
static int32_t cohort_days(const char *interval)
{
    static const struct {
        const char *interval;
        int32_t days;
    } spans[] = {{"day", 35}, {"week", 14 * 7}, {"month", 14 * 31}};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        if (strcmp(spans[i].interval, interval) == 0)
            return spans[i].days;
    }
    return 0;
}

static enum result collect_series(struct db *db, struct exposition *exposition, struct series *series, struct failure *why)
{
    bool any = false, retention = series->metric->kind == METRIC_KIND_RETENTION;
    struct answer answer;
    enum result result = read_latest(db, series, &any, why);
    if (result != RESULT_OK || !any)
        return result;
    const struct answer_question question = {.app = (int32_t)series->app->id,
        .declared = series->app,
        .metric = series->metric,
        .item = series->item,
        .interval = series->interval,
        .from = series->latest - (retention ? cohort_days(series->interval) : 0),
        .to = series->latest};
    result = answer_read(db, &question, &answer, why);
    if (result != RESULT_OK)
        return result;
    if (retention)
        add_retention(exposition, series, &answer);
    else if (series->item != NULL)
        add_declared(exposition, series, &question, &answer);
    for (size_t i = 0; i < answer.count && !retention && series->item == NULL; i++)
        add_point(exposition, series, &answer.points[i]);
    answer_free(&answer);
    return RESULT_OK;
}

/* Funnels and outcomes each have a newest period of their own. */
static enum result collect_items(struct db *db, struct collection *collection, struct series *series, struct failure *why)
{
    const struct app_item *item;
    enum result result = RESULT_OK;
    if (!items_any(series->app, series->metric->list))
        return RESULT_OK;
    if (!metric_is_declared(series->metric))
        return collect_series(db, collection->exposition, series, why);
    for (size_t i = 0; result == RESULT_OK && (item = items_at(series->app, series->metric->list, i)) != NULL; i++) {
        series->item = item->name;
        result = collect_series(db, collection->exposition, series, why);
    }
    return result;
}

static enum result collect_gauge(struct db *db, struct collection *collection, const struct gauge *gauge, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; i < collection->tenants.count; i++) {
        for (enum family_interval interval = 0; interval < INTERVAL_COUNT && result == RESULT_OK; interval++) {
            if ((gauge->intervals >> interval & 1u) == 0)
                continue;
            struct series series = {&collection->tenants.apps[i], gauge, metric_named(gauge->metric),
                family_interval_name(interval), 0, NULL};
            result = collect_items(db, collection, &series, why);
        }
    }
    return result;
}

/* Of when the gauges are: the newest period of active users, by its first day, UTC. */
static enum result collect_periods(struct db *db, struct collection *collection, struct failure *why)
{
    static const enum family_interval intervals[] = {INTERVAL_DAY, INTERVAL_WEEK, INTERVAL_MONTH};
    enum result result = RESULT_OK;
    exposition_family(collection->exposition, "throng_release_period_timestamp_seconds", "gauge",
        "First day of the newest released period, at 00:00 UTC");
    for (size_t i = 0; i < collection->tenants.count * 3 && result == RESULT_OK; i++) {
        bool any = false;
        struct series series = {.app = &collection->tenants.apps[i / 3], .metric = metric_named("active_users"),
            .interval = family_interval_name(intervals[i % 3])};
        result = read_latest(db, &series, &any, why);
        const struct exposition_label labels[] = {{"app", series.app->name}, {"window", series.interval}};
        if (result == RESULT_OK && any)
            exposition_sample(collection->exposition, "", labels, 2, series.latest * DAY_S);
    }
    return result;
}

/* By the schedule: the moment at which a period was due, not at which the job ran. */
static enum result collect_success(struct db *db, struct collection *collection, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "gauges_success",
        "SELECT app, (extract(epoch FROM max(sealed_at)) * 1000)::bigint FROM release.release GROUP BY app", NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    exposition_family(collection->exposition, "throng_release_last_success_timestamp_seconds", "gauge",
        "When the newest release was due by its schedule");
    for (int row = 0; row < PQntuples(rows); row++) {
        for (size_t i = 0; i < collection->tenants.count; i++) {
            const struct exposition_label label = {"app", collection->tenants.apps[i].name};
            if ((int32_t)collection->tenants.apps[i].id == db_get_int4(rows, row, 0))
                exposition_sample(collection->exposition, "", &label, 1, (double)db_get_int8(rows, row, 1) / 1000);
        }
    }
    PQclear(rows);
    return RESULT_OK;
}

/* What the newest planned month of each app promises a user; nothing of an app without noise, where there is no bound. */
static enum result collect_budgets(struct db *db, struct collection *collection, bool used, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; i < collection->tenants.count && result == RESULT_OK; i++) {
        const struct app *app = &collection->tenants.apps[i];
        struct budget_newest newest;
        result = budget_newest(db, app, &newest, why);
        if (result != RESULT_OK || !newest.is_private)
            continue;
        const struct exposition_label day[] = {{"app", app->name}, {"unit", "user_day"}};
        const struct exposition_label month[] = {{"app", app->name}, {"unit", "user_month"}};
        const struct exposition_label months[] = {{"app", app->name}, {"unit", "user_13_months"}};
        if (used) {
            exposition_sample(collection->exposition, "", day, 1, newest.used);
            continue;
        }
        exposition_sample(collection->exposition, "", day, 2, newest.day);
        exposition_sample(collection->exposition, "", month, 2, newest.month);
        exposition_sample(collection->exposition, "", months, 2, newest.months);
    }
    return result;
}

static enum result collect_privacy(struct db *db, struct collection *collection, struct failure *why)
{
    exposition_family(collection->exposition, "throng_privacy_epsilon", "gauge",
        "What the newest planned month's releases tell of a unit at most, at a delta of 1e-9; absent where nothing bounds it");
    enum result result = collect_budgets(db, collection, false, why);
    exposition_family(collection->exposition, "throng_budget_used_ratio", "gauge",
        "Reserved of the newest planned month's privacy budget");
    return result == RESULT_OK ? collect_budgets(db, collection, true, why) : result;
}

/* How far the newest periods are out of the ordinary; absent where that cannot be told. */
static enum result collect_scores(struct db *db, struct collection *collection, struct failure *why)
{
    enum result result = RESULT_OK;
    exposition_family(collection->exposition, "throng_anomaly_score", "gauge",
        "How far the newest released period lies from what was expected, in standard deviations of noise and history");
    for (size_t i = 0; i < collection->tenants.count; i++) {
        const struct app *app = &collection->tenants.apps[i];
        for (size_t m = 0; insights_metric(m) != NULL && result == RESULT_OK; m++) {
            const struct exposition_label labels[] = {{"app", app->name}, {"metric", insights_metric(m)}};
            bool any = false;
            double score = 0;
            result = insights_score(db, app, insights_metric(m), &any, &score, why);
            if (result == RESULT_OK && any)
                exposition_sample(collection->exposition, "", labels, 2, score);
        }
    }
    return result;
}

static enum result collect(struct db *db, void *context, struct failure *why)
{
    struct collection *collection = context;
    enum result result = tenant_list_read(db, collection->identity, &collection->tenants, why);
    const char *open = "";
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0] && result == RESULT_OK; i++) {
        if (strcmp(open, gauges[i].name) != 0)
            exposition_family(collection->exposition, gauges[i].name, "gauge", gauges[i].help);
        open = gauges[i].name;
        result = collect_gauge(db, collection, &gauges[i], why);
    }
    if (result == RESULT_OK)
        result = collect_periods(db, collection, why);
    if (result == RESULT_OK)
        result = collect_success(db, collection, why);
    if (result == RESULT_OK)
        result = collect_privacy(db, collection, why);
    return result == RESULT_OK ? collect_scores(db, collection, why) : result;
}

enum exposition_format gauges_format(const struct call *call, const char **content_type)
{
    const char *accept = call_header(call, "Accept");
    bool openmetrics = accept_names(accept, "application/openmetrics-text") &&
                       accept_quality(accept, "application/openmetrics-text") >= accept_quality(accept, "text/plain");
    *content_type = openmetrics ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
    return openmetrics ? EXPOSITION_AS_OPENMETRICS : EXPOSITION_AS_TEXT;
}

enum MHD_Result gauges_answer(struct call *call, bool json)
{
    struct failure why = {0};
    struct db *db = call_db(call, &why);
    struct collection collection = {.identity = &call->identity, .exposition = exposition_new()};
    const char *content_type = REPLY_JSON;
    enum exposition_format format = json ? EXPOSITION_AS_JSON : gauges_format(call, &content_type);
    struct reply reply = {.cache_control = CALL_REVALIDATE};
    enum MHD_Result answer;
    if (db == NULL || collection.exposition == NULL || db_transaction(db, collect, &collection, &why) != RESULT_OK) {
        answer = call_unavailable(call);
    } else {
        journal_count(call->service->journal, &call->identity, JOURNAL_READ, "*");
        reply_header(&reply, "Vary", "Accept, Authorization");
        answer = call_send(call, &reply, content_type, exposition_write(collection.exposition, format));
    }
    tenant_list_free(&collection.tenants);
    exposition_free(collection.exposition);
    return answer;
}
