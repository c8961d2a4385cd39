/*
 * throng query: released numbers as a table with a sparkline, as CSV or as JSON. Reads release.* as throng_read and
 * nothing else; ratios are computed from released rows.
 *
 * Sees:     released numbers.
 * Uses:     service/db, api/series, service/cli/grid, apps.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/series/answer.h"
#include "api/series/counted.h"
#include "api/series/items.h"
#include "api/series/layout.h"
#include "api/series/notice.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/moment.h"

#define TABLE_ROWS 60

struct query {
    struct command_context *context;
    const char *app, *from, *to, *interval, *format, *by, *item;
    const char *name; /* as asked for: METRIC, a measure, or what stands behind "funnel/" and "outcome/" */
    struct answer_question question;
    struct apps_row row;
    struct answer answer;
};

/* By a dimension is a metric of its own. */
static bool choose_dimension(struct query *query)
{
    struct answer_question *question = &query->question;
    bool events = items_find(&query->row.app, METRIC_LIST_DIMENSIONS, query->by) >= 0;
    question->metric = metric_named(events ? "dimension_users" : "session_dimension_users");
    question->item = query->by;
    question->by = true;
    return items_find(&query->row.app, question->metric->list, query->by) >= 0;
}

/* A name that is no metric is that of a measure. */
static enum result find_question(struct query *query, struct failure *why)
{
    struct answer_question *question = &query->question;
    if (query->by != NULL && !choose_dimension(query)) {
        failure_set(why, "--by", "is not a dimension of this app: `throng app show` has them");
        return RESULT_INVALID;
    }
    if (metric_is_declared(question->metric))
        question->item = query->name;
    if (query->item != NULL)
        question->item = query->item;
    if (question->item == NULL || items_find(&query->row.app, question->metric->list, question->item) >= 0)
        return RESULT_OK;
    if (query->item == NULL)
        failure_set(why, "METRIC", "is no metric, and no measure, funnel or outcome of this app: `throng query --help` lists metrics");
    else
        failure_set(why, "--item", "is not one that this app declares for the metric: `throng app show` has them");
    return RESULT_INVALID;
}

static enum result read_answer(struct query *query, struct db *db, struct failure *why)
{
    enum result result = apps_find(db, query->app, &query->row, why);
    query->question.app = query->row.id;
    query->question.declared = &query->row.app;
    if (result == RESULT_OK)
        result = find_question(query, why);
    return result == RESULT_OK ? answer_read(db, &query->question, &query->answer, why) : result;
}

/* --- for programs -------------------------------------------------------------------------------------------------- */

