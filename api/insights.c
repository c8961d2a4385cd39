#include "api/insights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/describe.h"
#include "api/series/answer.h"
#include "api/series/insight.h"
#include "api/tenant.h"
#include "service/base/clock.h"
#include "service/catalogue/definition.h"

#define PERIODS_MAX 400 /* the newest ones are looked at */
#define FIRST_DAY (-25000)
#define LAST_DAY 100000
#define ALARMS_MAX 20 /* the newest ones are told */

static const char *const metrics[] = {"active_users", "new_users", "sessions"};

/* How a metric is looked at: by day where it is released by day, else by week. */
static const struct rhythm {
    const char *interval;
    int32_t days;
    size_t season, ahead;
    const char *too_little;
} rhythms[] = {
    {"day", 1, 7, 14, "28 days are learned from first, and two in three of them must be shown"},
    {"week", 7, 1, 4, "8 weeks are learned from first, and two in three of them must be shown"},
};

/* A metric's periods without gap, and what they say. */
struct view {
    const struct rhythm *rhythm;
    struct answer answer; /* its protection; points are kept until free_view */
    int32_t first;        /* period of values[0] */
    size_t count;
    struct insight_value *values;
    struct insight_step *steps;
    struct insight_end end;
    bool told;
};

const char *insights_metric(size_t index)
{
    return index < sizeof metrics / sizeof metrics[0] ? metrics[index] : NULL;
}

static void free_view(struct view *view)
{
    answer_free(&view->answer);
    free(view->values);
    free(view->steps);
}

