#include "api/series/rows.h"

#include <string.h>

#include "api/series/counted.h"
#include "api/series/items.h"
#include "api/series/layout.h"
#include "service/base/clock.h"

static json_t *number(bool whole, bool known, double value)
{
    if (!known)
        return json_null();
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

static void set_numbers(json_t *object, bool whole, const struct series_point *point)
{
    json_object_set_new(object, "value", number(whole, point->known, point->value));
    json_object_set_new(object, "low", number(whole, point->bounded, point->low));
    json_object_set_new(object, "high", number(whole, point->bounded, point->high));
    json_object_set_new(object, "reliability", json_string(point->reliability));
    if (point->clamped)
        json_object_set_new(object, "clamped", json_true());
}

static void set_keys(json_t *row, const struct answer_question *question, const struct series_point *point)
{
    struct layout_key keys[LAYOUT_KEYS_MAX];
    size_t count = layout_keys(question, point, keys);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(row, keys[i].name, keys[i].text == NULL ? json_integer(keys[i].number) : json_string(keys[i].text));
}

static void set_details(json_t *row, const struct metric *metric, const struct answer *answer, size_t index)
{
    const struct layout_detail *details = layout_details(metric);
    for (size_t i = 0; i < answer->detail_count; i++) {
        const struct series_point *detail = &answer->details[index * answer->detail_count + i];
        json_t *object = json_null();
        if (detail->reliability[0] != '\0')
            set_numbers(object = json_object(), details[i].whole, detail);
        json_object_set_new(row, details[i].name, object);
    }
}

/* --- bins ---------------------------------------------------------------------------------------------------------- */

/* Bins of whole steps of measure, each from its least to its greatest value. */
static json_t *measure_bins(const struct app_measure *measure, const struct series_point *bins, size_t count, const char *of)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:f,s:f,s:o}", "from", counted_bin_from(measure, i), "to",
                                        counted_bin_to(measure, i), of, number(true, bins[i].known, bins[i].value)));
    return list;
}

static json_t *duration_bins(const struct answer *answer)
{
    json_t *list = json_array();
    for (size_t i = 0; i < answer->bin_count; i++) {
        json_t *end = i >= ANSWER_OPEN_BIN ? json_null() : json_integer(1LL << i);
        json_array_append_new(list, json_pack("{s:o,s:o}", "below_s", end, "sessions",
                                        number(true, answer->bins[i].known, answer->bins[i].value)));
    }
    return list;
}

static const struct app_outcome *outcome_of(const struct answer_question *question)
{
    return &question->declared->outcomes[items_find(question->declared, METRIC_LIST_OUTCOMES, question->item)];
}

/* How an outcome's values spread: a sum of a month has no least value of its own, and reaches further than the measure. */
static json_t *spread_bins(const struct answer_question *question, const struct answer *answer, size_t index)
{
    const struct app_outcome *outcome = outcome_of(question);
    struct app_measure measure = question->declared->measures[outcome->measure];
    if (outcome->aggregate == APP_AGGREGATE_SUM) {
        measure.max = (measure.max - measure.min) * 1000;
        measure.min = 0;
    }
    return measure_bins(&measure, &answer->spread[index * SERIES_BINS_MAX], answer->spread_bins, "users");
}

/* --- rows ---------------------------------------------------------------------------------------------------------- */

