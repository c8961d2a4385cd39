#include "service/aggregate/journeys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/family.h"
#include "service/aggregate/cells.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/tracks.h"

#define DAY_MS 86400000LL
#define PAGE_ROWS 20000
#define CLASS_FACTOR 64 /* of the first class of a pair in its n */

/* One pass over an app's steps. */
struct pass {
    const struct stage *stage;
    struct cells cells;
    int16_t first_track, end_track;
    int64_t clamp;             /* pairs of a person's day that count, of one path */
    struct tracks_step *steps; /* of one person and track */
    struct tracks_pair *pairs;
    size_t size;
};

/* Funnels */

/* The last day of the window of the week of monday. An hour may be missing in it, so that it ends on the day after. */
static int32_t due_of(const struct app_funnel *funnel, int32_t monday)
{
    return monday + 6 + (int32_t)funnel->window_days + 1;
}

/* The Monday of the first week that is open when `through` is closed. */
static int32_t open_week(const struct app_funnel *funnel, int32_t through)
{
    int32_t monday = stage_week(through - (int32_t)funnel->window_days - 7);
    while (due_of(funnel, monday) <= through)
        monday += 7;
    return monday;
}

static bool is_due(const struct stage *stage, const struct app_funnel *funnel)
{
    return open_week(funnel, stage->before) != open_week(funnel, stage->through);
}

/* A person's steps [0, count) of a funnel: each week that is due begins with its first step 0. */
static void count_funnel(struct pass *pass, uint32_t item, size_t count)
{
    const struct stage *stage = pass->stage;
    const struct app_funnel *funnel = &stage->app->definition->funnels[item];
    int32_t last_monday = INT32_MIN;
    size_t run = 0; /* the first event of this millisecond */
    for (size_t i = 0; i < count; i++) {
        run = pass->steps[i].at_ms == pass->steps[run].at_ms ? run : i;
        if ((pass->steps[i].value & 1) == 0)
            continue;
        int32_t monday = stage_week(calendar_day(stage->app->calendar, pass->steps[i].at_ms));
        int32_t due = due_of(funnel, monday);
        if (monday == last_monday || due <= stage->before || due > stage->through)
            continue;
        last_monday = monday;
        uint32_t furthest = tracks_furthest(pass->steps + run, count - run, funnel->steps, funnel->window_days * DAY_MS);
        cells_add(&pass->cells, &(struct cells_key){.number = NUMBER_FUNNEL_USERS, .interval = INTERVAL_WEEK, .due = due,
            .period = monday, .item = (int32_t)item, .n = (int32_t)furthest}, 1, 1);
    }
}

/* Paths */

/* A person's steps [0, count) of a path. Pairs come in order of their days. */
static void count_path(struct pass *pass, uint32_t item, size_t count)
{
    const struct stage *stage = pass->stage;
    uint64_t met[CLASS_FACTOR]; /* bit: a pair that the person had on this day */
    int32_t last_day = INT32_MIN;
    int64_t of_day = 0;
    count = tracks_pairs(pass->steps, count, stage->app->definition->session_timeout_ms, pass->pairs);
    for (size_t i = 0; i < count; i++) {
        const struct tracks_pair *pair = &pass->pairs[i];
        int32_t day = calendar_day(stage->app->calendar, pair->at_ms);
        if (day <= stage->before || day > stage->through)
            continue;
        if (day != last_day) {
            memset(met, 0, sizeof met);
            of_day = 0;
            last_day = day;
        }
        if (of_day++ >= pass->clamp)
            continue;
        uint64_t bit = 1ULL << (pair->to % CLASS_FACTOR);
        bool first = (met[pair->from % CLASS_FACTOR] & bit) == 0;
        met[pair->from % CLASS_FACTOR] |= bit;
        cells_add(&pass->cells, &(struct cells_key){.number = NUMBER_PATH_PAIRS, .interval = INTERVAL_DAY, .due = day,
            .period = day, .item = (int32_t)item, .n = pair->from * CLASS_FACTOR + pair->to}, 1, first ? 1 : 0);
    }
}

/* Reading */

static void reserve(struct pass *pass, size_t count)
{
    if (count <= pass->size)
        return;
    free(pass->steps);
    free(pass->pairs);
    pass->steps = calloc(count, sizeof *pass->steps);
    pass->pairs = calloc(count, sizeof *pass->pairs);
    assert(pass->steps != NULL && pass->pairs != NULL);
    pass->size = count;
}

static void count_track(struct pass *pass, int32_t track, size_t count)
{
    const struct app *app = pass->stage->app->definition;
    if (track < FOLD_PATH_TRACK && (size_t)track < app->funnel_count)
        count_funnel(pass, (uint32_t)track, count);
    else if (track >= FOLD_PATH_TRACK && (size_t)(track - FOLD_PATH_TRACK) < app->path_count)
        count_path(pass, (uint32_t)(track - FOLD_PATH_TRACK), count);
}

