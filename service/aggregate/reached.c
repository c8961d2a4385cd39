#include "service/aggregate/reached.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/marks.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/weeks.h"

#define THINGS (GOALS_MAX + 2) /* goals, started, completed */

/* What the last person met on a day has of it. */
struct reached_day {
    size_t person; /* + 1; 0: none yet */
    int64_t counted[THINGS];
    uint8_t classes[DIMENSIONS_MAX]; /* the smallest, FOLD_NO_CLASS: none */
};

struct reached_period {
    struct pseudonym usr;
    enum family_interval interval;
    int32_t period;
    int32_t sessions;
    /* What counts by the week; without it no first session. */
    int32_t engaged;
    bool has_first;
    uint8_t first_bin;
    int64_t first_ms;
    uint64_t goal_bits;
    bool marked;
    uint8_t marks[FOLD_MARKS_BYTES];
};

void reached_begin(struct reached *reached, const struct stage *stage, int32_t first)
{
    const struct app *app = stage->app->definition;
    bool dimensions = marks_has_session_dimensions(app);
    bool tiers = false;
    for (size_t i = 0; i < app->outcome_count; i++)
        tiers = tiers || app->outcomes[i].tier_count > 0;
    *reached = (struct reached){.stage = stage, .first = first,
        .weeks_wanted = dimensions || weeks_count_sessions(app), .months_wanted = dimensions || tiers,
        .cells_wanted = dimensions || app->goal_count > 0 || app->completion};
    if (!reached->cells_wanted)
        return;
    reached->days = calloc((size_t)(stage->through - first) + 1, sizeof *reached->days);
    assert(reached->days != NULL);
}

static void add_cell(struct reached *reached, enum family_number number, int32_t day, int32_t item, int32_t n,
    int64_t value, int64_t people)
{
    cells_add(&reached->cells, &(struct cells_key){.number = number, .interval = INTERVAL_DAY, .due = day, .period = day,
        .item = item, .n = n}, value, people);
}

/* The session has thing (a goal's position, GOALS_MAX: started, and 1: completed). */
static void count_thing(struct reached *reached, struct reached_day *of, int32_t day, int32_t thing)
{
    bool goal = thing < GOALS_MAX;
    int64_t clamp = family_clamp(goal ? FAMILY_GOALS : FAMILY_COMPLETION, reached->stage->app->definition->preset);
    int64_t before = of->counted[thing]++;
    if (before < clamp)
        add_cell(reached, goal ? NUMBER_GOAL_SESSIONS : thing == GOALS_MAX ? NUMBER_START_SESSIONS :
            NUMBER_COMPLETED_SESSIONS, day, goal ? thing : 0, -1, 1, before == 0 ? 1 : 0);
}

static void count_things(struct reached *reached, struct reached_day *of, int32_t day, uint64_t bits)
{
    const struct app *app = reached->stage->app->definition;
    for (size_t goal = 0; goal < app->goal_count; goal++) {
        if ((bits >> goal & 1u) != 0)
            count_thing(reached, of, day, (int32_t)goal);
    }
    if (app->completion && (bits & SESSION_STARTED) != 0)
        count_thing(reached, of, day, GOALS_MAX);
    if (app->completion && (bits & SESSION_DONE) != 0)
        count_thing(reached, of, day, GOALS_MAX + 1);
}

/* The session's class of a dimension; FOLD_NO_CLASS: none. */
static uint8_t class_of(const struct app_dimension *dimension, const struct session_fragment *whole)
{
    if (dimension->scope == APP_SCOPE_ENTRY && whole->has_entry)
        return whole->entry;
    return dimension->scope == APP_SCOPE_EXIT && whole->has_exit ? whole->exit : FOLD_NO_CLASS;
}

/* A person is in the smallest class of the day's sessions: moved there when one comes. */
static void count_classes(struct reached *reached, struct reached_day *of, int32_t day,
    const struct session_fragment *whole)
{
    const struct app *app = reached->stage->app->definition;
    for (size_t i = 0; i < app->dimension_count; i++) {
        uint8_t class = class_of(&app->dimensions[i], whole);
        uint8_t last = of->classes[i];
        if (class >= last)
            continue;
        if (last != FOLD_NO_CLASS)
            add_cell(reached, NUMBER_SESSION_DIMENSION_USERS, day, (int32_t)i, last, -1, -1);
        add_cell(reached, NUMBER_SESSION_DIMENSION_USERS, day, (int32_t)i, class, 1, 1);
        of->classes[i] = class;
    }
}

/* The row of usr's period, added if new: usr's rows are the last ones. */
static struct reached_period *period_of(struct reached *reached, const struct pseudonym *usr,
    enum family_interval interval, int32_t period)
{
    for (size_t i = reached->period_count; i > 0; i--) {
        struct reached_period *row = &reached->periods[i - 1];
        if (memcmp(row->usr.bytes, usr->bytes, PSEUDONYM_BYTES) != 0)
            break;
        if (row->interval == interval && row->period == period)
            return row;
    }
    if (reached->period_count == reached->period_size) {
        reached->period_size = reached->period_size == 0 ? 1024 : reached->period_size * 2;
        reached->periods = realloc(reached->periods, reached->period_size * sizeof *reached->periods);
        assert(reached->periods != NULL);
    }
    struct reached_period *row = &reached->periods[reached->period_count++];
    *row = (struct reached_period){.usr = *usr, .interval = interval, .period = period};
    return row;
}

