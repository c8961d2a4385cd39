#include "service/release/sheet.h"

#include <stdlib.h>

#include "anonymizer/release/plan.h"
#include "anonymizer/release/cohort.h"
#include "service/release/declared.h"
#include "service/release/period.h"

/* What one call of sheet_fill works on; release is the one that cells are added to. */
struct work {
    struct sheet *sheet;
    const struct sheet_job *job;
    struct sheet_release *release;
    bool refused; /* a cell of release was */
    struct failure *why;
};

static const struct rational none = {0, 1};

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

static bool has_noise(const struct work *work)
{
    return work->job->policy->protection == PROTECTION_DP;
}

static int32_t month_of(int32_t day)
{
    return period_of(INTERVAL_MONTH, day);
}

/* Whether the plans let the cell leave; if so what its release is granted covers it. */
static bool grant(struct work *work, const struct cells_key *key, int32_t period)
{
    const struct sheet_job *job = work->job;
    int32_t from = month_of(period), to = job->month;
    if (!ledger_has_cell(job->ledger, to, to, key->number, key->interval, key->item, key->n))
        return false;
    struct ledger_grant one = ledger_grant(job->ledger, family_number(key->number)->family, from, to);
    if (!one.reserved || !ledger_has_cell(job->ledger, from, to, key->number, key->interval, key->item, key->n)) {
        work->refused = true;
        return false;
    }
    struct ledger_grant *all = &work->release->grant;
    all->reserved = true;
    all->unprotected = all->unprotected || one.unprotected;
    all->k = one.k > all->k ? one.k : all->k;
    if (rational_compare(one.sigma2, all->sigma2) > 0) {
        all->sigma2 = one.sigma2;
        all->rho = one.rho;
    }
    return true;
}

/* The cell called key, as a row of period. With noise, its value comes when the whole release is known (protect). */
static enum result add(struct work *work, const struct cells_key *key, int32_t period)
{
    struct sheet *sheet = work->sheet;
    if (has_noise(work) && !grant(work, key, period))
        return RESULT_OK;
    if (!grow(sheet)) {
        failure_set(work->why, "", "no memory for the rows of a release");
        return RESULT_FULL;
    }
    struct sheet_row row = {.number = key->number, .period = period, .item = key->item, .n = key->n, .sigma2 = none};
    enum result result = RESULT_OK;
    if (!has_noise(work)) {
        struct cell cell = cells_get(work->job->cells, key);
        result = cell_release(work->job->policy, work->job->source, key->number, &cell, &row.released, work->why);
    }
    if (result == RESULT_OK)
        sheet->rows[sheet->row_count++] = row;
    return result;
}

/* The noise of number's cells in the release; reckoned again only when something it depends on is another. */
static enum result level_of(const struct work *work, const struct sheet_release *release, enum family_number number,
    const struct plan_level **out)
{
    const struct sheet_job *job = work->job;
    struct sheet_level *known = &work->sheet->levels[number];
    int64_t clamp = ledger_clamp(job->ledger, month_of(release->period), job->month, number);
    *out = &known->level;
    if (known->sigma2.denominator != 0 && rational_compare(known->sigma2, release->grant.sigma2) == 0 &&
        known->k == release->grant.k && known->level.clamp == clamp)
        return RESULT_OK;
    struct plan_level level;
    enum result result = plan_level(number, release->grant.sigma2, clamp, release->grant.k, &level, work->why);
    if (result == RESULT_OK)
        *known = (struct sheet_level){release->grant.sigma2, release->grant.k, level};
    return result;
}

/* The released cell that decides whether row's is shown; NULL: it does itself. */
static const struct released *governor_of(const struct work *work, const struct sheet_release *release,
    const struct sheet_row *row)
{
    enum family_number governor = plan_governor(row->number);
    for (size_t i = release->first; governor != row->number && i < work->sheet->row_count; i++) {
        const struct sheet_row *other = &work->sheet->rows[i];
        if (other->number == governor && other->period == row->period && other->item == row->item && other->n == row->n)
            return &other->released;
    }
    return NULL;
}

/* Draw the noise of every cell of the release. */
static enum result protect(const struct work *work, const struct sheet_release *release)
{
    const struct sheet_job *job = work->job;
    enum result result = RESULT_OK;
    for (size_t i = release->first; i < release->first + release->count && result == RESULT_OK; i++) {
        struct sheet_row *row = &work->sheet->rows[i];
        const struct cells_key key = {.day = job->day, .number = row->number, .interval = release->interval, .item = row->item,
            .n = row->n};
        const struct cell cell = cells_get(job->cells, &key);
        const struct plan_level *level = NULL;
        result = level_of(work, release, row->number, &level);
        if (result != RESULT_OK)
            break;
        row->sigma2 = level->sigma2;
        result = cell_protect(level, job->source, row->number, &cell, governor_of(work, release, row), &row->released,
            work->why);
    }
    return result;
}

