/*
 * throng query: released numbers as a table with a sparkline, as CSV or as JSON. Reads release.* as throng_read and
 * nothing else; ratios are computed from released rows.
 *
 * Sees:     released numbers.
 * Uses:     service/db, service/cli/series, grid, apps.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/moment.h"
#include "service/cli/series.h"

#define TABLE_ROWS 60
#define BINS_MAX 64

enum kind { COUNT, RATIO, STICKINESS, GROWTH, RETENTION };

struct metric {
    const char *name;
    enum kind kind;
    const char *above, *below; /* released metrics; below of a ratio only */
    double scale;
    bool complement;
    const char *unit; /* for people */
};

static const struct metric metrics[] = {
    {"active_users", COUNT, "active_users", NULL, 1, false, "distinct users with at least one event"},
    {"new_users", COUNT, "new_users", NULL, 1, false, "users whose first period this is"},
    {"returning_users", COUNT, "returning_users", NULL, 1, false, "active users who are not new"},
    {"resurrected_users", COUNT, "resurrected_users", NULL, 1, false, "active, not new, not active in the period before"},
    {"sessions", COUNT, "sessions", NULL, 1, false, "sessions that start in the period"},
    {"engaged_sessions", COUNT, "engaged_sessions", NULL, 1, false, "10 s of engaged time, a goal, or two views"},
    {"single_event_sessions", COUNT, "single_event_sessions", NULL, 1, false, "sessions of one event"},
    {"events", COUNT, "events", NULL, 1, false, "events"},
    {"page_views", COUNT, "page_views", NULL, 1, false, "page and screen views"},
    {"visitors", COUNT, "visitors", NULL, 1, false, "anonymous day visitors"},
    {"session_duration", RATIO, "session_duration_ms", "sessions", 0.001, false, "mean seconds from first to last event"},
    {"engaged_time", RATIO, "engaged_ms", "sessions", 0.001, false, "mean seconds of engaged time a session"},
    {"bounce_rate", RATIO, "engaged_sessions", "sessions", 1, true, "share of sessions that are not engaged"},
    {"interaction_frequency", RATIO, "session_events", "sessions", 1, false, "events a session"},
    {"stickiness", STICKINESS, "active_users", "active_users", 1, false, "mean daily active users / monthly active users"},
    {"growth_rate", GROWTH, "active_users", "active_users", 1, false, "monthly active users / those of the month before - 1"},
    {"retention", RETENTION, "retention", NULL, 1, false, "users of a cohort who are active n periods after their first"},
};

struct query {
    struct command_context *context;
    const char *app, *from, *to, *interval, *format;
    const struct metric *metric;
    int32_t from_day, to_day;
    struct apps_row row;
    struct series_point *points; /* the answer */
    size_t count;
    struct series_point bins[BINS_MAX]; /* session_duration: sums over the periods shown */
    size_t bin_count;
    int version; /* of the metric; 0: none seen */
    char preset[32], protection[16], mechanism[64], sigma2[64];
    int k;
};

static const struct metric *find_metric(const char *name)
{
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        if (strcmp(metrics[i].name, name) == 0)
            return &metrics[i];
    }
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static struct series_point read_point(const PGresult *rows, int row)
{
    struct series_point point = {.period = db_get_date(rows, row, 0), .n = db_get_int4(rows, row, 1)};
    point.known = !db_is_null(rows, row, 2);
    point.bounded = point.known && !db_is_null(rows, row, 3) && !db_is_null(rows, row, 4);
    if (point.known)
        point.value = (double)db_get_int8(rows, row, 2);
    if (point.bounded) {
        point.low = (double)db_get_int8(rows, row, 3);
        point.high = (double)db_get_int8(rows, row, 4);
    }
    snprintf(point.reliability, sizeof point.reliability, "%s", db_get_text(rows, row, 5));
    return point;
}

/* The protection of the newest row stands for the answer. */
static void read_protection(struct query *query, const PGresult *rows)
{
    int row = PQntuples(rows) - 1;
    if (row < 0 || query->version != 0)
        return;
    query->version = db_get_int4(rows, row, 6);
    query->k = db_get_int4(rows, row, 7);
    snprintf(query->preset, sizeof query->preset, "%s", db_get_text(rows, row, 8));
    snprintf(query->protection, sizeof query->protection, "%s", db_get_text(rows, row, 9));
    snprintf(query->mechanism, sizeof query->mechanism, "%s", db_get_text(rows, row, 10));
    if (!db_is_null(rows, row, 11))
        snprintf(query->sigma2, sizeof query->sigma2, "%s", db_get_text(rows, row, 11));
}

