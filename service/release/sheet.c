#include "service/release/sheet.h"

#include <stdlib.h>

#include "service/release/declared.h"
#include "service/release/period.h"

/* What one call of sheet_fill works on. */
struct work {
    struct sheet *sheet;
    const struct app *app;
    const struct policy *policy;
    const struct noise_source *source;
    const struct cells *cells;
    int32_t first_day, day;
    enum family_stage stage;
    struct failure *why;
};

static bool grow(struct sheet *sheet)
{
    if (sheet->row_count < sheet->row_room)
        return true;
    size_t room = sheet->row_room == 0 ? 256 : sheet->row_room * 2;
    struct sheet_row *rows = realloc(sheet->rows, room * sizeof *rows);
    if (rows == NULL)
        return false;
    sheet->rows = rows;
    sheet->row_room = room;
    return true;
}

/* The cell called key, as a row of period. */
static enum result add(const struct work *work, const struct cells_key *key, int32_t period)
{
    struct sheet *sheet = work->sheet;
    if (!grow(sheet)) {
        failure_set(work->why, "", "no memory for the rows of a release");
        return RESULT_FULL;
    }
    struct cell cell = cells_get(work->cells, key);
    struct sheet_row row = {.number = key->number, .period = period, .item = key->item, .n = key->n};
    enum result result = cell_release(work->policy, work->source, key->number, &cell, &row.released, work->why);
    if (result == RESULT_OK)
        sheet->rows[sheet->row_count++] = row;
    return result;
}

static int32_t retention_max(const struct app *app, enum family_interval interval)
{
    uint32_t most = interval == INTERVAL_DAY ? app->retention_days
                  : interval == INTERVAL_WEEK ? app->retention_weeks : app->retention_months;
    return most > INT16_MAX ? INT16_MAX : (int32_t)most;
}

/* The cohorts for which this period is one of the declared N; those before the app's first day do not exist. */
static enum result add_retention(const struct work *work, struct cells_key *key, int32_t period)
{
    int32_t oldest = period_of(key->interval, work->first_day);
    int32_t most = retention_max(work->app, key->interval);
    enum result result = RESULT_OK;
    for (key->n = 0; key->n <= most && result == RESULT_OK; key->n++) {
        int32_t cohort = period_add(key->interval, period, -key->n);
        if (cohort < oldest)
            break;
        result = add(work, key, cohort);
    }
    return result;
}

/* Every cell that the declared thing key->item has. */
static enum result add_item(const struct work *work, struct cells_key *key, int32_t period)
{
    int32_t n[DECLARED_CELLS_MAX];
    size_t count = declared_cells(work->app, key->number, key->item, n);
    enum result result = RESULT_OK;
    for (size_t i = 0; i < count && result == RESULT_OK; i++) {
        key->n = n[i];
        result = add(work, key, period);
    }
    return result;
}

static enum result add_items(const struct work *work, struct cells_key *key, int32_t period)
{
    int32_t count = declared_items(work->app, key->number);
    enum result result = RESULT_OK;
    for (key->item = 0; key->item < count && result == RESULT_OK; key->item++)
        result = add_item(work, key, period);
    return result;
}

static enum result add_number(const struct work *work, enum family_number number, enum family_interval interval,
    int32_t period)
{
    struct cells_key key = {.day = work->day, .number = number, .interval = interval, .item = -1, .n = -1};
    if (number == NUMBER_RETENTION)
        return add_retention(work, &key, period);
    if (declared_has_items(number))
        return add_items(work, &key, period);
    if (number == NUMBER_VISITORS && !work->app->anonymous_visitors)
        return RESULT_OK;
    if (number != NUMBER_SESSION_DURATIONS)
        return add(work, &key, period);
    enum result result = RESULT_OK;
    for (key.n = 0; key.n < SHEET_BINS && result == RESULT_OK; key.n++)
        result = add(work, &key, period);
    return result;
}

static enum result add_family(const struct work *work, enum family_id family, enum family_interval interval)
{
    struct sheet *sheet = work->sheet;
    struct sheet_release release = {.family = family, .interval = interval, .period = period_of(interval, work->day),
        .funnel = -1, .first = sheet->row_count};
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        const struct family_number_row *row = family_number(number);
        if (row->family != family || row->stage != work->stage || !policy_allows(work->policy, number, interval))
            continue;
        enum result result = add_number(work, number, interval, release.period);
        if (result != RESULT_OK)
            return result;
    }
    release.count = sheet->row_count - release.first;
    if (release.count > 0)
        sheet->releases[sheet->release_count++] = release;
    return RESULT_OK;
}

/* The row of number in the release that belongs to a whole family. */
static struct sheet_row *find(struct sheet *sheet, enum family_number number, enum family_interval interval, int32_t item,
    int32_t n)
{
    for (size_t i = 0; i < sheet->release_count; i++) {
        const struct sheet_release *release = &sheet->releases[i];
        if (release->interval != interval || release->family != family_number(number)->family || release->funnel >= 0)
            continue;
        for (size_t j = release->first; j < release->first + release->count; j++)
            if (sheet->rows[j].number == number && sheet->rows[j].item == item && sheet->rows[j].n == n)
                return &sheet->rows[j];
    }
    return NULL;
}