static void begin(struct work *work, enum family_id family, enum family_interval interval, int32_t period, int32_t item)
{
    struct sheet *sheet = work->sheet;
    work->refused = false;
    work->release = &sheet->releases[sheet->release_count];
    *work->release = (struct sheet_release){.family = family, .interval = interval, .period = period, .item = item,
        .first = sheet->row_count, .grant = {.sigma2 = none, .rho = none}};
}

/* The release stands if it has a row. If it has none because a month has not paid for it, that is told. */
static enum result end(struct work *work)
{
    struct sheet *sheet = work->sheet;
    struct sheet_release *release = work->release;
    release->count = sheet->row_count - release->first;
    if (release->count > 0)
        sheet->release_count++;
    else if (work->refused)
        sheet->refused[sheet->refused_count++] = *release;
    return release->count > 0 && has_noise(work) ? protect(work, release) : RESULT_OK;
}

static int32_t retention_max(const struct app *app, enum family_interval interval)
{
    uint32_t most = interval == INTERVAL_DAY ? app->retention_days
                  : interval == INTERVAL_WEEK ? app->retention_weeks : app->retention_months;
    return most > INT16_MAX ? INT16_MAX : (int32_t)most;
}

/* The cohorts for which this period is one of the declared N; those before the app's first day do not exist. */
static enum result add_retention(struct work *work, struct cells_key *key, int32_t period)
{
    int32_t oldest = period_of(key->interval, work->job->first_day);
    int32_t most = retention_max(work->job->app, key->interval);
    enum result result = RESULT_OK;
    for (key->n = 0; key->n <= most && result == RESULT_OK; key->n++) {
        int32_t cohort = period_add(key->interval, period, -key->n);
        if (cohort < oldest)
            break;
        result = add(work, key, cohort);
    }
    return result;
}

/* When the people of the cohort that matured with this period were active last: n periods after it, the last n told or later. */
static enum result add_last_active(struct work *work, struct cells_key *key, int32_t period)
{
    int32_t cohort = period_add(key->interval, period, -PLAN_LAST_ACTIVE_MAX);
    enum result result = RESULT_OK;
    if (cohort < period_of(key->interval, work->job->first_day) || !cohort_matures(work->job->app))
        return RESULT_OK;
    for (key->n = 0; key->n <= PLAN_LAST_ACTIVE_MAX && result == RESULT_OK; key->n++)
        result = add(work, key, cohort);
    return result;
}

/* Every cell that the declared thing key->item has. */
static enum result add_item(struct work *work, struct cells_key *key, int32_t period)
{
    int32_t n[DECLARED_CELLS_MAX];
    size_t count = declared_cells(work->job->app, key->number, key->item, n);
    enum result result = RESULT_OK;
    for (size_t i = 0; i < count && result == RESULT_OK; i++) {
        key->n = n[i];
        result = add(work, key, period);
    }
    return result;
}

static enum result add_items(struct work *work, struct cells_key *key, int32_t period)
{
    int32_t count = declared_items(work->job->app, key->number);
    enum result result = RESULT_OK;
    for (key->item = 0; key->item < count && result == RESULT_OK; key->item++)
        result = add_item(work, key, period);
    return result;
}

static enum result add_bins(struct work *work, struct cells_key *key, int32_t period)
{
    enum result result = RESULT_OK;
    for (key->n = 0; key->n < SHEET_BINS && result == RESULT_OK; key->n++)
        result = add(work, key, period);
    return result;
}

/* The cells of number in the open release. */
static enum result add_number(struct work *work, enum family_number number)
{
    const struct sheet_release *release = work->release;
    int32_t period = release->period;
    struct cells_key key = {.day = work->job->day, .number = number, .interval = release->interval, .item = release->item,
        .n = -1};
    if (number == NUMBER_RETENTION)
        return add_retention(work, &key, period);
    if (number == NUMBER_LAST_ACTIVE)
        return add_last_active(work, &key, period);
    if (number == NUMBER_SESSION_DURATIONS)
        return add_bins(work, &key, period);
    if (number == NUMBER_VISITORS && !work->job->app->anonymous_visitors)
        return RESULT_OK;
    if (!declared_has_items(number))
        return add(work, &key, period);
    return release->item >= 0 ? add_item(work, &key, period) : add_items(work, &key, period);
}

