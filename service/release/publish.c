#include "service/release/publish.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "schema/limits.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/release/declared.h"
#include "service/release/ledger.h"
#include "service/release/period.h"
#include "service/release/record.h"
#include "service/release/sheet.h"
#include "service/release/store.h"

/* Days whose cells are read at once when catching up, fewer where an app declares much: bounds memory, and reads a sum once
 * for its week and month. */
#define CHUNK_DAYS 128
#define CHUNK_CELLS 100000 /* of declared things, about */

/* One (app, day, stage) on its way into the database. */
struct day {
    struct store_day to; /* app and policy: with noise, once its month is planned, what that was planned by */
    const struct cells *cells;
    struct ledger *ledger;
    int32_t month; /* the last one whose data can change what is released */
};

static enum result random_bytes(void *context, void *out, size_t n)
{
    (void)context;
    randombytes_buf(out, n);
    return RESULT_OK;
}

static enum result fill(struct db *db, struct day *day, struct failure *why)
{
    const struct noise_source source = {.bytes = random_bytes};
    enum result code = ledger_plan(db, day->ledger, day->month, why);
    if (code != RESULT_OK)
        return code;
    if (day->to.policy->protection == PROTECTION_DP)
        day->to.app = &ledger_month(day->ledger, day->month)->terms->app;
    const struct sheet_job job = {.app = day->to.app, .policy = day->to.policy, .source = &source, .ledger = day->ledger,
        .cells = day->cells, .first_day = day->to.first_day, .day = day->to.day, .month = day->month, .stage = day->to.stage};
    return sheet_fill(day->to.sheet, &job, why);
}

/* RESULT_CORRUPT if the database lacks releases that were made. */
static enum result lock_head(struct db *db, struct day *day, struct failure *why)
{
    struct head found = {0};
    enum result code = head_lock(db, &found, why);
    if (code == RESULT_OK && found.count < day->to.head.count)
        code = head_check(db, &day->to.head, why);
    day->to.head = found;
    return code;
}

static enum result write_day(struct db *db, void *context, struct failure *why)
{
    struct day *day = context;
    enum result code = store_progress(db, &day->to, why);
    if (code == RESULT_OK)
        code = fill(db, day, why);
    if (code == RESULT_OK)
        code = lock_head(db, day, why);
    if (code == RESULT_OK)
        code = store_leaves(db, &day->to, why);
    if (code == RESULT_OK && day->to.sheet->release_count > 0)
        code = store_releases(db, &day->to, why);
    if (code == RESULT_OK && day->to.sheet->release_count > 0)
        code = store_values(db, &day->to, why);
    if (code == RESULT_OK)
        code = store_refused(db, &day->to, why);
    return code == RESULT_OK ? head_write(db, &day->to.head, why) : code;
}

/* The ends of the days days.from … days.to by the app's zone, to ends[]. */
static enum result read_ends(struct db *db, const struct app *app, struct schedule_days days, int64_t ends[CHUNK_DAYS],
    struct failure *why)
{
    static const char sql[] = "SELECT day, start_ms FROM config.day_starts($1, $2, $3)";
    struct db_params *params = db_params_new();
    db_text(params, app->time_zone);
    db_date(params, days.from + 1);
    db_date(params, days.to + 1);
    PGresult *result = NULL;
    enum result code = db_run(db, "release_day_starts", sql, params, &result, why);
    db_params_free(params);
    if (code != RESULT_OK)
        return code;
    for (int row = 0; row < PQntuples(result); row++) {
        int32_t at = db_get_date(result, row, 0) - 1 - days.from;
        if (at >= 0 && at < CHUNK_DAYS)
            ends[at] = db_get_int8(result, row, 1);
    }
    PQclear(result);
    return RESULT_OK;
}

/* The schedule's time, not the moment: what a row says of when must not tell when the system was down. */
static int64_t sealed_at(const struct app *app, enum family_stage stage, int64_t end_ms)
{
    int64_t at = end_ms + app->lateness_ms;
    return stage == STAGE_ACTIVITY ? at : at + SESSION_MAX_MS + app->session_timeout_ms;
}

/* What publish_app works on. */
struct run {
    struct db *db;
    const struct app *app;
    const struct schedule_due *due;
    struct ledger ledger;
    struct publish_head *head;
    struct publish_count *count;
    struct sheet sheet;
};

