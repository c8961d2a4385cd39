#include "api/series/answer.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/series/cohorts.h"
#include "api/series/consistent.h"
#include "api/series/counted.h"
#include "api/series/items.h"

/* An answer under way. */
struct reading {
    struct db *db;
    const struct answer_question *question;
    struct answer *answer;
    crypto_generichash_state state;
};

/* An array of released points, owned by who reads them. */
struct points {
    struct series_point *list;
    size_t count;
};

static struct series_release read_release(const PGresult *rows, int row)
{
    struct series_release release = {.k = db_get_int4(rows, row, 7), .sealed_at_ms = db_get_time(rows, row, 15)};
    size_t length = 0;
    const uint8_t *leaf = db_get_bytes(rows, row, 13, &length);
    if (length == sizeof release.leaf)
        memcpy(release.leaf, leaf, sizeof release.leaf);
    release.logged = !db_is_null(rows, row, 16);
    if (release.logged)
        release.index = db_get_int8(rows, row, 16);
    if (!db_is_null(rows, row, 11))
        snprintf(release.sigma2, sizeof release.sigma2, "%s", db_get_text(rows, row, 11));
    if (!db_is_null(rows, row, 12))
        snprintf(release.rho, sizeof release.rho, "%s", db_get_text(rows, row, 12));
    return release;
}

static struct series_point read_point(const PGresult *rows, int row)
{
    struct series_point point = {.period = db_get_date(rows, row, 0), .item = -1, .n = db_get_int4(rows, row, 1)};
    point.known = !db_is_null(rows, row, 2);
    point.bounded = point.known && !db_is_null(rows, row, 3) && !db_is_null(rows, row, 4);
    if (point.known)
        point.value = (double)db_get_int8(rows, row, 2);
    point.noisy = !db_is_null(rows, row, 11);
    if (point.known && point.noisy)
        point.variance = strtod(db_get_text(rows, row, 11), NULL);
    if (point.bounded) {
        point.low = (double)db_get_int8(rows, row, 3);
        point.high = (double)db_get_int8(rows, row, 4);
    }
    snprintf(point.reliability, sizeof point.reliability, "%s", db_get_text(rows, row, 5));
    point.release = read_release(rows, row);
    return point;
}

/* The protection of the newest row read first stands for the answer. */
static void read_protection(struct answer *answer, const PGresult *rows)
{
    int row = PQntuples(rows) - 1;
    if (row < 0 || answer->version != 0)
        return;
    answer->version = db_get_int4(rows, row, 6);
    answer->k = db_get_int4(rows, row, 7);
    snprintf(answer->preset, sizeof answer->preset, "%s", db_get_text(rows, row, 8));
    snprintf(answer->protection, sizeof answer->protection, "%s", db_get_text(rows, row, 9));
    snprintf(answer->mechanism, sizeof answer->mechanism, "%s", db_get_text(rows, row, 10));
    if (!db_is_null(rows, row, 11))
        snprintf(answer->sigma2, sizeof answer->sigma2, "%s", db_get_text(rows, row, 11));
    if (!db_is_null(rows, row, 12))
        snprintf(answer->rho, sizeof answer->rho, "%s", db_get_text(rows, row, 12));
}

static int compare_points(const void *a, const void *b)
{
    const struct series_point *left = a, *right = b;
    if (left->period != right->period)
        return left->period < right->period ? -1 : 1;
    if (left->item != right->item)
        return left->item < right->item ? -1 : 1;
    return (left->n > right->n) - (left->n < right->n);
}

/* Of rows that end at the limit the last period may be cut: it is left out. */
static size_t whole_periods(const PGresult *rows, size_t most)
{
    size_t count = (size_t)PQntuples(rows);
    if (most == 0 || count < most)
        return count;
    int32_t last = db_get_date(rows, (int)count - 1, 0);
    while (count > 0 && db_get_date(rows, (int)count - 1, 0) == last)
        count--;
    return count;
}

/* Read rows, which come by period and n, into list; returns how many. What the app does not declare (any more) is left out. */
static size_t fill_points(struct reading *reading, const PGresult *rows, enum metric_list of, struct series_point *list)
{
    size_t count = 0, whole = whole_periods(rows, reading->question->most);
    for (int row = 0; row < (int)whole; row++) {
        list[count] = read_point(rows, row);
        if (items_are_named(of)) {
            list[count].item = items_find(reading->question->declared, of, db_get_text(rows, row, 14));
            if (list[count].item < 0)
                continue;
        }
        const struct series_release *release = &list[count].release;
        const uint8_t logged = release->logged;
        (void)crypto_generichash_update(&reading->state, release->leaf, sizeof release->leaf);
        (void)crypto_generichash_update(&reading->state, &logged, sizeof logged);
        count++;
    }
    if (items_are_named(of))
        qsort(list, count, sizeof *list, compare_points);
    return count;
}