/* Released points of one metric, from and to included, as an array owned by the caller. */
static enum result read_points(struct query *query, struct db *db, const char *metric, const char *interval, int32_t from,
    int32_t to, struct series_point **out, size_t *count, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, query->row.id);
    db_text(params, metric);
    db_text(params, interval);
    db_date(params, from);
    db_date(params, to);
    enum result result = db_run(db, "query_points",
        "SELECT v.period, v.n, v.value, v.low, v.high, v.reliability, v.metric_version, r.k, r.preset, r.protection,"
        " r.mechanism, r.sigma2 FROM release.value v JOIN release.release r USING (leaf)"
        " WHERE v.app = $1 AND v.metric = $2::text AND v.interval = $3::text AND v.period BETWEEN $4 AND $5"
        " ORDER BY v.period, v.n",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *count = (size_t)PQntuples(rows);
    *out = calloc(*count + 1, sizeof **out);
    for (size_t i = 0; *out != NULL && i < *count; i++)
        (*out)[i] = read_point(rows, (int)i);
    read_protection(query, rows);
    PQclear(rows);
    return *out == NULL ? RESULT_FAILED : RESULT_OK;
}

/* Keep point as the next point of the answer; points are replaced from the front, so *kept never passes the one read. */
static void keep(struct query *query, size_t *kept, const struct series_point *point)
{
    query->points[(*kept)++] = *point;
}

/* Turn the points above into ratios to the points below. Where the other part was never released, there is no ratio. */
static enum result divide(struct query *query, struct db *db, struct failure *why)
{
    struct series_point *below = NULL, ratio;
    size_t count = 0, kept = 0;
    const struct metric *metric = query->metric;
    enum result result = read_points(query, db, metric->below, query->interval, query->from_day, query->to_day, &below,
        &count, why);
    for (size_t i = 0; result == RESULT_OK && i < query->count; i++) {
        const struct series_point *divisor = series_find(below, count, query->points[i].period, -1);
        if (divisor == NULL)
            continue;
        series_ratio(&query->points[i], divisor, metric->scale, metric->complement, &ratio);
        keep(query, &kept, &ratio);
    }
    query->count = kept;
    free(below);
    return result;
}

/* The first day that the app's releases know of: a month that begins before is shorter. */
static enum result read_first_day(struct query *query, struct db *db, int32_t *first, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, query->row.id);
    enum result result = db_run(db, "query_first", "SELECT first_day FROM release.progress WHERE app = $1", params, &rows,
        why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *first = PQntuples(rows) == 0 ? INT32_MIN : db_get_date(rows, 0, 0);
    PQclear(rows);
    return RESULT_OK;
}

static enum result make_sticky(struct query *query, struct db *db, struct failure *why)
{
    int32_t first = INT32_MIN;
    enum result result = read_first_day(query, db, &first, why);
    for (size_t i = 0; result == RESULT_OK && i < query->count; i++) {
        struct series_point month = query->points[i], mean, *days = NULL;
        size_t count = 0;
        int32_t begin = month.period < first ? first : month.period, next = series_month(month.period, 1);
        result = read_points(query, db, "active_users", "day", begin, next - 1, &days, &count, why);
        if (result != RESULT_OK)
            break;
        series_mean(days, count, next - begin, &mean);
        mean.period = month.period;
        series_ratio(&mean, &month, 1, false, &query->points[i]);
        free(days);
    }
    return result;
}

/* The first month has nothing to grow from, and no row. */
static enum result make_growth(struct query *query, struct db *db, struct failure *why)
{
    struct series_point *all = NULL, ratio;
    size_t count = 0, kept = 0;
    int32_t from = query->count == 0 ? query->from_day : series_month(query->points[0].period, -1);
    enum result result = read_points(query, db, "active_users", "month", from, query->to_day, &all, &count, why);
    for (size_t i = 0; result == RESULT_OK && i < query->count; i++) {
        const struct series_point *before = series_find(all, count, series_month(query->points[i].period, -1), -1);
        if (before == NULL)
            continue;
        series_ratio(&query->points[i], before, 1, false, &ratio);
        ratio.value -= 1;
        ratio.low -= 1;
        ratio.high -= 1;
        keep(query, &kept, &ratio);
    }
    query->count = kept;
    free(all);
    return result;
}