/* The first session of the person's week has the duration that counts; of several that start at once the shortest. */
static void fold_week(struct reached_period *row, const struct session *session)
{
    int64_t start_ms = session->whole.start_ms;
    uint8_t bin = (uint8_t)session_duration_bin(session);
    row->engaged += session_is_engaged(session) ? 1 : 0;
    row->goal_bits |= session->whole.goal_bits & ~(SESSION_STARTED | SESSION_DONE);
    if (row->has_first && (row->first_ms < start_ms || (row->first_ms == start_ms && row->first_bin <= bin)))
        return;
    row->has_first = true;
    row->first_ms = start_ms;
    row->first_bin = bin;
}

static void fold_period(struct reached *reached, struct reached_period *row, const struct session *session)
{
    const struct app *app = reached->stage->app->definition;
    row->sessions++;
    if (row->interval == INTERVAL_WEEK && weeks_count_sessions(app))
        fold_week(row, session);
    for (size_t i = 0; i < app->dimension_count; i++) {
        uint8_t class = class_of(&app->dimensions[i], &session->whole);
        if (class == FOLD_NO_CLASS)
            continue;
        row->marks[MARKS_BIT(i, class) / 8] |= (uint8_t)(0x80u >> MARKS_BIT(i, class) % 8);
        row->marked = true;
    }
}

void reached_session(struct reached *reached, const struct pseudonym *usr, size_t person, int32_t day,
    const struct session *session, bool counts)
{
    const struct session_fragment *whole = &session->whole;
    int32_t length;
    if (reached->weeks_wanted)
        fold_period(reached, period_of(reached, usr, INTERVAL_WEEK, stage_week(day)), session);
    if (reached->months_wanted)
        fold_period(reached, period_of(reached, usr, INTERVAL_MONTH, stage_month(day, &length)), session);
    if (!reached->cells_wanted)
        return;
    struct reached_day *of = &reached->days[day - reached->first];
    if (of->person != person + 1) {
        *of = (struct reached_day){.person = person + 1};
        memset(of->classes, FOLD_NO_CLASS, sizeof of->classes);
    }
    if (counts)
        count_things(reached, of, day, whole->goal_bits);
    count_classes(reached, of, day, whole);
}

static void add_intervals(struct db_params *params, const struct reached *reached)
{
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < reached->period_count; i++) {
        const char *name = family_interval_name(reached->periods[i].interval);
        db_array_bytes(params, name, strlen(name));
    }
    db_array_end(params);
}

enum period_column { COLUMN_PERIOD, COLUMN_SESSIONS, COLUMN_ENGAGED, COLUMN_FIRST_MS, COLUMN_FIRST_BIN, COLUMN_GOAL_BITS };

static int64_t column_of(const struct reached_period *row, enum period_column column)
{
    const int64_t columns[] = {row->period, row->sessions, row->engaged, row->first_ms, row->first_bin,
        (int64_t)row->goal_bits};
    return columns[column];
}

static void add_columns(struct db_params *params, const struct reached *reached)
{
    static const enum db_element elements[] = {DB_ELEMENT_DATE, DB_ELEMENT_INT4, DB_ELEMENT_INT4, DB_ELEMENT_INT8,
        DB_ELEMENT_INT4, DB_ELEMENT_INT8};
    for (enum period_column column = COLUMN_PERIOD; column <= COLUMN_GOAL_BITS; column++) {
        bool of_first = column == COLUMN_FIRST_MS || column == COLUMN_FIRST_BIN;
        db_array_begin(params, elements[column]);
        for (size_t i = 0; i < reached->period_count; i++) {
            if (of_first && !reached->periods[i].has_first)
                db_array_bytes(params, NULL, 0);
            else
                db_array_int(params, column_of(&reached->periods[i], column));
        }
        db_array_end(params);
    }
}

enum result reached_flush(struct reached *reached, struct failure *why)
{
    if (reached->period_count == 0)
        return RESULT_OK;
    struct db_params *params = stage_params(reached->stage);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < reached->period_count; i++)
        rows_add_name(params, &reached->periods[i].usr);
    db_array_end(params);
    add_intervals(params, reached);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < reached->period_count; i++)
        db_array_bytes(params, reached->periods[i].marked ? reached->periods[i].marks : NULL, FOLD_MARKS_BYTES);
    db_array_end(params);
    add_columns(params, reached);
    reached->period_count = 0;
    return stage_run(reached->stage, "reached.periods",
        "INSERT INTO state.person_period AS p (shard, app, usr, interval, period, marks, sessions, engaged, first_ms,"
        " first_bin, goal_bits)"
        " SELECT $1, $2, usr, span, period, ('x' || encode(marks, 'hex'))::bit(576), sessions, engaged, first_ms,"
        " first_bin, goal_bits FROM unnest($5::bytea[], $6::text[], $7::bytea[], $8::date[], $9::int[], $10::int[],"
        " $11::bigint[], $12::int[], $13::bigint[]) AS w (usr, span, marks, period, sessions, engaged, first_ms, first_bin,"
        " goal_bits) ORDER BY usr, span, period"
        " ON CONFLICT (shard, app, usr, interval, period) DO UPDATE SET " WEEKS_ADD_PERIOD,
        params, why);
}

enum result reached_store(const struct reached *reached, struct failure *why)
{
    return cells_store(&reached->cells, reached->stage, why);
}

void reached_free(struct reached *reached)
{
    cells_free(&reached->cells);
    free(reached->days);
    free(reached->periods);
    *reached = (struct reached){0};
}
