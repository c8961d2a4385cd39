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
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/moment.h"

#define TABLE_ROWS 60

struct query {
    struct command_context *context;
    const char *app, *from, *to, *interval, *format;
    const struct metric *metric;
    int32_t from_day, to_day;
    struct apps_row row;
    struct answer answer;
};

static enum result read_answer(struct query *query, struct db *db, struct failure *why)
{
    enum result result = apps_find(db, query->app, &query->row, why);
    if (result != RESULT_OK)
        return result;
    const struct answer_question question = {.app = query->row.id,
        .metric = query->metric,
        .interval = query->interval,
        .from = query->from_day,
        .to = query->to_day};
    return answer_read(db, &question, &query->answer, why);
}

/* --- for programs -------------------------------------------------------------------------------------------------- */

static void print_number(const struct query *query, bool known, double value)
{
    if (!known)
        return;
    if (metric_is_whole(query->metric))
        printf("%.0f", value);
    else
        printf("%.6g", value);
}

static void print_csv(const struct query *query)
{
    char date[MOMENT_DATE_BYTES];
    bool cells = metric_has_cells(query->metric);
    if (query->metric->kind == METRIC_KIND_RETENTION)
        puts("cohort,n,value,low,high,reliability");
    else
        puts(cells ? "period,bin,value,low,high,reliability" : "period,value,low,high,reliability");
    for (size_t i = 0; i < query->answer.count; i++) {
        const struct series_point *point = &query->answer.points[i];
        fputs(moment_format_date(point->period, date), stdout);
        if (cells)
            printf(",%d", (int)point->n);
        putchar(',');
        print_number(query, point->known, point->value);
        putchar(',');
        print_number(query, point->bounded, point->low);
        putchar(',');
        print_number(query, point->bounded, point->high);
        printf(",%s\n", point->reliability);
    }
}

static json_t *json_number(const struct query *query, bool known, double value)
{
    if (!known)
        return json_null();
    return metric_is_whole(query->metric) ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *point_json(const struct query *query, const struct series_point *point)
{
    char date[MOMENT_DATE_BYTES];
    json_t *row = json_object();
    bool cohort = query->metric->kind == METRIC_KIND_RETENTION;
    json_object_set_new(row, cohort ? "cohort" : "period", json_string(moment_format_date(point->period, date)));
    if (metric_has_cells(query->metric))
        json_object_set_new(row, cohort ? "n" : "bin", json_integer(point->n));
    json_object_set_new(row, "value", json_number(query, point->known, point->value));
    json_object_set_new(row, "low", json_number(query, point->bounded, point->low));
    json_object_set_new(row, "high", json_number(query, point->bounded, point->high));
    json_object_set_new(row, "reliability", json_string(point->reliability));
    return row;
}

static void print_json(const struct query *query)
{
    json_t *root = json_pack("{s:s,s:s,s:i,s:s,s:s}", "app", query->app, "metric", query->metric->name, "version",
        query->answer.version, "interval", query->interval, "time_zone", query->row.app.time_zone);
    json_t *rows = json_array(), *bins = json_array();
    for (size_t i = 0; i < query->answer.count; i++)
        json_array_append_new(rows, point_json(query, &query->answer.points[i]));
    json_object_set_new(root, "rows", rows);
    for (size_t i = 0; i < query->answer.bin_count; i++)
        json_array_append_new(bins, json_pack("{s:f,s:o}", "below_s", (double)(1LL << i), "sessions",
                                        query->answer.bins[i].known ? json_integer((json_int_t)query->answer.bins[i].value) : json_null()));
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

static void number_cell(struct grid *grid, const struct query *query, bool known, double value)
{
    if (!known)
        grid_cell(grid, "—");
    else if (metric_is_whole(query->metric))
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

static void print_series(const struct query *query)
{
    char date[MOMENT_DATE_BYTES];
    size_t first = query->answer.count > TABLE_ROWS && query->from == NULL ? query->answer.count - TABLE_ROWS : 0;
    static const char *const heads[] = {"period", "value", "low", "high", "reliability"};
    bool cells = metric_has_cells(query->metric);
    struct grid *grid = grid_new(cells ? "lrrrrl" : "lrrrl");
    for (size_t i = 0; i < 5; i++) {
        grid_cell(grid, heads[i]);
        if (cells && i == 0)
            grid_cell(grid, "bin");
    }
    for (size_t i = first; i < query->answer.count; i++) {
        const struct series_point *point = &query->answer.points[i];
        grid_cell(grid, moment_format_date(point->period, date));
        if (cells)
            grid_format(grid, "%d", (int)point->n);
        number_cell(grid, query, point->known, point->value);
        number_cell(grid, query, point->bounded, point->low);
        number_cell(grid, query, point->bounded, point->high);
        grid_cell(grid, point->reliability);
    }
    if (first > 0)
        printf("(%zu earlier periods are not shown; --from shows them)\n", first);
    grid_print(grid, stdout);
    grid_free(grid);
    if (!cells)
        print_sparkline(query, query->answer.count - first > TABLE_ROWS ? query->answer.count - TABLE_ROWS : first);
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
        number_cell(grid, query, query->answer.bins[i].known, query->answer.bins[i].value);
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
    number_cell(grid, query, size->known, size->value);
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
    else if (strcmp(query->answer.protection, "none") == 0)
        printf("preset %s: no protection; exact counts, for tests and data that is public anyway\n", query->answer.preset);
    else
        printf("preset %s: differentially private (%s, sigma2 %s), suppressed (—) below k = %d\n", query->answer.preset,
            query->answer.mechanism, query->answer.sigma2, query->answer.k);
}

static void print_table(const struct query *query)
{
    printf("%s of %s by %s (v%d): %s\n", query->metric->name, query->app, query->interval, query->answer.version,
        query->metric->text);
    if (query->answer.count == 0) {
        puts("nothing is released for these periods yet: a day is released when it is closed, see `throng status`");
        return;
    }
    if (query->metric->kind == METRIC_KIND_RETENTION)
        print_matrix(query);
    else
        print_series(query);
    if (query->answer.bin_count > 0)
        print_bins(query);
    print_protection(query);
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

static int check_options(struct query *query, int operands, const char *name)
{
    if (operands != 1 || query->app == NULL)
        return command_usage("query", "--app APP and a METRIC are needed");
    query->metric = metric_named(name);
    if (query->metric == NULL) {
        fputs("metrics:", stderr);
        for (size_t i = 0; metric_at(i) != NULL; i++)
            fprintf(stderr, " %s", metric_at(i)->name);
        fputc('\n', stderr);
        return command_usage("query", "there is no such metric");
    }
    bool monthly = metric_is_monthly(query->metric);
    if (query->interval == NULL)
        query->interval = monthly ? "month" : "day";
    if (!is_interval(query->interval) || (monthly && strcmp(query->interval, "month") != 0))
        return command_usage("query", monthly ? "this metric knows --interval month only"
                                              : "--interval is day, week, month, rolling_7, rolling_28 or rolling_30");
    query->from_day = -25000;
    query->to_day = 100000;
    if ((query->from != NULL && !moment_parse_date(query->from, &query->from_day))
        || (query->to != NULL && !moment_parse_date(query->to, &query->to_day)))
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
            print_csv(&query);
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
