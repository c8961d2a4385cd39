#include "service/aggregate/close.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/activity.h"
#include "service/aggregate/cohorts.h"
#include "service/aggregate/entities.h"
#include "service/aggregate/journeys.h"
#include "service/aggregate/marks.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/samples.h"
#include "service/aggregate/sessions.h"
#include "service/aggregate/stage.h"
#include "service/aggregate/weeks.h"

/* For the transaction: a day's persons are grouped and joined in memory, a shard's at a time. */
#define WORKING_MEMORY "SET LOCAL work_mem = '64MB'"

/* How far each stage may go now. FOLD_NO_DAY: not at all. */
struct due {
    int32_t activity, sessions;
};

/* The last day that ended at least wait_ms before watermark_ms. */
static int32_t last_day_before(const struct calendar *calendar, int64_t watermark_ms, int64_t wait_ms)
{
    if (watermark_ms < TS_MIN_MS + wait_ms || watermark_ms - wait_ms >= TS_MAX_MS)
        return FOLD_NO_DAY;
    return calendar_day(calendar, watermark_ms - wait_ms) - 1;
}

/* at: index of the app in shard->apps, which stand in the directory's order. */
static struct due due_of(const struct shard *shard, size_t at, int64_t watermark_ms)
{
    struct due due = {FOLD_NO_DAY, FOLD_NO_DAY};
    size_t count;
    const struct directory_app *known = &directory_apps(shard->directory, &count)[at];
    const struct app *definition = known->definition;
    assert(at < count && definition->id == shard->apps[at].app);
    if (!known->importing) {
        int64_t lateness = definition->lateness_ms;
        due.activity = last_day_before(known->calendar, watermark_ms, lateness);
        due.sessions = last_day_before(known->calendar, watermark_ms,
            lateness + SESSION_MAX_MS + definition->session_timeout_ms);
        /* Around a day of 23 or 25 hours that is not enough: every day that a session may reach takes no more events. */
        while (due.sessions > CALENDAR_FIRST_DAY &&
            calendar_day(known->calendar, calendar_end_ms(known->calendar, due.sessions) + SESSION_MAX_MS - 1) > due.activity)
            due.sessions--;
    }
    /* Until the day an app was made is over, its history may still be imported. */
    if (shard->apps[at].activity_through == FOLD_NO_DAY && due.activity < known->created_day)
        due.activity = FOLD_NO_DAY;
    bool ordered = known->seal_through_day >= CALENDAR_FIRST_DAY && known->seal_through_day < CALENDAR_LAST_DAY &&
        (known->seal_force || known->seal_requested_ms < watermark_ms);
    if (ordered && known->seal_through_day > due.activity)
        due.activity = known->seal_through_day;
    if (ordered && known->seal_through_day > due.sessions)
        due.sessions = known->seal_through_day;
    /* Sessions of a day are closed after its activity. */
    due.sessions = due.sessions > due.activity ? due.activity : due.sessions;
    return due;
}

bool close_is_due(struct shard *shard, int64_t watermark_ms)
{
    for (size_t i = 0; i < shard->app_count; i++) {
        const struct fold_app *app = &shard->apps[i];
        struct due due = due_of(shard, i, watermark_ms);
        if (due.activity > app->activity_through || due.sessions > app->sessions_through)
            return true;
    }
    return false;
}

static enum result store_progress(struct db *db, const struct shard *shard, const struct fold_app *app,
    struct failure *why)
{
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app->app);
    bool sessions = app->sessions_through != FOLD_NO_DAY;
    db_date(params, app->activity_through);
    if (sessions)
        db_date(params, app->sessions_through);
    else
        db_null(params);
    return rows_run(db, sessions ? "close.progress" : "close.progress_activity",
        "INSERT INTO state.progress (shard, app, activity_through, sessions_through) VALUES ($1, $2, $3, $4::date)"
        " ON CONFLICT (shard, app) DO UPDATE SET activity_through = excluded.activity_through,"
        " sessions_through = excluded.sessions_through",
        params, NULL, why);
}

/* Of one app in stage one and two; what reads the persons' days goes before what deletes them. */
static enum result (*const activity_parts[])(const struct stage *, struct failure *) = {marks_close_activity,
    samples_close_activity, entities_close, journeys_close, cohorts_close, activity_close};
static enum result (*const session_parts[])(const struct stage *, struct failure *) = {sessions_close,
    marks_close_sessions, weeks_close_sessions, samples_close_sessions, marks_drop_periods};

static enum result close_app(struct db *db, struct shard *shard, struct fold_app *app, struct due due, uint64_t *days,
    struct failure *why)
{
    bool activity = due.activity > app->activity_through;
    bool sessions = due.sessions > app->sessions_through;
    struct stage one = stage_of(db, shard, app, app->activity_through, due.activity);
    struct stage two = stage_of(db, shard, app, app->sessions_through, due.sessions);
    if (!activity && !sessions)
        return RESULT_OK;
    enum result result = db_script(db, WORKING_MEMORY, why);
    for (size_t i = 0; activity && result == RESULT_OK && i < sizeof activity_parts / sizeof activity_parts[0]; i++)
        result = activity_parts[i](&one, why);
    for (size_t i = 0; sessions && result == RESULT_OK && i < sizeof session_parts / sizeof session_parts[0]; i++)
        result = session_parts[i](&two, why);
    if (result != RESULT_OK)
        return result;
    app->activity_through = activity ? due.activity : app->activity_through;
    app->sessions_through = sessions ? due.sessions : app->sessions_through;
    *days += (uint64_t)activity + (uint64_t)sessions;
    return store_progress(db, shard, app, why);
}

enum result close_due(struct db *db, struct shard *shard, int64_t watermark_ms, uint64_t *days, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < shard->app_count; i++) {
        struct fold_app *app = &shard->apps[i];
        result = close_app(db, shard, app, due_of(shard, i, watermark_ms), days, why);
    }
    return result;
}