/* Lay the answer's points out without gap. */
static enum result lay_out(struct view *view, struct failure *why)
{
    const struct answer *answer = &view->answer;
    const int32_t days = view->rhythm->days, last = answer->points[answer->count - 1].period;
    view->first = answer->points[0].period;
    if ((last - view->first) / days >= PERIODS_MAX)
        view->first = last - (PERIODS_MAX - 1) * days;
    view->count = (size_t)((last - view->first) / days) + 1;
    view->values = calloc(view->count, sizeof *view->values);
    view->steps = calloc(view->count, sizeof *view->steps);
    if (view->values == NULL || view->steps == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    for (size_t i = 0; i < answer->count; i++) {
        const struct series_point *point = &answer->points[i];
        if (point->period >= view->first)
            view->values[(point->period - view->first) / days] =
                (struct insight_value){point->known, point->value, point->variance};
    }
    return RESULT_OK;
}

/* Read what metric says by day, or where it is not released by day, by week. free_view afterwards, whatever is returned. */
static enum result read_view(struct db *db, const struct app *app, const char *metric, struct view *view, struct failure *why)
{
    enum result result = RESULT_OK;
    *view = (struct view){.rhythm = NULL};
    for (size_t i = 0; i < sizeof rhythms / sizeof rhythms[0] && view->answer.count == 0 && result == RESULT_OK; i++) {
        const struct answer_question question = {.app = (int32_t)app->id, .declared = app, .metric = metric_named(metric),
            .interval = rhythms[i].interval, .from = FIRST_DAY, .to = LAST_DAY};
        answer_free(&view->answer);
        view->rhythm = &rhythms[i];
        result = answer_read(db, &question, &view->answer, why);
    }
    if (result == RESULT_OK && view->answer.count > 0)
        result = lay_out(view, why);
    if (result == RESULT_OK && view->count > 0)
        view->told = insight_read(view->values, view->count, view->rhythm->season, view->steps, &view->end);
    return result;
}

enum result insights_score(struct db *db, const struct app *app, const char *metric, bool *any, double *score,
    struct failure *why)
{
    struct view view;
    enum result result = read_view(db, app, metric, &view, why);
    *any = result == RESULT_OK && view.told && view.steps[view.count - 1].scored;
    if (*any)
        *score = view.steps[view.count - 1].score;
    free_view(&view);
    return result;
}

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

/* To three decimals: more would be precision that nobody has. */
static json_t *real(double value)
{
    return json_real(round(value * 1000) / 1000);
}

static json_t *date_of(const struct view *view, size_t index)
{
    char date[CLOCK_DATE_BYTES];
    return json_string(clock_format_date(view->first + (int32_t)index * view->rhythm->days, date));
}

static json_t *step_json(const struct view *view, size_t index)
{
    const struct insight_step *step = &view->steps[index];
    const struct insight_value *value = &view->values[index];
    return json_pack("{s:o,s:o,s:o,s:o,s:b}", "period", date_of(view, index), "value",
        value->known ? real(value->value) : json_null(), "expected", real(fmax(step->expected, 0)), "score",
        step->scored ? real(step->score) : json_null(), "anomaly", step->scored && fabs(step->score) >= INSIGHT_ALARM);
}

static json_t *anomalies_json(const struct view *view)
{
    json_t *list = json_array();
    for (size_t i = view->count; i-- > 0 && json_array_size(list) < ALARMS_MAX;) {
        if (view->steps[i].scored && fabs(view->steps[i].score) >= INSIGHT_ALARM)
            json_array_insert_new(list, 0, step_json(view, i));
    }
    return list;
}

static json_t *forecast_json(const struct view *view)
{
    json_t *list = json_array();
    for (size_t ahead = 1; ahead <= view->rhythm->ahead; ahead++) {
        double value, low, high;
        insight_forecast(&view->end, ahead, &value, &low, &high);
        json_array_append_new(list, json_pack("{s:o,s:o,s:o,s:o}", "period", date_of(view, view->count - 1 + ahead), "value",
                                        real(value), "low", real(low), "high", real(high)));
    }
    return list;
}

/* How much more or less than the level each weekday has, from Monday on. 1970-01-01 was a Thursday. */
static json_t *season_json(const struct view *view)
{
    if (view->end.season == 1)
        return json_null();
    json_t *list = json_array();
    int32_t next = view->first + (int32_t)view->count;
    for (int32_t weekday = 0; weekday < 7; weekday++)
        json_array_append_new(list, real(view->end.seasons[(weekday - 3 - next % 7 + 14) % 7]));
    return list;
}

static json_t *trend_json(const struct view *view)
{
    const struct insight_end *end = &view->end;
    return json_pack("{s:o,s:o,s:o}", "level", real(end->level), "slope", real(end->slope), "slope_percent",
        end->level > 0 ? real(100 * end->slope / end->level) : json_null());
}

static json_t *insight_json(const struct app *app, const char *metric, const struct view *view)
{
    json_t *root = json_pack("{s:s,s:o,s:s,s:s,s:o}", "metric", metric, "definition",
        describe_definition_of(metric_named(metric)), "interval", view->rhythm->interval, "unit", metric_named(metric)->unit,
        "protection", describe_protection(app, &view->answer));
    json_object_set_new(root, "explanation",
        view->told ? json_null() : json_string(view->count == 0 ? "nothing is released of it" : view->rhythm->too_little));
    json_object_set_new(root, "trend", view->told ? trend_json(view) : json_null());
    json_object_set_new(root, "season", view->told ? season_json(view) : json_null());
    json_object_set_new(root, "noise_deviation", view->told ? real(sqrt(view->end.noise)) : json_null());
    json_object_set_new(root, "history_deviation", view->told ? real(sqrt(view->end.history)) : json_null());
    json_object_set_new(root, "latest", view->told ? step_json(view, view->count - 1) : json_null());
    json_object_set_new(root, "anomalies", view->told ? anomalies_json(view) : json_array());
    json_object_set_new(root, "forecast", view->told ? forecast_json(view) : json_array());
    return root;
}

/* One answer under way. */
struct insights {
    const char *name;
    const struct access_identity *identity;
    struct app app;
    json_t *list;
};

static enum result read_insights(struct db *db, void *context, struct failure *why)
{
    struct insights *insights = context;
    json_array_clear(insights->list);
    definition_free(&insights->app);
    insights->app = (struct app){0};
    enum result result = tenant_find(db, insights->identity, insights->name, &insights->app, why);
    for (size_t i = 0; result == RESULT_OK && insights_metric(i) != NULL; i++) {
        struct view view;
        result = read_view(db, &insights->app, insights_metric(i), &view, why);
        if (result == RESULT_OK)
            json_array_append_new(insights->list, insight_json(&insights->app, insights_metric(i), &view));
        free_view(&view);
    }
    return result;
}

static json_t *insights_json(const struct insights *insights)
{
    return json_pack("{s:s,s:s,s:i,s:f,s:s,s:O}", "app", insights->app.name, "time_zone", insights->app.time_zone,
        "linkable_days", (int)tenant_linkable_days(&insights->app), "alarm_score", INSIGHT_ALARM, "method",
        "Additive Holt-Winters smoothing of released values with bounded errors and a damped trend: a slope is not expected to last."
        " The slope told is the median one of the newest 28 days or 8 weeks. A score is how far a value lies from what was expected"
        " before it came, in standard deviations of its noise and of how far such values used to lie off, together. Suppressed"
        " values are passed over. A forecast is of the value that will be released, with its noise, at 95 %.",
        "insights", insights->list);
}

enum MHD_Result insights_answer(struct call *call, const char *name)
{
    struct failure why = {0};
    struct insights insights = {.name = name, .identity = &call->identity, .list = json_array()};
    struct db *db = call_db(call, &why);
    enum MHD_Result answer;
    enum result result = db == NULL ? RESULT_UNAVAILABLE : db_transaction(db, read_insights, &insights, &why);
    if (result == RESULT_NOT_FOUND && call->identity.app != 0)
        journal_count(call->service->journal, &call->identity, JOURNAL_APP, "");
    if (result == RESULT_OK) {
        call_count_read(call, insights.app.name);
        answer = call_send_json(call, insights_json(&insights));
    } else {
        answer = result == RESULT_NOT_FOUND ? call_not_found(call) : call_unavailable(call);
    }
    definition_free(&insights.app);
    json_decref(insights.list);
    return answer;
}