/* The histogram of durations over the periods shown; a suppressed bin of any period makes its sum unknown. */
static enum result add_bins(struct query *query, struct db *db, struct failure *why)
{
    struct series_point *all = NULL;
    size_t count = 0;
    enum result result = read_points(query, db, "session_durations", query->interval, query->from_day, query->to_day, &all,
        &count, why);
    for (size_t i = 0; i < BINS_MAX; i++)
        query->bins[i] = (struct series_point){.n = (int32_t)i, .known = true};
    for (size_t i = 0; result == RESULT_OK && i < count; i++) {
        if (all[i].n < 0 || all[i].n >= BINS_MAX)
            continue;
        struct series_point *bin = &query->bins[all[i].n];
        bin->known = bin->known && all[i].known;
        bin->value += all[i].value;
        if ((size_t)all[i].n >= query->bin_count)
            query->bin_count = (size_t)all[i].n + 1;
    }
    free(all);
    return result;
}

static enum result read_answer(struct query *query, struct db *db, struct failure *why)
{
    enum result result = apps_find(db, query->app, &query->row, why);
    if (result == RESULT_OK)
        result = read_points(query, db, query->metric->above, query->interval, query->from_day, query->to_day,
            &query->points, &query->count, why);
    if (result != RESULT_OK)
        return result;
    switch (query->metric->kind) {
    case RATIO:
        result = divide(query, db, why);
        break;
    case STICKINESS:
        result = make_sticky(query, db, why);
        break;
    case GROWTH:
        result = make_growth(query, db, why);
        break;
    case COUNT:
    case RETENTION:
        break;
    }
    if (result == RESULT_OK && strcmp(query->metric->name, "session_duration") == 0)
        result = add_bins(query, db, why);
    return result;
}

/* --- for programs -------------------------------------------------------------------------------------------------- */

static bool is_whole(const struct query *query)
{
    return query->metric->kind == COUNT || query->metric->kind == RETENTION;
}

static void print_number(const struct query *query, bool known, double value)
{
    if (!known)
        return;
    if (is_whole(query))
        printf("%.0f", value);
    else
        printf("%.6g", value);
}