/* The list that a number's rows are of: a ratio's second part may be of the whole app. */
static enum metric_list list_of(const struct metric *metric, const char *number)
{
    bool whole = metric->kind == METRIC_KIND_RATIO && metric->below != NULL && strcmp(number, metric->below) == 0;
    return whole ? METRIC_LIST_NONE : metric->list;
}

/* Released points of one number, from and to included. */
static enum result read_points(struct reading *reading, const char *number, const char *interval, int32_t from, int32_t to,
    struct points *out, struct failure *why)
{
    PGresult *rows = NULL;
    enum metric_list list_read = list_of(reading->question->metric, number);
    const char *item = items_are_named(list_read) ? reading->question->item : "";
    struct db_params *params = db_params_new();
    db_int4(params, reading->question->app);
    db_text(params, number);
    db_text(params, interval);
    db_date(params, from);
    db_date(params, to);
    db_text(params, item);
    if (reading->question->most == 0)
        db_null(params);
    else
        db_int8(params, (int64_t)reading->question->most);
    enum result result = db_run(reading->db, "answer_points",
        "SELECT v.period, v.n, v.value, v.low, v.high, v.reliability, v.metric_version, r.k, r.preset, r.protection,"
        " r.mechanism, coalesce(v.sigma2, r.sigma2), r.rho, uuid_send(v.leaf), v.item,"
        " r.sealed_at, e.index FROM release.value v JOIN release.release r USING (leaf) LEFT JOIN audit.entry e ON e.id = v.leaf"
        " WHERE v.app = $1 AND v.metric = $2::text AND v.interval = $3::text AND v.period BETWEEN $4 AND $5"
        " AND ($6::text IS NULL OR v.item = $6::text) ORDER BY v.period, v.n LIMIT $7::bigint",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    struct series_point *list = calloc((size_t)PQntuples(rows) + 1, sizeof *list);
    size_t count = list == NULL ? 0 : fill_points(reading, rows, list_read, list);
    read_protection(reading->answer, rows);
    PQclear(rows);
    if (list == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    *out = (struct points){list, count};
    return RESULT_OK;
}

/* Read a number in the question's interval and periods. */
static enum result read_asked(struct reading *reading, const char *number, struct points *out, struct failure *why)
{
    const struct answer_question *question = reading->question;
    return read_points(reading, number, question->interval, question->from, question->to, out, why);
}

/* Keep point as the next point of the answer; points are replaced from the front, so *kept never passes the one read. */
static void keep(struct answer *answer, size_t *kept, const struct series_point *point)
{
    answer->points[(*kept)++] = *point;
}

/* Turn the points above into ratios to the points below. Where the other part was never released, there is no ratio. */
static enum result divide(struct reading *reading, struct failure *why)
{
    const struct metric *metric = reading->question->metric;
    struct answer *answer = reading->answer;
    struct points below = {NULL, 0};
    struct series_point ratio;
    size_t kept = 0;
    enum result result = read_asked(reading, metric->below, &below, why);
    for (size_t i = 0; result == RESULT_OK && i < answer->count; i++) {
        const struct series_point *divisor = series_find(below.list, below.count, answer->points[i].period, -1);
        if (divisor == NULL)
            continue;
        series_ratio(&answer->points[i], divisor, metric->scale, metric->complement, &ratio);
        if (metric_is_share(metric))
            series_clamp(&ratio, 0, 1);
        keep(answer, &kept, &ratio);
    }
    answer->count = kept;
    free(below.list);
    return result;
}

/* The first day that the app's releases know of: a month that begins before is shorter. */
static enum result read_first_day(struct reading *reading, int32_t *first, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, reading->question->app);
    enum result result = db_run(reading->db, "answer_first", "SELECT first_day FROM release.progress WHERE app = $1", params,
        &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *first = PQntuples(rows) == 0 ? INT32_MIN : db_get_date(rows, 0, 0);
    PQclear(rows);
    return RESULT_OK;
}

static enum result make_sticky(struct reading *reading, struct failure *why)
{
    const struct metric *metric = reading->question->metric;
    struct answer *answer = reading->answer;
    int32_t first = INT32_MIN;
    enum result result = read_first_day(reading, &first, why);
    for (size_t i = 0; result == RESULT_OK && i < answer->count; i++) {
        struct series_point month = answer->points[i], mean;
        struct points days = {NULL, 0};
        int32_t begin = month.period < first ? first : month.period, next = series_month(month.period, 1);
        result = read_points(reading, metric->above, "day", begin, next - 1, &days, why);
        if (result != RESULT_OK)
            break;
        series_mean(days.list, days.count, next - begin, &mean);
        mean.period = month.period;
        series_ratio(&mean, &month, metric->scale, metric->complement, &answer->points[i]);
        series_clamp(&answer->points[i], 0, 1);
        answer->points[i].release = month.release;
        free(days.list);
    }
    return result;
}

/* The first month has nothing to grow from, and no row. */
static enum result make_growth(struct reading *reading, struct failure *why)
{
    struct answer *answer = reading->answer;
    const struct answer_question *question = reading->question;
    struct points all = {NULL, 0};
    struct series_point ratio;
    size_t kept = 0;
    int32_t from = answer->count == 0 ? question->from : series_month(answer->points[0].period, -1);
    enum result result = read_points(reading, question->metric->below, "month", from, question->to, &all, why);
    for (size_t i = 0; result == RESULT_OK && i < answer->count; i++) {
        const struct series_point *before = series_find(all.list, all.count, series_month(answer->points[i].period, -1), -1);
        if (before == NULL)
            continue;
        series_ratio(&answer->points[i], before, 1, false, &ratio);
        ratio.value -= 1;
        ratio.low -= 1;
        ratio.high -= 1;
        keep(answer, &kept, &ratio);
    }
    answer->count = kept;
    free(all.list);
    return result;
}

/* Turn the bins of each period into its quantile. */
static void make_quantiles(struct reading *reading)
{
    struct answer *answer = reading->answer;
    size_t kept = 0;
    for (size_t first = 0, next; first < answer->count; first = next) {
        struct series_point quantile;
        for (next = first + 1; next < answer->count && answer->points[next].period == answer->points[first].period;)
            next++;
        series_quantile(&answer->points[first], next - first, ANSWER_OPEN_BIN, reading->question->metric->quantile, &quantile);
        keep(answer, &kept, &quantile);
    }
    answer->count = kept;
}

/* The histogram of durations over the periods shown; a suppressed bin of any period makes its sum unknown. */
static enum result add_bins(struct reading *reading, struct failure *why)
{
    struct answer *answer = reading->answer;
    struct points all = {NULL, 0};
    enum result result = read_asked(reading, "session_durations", &all, why);
    for (size_t i = 0; i < SERIES_BINS_MAX; i++)
        answer->bins[i] = (struct series_point){.item = -1, .n = (int32_t)i, .known = true};
    for (size_t i = 0; result == RESULT_OK && i < all.count; i++) {
        const struct series_point *point = &all.list[i];
        if (point->n < 0 || point->n >= SERIES_BINS_MAX)
            continue;
        struct series_point *bin = &answer->bins[point->n];
        bin->known = bin->known && point->known;
        bin->value += point->value;
        if ((size_t)point->n >= answer->bin_count)
            answer->bin_count = (size_t)point->n + 1;
    }
    free(all.list);
    return result;
}

/* Days and weeks that add up, over the whole weeks that the question touches. */
static enum result make_consistent(struct reading *reading, struct failure *why)
{
    const struct answer_question *question = reading->question;
    struct answer *answer = reading->answer;
    struct points days = {NULL, 0}, weeks = {NULL, 0};
    const int32_t from = consistent_monday(question->from), to = consistent_monday(question->to) + CONSISTENT_DAYS - 1;
    enum result result = read_points(reading, question->metric->above, "day", from, to, &days, why);
    if (result == RESULT_OK)
        result = read_points(reading, question->metric->above, "week", from, to, &weeks, why);
    if (result == RESULT_OK) {
        const struct points *asked = strcmp(question->interval, "day") == 0 ? &days : &weeks;
        consistent_weeks(weeks.list, weeks.count, days.list, days.count);
        for (size_t i = 0; i < answer->count; i++) {
            const struct series_point *point = series_find(asked->list, asked->count, answer->points[i].period, -1);
            if (point != NULL)
                answer->points[i] = *point;
        }
    }
    free(days.list);
    free(weeks.list);
    return result;
}

/* Where it was not released: active users less new ones. */
static enum result make_returning(struct reading *reading, struct failure *why)
{
    struct points active = {NULL, 0}, fresh = {NULL, 0};
    enum result result = read_asked(reading, "active_users", &active, why);
    if (result == RESULT_OK)
        result = read_asked(reading, "new_users", &fresh, why);
    if (result == RESULT_OK)
        result = cohorts_returning(&(struct cohorts_points){active.list, active.count},
            &(struct cohorts_points){fresh.list, fresh.count}, reading->answer, why);
    free(active.list);
    free(fresh.list);
    return result;
}

/* The cohorts' sizes, where they were released as new users, and what share of them each number is. */
static enum result make_retention(struct reading *reading, struct failure *why)
{
    struct points fresh = {NULL, 0};
    enum result result = read_asked(reading, "new_users", &fresh, why);
    const struct cohorts_points sizes = {fresh.list, fresh.count};
    if (result == RESULT_OK && reading->question->metric->kind == METRIC_KIND_ON_OR_AFTER)
        result = cohorts_on_or_after(&sizes, reading->answer, why);
    else if (result == RESULT_OK)
        result = cohorts_retention(&sizes, reading->answer, why);
    free(fresh.list);
    return result;
}

/* What an app's own names are asked by: the points above become the answer with what they are divided by and spread over. */
static enum result count_declared(struct reading *reading, const char *below, const char *spread, struct failure *why)
{
    const struct answer_question *question = reading->question;
    const struct app *app = question->declared;
    size_t position = (size_t)items_find(app, question->metric->list, question->item);
    struct points sums = {reading->answer->points, reading->answer->count}, counts = {NULL, 0}, bins = {NULL, 0};
    enum result result = below == NULL ? RESULT_OK : read_asked(reading, below, &counts, why);
    if (result == RESULT_OK && spread != NULL)
        result = read_asked(reading, spread, &bins, why);
    reading->answer->points = NULL;
    const struct counted_points a = {sums.list, sums.count}, b = {counts.list, counts.count}, c = {bins.list, bins.count};
    if (result == RESULT_OK && question->metric->kind == METRIC_KIND_MEASURE)
        result = counted_measure(&app->measures[position], &a, &b, &c, reading->answer, why);
    else if (result == RESULT_OK && question->metric->kind == METRIC_KIND_FUNNEL)
        result = counted_funnel(&app->funnels[position], &a, reading->answer, why);
    else if (result == RESULT_OK)
        result = counted_outcome(&app->outcomes[position], &app->measures[app->outcomes[position].measure], &a, &b, &c,
            reading->answer, why);
    free(sums.list);
    free(counts.list);
    free(bins.list);
    return result;
}

static enum result compute(struct reading *reading, struct failure *why)
{
    enum result result = RESULT_OK;
    switch (reading->question->metric->kind) {
    case METRIC_KIND_RATIO:
        result = divide(reading, why);
        break;
    case METRIC_KIND_STICKINESS:
        return make_sticky(reading, why);
    case METRIC_KIND_GROWTH:
        return make_growth(reading, why);
    case METRIC_KIND_QUANTILE:
        make_quantiles(reading);
        return RESULT_OK;
    case METRIC_KIND_MEASURE:
        return count_declared(reading, "measure_count", "measure_bins", why);
    case METRIC_KIND_FUNNEL:
        return count_declared(reading, NULL, NULL, why);
    case METRIC_KIND_OUTCOME:
        return count_declared(reading, "outcome_users", "outcome_bins", why);
    case METRIC_KIND_RETURNING:
        return make_returning(reading, why);
    case METRIC_KIND_RETENTION:
    case METRIC_KIND_ON_OR_AFTER:
        return make_retention(reading, why);
    case METRIC_KIND_COUNT:
        return reading->question->consistent ? make_consistent(reading, why) : RESULT_OK;
    case METRIC_KIND_HISTOGRAM:
        return RESULT_OK;
    }
    if (result == RESULT_OK && strcmp(reading->question->metric->name, "session_duration") == 0)
        result = add_bins(reading, why);
    return result;
}

enum result answer_read(struct db *db, const struct answer_question *question, struct answer *out, struct failure *why)
{
    struct reading reading = {.db = db, .question = question, .answer = out};
    struct points points = {NULL, 0};
    *out = (struct answer){.points = NULL};
    if (question->item != NULL && items_find(question->declared, question->metric->list, question->item) < 0) {
        failure_set(why, "item", "is not one that the app declares");
        return RESULT_INVALID;
    }
    (void)crypto_generichash_init(&reading.state, NULL, 0, sizeof out->digest);
    enum result result = read_asked(&reading, question->metric->above, &points, why);
    if (result != RESULT_OK)
        return result;
    out->points = points.list;
    out->count = points.count;
    result = compute(&reading, why);
    if (result != RESULT_OK) {
        answer_free(out);
        return result;
    }
    (void)crypto_generichash_final(&reading.state, out->digest, sizeof out->digest);
    return RESULT_OK;
}

void answer_free(struct answer *answer)
{
    free(answer->points);
    free(answer->details);
    free(answer->spread);
    answer->points = answer->details = answer->spread = NULL;
    answer->count = 0;
}