/* Active users are released too, so new and returning stand or fall together. Both have other names: the size of the cohort
 * that began in this period is its new users; and in the app's second period, where only one cohort can come back, that
 * cohort's retention is the returning ones. */
static void complement_new(const struct work *work, enum family_interval interval)
{
    struct sheet_row *new_users = find(work->sheet, NUMBER_NEW_USERS, interval, -1, -1);
    struct sheet_row *returning = find(work->sheet, NUMBER_RETURNING_USERS, interval, -1, -1);
    struct sheet_row *cohort = find(work->sheet, NUMBER_RETENTION, interval, -1, 0);
    if (new_users == NULL || returning == NULL)
        return;
    cell_complement(work->policy, &new_users->released, &returning->released);
    if (cohort != NULL && new_users->released.suppressed)
        cohort->released = cell_suppressed();
    struct sheet_row *back = find(work->sheet, NUMBER_RETENTION, interval, -1, 1);
    int32_t first = period_of(interval, work->first_day);
    if (back != NULL && returning->released.suppressed && back->period == first
        && period_distance(interval, first, period_of(interval, work->day)) == 1)
        back->released = cell_suppressed();
}

/* The cells rows[0 … count - 1] make up a whole. Whether one of them is suppressed, before and after alike. */
static bool complement_parts(const struct work *work, struct sheet_row *rows, size_t count)
{
    struct released *parts[MEASURE_BINS_MAX] = {NULL};
    bool suppressed = false;
    for (size_t i = 0; i < count; i++) {
        parts[i] = &rows[i].released;
        suppressed = suppressed || parts[i]->suppressed;
    }
    cell_complement_parts(work->policy, parts, count);
    return suppressed;
}

/* The bins of a measure make up its count. Where it takes three values at most each bin is one of them, and count and sum
 * are two equations for the bins: then the sum is not shown beside a suppressed bin either. */
static void complement_measures(const struct work *work, enum family_interval interval)
{
    struct sheet *sheet = work->sheet;
    if (!work->policy->complementary)
        return;
    for (int32_t item = 0; (size_t)item < work->app->measure_count; item++) {
        int32_t n[DECLARED_CELLS_MAX];
        size_t count = declared_cells(work->app, NUMBER_MEASURE_BINS, item, n);
        struct sheet_row *bins = find(sheet, NUMBER_MEASURE_BINS, interval, item, 0);
        struct sheet_row *sum = find(sheet, NUMBER_MEASURE_SUM, interval, item, -1);
        if (bins == NULL || sum == NULL)
            continue;
        bool suppressed = complement_parts(work, bins, count);
        if (suppressed && declared_steps(&work->app->measures[item]) <= 2)
            sum->released = cell_suppressed();
    }
}

/* The release of funnel `item` that the closing of the day makes due, if there is one. How many began has other names: the
 * active users of an app in which everybody does, the users of a feature that is the first step. */
static enum result add_funnel(const struct work *work, int32_t item)
{
    struct sheet *sheet = work->sheet;
    int32_t week = work->day - (int32_t)work->app->funnels[item].window_days - 7;
    if (week != period_of(INTERVAL_WEEK, week) || week < work->first_day)
        return RESULT_OK;
    struct cells_key key = {.day = work->day, .number = NUMBER_FUNNEL_USERS, .interval = INTERVAL_WEEK, .item = item};
    struct sheet_release release = {.family = FAMILY_FUNNELS, .interval = INTERVAL_WEEK, .period = week, .funnel = item,
        .first = sheet->row_count};
    enum result result = add_item(work, &key, week);
    if (result != RESULT_OK)
        return result;
    release.count = sheet->row_count - release.first;
    (void)complement_parts(work, sheet->rows + release.first, release.count);
    sheet->releases[sheet->release_count++] = release;
    return RESULT_OK;
}

static enum result add_funnels(const struct work *work)
{
    enum result result = RESULT_OK;
    if (work->stage != family_number(NUMBER_FUNNEL_USERS)->stage ||
        !policy_allows(work->policy, NUMBER_FUNNEL_USERS, INTERVAL_WEEK))
        return RESULT_OK;
    for (int32_t item = 0; (size_t)item < work->app->funnel_count && result == RESULT_OK; item++)
        result = add_funnel(work, item);
    return result;
}

enum result sheet_fill(struct sheet *sheet, const struct app *app, const struct policy *policy,
    const struct noise_source *source, int32_t first_day, int32_t day, enum family_stage stage, const struct cells *cells,
    struct failure *why)
{
    const struct work work = {sheet, app, policy, source, cells, first_day, day, stage, why};
    sheet->release_count = 0;
    sheet->row_count = 0;
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++) {
        if (!period_ends_on(interval, day))
            continue;
        for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
            enum result result = family == FAMILY_FUNNELS ? RESULT_OK : add_family(&work, family, interval);
            if (result != RESULT_OK)
                return result;
        }
        complement_new(&work, interval);
        complement_measures(&work, interval);
    }
    return add_funnels(&work);
}

void sheet_free(struct sheet *sheet)
{
    free(sheet->rows);
    *sheet = (struct sheet){0};
}
