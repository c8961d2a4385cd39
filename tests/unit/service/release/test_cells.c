/*
 * Cells of declared things against a private PostgreSQL: random closed cells of every kind go in over several shards, and
 * every released row is compared with what was put in, under exact and under threshold-only: each declared cell once,
 * nothing undeclared, and what is small, or would tell what is, not shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/cell.h"
#include "service/base/clock.h"
#include "service/release/publish.h"
#include "tests/unit/service/release/closed.h"

#define THING_CELLS 12
#define THING_DAYS 75
#define ENTITIES 20

static uint32_t hash(uint32_t a, uint32_t b, uint32_t salt)
{
    uint32_t x = a * 2654435761u ^ b * 2246822519u ^ salt * 3266489917u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    return x ^ x >> 16;
}

/* What the app of these tests declares, cell by cell, as its definition says below; not taken from the code under test. */
static const struct thing {
    const char *metric, *name;
    int item;
    const char *intervals; /* initials */
    bool summed;           /* weeks and months are sums of days */
    bool amount;           /* the value says nothing of the number of people */
    bool breakdown;        /* not under threshold-only */
    int window_days;       /* funnels: > 0 */
    int count;
    int n[THING_CELLS];
} things[] = {
    {"dimension_users", "device", 0, "dwm", false, false, true, 0, 3, {0, 1, 50}},
    {"dimension_users", "plan", 3, "dwm", false, false, true, 0, 2, {0, 1}},
    {"session_dimension_users", "landing", 1, "dwm", false, false, true, 0, 3, {0, 1, 50}},
    {"session_dimension_users", "leaving", 2, "dwm", false, false, true, 0, 2, {0, 1}},
    {"feature_users", "story", 0, "dwm", false, false, false, 0, 1, {-1}},
    {"feature_users", "login", 1, "dwm", false, false, false, 0, 1, {-1}},
    {"segment_users", "failed", 0, "dwm", false, false, true, 0, 1, {-1}},
    {"goal_sessions", "bought", 0, "dwm", true, false, false, 0, 1, {-1}},
    {"goal_sessions", "asked", 1, "dwm", true, false, false, 0, 1, {-1}},
    {"start_sessions", "", 0, "dwm", true, false, false, 0, 1, {-1}},
    {"completed_sessions", "", 0, "dwm", true, false, false, 0, 1, {-1}},
    {"funnel_users", "arrival", 0, "w", false, false, false, 7, 3, {0, 1, 2}},
    {"funnel_users", "buy", 1, "w", false, false, false, 2, 2, {0, 1}},
    {"measure_count", "rating", 0, "dwm", true, false, false, 0, 1, {-1}},
    {"measure_count", "cost", 1, "dwm", true, false, false, 0, 1, {-1}},
    {"measure_sum", "rating", 0, "dwm", true, true, false, 0, 1, {-1}},
    {"measure_sum", "cost", 1, "dwm", true, true, false, 0, 1, {-1}},
    {"measure_bins", "rating", 0, "dwm", true, false, false, 0, 2, {0, 1}},
    {"measure_bins", "cost", 1, "dwm", true, false, false, 0, 6, {0, 1, 2, 3, 4, 5}},
    {"outcome_users", "progress", 0, "m", false, false, true, 0, 2, {0, 1}},
    {"outcome_users", "total", 1, "m", false, false, true, 0, 1, {0}},
    {"outcome_sum", "progress", 0, "m", false, true, true, 0, 2, {0, 1}},
    {"outcome_sum", "total", 1, "m", false, true, true, 0, 1, {0}},
    {"outcome_bins", "progress", 0, "m", false, false, true, 0, 12, {0, 1, 2, 3, 4, 5, 64, 65, 66, 67, 68, 69}},
    {"outcome_bins", "total", 1, "m", false, false, true, 0, 11, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
    {"path_pairs", "walk", 0, "wm", true, false, true, 0, 6, {1, 50, 64, 114, 3200, 3201}},
    {"path_pairs", "line", 1, "wm", true, false, true, 0, 2, {1, 64}},
    {"entity_count", "campaign", 0, "dwm", true, true, false, 0, 1, {-1}},
    {"entity_count", "document", 1, "dwm", true, true, false, 0, 1, {-1}},
};
#define THINGS (sizeof things / sizeof *things)

static struct app_dimension dimensions[] = {
    {.item.name = "device", .count = 2, .has_other = true},
    {.item.name = "landing", .scope = APP_SCOPE_ENTRY, .count = 2, .has_other = true},
    {.item.name = "leaving", .scope = APP_SCOPE_EXIT, .count = 2},
    {.item.name = "plan", .count = 2},
};
static struct app_dimension paths[] = {
    {.item.name = "walk", .count = 2, .has_other = true}, {.item.name = "line", .count = 2}};
static struct app_item features[] = {{.name = "story"}, {.name = "login"}};
static struct app_item segments[] = {{.name = "failed"}};
static struct app_item goals[] = {{.name = "bought"}, {.name = "asked"}};
static struct app_item entities[] = {{.name = "campaign"}, {.name = "document"}};
static struct app_funnel funnels[] = {
    {.item.name = "arrival", .steps = 3, .window_days = 7}, {.item.name = "buy", .steps = 2, .window_days = 2}};
static struct app_measure measures[] = {
    {.item.name = "rating", .min = 3, .max = 4, .step = 1}, {.item.name = "cost", .min = -1, .max = 9, .step = 0.5}};
static struct app_outcome outcomes[] = {
    {.item.name = "progress", .measure = 1, .aggregate = APP_AGGREGATE_MEAN, .tier_count = 2},
    {.item.name = "total", .measure = 0, .aggregate = APP_AGGREGATE_SUM},
};

/* The exact cells that were put in: [thing][cell][interval][day that ends it]. */
static struct cell made[THINGS][THING_CELLS][3][THING_DAYS];
static bool touched[2][ENTITIES][THING_DAYS];

static void declare(struct app *app)
{
    app->dimensions = dimensions;
    app->dimension_count = sizeof dimensions / sizeof *dimensions;
    app->paths = paths;
    app->path_count = sizeof paths / sizeof *paths;
    app->features = features;
    app->feature_count = sizeof features / sizeof *features;
    app->segments = segments;
    app->segment_count = sizeof segments / sizeof *segments;
    app->goals = goals;
    app->goal_count = sizeof goals / sizeof *goals;
    app->entities = entities;
    app->entity_count = sizeof entities / sizeof *entities;
    app->funnels = funnels;
    app->funnel_count = sizeof funnels / sizeof *funnels;
    app->measures = measures;
    app->measure_count = sizeof measures / sizeof *measures;
    app->outcomes = outcomes;
    app->outcome_count = sizeof outcomes / sizeof *outcomes;
    app->completion = true;
}

static bool has(const struct thing *thing, enum family_interval interval)
{
    return strchr(thing->intervals, family_interval_name(interval)[0]) != NULL;
}

/* The period of thing's interval that is released with the day; false: none. */
static bool due_period(const struct thing *thing, enum family_interval interval, int32_t first, int32_t day, int32_t *period)
{
    *period = period_of(interval, day);
    if (thing->window_days == 0)
        return period_ends_on(interval, day);
    *period = day - thing->window_days - 7;
    return *period >= first && period_of(INTERVAL_WEEK, *period) == *period;
}

struct cell_rows {
    struct db_params *params;
    int32_t (*rows)[6]; /* shard, day, thing, interval, item, n */
    struct cell *cells;
    size_t count, room;
};

static void push(struct cell_rows *rows, const int32_t row[6], struct cell cell)
{
    if (rows->count == rows->room) {
        rows->room = rows->room * 2 + 1024;
        rows->rows = realloc(rows->rows, rows->room * sizeof *rows->rows);
        rows->cells = realloc(rows->cells, rows->room * sizeof *rows->cells);
        assert_true(rows->rows != NULL && rows->cells != NULL);
    }
    memcpy(rows->rows[rows->count], row, sizeof *rows->rows);
    rows->cells[rows->count++] = cell;
}

/* A random cell in each shard that has people; their sums to *sum. */
static void push_cell(struct cell_rows *rows, size_t thing, int cell, enum family_interval interval, int day, struct cell *sum)
{
    const struct thing *of = &things[thing];
    for (uint32_t shard = 0; shard < CLOSED_SHARDS - 1; shard++) {
        uint32_t salt = 100 + (uint32_t)(thing * THING_CELLS + (size_t)cell) * 3 + (uint32_t)interval;
        uint32_t random = hash((uint32_t)day, shard, salt);
        if (random % 4 == 0)
            continue;
        struct cell one = {.people = random / 4 % 9 * (random / 64 % 3)};
        one.value = of->amount ? random / 1024 % 1000 : of->summed ? one.people * (1 + random / 1024 % 3) : one.people;
        if (strcmp(of->metric, "entity_count") == 0)
            one.value = 0;
        push(rows, (int32_t[]){(int32_t)shard, day, (int32_t)thing, (int32_t)interval, of->item, of->n[cell]}, one);
        sum->value += one.value;
        sum->people += one.people;
    }
}

/* Cells of every thing for the days; besides, what must not count: a class and a thing that are not declared, and the week
 * of a sum. */
static void make_cells(struct cell_rows *rows, int32_t first)
{
    for (size_t thing = 0; thing < THINGS; thing++)
        for (int day = 0; day < THING_DAYS; day++)
            for (enum family_interval interval = INTERVAL_DAY; interval <= INTERVAL_MONTH; interval++) {
                const struct thing *of = &things[thing];
                int32_t period = 0, row[6] = {0, day, (int32_t)thing, (int32_t)interval, of->item, 40};
                bool due = of->summed ? interval == INTERVAL_DAY : has(of, interval) &&
                    due_period(of, interval, INT32_MIN, first + day, &period);
                if (!due && !(of->summed && interval == INTERVAL_WEEK))
                    continue;
                push(rows, row, (struct cell){1000, 1000});
                row[5] = of->n[0];
                if (!due)
                    push(rows, row, (struct cell){1000, 1000});
                row[4] = 9;
                push(rows, row, (struct cell){1000, 1000});
                for (int cell = 0; cell < of->count && due; cell++)
                    push_cell(rows, thing, cell, interval, day, &made[thing][cell][interval][day]);
            }
}

static void insert_cells(int app, int32_t first, const struct cell_rows *rows)
{
    enum { SHARD, DUE, NUMBER, INTERVAL, ITEM, N, VALUE, PEOPLE, COLUMNS };
    struct db_params *params = db_params_new();
    for (int column = 0; column < COLUMNS; column++) {
        db_array_begin(params, column == NUMBER || column == INTERVAL ? DB_ELEMENT_TEXT : column == DUE ? DB_ELEMENT_DATE
            : column >= VALUE ? DB_ELEMENT_INT8 : DB_ELEMENT_INT4);
        for (size_t i = 0; i < rows->count; i++) {
            const int32_t *row = rows->rows[i];
            const char *text = column == NUMBER ? things[row[2]].metric : family_interval_name((enum family_interval)row[3]);
            if (column == NUMBER || column == INTERVAL)
                db_array_bytes(params, text, strlen(text));
            else if (column >= VALUE)
                db_array_int(params, column == VALUE ? rows->cells[i].value : rows->cells[i].people);
            else
                db_array_int(params, column == DUE ? first + row[1] : row[column]);
        }
        db_array_end(params);
    }
    db_int4(params, app);
    struct failure why = {0};
    if (db_run(cluster.owner, "cells", "INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)"
        " SELECT shard, $9, due, number, interval, due, item, n, value, people FROM unnest($1::int[], $2::date[], $3::text[],"
        " $4::text[], $5::int[], $6::int[], $7::bigint[], $8::bigint[])"
        " AS c (shard, due, number, interval, item, n, value, people)", params, NULL, &why) != RESULT_OK)
        fail_msg("%s", why.text);
    db_params_free(params);
}

/* Some entities on each day, of each class, in one or more shards. */
static void insert_entities(int app, int32_t first)
{
    cluster_sql("BEGIN");
    for (int day = 0; day < THING_DAYS; day++)
        for (uint32_t class = 0; class < 2; class++)
            for (uint32_t entity = 0; entity < ENTITIES; entity++) {
                uint32_t random = hash((uint32_t)day, entity, 77 + class);
                if (random % 16 != 0)
                    continue;
                char text[1024], date[PERIOD_TEXT_BYTES];
                touched[class][entity][day] = true;
                (void)snprintf(text, sizeof text,
                    "INSERT INTO state.entity SELECT s, %d, %u, i, date_trunc(i, '%s'::timestamp)::date, %u"
                    " FROM unnest(ARRAY[%u, %u]) AS s CROSS JOIN unnest(ARRAY['day', 'week', 'month']) AS i"
                    " ON CONFLICT DO NOTHING", app, class, period_format(first + day, date), entity, random / 16 % 3,
                    random / 64 % 3);
                cluster_sql(text);
            }
    cluster_sql("COMMIT");
}

static int64_t count_entities(int class, int from, int to)
{
    int64_t count = 0;
    for (int entity = 0; entity < ENTITIES; entity++) {
        bool met = false;
        for (int day = from < 0 ? 0 : from; day <= to; day++)
            met = met || touched[class][entity][day];
        count += met;
    }
    return count;
}

/* What is behind a cell of the period [from, to], days of the test, that is released on day. */
static struct cell count_thing(const struct thing *thing, int cell, enum family_interval interval, int from, int to, int day)
{
    size_t at = (size_t)(thing - things);
    struct cell sum = {0};
    if (!thing->summed)
        return made[at][cell][interval][day];
    for (int i = from < 0 ? 0 : from; i <= to; i++) {
        sum.value += made[at][cell][INTERVAL_DAY][i].value;
        sum.people = made[at][cell][INTERVAL_DAY][i].people > sum.people ? made[at][cell][INTERVAL_DAY][i].people : sum.people;
    }
    if (strcmp(thing->metric, "entity_count") != 0)
        return sum;
    sum.value = count_entities(thing->item, from, to);
    return sum.value == 0 ? (struct cell){0} : sum; /* nobody can have touched one */
}

static bool is_small(const struct thing *thing, struct cell cell)
{
    return cell.people < POLICY_K_MIN || (!thing->amount && cell.value < POLICY_K_MIN);
}

/* Which cells of thing are hidden under threshold-only, to hidden[]: the small ones, and of parts of a whole never just one. */
static void hide(const struct thing *thing, const struct cell cells[], bool hidden[])
{
    bool parts = thing->window_days > 0 || strcmp(thing->metric, "measure_bins") == 0;
    int small = 0, least = -1;
    for (int i = 0; i < thing->count; i++) {
        hidden[i] = is_small(thing, cells[i]);
        small += hidden[i];
        if (!hidden[i] && (least < 0 || (cells[i].value + 2) / 5 < (cells[least].value + 2) / 5))
            least = i;
    }
    if (parts && small == 1 && least >= 0)
        hidden[least] = true;
}

static PGresult *released_of(int app)
{
    struct db_params *params = db_params_new();
    PGresult *result = NULL;
    db_int4(params, app);
    assert_int_equal(db_run(cluster.owner, "things", "SELECT metric, item, interval, period, n, value, low, high, reliability"
        " FROM release.value WHERE app = $1", params, &result, NULL), RESULT_OK);
    db_params_free(params);
    return result;
}

/* The row of a cell; fails if there is none. Each row is asked for once: met[] tells. */
static int find_released(const PGresult *result, bool met[], const struct thing *thing, enum family_interval interval,
    int32_t period, int n)
{
    for (int row = 0; row < PQntuples(result); row++)
        if (db_get_date(result, row, 3) == period && db_get_int4(result, row, 4) == n && !met[row] &&
            strcmp(db_get_text(result, row, 0), thing->metric) == 0 && strcmp(db_get_text(result, row, 1), thing->name) == 0 &&
            strcmp(db_get_text(result, row, 2), family_interval_name(interval)) == 0) {
            met[row] = true;
            return row;
        }
    fail_msg("%s %s, %s of day %d, n %d: not released", thing->metric, thing->name, family_interval_name(interval), period, n);
    return -1;
}

static void compare_thing(const PGresult *result, bool met[], bool threshold, const struct thing *thing,
    enum family_interval interval, int32_t first, int day)
{
    int32_t period = 0;
    if (!has(thing, interval) || !due_period(thing, interval, first, first + day, &period))
        return;
    struct cell cells[THING_CELLS];
    bool hidden[THING_CELLS] = {false};
    for (int i = 0; i < thing->count; i++)
        cells[i] = count_thing(thing, i, interval, period - first, day, day);
    if (threshold)
        hide(thing, cells, hidden);
    /* A rating takes two values: its sum tells the bins apart. Its bins come two rows later. */
    if (threshold && strcmp(thing->metric, "measure_sum") == 0 && thing->item == 0)
        for (int i = 0; i < 2; i++)
            hidden[0] = hidden[0] || is_small(thing + 2, count_thing(thing + 2, i, interval, period - first, day, day));
    for (int i = 0; i < thing->count; i++) {
        int row = find_released(result, met, thing, interval, period, thing->n[i]);
        int64_t value = threshold ? (cells[i].value + 2) / 5 * 5 : cells[i].value;
        int64_t got = db_is_null(result, row, 5) ? -1 : db_get_int8(result, row, 5);
        if (got != (hidden[i] ? -1 : value))
            fail_msg("%s %s, %s of day %d, n %d: released %lld, counted %lld of %lld people%s", thing->metric, thing->name,
                family_interval_name(interval), day, thing->n[i], (long long)got, (long long)value, (long long)cells[i].people,
                hidden[i] ? ", hidden" : "");
        assert_int_equal(strcmp(db_get_text(result, row, 8), "suppressed") == 0, hidden[i]);
        if (!hidden[i])
            assert_true(db_get_int8(result, row, 6) <= cells[i].value && cells[i].value <= db_get_int8(result, row, 7));
    }
}

/* Every declared cell is there once, as counted, and nothing else that has a name. */
static void compare_things(int app, bool threshold, int32_t first)
{
    PGresult *result = released_of(app);
    size_t count = (size_t)PQntuples(result);
    bool *met = calloc(count, sizeof *met);
    assert_non_null(met);
    for (int day = 0; day < THING_DAYS; day++)
        for (size_t thing = 0; thing < THINGS; thing++)
            for (enum family_interval interval = INTERVAL_DAY; interval <= INTERVAL_MONTH; interval++)
                if (!threshold || !things[thing].breakdown)
                    compare_thing(result, met, threshold, &things[thing], interval, first, day);
    int64_t hidden = 0, named = 0;
    for (size_t row = 0; row < count; row++) {
        int at = (int)row;
        bool completion = strstr(db_get_text(result, at, 0), "_sessions") != NULL && met[row];
        named += met[row];
        hidden += met[row] && db_is_null(result, at, 5);
        if (!met[row])
            assert_string_equal(db_get_text(result, at, 1), "");
        assert_true(!met[row] || completion || db_get_text(result, at, 1)[0] != '\0');
    }
    assert_true(threshold ? hidden > named / 10 && hidden < named * 9 / 10 : hidden == 0);
    free(met);
    PQclear(result);
}

static void publish_declared(int app, uint64_t days)
{
    struct schedule_due due = closed_due(app);
    struct failure why = {0};
    struct publish_count count = {0};
    struct app compiled;
    assert_int_equal(schedule_definition(closed.release, &due, &compiled, &why), RESULT_OK);
    struct app declared_app = compiled;
    declare(&declared_app);
    if (publish_app(closed.release, &declared_app, &due, &closed.head, &count, &why) != RESULT_OK)
        fail_msg("%s", why.text);
    assert_int_equal(count.transactions, 2 * days);
    definition_free(&compiled);
}

static void test_declared_things(void **state)
{
    (void)state;
    static const char *const presets[] = {"exact", "threshold-only"};
    static const char *const names[] = {"declared", "declared_few"};
    int32_t first = clock_days_from_civil(2025, 1, 22); /* a Wednesday */
    struct cell_rows rows = {0};
    make_cells(&rows, first);
    for (int i = 0; i < 2; i++) {
        int app = closed_app(names[i], presets[i], "2025-01-21 23:30Z", "");
        insert_cells(app, first, &rows);
        insert_entities(app, first);
        closed_through(app, -1, first + THING_DAYS - 1);
        publish_declared(app, THING_DAYS);
        compare_things(app, i == 1, first);
    }
    free(rows.rows);
    free(rows.cells);
    closed_leaves();
    /* Things with many cells are releases by themselves; the week in which the app began does not exist, and the last not yet. */
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release JOIN config.app USING (app) WHERE name = 'declared'"
        " AND item = 'arrival' AND family = 'funnels' AND interval = 'week' AND sealed_at::date = period + 15"
        " AND period BETWEEN '2025-01-27' AND '2025-03-17'"), 8);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release JOIN config.app USING (app) WHERE name = 'declared'"
        " AND family = 'funnels' AND item <> ''"), 8 + 9);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release JOIN config.app USING (app) WHERE name = 'declared'"
        " AND family IN ('features', 'segments', 'goals', 'completion', 'entities') AND item <> ''"), 0);
}

/* The largest value is what an audit leaf can say; a day is not held up by more. */
static void test_what_is_too_large(void **state)
{
    (void)state;
    int app = closed_app("large", "exact", "2025-01-01 12:00Z", "");
    char text[512];
    (void)snprintf(text, sizeof text, "INSERT INTO state.cell (shard, app, due, number, interval, period, item, n, value, people)"
        " SELECT shard, %d, day, 'measure_sum', 'day', day, 1, -1, 9223372036854775807, 1 FROM generate_series(0, 2) AS s (shard)"
        " CROSS JOIN (VALUES (date '2025-01-01'), ('2025-01-02')) AS d (day)", app);
    cluster_sql(text);
    closed_through(app, -1, clock_days_from_civil(2025, 1, 5));
    publish_declared(app, 5);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.value JOIN config.app USING (app) WHERE name = 'large'"
        " AND metric = 'measure_sum' AND item = 'cost' AND value = 9007199254740991"), 3);
    closed_leaves();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declared_things),
        cmocka_unit_test(test_what_is_too_large),
    };
    return cmocka_run_group_tests(tests, closed_start, closed_stop);
}