/* The last month whose data can change what the closing of day releases: a session may run into the next day. */
static int32_t last_month(enum family_stage stage, int32_t day)
{
    return period_of(INTERVAL_MONTH, stage == STAGE_SESSIONS ? day + 1 : day);
}

static enum result publish_day(struct run *run, struct day *day, struct failure *why)
{
    day->to.head = run->head->known;
    enum result code = db_transaction(run->db, write_day, day, why);
    if (code != RESULT_OK)
        return code;
    run->count->transactions++;
    run->count->rows += run->sheet.row_count;
    run->count->refused += run->sheet.refused_count;
    bool moved = run->head->known.count != day->to.head.count;
    run->head->known = day->to.head;
    return moved && run->head->state != NULL ? head_store(run->head->state, &day->to.head, why) : RESULT_OK;
}

/* The days, all of which are released under what next says. */
static enum result publish_chunk(struct run *run, enum family_stage stage, struct schedule_days days,
    const struct ledger_month *next, struct failure *why)
{
    struct policy policy;
    /* That nobody consents to an unprotected release was found when the definition was read. */
    enum result code = policy_make(next->preset, true, (uint32_t)next->k, &policy, why);
    const struct app *app = next->terms == NULL ? run->app : &next->terms->app;
    const struct cells_range range = {.app = app, .policy = &policy, .shards = run->due->shards, .from = days.from,
        .to = days.to};
    int64_t ends[CHUNK_DAYS] = {0};
    struct cells *cells = NULL;
    if (code == RESULT_OK)
        code = read_ends(run->db, app, days, ends, why);
    if (code == RESULT_OK)
        code = cells_read(run->db, stage, &range, &cells, why);
    for (int32_t day = days.from; day <= days.to && code == RESULT_OK && !lifecycle_ending(); day++) {
        struct day work = {.cells = cells, .ledger = &run->ledger, .month = last_month(stage, day),
            .to = {.app = app, .policy = &policy, .sheet = &run->sheet, .stage = stage, .first_day = run->due->first_day,
                .day = day, .sealed_at_ms = sealed_at(app, stage, ends[day - days.from])}};
        code = publish_day(run, &work, why);
    }
    cells_free(cells);
    return code;
}

static int32_t chunk_days(const struct app *app)
{
    size_t days = CHUNK_CELLS / declared_cells_a_day(app);
    return days > CHUNK_DAYS ? CHUNK_DAYS : days < 7 ? 7 : (int32_t)days;
}

/* Whether what is released under the one is what is released under the other. */
static bool is_same(const struct ledger_month *a, const struct ledger_month *b)
{
    return a->preset == b->preset && a->k == b->k && (a->version == b->version || plan_epsilon(a->preset).numerator == 0);
}

static enum result publish_stage(struct run *run, enum family_stage stage, struct schedule_days days, struct failure *why)
{
    const int32_t most = chunk_days(run->app);
    enum result code = RESULT_OK;
    while (days.from <= days.to && code == RESULT_OK && !lifecycle_ending()) {
        const struct ledger_month next = ledger_outlook(&run->ledger, last_month(stage, days.from));
        struct schedule_days chunk = {days.from, days.from};
        while (chunk.to < days.to && chunk.to - chunk.from + 1 < most) {
            struct ledger_month after = ledger_outlook(&run->ledger, last_month(stage, chunk.to + 1));
            if (!is_same(&next, &after))
                break;
            chunk.to++;
        }
        code = publish_chunk(run, stage, chunk, &next, why);
        days.from = chunk.to + 1;
    }
    return code;
}

enum result publish_app(struct db *db, const struct app *app, const struct schedule_due *due, struct publish_head *head,
    struct publish_count *count, struct failure *why)
{
    struct run run = {.db = db, .app = app, .due = due, .head = head, .count = count};
    enum result code = ledger_read(db, app, due, &run.ledger, why);
    if (code == RESULT_OK)
        code = publish_stage(&run, STAGE_ACTIVITY, due->activity, why);
    if (code == RESULT_OK)
        code = publish_stage(&run, STAGE_SESSIONS, due->sessions, why);
    sheet_free(&run.sheet);
    ledger_free(&run.ledger);
    return code;
}