static void print_csv(const struct query *query)
{
    char date[MOMENT_DATE_BYTES];
    bool cohorts = query->metric->kind == RETENTION;
    puts(cohorts ? "cohort,n,value,low,high,reliability" : "period,value,low,high,reliability");
    for (size_t i = 0; i < query->count; i++) {
        const struct series_point *point = &query->points[i];
        fputs(moment_format_date(point->period, date), stdout);
        if (cohorts)
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
    return is_whole(query) ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *point_json(const struct query *query, const struct series_point *point)
{
    char date[MOMENT_DATE_BYTES];
    json_t *row = json_object();
    bool cohort = query->metric->kind == RETENTION;
    json_object_set_new(row, cohort ? "cohort" : "period", json_string(moment_format_date(point->period, date)));
    if (cohort)
        json_object_set_new(row, "n", json_integer(point->n));
    json_object_set_new(row, "value", json_number(query, point->known, point->value));
    json_object_set_new(row, "low", json_number(query, point->bounded, point->low));
    json_object_set_new(row, "high", json_number(query, point->bounded, point->high));
    json_object_set_new(row, "reliability", json_string(point->reliability));
    return row;
}

static void print_json(const struct query *query)
{
    json_t *root = json_pack("{s:s,s:s,s:i,s:s,s:s}", "app", query->app, "metric", query->metric->name, "version",
        query->version, "interval", query->interval, "time_zone", query->row.app.time_zone);
    json_t *rows = json_array(), *bins = json_array();
    for (size_t i = 0; i < query->count; i++)
        json_array_append_new(rows, point_json(query, &query->points[i]));
    json_object_set_new(root, "rows", rows);
    for (size_t i = 0; i < query->bin_count; i++)
        json_array_append_new(bins, json_pack("{s:f,s:o}", "below_s", (double)(1LL << i), "sessions",
                                        query->bins[i].known ? json_integer((json_int_t)query->bins[i].value) : json_null()));
    if (query->bin_count > 0)
        json_object_set_new(root, "histogram", bins);
    else
        json_decref(bins);
    if (query->version != 0)
        json_object_set_new(root, "protection", json_pack("{s:s,s:s,s:s,s:i,s:s*}", "kind", query->protection, "preset",
                                                    query->preset, "mechanism", query->mechanism, "k", query->k, "sigma2",
                                                    query->sigma2[0] == '\0' ? NULL : query->sigma2));
    json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
}

/* --- for people ---------------------------------------------------------------------------------------------------- */

static void number_cell(struct grid *grid, const struct query *query, bool known, double value)
{
    if (!known)
        grid_cell(grid, "—");
    else if (is_whole(query))
        grid_format(grid, "%.0f", value);
    else
        grid_format(grid, "%.4g", value);
}

static void print_sparkline(const struct query *query, size_t first)
{
    char line[TABLE_ROWS * 3 + 1];
    double values[TABLE_ROWS] = {0};
    size_t count = query->count - first;
    for (size_t i = 0; i < count; i++) {
        const struct series_point *point = &query->points[first + i];
        values[i] = !point->known ? -1 : point->value < 0 ? 0 : point->value;
    }
    printf("%s\n", grid_sparkline(values, count, line, sizeof line));
}

static void print_series(const struct query *query)
{
    char date[MOMENT_DATE_BYTES];
    size_t first = query->count > TABLE_ROWS && query->from == NULL ? query->count - TABLE_ROWS : 0;
    static const char *const heads[] = {"period", "value", "low", "high", "reliability"};
    struct grid *grid = grid_new("lrrrl");
    for (size_t i = 0; i < 5; i++)
        grid_cell(grid, heads[i]);
    for (size_t i = first; i < query->count; i++) {
        const struct series_point *point = &query->points[i];
        grid_cell(grid, moment_format_date(point->period, date));
        number_cell(grid, query, point->known, point->value);
        number_cell(grid, query, point->bounded, point->low);
        number_cell(grid, query, point->bounded, point->high);
        grid_cell(grid, point->reliability);
    }
    if (first > 0)
        printf("(%zu earlier periods are not shown; --from shows them)\n", first);
    grid_print(grid, stdout);
    grid_free(grid);
    print_sparkline(query, query->count - first > TABLE_ROWS ? query->count - TABLE_ROWS : first);
}

static void print_bins(const struct query *query)
{
    struct grid *grid = grid_new("rr");
    grid_cell(grid, "duration");
    grid_cell(grid, "sessions");
    for (size_t i = 0; i < query->bin_count; i++) {
        if (i + 1 == query->bin_count && i > 0)
            grid_format(grid, "from %lld s", 1LL << (i - 1));
        else
            grid_format(grid, "below %lld s", 1LL << i);
        number_cell(grid, query, query->bins[i].known, query->bins[i].value);
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
            share_cell(grid, series_find(query->points, query->count, size->period, n), size);
    }
}

static void print_matrix(const struct query *query)
{
    char align[GRID_COLUMNS_MAX + 1] = "lr";
    bool used[GRID_COLUMNS_MAX] = {false};
    size_t columns = 2;
    for (size_t i = 0; i < query->count; i++) {
        if (query->points[i].n > 0 && query->points[i].n < GRID_COLUMNS_MAX - 2)
            used[query->points[i].n] = true;
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
    for (size_t i = 0; i < query->count; i++) {
        if (query->points[i].n == 0)
            print_cohort(grid, query, &query->points[i], used);
    }
    grid_print(grid, stdout);
    grid_free(grid);
    puts("percent of the cohort; blank: not over yet; ·: nobody in it; —: suppressed");
}

static void print_protection(const struct query *query)
{
    if (strcmp(query->protection, "threshold") == 0)
        printf("preset %s: not differentially private; values of fewer than %d people are suppressed (—), the others rounded"
               " to 5; not protected against anyone who can submit events\n",
            query->preset, query->k);
    else if (strcmp(query->protection, "none") == 0)
        printf("preset %s: no protection; exact counts, for tests and data that is public anyway\n", query->preset);
    else
        printf("preset %s: differentially private (%s, sigma2 %s), suppressed (—) below k = %d\n", query->preset,
            query->mechanism, query->sigma2, query->k);
}

static void print_table(const struct query *query)
{
    printf("%s of %s by %s (v%d): %s\n", query->metric->name, query->app, query->interval, query->version,
        query->metric->unit);
    if (query->count == 0) {
        puts("nothing is released for these periods yet: a day is released when it is closed, see `throng status`");
        return;
    }
    if (query->metric->kind == RETENTION)
        print_matrix(query);
    else
        print_series(query);
    if (query->bin_count > 0)
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
    query->metric = find_metric(name);
    if (query->metric == NULL) {
        fputs("metrics:", stderr);
        for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
            fprintf(stderr, " %s", metrics[i].name);
        fputc('\n', stderr);
        return command_usage("query", "there is no such metric");
    }
    bool monthly = query->metric->kind == STICKINESS || query->metric->kind == GROWTH;
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
    free(query.points);
    apps_row_free(&query.row);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("query", &why);
}
