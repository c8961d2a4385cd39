#include "service/paper/dataset.h"

#include <stdio.h>
#include <string.h>

#include "api/series/answer.h"
#include "api/series/items.h"
#include "api/series/rows.h"

#define FIRST_DAY (-25000)
#define LAST_DAY 100000

static const char *const intervals[] = {"day", "week", "month", "rolling_7", "rolling_28", "rolling_30"};

/* The declared things of metric, if it is asked for by their names: else one nameless thing if the app has what the metric needs. */
static size_t count_of(const struct app *app, const struct metric *metric)
{
    size_t count = 0;
    if (!metric_is_declared(metric))
        return items_any(app, metric->list) ? 1 : 0;
    while (items_at(app, metric->list, count) != NULL)
        count++;
    return count;
}

bool dataset_subject_at(const struct app *app, size_t index, struct dataset_subject *out)
{
    for (size_t i = 0; metric_at(i) != NULL; i++) {
        const struct metric *metric = metric_at(i);
        size_t count = count_of(app, metric);
        if (index >= count) {
            index -= count;
            continue;
        }
        out->metric = metric;
        out->item = metric_is_declared(metric) ? items_at(app, metric->list, index)->name : NULL;
        (void)snprintf(out->name, sizeof out->name, "%s%s%s.json", metric->name, out->item == NULL ? "" : "-",
            out->item == NULL ? "" : out->item);
        return true;
    }
    return false;
}

static bool is_known_in(const struct metric *metric, const char *interval)
{
    if (metric_is_monthly(metric))
        return strcmp(interval, "month") == 0;
    return metric->kind != METRIC_KIND_FUNNEL || strcmp(interval, "week") == 0;
}

static void move_cover(const struct answer *answer, struct dataset_cover *cover)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct series_release *release = &answer->points[i].release;
        cover->unlogged |= !release->logged;
        if (release->logged && release->index > cover->newest)
            cover->newest = release->index;
    }
}

static json_t *series_json(const struct answer_question *question, const struct answer *answer)
{
    json_t *root = json_pack("{s:s,s:{s:s,s:s,s:s,s:i,s:s*}}", "interval", question->interval, "protection", "kind", answer->protection,
        "preset", answer->preset, "mechanism", answer->mechanism, "k", (int)answer->k, "sigma2",
        answer->sigma2[0] == '\0' ? NULL : answer->sigma2);
    rows_describe(root, question, answer);
    json_object_set_new(root, "rows", rows_list(question, answer, 0, answer->count));
    return root;
}

static json_t *subject_json(const struct app *app, const struct dataset_subject *subject, int32_t version, json_t *series)
{
    const struct answer_question question = {.declared = app, .metric = subject->metric, .item = subject->item};
    return json_pack("{s:s,s:s,s:s*,s:{s:s,s:i},s:s,s:s,s:s,s:o}", "app", app->name, "metric", subject->metric->name, "name", subject->item,
        "definition", "id", subject->metric->name, "version", (int)version, "text", subject->metric->text, "unit", rows_unit(&question),
        "time_zone", app->time_zone, "series", series);
}

enum result dataset_read(struct db *db, const struct app *app, const struct dataset_subject *subject, struct dataset_cover *cover,
    json_t **out, struct failure *why)
{
    json_t *series = json_array();
    enum result result = RESULT_OK;
    int32_t version = subject->metric->version;
    for (size_t i = 0; result == RESULT_OK && i < sizeof intervals / sizeof intervals[0]; i++) {
        struct answer answer;
        const struct answer_question question = {.app = (int32_t)app->id, .declared = app, .metric = subject->metric,
            .item = subject->item, .interval = intervals[i], .from = FIRST_DAY, .to = LAST_DAY};
        if (!is_known_in(subject->metric, intervals[i]))
            continue;
        result = answer_read(db, &question, &answer, why);
        if (result == RESULT_OK && answer.count > 0) {
            json_array_append_new(series, series_json(&question, &answer));
            version = version == 0 ? answer.version : version;
            move_cover(&answer, cover);
        }
        if (result == RESULT_OK)
            answer_free(&answer);
    }
    bool any = result == RESULT_OK && json_array_size(series) > 0;
    *out = any ? subject_json(app, subject, version, series) : NULL;
    if (!any)
        json_decref(series);
    return result;
}