/* The release of the family in which day is the last of the period. item: of that thing only; -1: of all. */
static enum result add_release(struct work *work, enum family_id family, enum family_interval interval, int32_t item)
{
    begin(work, family, interval, period_of(interval, work->job->day), item);
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        const struct family_number_row *row = family_number(number);
        if (row->family != family || row->stage != work->job->stage || !policy_allows(work->job->policy, number, interval))
            continue;
        enum result result = add_number(work, number);
        if (result != RESULT_OK)
            return result;
    }
    return end(work);
}

static enum result add_family(struct work *work, enum family_id family, enum family_interval interval)
{
    int32_t things = declared_split(work->job->app, family);
    if (things < 0)
        return add_release(work, family, interval, -1);
    enum result result = RESULT_OK;
    for (int32_t item = 0; item < things && result == RESULT_OK; item++)
        result = add_release(work, family, interval, item);
    return result;
}

/* The row of number in a release of the interval that is not a funnel's. */
static struct sheet_row *find(struct sheet *sheet, enum family_number number, enum family_interval interval, int32_t item,
    int32_t n)
{
    for (size_t i = 0; i < sheet->release_count; i++) {
        const struct sheet_release *release = &sheet->releases[i];
        if (release->interval != interval || release->family != family_number(number)->family )
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
    cell_complement(work->job->policy, &new_users->released, &returning->released);
    if (cohort != NULL && new_users->released.suppressed)
        cohort->released = cell_suppressed();
    struct sheet_row *back = find(work->sheet, NUMBER_RETENTION, interval, -1, 1);
    int32_t first = period_of(interval, work->job->first_day);
    if (back != NULL && returning->released.suppressed && back->period == first
        && period_distance(interval, first, period_of(interval, work->job->day)) == 1)
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
    cell_complement_parts(work->job->policy, parts, count);
    return suppressed;
}

/* The bins of a measure make up its count. Where it takes three values at most each bin is one of them, and count and sum
 * are two equations for the bins: then the sum is not shown beside a suppressed bin either. */
static void complement_measures(const struct work *work, enum family_interval interval)
{
    struct sheet *sheet = work->sheet;
    if (!work->job->policy->complementary)
        return;
    for (int32_t item = 0; (size_t)item < work->job->app->measure_count; item++) {
        int32_t n[DECLARED_CELLS_MAX];
        size_t count = declared_cells(work->job->app, NUMBER_MEASURE_BINS, item, n);
        struct sheet_row *bins = find(sheet, NUMBER_MEASURE_BINS, interval, item, 0);
        struct sheet_row *sum = find(sheet, NUMBER_MEASURE_SUM, interval, item, -1);
        if (bins == NULL || sum == NULL)
            continue;
        bool suppressed = complement_parts(work, bins, count);
        if (suppressed && declared_steps(&work->job->app->measures[item]) <= 2)
            sum->released = cell_suppressed();
    }
}

/* The release of funnel `item` that the closing of the day makes due, if there is one. How many began has other names: the
 * active users of an app in which everybody does, the users of a feature that is the first step. */
static enum result add_funnel(struct work *work, int32_t item)
{
    int32_t week = work->job->day - (int32_t)work->job->app->funnels[item].window_days - 7;
    if (week != period_of(INTERVAL_WEEK, week) || week < work->job->first_day)
        return RESULT_OK;
    struct cells_key key = {.day = work->job->day, .number = NUMBER_FUNNEL_USERS, .interval = INTERVAL_WEEK, .item = item};
    begin(work, FAMILY_FUNNELS, INTERVAL_WEEK, week, item);
    enum result result = add_item(work, &key, week);
    if (result == RESULT_OK)
        result = end(work);
    if (result == RESULT_OK)
        (void)complement_parts(work, work->sheet->rows + work->release->first, work->release->count);
    return result;
}

static enum result add_funnels(struct work *work)
{
    enum result result = RESULT_OK;
    if (work->job->stage != family_number(NUMBER_FUNNEL_USERS)->stage ||
        !policy_allows(work->job->policy, NUMBER_FUNNEL_USERS, INTERVAL_WEEK))
        return RESULT_OK;
    for (int32_t item = 0; (size_t)item < work->job->app->funnel_count && result == RESULT_OK; item++)
        result = add_funnel(work, item);
    return result;
}

enum result sheet_fill(struct sheet *sheet, const struct sheet_job *job, struct failure *why)
{
    struct work work = {.sheet = sheet, .job = job, .why = why};
    sheet->release_count = sheet->refused_count = sheet->row_count = 0;
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++) {
        if (!period_ends_on(interval, job->day))
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