static json_t *json_number(bool whole, bool known, double value)
{
    if (!known)
        return json_null();
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

static void set_numbers(json_t *row, bool whole, const struct series_point *point)
{
    json_object_set_new(row, "value", json_number(whole, point->known, point->value));
    json_object_set_new(row, "low", json_number(whole, point->bounded, point->low));
    json_object_set_new(row, "high", json_number(whole, point->bounded, point->high));
    json_object_set_new(row, "reliability", json_string(point->reliability));
    if (point->clamped)
        json_object_set_new(row, "clamped", json_true());
}

static json_t *point_json(const struct query *query, size_t index)
{
    char date[MOMENT_DATE_BYTES];
    struct layout_key keys[LAYOUT_KEYS_MAX];
    const struct series_point *point = &query->answer.points[index];
    const struct layout_detail *details = layout_details(query->question.metric);
    size_t count = layout_keys(&query->question, point, keys);
    json_t *row = json_object();
    json_object_set_new(row, layout_period_name(&query->question), json_string(moment_format_date(point->period, date)));
    for (size_t i = 0; i < count; i++)
        json_object_set_new(row, keys[i].name, keys[i].text == NULL ? json_integer(keys[i].number) : json_string(keys[i].text));
    set_numbers(row, metric_is_whole(query->question.metric), point);
    for (size_t i = 0; i < query->answer.detail_count; i++) {
        const struct series_point *detail = &query->answer.details[index * query->answer.detail_count + i];
        json_t *object = json_null();
        if (detail->reliability[0] != '\0')
            set_numbers(object = json_object(), details[i].whole, detail);
        json_object_set_new(row, details[i].name, object);
    }
    return row;
}

static const struct app_measure *measure_of(const struct query *query)
{
    int32_t position = items_find(&query->row.app, METRIC_LIST_MEASURES, query->question.item);
    return &query->row.app.measures[position];
}

static json_t *bin_json(const struct query *query, size_t n)
{
    const struct series_point *bin = &query->answer.bins[n];
    if (query->question.metric->kind != METRIC_KIND_MEASURE)
        return json_pack("{s:f,s:o}", "below_s", (double)(1LL << n), "sessions", json_number(true, bin->known, bin->value));
    return json_pack("{s:f,s:f,s:o}", "from", counted_bin_from(measure_of(query), n), "to", counted_bin_to(measure_of(query), n),
        "count", json_number(true, bin->known, bin->value));
}

static void print_json(const struct query *query)
{
    json_t *root = json_pack("{s:s,s:s,s:i,s:s,s:s}", "app", query->app, "metric", query->name, "version",
        query->answer.version, "interval", query->question.interval, "time_zone", query->row.app.time_zone);
    json_t *rows = json_array(), *bins = json_array();
    for (size_t i = 0; i < query->answer.count; i++)
        json_array_append_new(rows, point_json(query, i));
    if (query->question.by)
        json_object_set_new(root, "by", json_string(query->by));
    json_object_set_new(root, "rows", rows);
    for (size_t i = 0; i < query->answer.bin_count; i++)
        json_array_append_new(bins, bin_json(query, i));
    if (query->answer.bin_count > 0)
        json_object_set_new(root, "histogram", bins);
    else
        json_decref(bins);
    if (query->answer.version != 0)
        json_object_set_new(root, "protection", json_pack("{s:s,s:s,s:s,s:i,s:s*}", "kind", query->answer.protection, "preset",
                                                    query->answer.preset, "mechanism", query->answer.mechanism, "k", query->answer.k, "sigma2",
                                                    query->answer.sigma2[0] == '\0' ? NULL : query->answer.sigma2));
    json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
}

/* --- for people ---------------------------------------------------------------------------------------------------- */

static void number_cell(struct grid *grid, bool whole, bool known, double value)
{
    if (!known)
        grid_cell(grid, "—");
    else if (whole)
        grid_format(grid, "%.0f", value);
    else
        grid_format(grid, "%.4g", value);
}

static void print_sparkline(const struct query *query, size_t first)
{
    char line[TABLE_ROWS * 3 + 1];
    double values[TABLE_ROWS] = {0};
    size_t count = query->answer.count - first;
    for (size_t i = 0; i < count; i++) {
        const struct series_point *point = &query->answer.points[first + i];
        values[i] = !point->known ? -1 : point->value < 0 ? 0 : point->value;
    }
    printf("%s\n", grid_sparkline(values, count, line, sizeof line));
}

/* What a row is told apart by as one word each; numbers stand to the right. */
static size_t table_head(const struct query *query, struct grid **out)
{
    char align[GRID_COLUMNS_MAX + 1] = "l";
    struct layout_key keys[LAYOUT_KEYS_MAX];
    static const char *const heads[] = {"value", "low", "high", "reliability"};
    const struct layout_detail *details = layout_details(query->question.metric);
    size_t count = layout_keys(&query->question, NULL, keys), columns = 1;
    for (size_t i = 0; i < count; i++)
        align[columns++] = keys[i].text == NULL ? 'r' : 'l';
    memcpy(align + columns, "rrrl", 4);
    memset(align + columns + 4, 'r', query->answer.detail_count);
    struct grid *grid = *out = grid_new(align);
    grid_cell(grid, layout_period_name(&query->question));
    for (size_t i = 0; i < count; i++)
        grid_cell(grid, keys[i].name);
    for (size_t i = 0; i < 4; i++)
        grid_cell(grid, heads[i]);
    for (size_t i = 0; i < query->answer.detail_count; i++)
        grid_cell(grid, details[i].name);
    return count;
}

static void table_row(struct grid *grid, const struct query *query, size_t index)
{
    char date[MOMENT_DATE_BYTES];
    struct layout_key keys[LAYOUT_KEYS_MAX];
    const struct series_point *point = &query->answer.points[index];
    const struct layout_detail *details = layout_details(query->question.metric);
    bool whole = metric_is_whole(query->question.metric);
    size_t count = layout_keys(&query->question, point, keys);
    grid_cell(grid, moment_format_date(point->period, date));
    for (size_t i = 0; i < count; i++) {
        if (keys[i].text != NULL)
            grid_cell(grid, keys[i].text);
        else
            grid_format(grid, "%d", (int)keys[i].number);
    }
    number_cell(grid, whole, point->known, point->value);
    number_cell(grid, whole, point->bounded, point->low);
    number_cell(grid, whole, point->bounded, point->high);
    grid_cell(grid, point->reliability);
    for (size_t i = 0; i < query->answer.detail_count; i++) {
        const struct series_point *detail = &query->answer.details[index * query->answer.detail_count + i];
        if (detail->reliability[0] == '\0')
            grid_cell(grid, "");
        else
            number_cell(grid, details[i].whole, detail->known, detail->value);
    }
}

static void print_series(const struct query *query)
{
    struct grid *grid;
    size_t count = query->answer.count, first = count > TABLE_ROWS && query->from == NULL ? count - TABLE_ROWS : 0;
    size_t keys = table_head(query, &grid);
    for (size_t i = first; i < count; i++)
        table_row(grid, query, i);
    if (first > 0)
        printf("(%zu earlier %s are not shown; --from shows them)\n", first, keys == 0 ? "periods" : "rows");
    grid_print(grid, stdout);
    grid_free(grid);
    if (keys == 0)
        print_sparkline(query, count - first > TABLE_ROWS ? count - TABLE_ROWS : first);
}

static void print_measure_bins(const struct query *query)
{
    struct grid *grid = grid_new("rrr");
    grid_cell(grid, "from");
    grid_cell(grid, "to");
    grid_cell(grid, "count");
    for (size_t i = 0; i < query->answer.bin_count; i++) {
        grid_format(grid, "%.6g", counted_bin_from(measure_of(query), i));
        grid_format(grid, "%.6g", counted_bin_to(measure_of(query), i));
        number_cell(grid, true, query->answer.bins[i].known, query->answer.bins[i].value);
    }
    putchar('\n');
    grid_print(grid, stdout);
    grid_free(grid);
}

static void print_bins(const struct query *query)
{
    struct grid *grid = grid_new("rr");
    grid_cell(grid, "duration");
    grid_cell(grid, "sessions");
    for (size_t i = 0; i < query->answer.bin_count; i++) {
        if (i + 1 == query->answer.bin_count && i > 0)
            grid_format(grid, "from %lld s", 1LL << (i - 1));
        else
            grid_format(grid, "below %lld s", 1LL << i);
        number_cell(grid, true, query->answer.bins[i].known, query->answer.bins[i].value);
    }
    putchar('\n');
    grid_print(grid, stdout);
    grid_free(grid);
}

/* A cohort's cell as a share of its size; blank: not over yet, dash: suppressed. */
static void share_cell(struct grid *grid, const struct series_point *cell, const struct series_point *size)
{
    struct series_point share;
    if (cell == NULL) {
        grid_cell(grid, "");
        return;
    }
    series_ratio(cell, size, 100, false, &share);
    series_clamp(&share, 0, 100);
    if (size->known && size->value <= 0)
        grid_cell(grid, "·");
    else if (share.known)
        grid_format(grid, "%.1f", share.value);
    else
        grid_cell(grid, "—");
}

static void print_cohort(struct grid *grid, const struct query *query, const struct series_point *size, const bool *used)
{
    char date[MOMENT_DATE_BYTES];
    grid_cell(grid, moment_format_date(size->period, date));
    number_cell(grid, true, size->known, size->value);
    for (int n = 1; n < GRID_COLUMNS_MAX - 2; n++) {
        if (used[n])
            share_cell(grid, series_find(query->answer.points, query->answer.count, size->period, n), size);
    }
}

static void print_matrix(const struct query *query)
{
    char align[GRID_COLUMNS_MAX + 1] = "lr";
    bool used[GRID_COLUMNS_MAX] = {false};
    size_t columns = 2;
    for (size_t i = 0; i < query->answer.count; i++) {
        if (query->answer.points[i].n > 0 && query->answer.points[i].n < GRID_COLUMNS_MAX - 2)
            used[query->answer.points[i].n] = true;
    }
    for (int n = 1; n < GRID_COLUMNS_MAX - 2; n++) {
        if (used[n])
            align[columns++] = 'r';
    }
    align[columns] = '\0';
    struct grid *grid = grid_new(align);
    grid_cell(grid, "cohort");
    grid_cell(grid, "size");
    for (int n = 1; n < GRID_COLUMNS_MAX - 2; n++) {
        if (used[n])
            grid_format(grid, "%d", n);
    }
    for (size_t i = 0; i < query->answer.count; i++) {
        if (query->answer.points[i].n == 0)
            print_cohort(grid, query, &query->answer.points[i], used);
    }
    grid_print(grid, stdout);
    grid_free(grid);
    puts("percent of the cohort; blank: not over yet; ·: nobody in it; —: suppressed");
}

static void print_protection(const struct query *query)
{
    if (strcmp(query->answer.protection, "threshold") == 0)
        printf("preset %s: not differentially private; values of fewer than %d people are suppressed (—), the others rounded"
               " to 5; not protected against anyone who can submit events\n",
            query->answer.preset, query->answer.k);
    else if (strcmp(query->answer.protection, "none") == 0 && strcmp(query->answer.mechanism, "none") != 0)
        printf("preset %s, but of months without noise too: not called protected (%s, sigma2 %s)\n", query->answer.preset,
            query->answer.mechanism, query->answer.sigma2);
    else if (strcmp(query->answer.protection, "none") == 0)
        printf("preset %s: no protection; exact counts, for tests and data that is public anyway\n", query->answer.preset);
    else
        printf("preset %s: differentially private (%s, sigma2 %s), suppressed (—) below k = %d\n", query->answer.preset,
            query->answer.mechanism, query->answer.sigma2, query->answer.k);
}

static void print_notice(const struct query *query)
{
    char text[NOTICE_BYTES];
    if (notice_write(&query->question, &query->answer, text))
        puts(text);
}

static void print_table(const struct query *query)
{
    const struct metric *metric = query->question.metric;
    printf("%s of %s by %s%s%s (v%d): %s\n", query->name, query->app, query->by == NULL ? "" : query->by,
        query->by == NULL ? "" : " and ", query->question.interval, query->answer.version, metric->text);
    if (query->answer.count == 0) {
        puts("nothing is released for these periods yet: a day is released when it is closed, see `throng status`");
        return;
    }
    if (metric_has_cohorts(metric))
        print_matrix(query);
    else
        print_series(query);
    if (query->answer.bin_count > 0 && metric->kind == METRIC_KIND_MEASURE)
        print_measure_bins(query);
    else if (query->answer.bin_count > 0)
        print_bins(query);
    print_protection(query);
    print_notice(query);
}

/* --- options ------------------------------------------------------------------------------------------------------- */

static bool is_interval(const char *text)
{
    static const char *const names[] = {"day", "week", "month", "rolling_7", "rolling_28", "rolling_30"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], text) == 0)
            return true;
    }
    return false;
}

