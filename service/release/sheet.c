#include "service/release/sheet.h"

#include <stdlib.h>

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

static enum result add(const struct work *work, enum family_number number, enum family_interval interval, int32_t period,
    int32_t n)
{
    struct sheet *sheet = work->sheet;
    if (!grow(sheet)) {
        failure_set(work->why, "", "no memory for the rows of a release");
        return RESULT_FULL;
    }
    struct cell cell = cells_get(work->cells, work->day, number, interval, n);
    struct sheet_row row = {.number = number, .period = period, .n = n};
    enum result result = cell_release(work->policy, work->source, number, &cell, &row.released, work->why);
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
static enum result add_retention(const struct work *work, enum family_interval interval, int32_t period)
{
    int32_t oldest = period_of(interval, work->first_day);
    int32_t most = retention_max(work->app, interval);
    enum result result = RESULT_OK;
    for (int32_t n = 0; n <= most && result == RESULT_OK; n++) {
        int32_t cohort = period_add(interval, period, -n);
        if (cohort < oldest)
            break;
        result = add(work, NUMBER_RETENTION, interval, cohort, n);
    }
    return result;
}

static enum result add_number(const struct work *work, enum family_number number, enum family_interval interval,
    int32_t period)
{
    if (number == NUMBER_RETENTION)
        return add_retention(work, interval, period);
    if (number == NUMBER_VISITORS && !work->app->anonymous_visitors)
        return RESULT_OK;
    if (number != NUMBER_SESSION_DURATIONS)
        return add(work, number, interval, period, -1);
    enum result result = RESULT_OK;
    for (int32_t bin = 0; bin < SHEET_BINS && result == RESULT_OK; bin++)
        result = add(work, number, interval, period, bin);
    return result;
}

static enum result add_family(const struct work *work, enum family_id family, enum family_interval interval)
{
    struct sheet *sheet = work->sheet;
    struct sheet_release release = {.family = family, .interval = interval, .period = period_of(interval, work->day),
        .first = sheet->row_count};
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

static struct sheet_row *find(struct sheet *sheet, enum family_number number, enum family_interval interval, int32_t n)
{
    for (size_t i = 0; i < sheet->release_count; i++) {
        const struct sheet_release *release = &sheet->releases[i];
        if (release->interval != interval || release->family != family_number(number)->family)
            continue;
        for (size_t j = release->first; j < release->first + release->count; j++)
            if (sheet->rows[j].number == number && sheet->rows[j].n == n)
                return &sheet->rows[j];
    }
    return NULL;
}

/* Active users are released too, so new and returning stand or fall together. Both have other names: the size of the cohort
 * that began in this period is its new users; and in the app's second period, where only one cohort can come back, that
 * cohort's retention is the returning ones. */
static void complement(const struct work *work, enum family_interval interval)
{
    struct sheet_row *new_users = find(work->sheet, NUMBER_NEW_USERS, interval, -1);
    struct sheet_row *returning = find(work->sheet, NUMBER_RETURNING_USERS, interval, -1);
    struct sheet_row *cohort = find(work->sheet, NUMBER_RETENTION, interval, 0);
    if (new_users == NULL || returning == NULL)
        return;
    cell_complement(work->policy, &new_users->released, &returning->released);
    if (cohort != NULL && new_users->released.suppressed)
        cohort->released = cell_suppressed();
    struct sheet_row *back = find(work->sheet, NUMBER_RETENTION, interval, 1);
    int32_t first = period_of(interval, work->first_day);
    if (back != NULL && returning->released.suppressed && back->period == first
        && period_distance(interval, first, period_of(interval, work->day)) == 1)
        back->released = cell_suppressed();
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
            enum result result = add_family(&work, family, interval);
            if (result != RESULT_OK)
                return result;
        }
        complement(&work, interval);
    }
    return RESULT_OK;
}

void sheet_free(struct sheet *sheet)
{
    free(sheet->rows);
    *sheet = (struct sheet){0};
}