/* Whether the rows are of one person; and of one track. */
static bool same_person(const PGresult *rows, int a, int b)
{
    return memcmp(PQgetvalue(rows, a, 0), PQgetvalue(rows, b, 0), PSEUDONYM_BYTES) == 0;
}

/* Count the persons of one page, but for the last one if the page is full: its rows may go on. *after becomes the last
 * person counted. Returns whether any was. */
static bool count_page(struct pass *pass, const PGresult *rows, bool full, struct pseudonym *after)
{
    int total = PQntuples(rows);
    int end = total;
    while (full && end > 0 && same_person(rows, end - 1, total - 1))
        end--;
    reserve(pass, (size_t)end);
    for (int row = 0; row < end;) {
        int32_t track = db_get_int4(rows, row, 1);
        size_t count = 0;
        int first = row;
        for (; row < end && same_person(rows, row, first) && db_get_int4(rows, row, 1) == track; row++)
            pass->steps[count++] = (struct tracks_step){db_get_int8(rows, row, 2), db_get_int4(rows, row, 3)};
        count_track(pass, track, count);
    }
    if (end > 0)
        *after = rows_get_name(rows, end - 1, 0);
    return end > 0;
}

static enum result count_steps(struct pass *pass, struct failure *why)
{
    struct pseudonym after = {{0}};
    size_t after_bytes = 0;
    int32_t limit = PAGE_ROWS;
    bool full = true;
    while (full) {
        struct db_params *params = stage_params(pass->stage);
        PGresult *rows = NULL;
        db_bytes(params, after.bytes, after_bytes);
        db_int4(params, pass->first_track);
        db_int4(params, pass->end_track);
        db_int8(params, calendar_end_ms(pass->stage->app->calendar, pass->stage->through));
        db_int4(params, limit);
        enum result result = rows_run(pass->stage->db, "journeys.steps",
            "SELECT usr, track::int, at_ms, value FROM state.step WHERE shard = $1 AND app = $2 AND usr > $5"
            " AND track >= $6::int AND track < $7::int AND at_ms < $8 ORDER BY usr, state.step.track, at_ms, value LIMIT $9",
            params, &rows, why);
        if (result != RESULT_OK)
            return result;
        full = PQntuples(rows) == limit;
        if (count_page(pass, rows, full, &after))
            after_bytes = PSEUDONYM_BYTES;
        else if (full)
            limit *= 8; /* one person alone fills the page */
        PQclear(rows);
    }
    return cells_store(&pass->cells, pass->stage, why);
}

/* What of each funnel that is due goes: before which time. */
static enum result drop_funnels(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    struct db_params *params = stage_params(stage);
    for (int column = 0; column < 2; column++) {
        db_array_begin(params, column == 0 ? DB_ELEMENT_INT4 : DB_ELEMENT_INT8);
        for (size_t i = 0; i < app->funnel_count; i++) {
            int32_t monday = open_week(&app->funnels[i], stage->through);
            if (is_due(stage, &app->funnels[i]))
                db_array_int(params, column == 0 ? (int64_t)i : monday <= CALENDAR_FIRST_DAY ? TS_MIN_MS :
                    calendar_start_ms(stage->app->calendar, monday));
        }
        db_array_end(params);
    }
    return stage_run(stage, "journeys.drop_funnels",
        "DELETE FROM state.step s USING unnest($5::int[], $6::bigint[]) AS w (track, before_ms)"
        " WHERE s.shard = $1 AND s.app = $2 AND s.track = w.track AND s.at_ms < w.before_ms", params, why);
}

/* A pair may begin a timeout before its day. By the index alone, so that no funnel's steps are looked at. */
static enum result drop_paths(const struct stage *stage, struct failure *why)
{
    struct db_params *params = stage_params(stage);
    db_int4(params, FOLD_PATH_TRACK);
    db_int8(params, calendar_end_ms(stage->app->calendar, stage->through) - stage->app->definition->session_timeout_ms);
    return stage_run(stage, "journeys.drop_paths",
        "DELETE FROM state.step WHERE shard = $1 AND app = $2 AND track >= $5::int AND at_ms < $6", params, why);
}

enum result journeys_close(const struct stage *stage, struct failure *why)
{
    const struct app *app = stage->app->definition;
    bool due = false;
    for (size_t i = 0; i < app->funnel_count; i++)
        due = due || is_due(stage, &app->funnels[i]);
    if (!due && app->path_count == 0)
        return RESULT_OK;
    struct pass pass = {.stage = stage, .first_track = due ? 0 : FOLD_PATH_TRACK,
        .end_track = app->path_count > 0 ? FOLD_PATH_TRACK + PATHS_MAX : FOLD_PATH_TRACK,
        .clamp = family_clamp(FAMILY_PATHS, app->preset)};
    enum result result = count_steps(&pass, why);
    if (result == RESULT_OK && due)
        result = drop_funnels(stage, why);
    if (result == RESULT_OK && app->path_count > 0)
        result = drop_paths(stage, why);
    cells_free(&pass.cells);
    free(pass.steps);
    free(pass.pairs);
    return result;
}