static json_t *row_json(const struct answer_question *question, const struct answer *answer, size_t index)
{
    char date[CLOCK_DATE_BYTES], moment[32], leaf[LAYOUT_UUID_BYTES];
    const struct series_point *point = &answer->points[index];
    const struct series_release *release = &point->release;
    json_t *row = json_object();
    json_object_set_new(row, layout_period_name(question), json_string(clock_format_date(point->period, date)));
    set_keys(row, question, point);
    set_numbers(row, metric_is_whole(question->metric), point);
    if (question->consistent)
        json_object_set_new(row, "released", number(true, point->known, point->adjusted ? point->released : point->value));
    set_details(row, question->metric, answer, index);
    if (question->metric->kind == METRIC_KIND_OUTCOME)
        json_object_set_new(row, "distribution", spread_bins(question, answer, index));
    json_object_set_new(row, "audit_index", release->logged ? json_integer((json_int_t)release->index) : json_null());
    json_object_set_new(row, "audit_leaf", json_string(layout_uuid(release->leaf, leaf)));
    json_object_set_new(row, "sealed_at", json_string(clock_format(release->sealed_at_ms, moment, sizeof moment)));
    return row;
}

json_t *rows_list(const struct answer_question *question, const struct answer *answer, size_t first, size_t count)
{
    json_t *rows = json_array();
    for (size_t i = first; i < first + count; i++)
        json_array_append_new(rows, row_json(question, answer, i));
    return rows;
}

/* --- beside the rows ----------------------------------------------------------------------------------------------- */

const char *rows_aggregate_name(enum app_aggregate aggregate)
{
    static const char *const names[] = {
        [APP_AGGREGATE_MEAN] = "mean",
        [APP_AGGREGATE_SUM] = "sum",
        [APP_AGGREGATE_MAX] = "max",
        [APP_AGGREGATE_LAST] = "last",
    };
    return names[aggregate];
}

json_t *rows_tiers(const struct app_outcome *outcome)
{
    json_t *tiers = json_array();
    for (size_t i = 0; i < outcome->tier_count; i++)
        json_array_append_new(tiers, json_pack("{s:s,s:s?,s:i}", "name", outcome->tiers[i].item.name, "title",
                                         outcome->tiers[i].item.title, "sessions_from", (int)outcome->tiers[i].sessions_from));
    return tiers;
}

const char *rows_unit(const struct answer_question *question)
{
    const struct app *app = question->declared;
    if (question->metric->kind == METRIC_KIND_MEASURE)
        return app->measures[items_find(app, METRIC_LIST_MEASURES, question->item)].unit;
    if (question->metric->kind == METRIC_KIND_OUTCOME)
        return app->measures[outcome_of(question)->measure].unit;
    return question->metric->unit;
}

static void describe_outcome(json_t *root, const struct app *app, const struct app_outcome *outcome)
{
    json_object_set_new(root, "measure", json_string(app->measures[outcome->measure].item.name));
    json_object_set_new(root, "aggregate", json_string(rows_aggregate_name(outcome->aggregate)));
    json_object_set_new(root, "tiers", rows_tiers(outcome));
    json_object_set_new(root, "correlation", json_string(ROWS_CORRELATION));
}

void rows_describe(json_t *root, const struct answer_question *question, const struct answer *answer)
{
    const struct app *app = question->declared;
    const struct metric *metric = question->metric;
    if (metric_has_cohorts(metric))
        json_object_set_new(root, "kind", json_string(metric->kind == METRIC_KIND_RETENTION ? "on" : "on_or_after"));
    if (strcmp(metric->name, "session_duration") == 0)
        json_object_set_new(root, "histogram", duration_bins(answer));
    if (question->item != NULL && metric->kind != METRIC_KIND_MEASURE)
        json_object_set_new(root, question->by ? "by" : "item", json_string(question->item));
    if (metric->kind == METRIC_KIND_MEASURE)
        json_object_set_new(root, "histogram",
            measure_bins(&app->measures[items_find(app, METRIC_LIST_MEASURES, question->item)], answer->bins,
                answer->bin_count, "count"));
    if (metric->kind == METRIC_KIND_FUNNEL)
        json_object_set_new(root, "window_days",
            json_integer(app->funnels[items_find(app, METRIC_LIST_FUNNELS, question->item)].window_days));
    if (metric->kind == METRIC_KIND_OUTCOME)
        describe_outcome(root, app, outcome_of(question));
}