/* "funnel/NAME" and "outcome/NAME" name what they say; every other name is that of a metric, or else of a measure. */
static void choose_metric(struct query *query, const char *name)
{
    static const char *const kinds[] = {"funnel", "outcome"};
    query->name = name;
    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(kinds[i]);
        if (strncmp(name, kinds[i], length) != 0 || name[length] != '/')
            continue;
        query->question.metric = metric_named(kinds[i]);
        query->name = name + length + 1;
        return;
    }
    query->question.metric = metric_named(name);
    if (query->question.metric == NULL || metric_is_declared(query->question.metric))
        query->question.metric = metric_named("measure");
}

static const char *check_narrowing(const struct query *query)
{
    const struct metric *metric = query->question.metric;
    if (query->by != NULL && (query->item != NULL || strcmp(metric->name, "active_users") != 0))
        return "--by breaks down active_users only";
    if (query->item != NULL && (metric_is_declared(metric) || !items_are_named(metric->list)))
        return "--item narrows what is of declared things: feature_users, goal_rate, paths …";
    return NULL;
}

static const char *check_interval(struct query *query)
{
    const struct metric *metric = query->question.metric;
    const char *least = metric_default_interval(metric);
    if (query->interval == NULL)
        query->interval = least;
    query->question.interval = query->interval;
    if (metric_is_monthly(metric) && strcmp(query->interval, "month") != 0)
        return "this metric knows --interval month only";
    if (metric->kind == METRIC_KIND_FUNNEL && strcmp(query->interval, "week") != 0)
        return "a funnel knows --interval week only";
    if (strcmp(least, "week") == 0 && strcmp(query->interval, "day") == 0)
        return "this metric knows --interval week and month only";
    return is_interval(query->interval) ? NULL : "--interval is day, week, month, rolling_7, rolling_28 or rolling_30";
}

static int check_options(struct query *query, int operands, const char *name)
{
    if (operands != 1 || query->app == NULL)
        return command_usage("query", "--app APP and a METRIC are needed");
    choose_metric(query, name);
    const char *wrong = check_narrowing(query);
    if (wrong == NULL)
        wrong = check_interval(query);
    if (wrong != NULL)
        return command_usage("query", "%s", wrong);
    query->question.from = -25000;
    query->question.to = 100000;
    if ((query->from != NULL && !moment_parse_date(query->from, &query->question.from))
        || (query->to != NULL && !moment_parse_date(query->to, &query->question.to)))
        return command_usage("query", "--from and --to are dates: YYYY-MM-DD");
    if (query->format == NULL)
        query->format = query->context->json ? "json" : "table";
    if (strcmp(query->format, "table") != 0 && strcmp(query->format, "csv") != 0 && strcmp(query->format, "json") != 0)
        return command_usage("query", "--format is table, csv or json");
    return 0;
}

static int read_options(struct query *query, int argc, char **argv)
{
    const char *name = NULL;
    const struct flag flags[] = {
        {.name = "app", .text = &query->app},
        {.name = "from", .text = &query->from},
        {.name = "to", .text = &query->to},
        {.name = "interval", .text = &query->interval},
        {.name = "by", .text = &query->by},
        {.name = "item", .text = &query->item},
        {.name = "format", .text = &query->format},
    };
    int operands = flags_parse(query->context, argc, argv, flags, sizeof flags / sizeof flags[0], &name, 1);
    return operands < 0 ? 2 : check_options(query, operands, name);
}

int query_command(struct command_context *context, int argc, char **argv)
{
    static struct query query;
    struct failure why = {0};
    query = (struct query){.context = context};
    int status = read_options(&query, argc, argv);
    if (status != 0)
        return status;
    struct db *db = command_db(context, "query", false);
    if (db == NULL)
        return 1;
    enum result result = read_answer(&query, db, &why);
    if (result == RESULT_OK) {
        if (strcmp(query.format, "csv") == 0)
            layout_csv(stdout, &query.question, &query.answer, 0, query.answer.count);
        else if (strcmp(query.format, "json") == 0)
            print_json(&query);
        else
            print_table(&query);
    }
    answer_free(&query.answer);
    apps_row_free(&query.row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("query", &why);
}
