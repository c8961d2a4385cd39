/*
 * What differential privacy needs of closing, in a private PostgreSQL: persons' weeks of sessions, clamped, and when the
 * people of a cohort were active last. Two years and a half of random days are closed at random moments, or all at once by an
 * order to seal; after each close every cell must be what families.def says of the raw facts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/family.h"
#include "service/aggregate/close.h"
#include "service/aggregate/store.h"
#include "service/base/clock.h"
#include "tests/unit/cluster.h"

#define MINUTE_MS 60000LL
#define HOUR_MS 3600000LL
#define DAY_MS 86400000LL
#define USERS 150
#define DAYS 900
#define GOALS 9

static struct {
    struct db *state;
    struct config config;
    struct stream *stream; /* leads nowhere: the directory does without */
    struct shard shard;
    int32_t first; /* day */
} server;

static struct app_item items[GOALS];
static struct app app = {.goals = items, .goal_count = GOALS, .session_timeout_ms = 30 * MINUTE_MS, .horizon_days = 400,
    .lateness_ms = 6 * HOUR_MS};

static uint64_t dice;

static uint32_t roll(uint32_t sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % sides;
}

/* Raw facts, gathered in rows of an INSERT. */

static struct {
    char text[65536];
    size_t length;
} batch;

static void flush_rows(void)
{
    if (batch.length > 0)
        cluster_sql(batch.text);
    batch.length = 0;
}

__attribute__((format(printf, 1, 2))) static void add_row(const char *format, ...)
{
    if (batch.length > sizeof batch.text - 512)
        flush_rows();
    int written = batch.length == 0 ? snprintf(batch.text, sizeof batch.text, "INSERT INTO raw.session VALUES ")
                                    : snprintf(batch.text + batch.length, 2, ",");
    batch.length += (size_t)written;
    va_list arguments;
    va_start(arguments, format);
    batch.length += (size_t)vsnprintf(batch.text + batch.length, sizeof batch.text - batch.length, format, arguments);
    va_end(arguments);
}

/* Sessions have names of their own, so they may lie over each other; some start at once, some run into the next week. */
static void add_sessions(uint32_t user, int32_t day, uint32_t count)
{
    static uint32_t name;
    int64_t at_ms = day * DAY_MS + (int64_t)roll(1440) * MINUTE_MS;
    for (uint32_t i = 0; i < count; i++) {
        at_ms = roll(3) == 0 ? at_ms : day * DAY_MS + (int64_t)roll(1440) * MINUTE_MS;
        int64_t length_ms = roll(3) == 0 ? 0 : (int64_t)1 << roll(28);
        length_ms = length_ms > 23 * HOUR_MS ? 23 * HOUR_MS : length_ms;
        uint32_t views = roll(4);
        int64_t engaged_ms = roll(3) == 0 ? 9999 + roll(2) : 0;
        uint64_t goals = roll(3) == 0 ? 1ULL << roll(GOALS) : roll(9) == 0 ? roll(1u << GOALS) : 0;
        goals |= roll(2) == 0 ? SESSION_STARTED : 0;
        add_row("(%u, %u, date '1970-01-01' + %d, %lld, %lld, %u, %lld, %lld)", user, ++name, day, (long long)at_ms,
            (long long)length_ms, views, (long long)engaged_ms, (long long)goals);
    }
}

/* Persons come in the course of the time and stay for a while: some for a day, some for all of it. */
static void make_facts(uint32_t seed)
{
    dice = seed;
    server.first = clock_days_from_civil(2015, seed % 2 == 0 ? 1 : 12, 1);
    cluster_sql("DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw; BEGIN;"
        "CREATE TABLE raw.session (usr int, name int, day date, at_ms bigint, length_ms bigint, views int, engaged_ms bigint,"
        "  goals bigint)");
    for (uint32_t user = 1; user <= USERS; user++) {
        int32_t day = server.first + (int32_t)roll(DAYS);
        int32_t until = day + (roll(6) == 0 ? 0 : (int32_t)roll(DAYS));
        uint32_t gap = roll(4) == 0 ? 3 : 120;
        for (; day <= until && day < server.first + DAYS; day += (int32_t)(1 + roll(gap)))
            add_sessions(user, day, roll(6) == 0 ? 1 + roll(12) : 1 + roll(2));
    }
    flush_rows();
    cluster_sql("COMMIT");
}

/* As the fold writes them. */
#define NAME(usr) "decode(lpad(to_hex(" usr "), 32, '0'), 'hex')"
static void write_state(void)
{
    cluster_sql(
        "INSERT INTO state.person SELECT 3, 1, " NAME("usr") ", min(day), max(day) FROM raw.session GROUP BY usr;"
        "INSERT INTO state.person_month SELECT 3, 1, " NAME("usr") ", date_trunc('month', day),"
        "  bit_or(1 << (extract(day FROM day)::int - 1)) FROM raw.session GROUP BY usr, 4;"
        "INSERT INTO state.person_day SELECT 3, 1, " NAME("usr") ", day, 1, 0, NULL FROM raw.session GROUP BY usr, day;"
        "INSERT INTO state.fragment (shard, app, usr, session, start_ms, end_ms, events, views, goals, engaged_ms, goal_bits)"
        "  SELECT 3, 1, " NAME("usr") ", " NAME("name") ", at_ms + m, at_ms + m, 1, CASE m WHEN 0 THEN views ELSE 0 END, 0,"
        "    CASE m WHEN 0 THEN engaged_ms ELSE 0 END, CASE WHEN m = length_ms THEN goals ELSE 0 END FROM raw.session"
        /* A long one is of a fragment for every half an hour. */
        "  CROSS JOIN LATERAL (SELECT generate_series(0, length_ms, 1800000) AS m UNION SELECT length_ms) g");
}

/* want.sessions and want.cohorts have every cell. */
static void write_expectations(void)
{
    cluster_sql(
        "DROP SCHEMA IF EXISTS want CASCADE; CREATE SCHEMA want;"
        /* A session ends with its month: what lies in the next one is another. */
        "CREATE TABLE want.part AS SELECT usr, name, min(at) AS at_ms, max(at) - min(at) AS length_ms, max(views) AS views,"
        "  max(engaged_ms) AS engaged_ms, bit_or(goals) AS goals, date '1970-01-01' + (min(at) / 86400000)::int AS day FROM"
        "  (SELECT usr, name, at_ms + m AS at, CASE m WHEN 0 THEN views ELSE 0 END AS views, CASE m WHEN 0 THEN engaged_ms"
        "    ELSE 0 END AS engaged_ms, CASE WHEN m = length_ms THEN goals ELSE 0 END AS goals FROM raw.session CROSS JOIN"
        "    LATERAL (SELECT generate_series(0, length_ms, 1800000) AS m UNION SELECT length_ms) g) f"
        "  GROUP BY usr, name, date_trunc('month', timestamp '1970-01-01' + at * interval '1 ms');"
        "CREATE TABLE want.met AS SELECT *, date_trunc('week', day)::date AS week,"
        "  (SELECT count(*) FROM generate_series(0, 16) i WHERE length_ms >= 1000 * 2 ^ i)::int AS bin,"
        "  views >= 2 OR engaged_ms >= 10000 AS is_engaged FROM want.part;"
        "CREATE TABLE want.goal AS SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY usr, week ORDER BY goal) AS rank FROM"
        "  (SELECT DISTINCT usr, week, goal FROM want.met CROSS JOIN generate_series(0, 8) AS goal WHERE goals >> goal & 1 = 1) g) r"
        "  WHERE rank <= 4;"
        "CREATE TABLE want.sessions AS SELECT week + 6 AS due, 'sessions' AS number, 'week' AS span, week, 0 AS item, -1 AS n,"
        "  sum(least(met, 7))::bigint AS value, count(*) AS people FROM (SELECT usr, week, count(*) AS met FROM want.met"
        "  GROUP BY usr, week) a GROUP BY week UNION ALL"
        "  SELECT week + 6, 'engaged_sessions', 'week', week, 0, -1, sum(least(met, 7))::bigint, count(*) FROM (SELECT usr, week,"
        "  count(*) AS met FROM want.met WHERE is_engaged GROUP BY usr, week) a GROUP BY week UNION ALL"
        "  SELECT week + 6, 'session_durations', 'week', week, 0, bin, count(*), count(*) FROM (SELECT DISTINCT ON (usr, week) *"
        "  FROM want.met ORDER BY usr, week, at_ms, bin) a GROUP BY week, bin UNION ALL"
        "  SELECT week + 6, 'goal_sessions', 'week', week, goal, -1, count(*), count(*) FROM want.goal GROUP BY week, goal;"
        "CREATE TABLE want.cohorts AS SELECT (cohort + interval '13 months')::date - 1 AS due, 'last_active' AS number,"
        "  'month' AS span, cohort AS period, 0 AS item, n, count(*) AS value, count(*) AS people FROM (SELECT usr, cohort,"
        "    max(extract(year FROM day) * 12 + extract(month FROM day))::int - (extract(year FROM cohort) * 12"
        "    + extract(month FROM cohort))::int AS n FROM raw.session JOIN (SELECT usr, date_trunc('month', min(day))::date AS cohort"
        "    FROM raw.session GROUP BY usr) c USING (usr) WHERE day < cohort + interval '13 months' GROUP BY usr, cohort) l"
        "  GROUP BY cohort, n");
}

/* Closing */

static enum result close_body(struct db *db, void *context, struct failure *why)
{
    const int64_t *watermark_ms = context;
    uint64_t days = 0;
    return close_due(db, &server.shard, *watermark_ms, &days, why);
}

static void close_at(int64_t watermark_ms)
{
    struct failure why = {0};
    if (db_transaction(server.state, close_body, &watermark_ms, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
}

#define COLUMNS "SELECT due, number, interval, period, item::int, n, value, people FROM state.cell WHERE "
#define OF_WEEKS "interval = 'week' AND number IN ('sessions', 'engaged_sessions', 'session_durations', 'goal_sessions')"

static void check_cells(bool weeks, bool cohorts)
{
    const struct fold_app *of = &server.shard.apps[0];
    char want[256];
    (void)snprintf(want, sizeof want, "SELECT * FROM want.sessions WHERE %s AND due <= date '1970-01-01' + %d",
        weeks ? "true" : "false", of->sessions_through == FOLD_NO_DAY ? 0 : of->sessions_through);
    cluster_compare("weeks", COLUMNS OF_WEEKS, want);
    (void)snprintf(want, sizeof want, "SELECT * FROM want.cohorts WHERE %s AND due <= date '1970-01-01' + %d",
        cohorts ? "true" : "false", of->activity_through == FOLD_NO_DAY ? 0 : of->activity_through);
    cluster_compare("cohorts", COLUMNS "number = 'last_active'", want);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.cell WHERE number NOT IN ('last_active', 'goal_sessions')"
        " AND NOT (" OF_WEEKS ")"), 0);
    (void)snprintf(want, sizeof want, "SELECT count(*) FROM state.person_period WHERE NOT %s OR interval <> 'week'"
        " OR period + 6 <= date '1970-01-01' + %d", weeks ? "true" : "false",
        of->sessions_through == FOLD_NO_DAY ? 0 : of->sessions_through);
    assert_int_equal(cluster_number(want), 0);
}

static void refresh(void)
{
    struct failure why = {0};
    if (directory_refresh(server.state, server.stream, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    const struct directory *last = server.shard.directory;
    server.shard.directory = directory_current();
    if (server.shard.held && store_load_apps(server.state, &server.shard, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    if (server.shard.held) {
        app.id = server.shard.apps[0].app;
        server.shard.apps[0].definition = &app;
    }
    directory_release(last);
}

static void start_anew(uint32_t seed, enum app_preset preset)
{
    cluster_sql("TRUNCATE state.fragment, state.carry, state.person, state.person_month, state.person_day, state.progress,"
        " state.triple, state.day_sum, state.session_sum, state.person_period, state.cell; DELETE FROM config.seal_request");
    refresh();
    app.preset = preset;
    app.horizon_days = 400;
    make_facts(seed);
    write_state();
    write_expectations();
}

/* Old months go between closes; nobody is forgotten, as the clock does not go on. */
static void drop_old_months(void)
{
    struct failure why = {0};
    if (store_expire(server.state, &server.shard, server.first * DAY_MS, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
}

static void play(uint32_t seed, enum app_preset preset, uint32_t most_days, uint32_t horizon_days)
{
    bool weeks = preset != APP_PRESET_EXACT && preset != APP_PRESET_THRESHOLD;
    start_anew(seed, preset);
    app.horizon_days = horizon_days;
    int64_t watermark_ms = server.first * DAY_MS;
    while (server.shard.apps[0].sessions_through < server.first + DAYS + 40) {
        close_at(watermark_ms);
        check_cells(weeks, horizon_days >= 399);
        drop_old_months();
        watermark_ms += (int64_t)(1 + roll(most_days * 24)) * HOUR_MS;
    }
    assert_int_equal(cluster_number("SELECT count(*) FROM state.person_period"), 0);
    assert_true(cluster_number("SELECT coalesce(max(months), 0) FROM (SELECT count(*) AS months FROM state.person_month"
        " GROUP BY usr) m") <= 2);
    print_message("seed %u: %lld cells\n", seed, (long long)cluster_number("SELECT count(*) FROM state.cell"));
}

static void cells_are_what_the_definitions_say(void **unused)
{
    (void)unused;
    play(1, APP_PRESET_STANDARD, 20, 400);
    play(2, APP_PRESET_STRICT, 40, 800);
    play(3, APP_PRESET_EXACT, 90, 399);
    play(4, APP_PRESET_SMALL, 900, 398);
    play(5, APP_PRESET_THRESHOLD, 300, 62);
}

/* The facts are such that every clamp has something to do. */
static void the_facts_are_hard(void **unused)
{
    (void)unused;
    start_anew(1, APP_PRESET_STANDARD);
    assert_true(cluster_number("SELECT count(*) FROM (SELECT usr FROM want.met GROUP BY usr, week HAVING count(*) > 7) a") > 20);
    assert_true(cluster_number("SELECT count(*) FROM (SELECT usr FROM want.met WHERE is_engaged GROUP BY usr, week"
        " HAVING count(*) > 7) a") > 5);
    assert_true(cluster_number("SELECT count(*) FROM (SELECT usr FROM (SELECT DISTINCT usr, week, g FROM want.met CROSS JOIN"
        " generate_series(0, 8) g WHERE goals >> g & 1 = 1) d GROUP BY usr, week HAVING count(*) > 4) a") > 10);
    assert_true(cluster_number("SELECT count(*) FROM want.met a JOIN want.met b USING (usr, at_ms) WHERE a.bin < b.bin"
        " AND NOT EXISTS (SELECT FROM want.met c WHERE c.usr = a.usr AND c.week = a.week AND c.at_ms < a.at_ms)") > 10);
    assert_true(cluster_number("SELECT count(*) FROM want.met WHERE floor((at_ms + length_ms) / 86400000.0) >"
        " week + 6 - date '1970-01-01'") > 5);
    assert_int_equal(cluster_number("SELECT count(DISTINCT n) FROM want.cohorts"), 13);
    assert_true(cluster_number("SELECT count(DISTINCT period) FROM want.cohorts") > 12);
}

static void seal_at_once(enum app_preset preset, bool weeks)
{
    char text[256];
    start_anew(6, preset);
    (void)snprintf(text, sizeof text, "INSERT INTO config.seal_request (app, through, requested_at, leaf)"
        " SELECT %u, date '1970-01-01' + %d, '2015-01-01', id FROM audit.outbox LIMIT 1", server.shard.apps[0].app,
        server.first + DAYS + 60);
    cluster_sql(text);
    refresh();
    close_at(server.first * DAY_MS + 400 * DAY_MS);
    assert_int_equal(server.shard.apps[0].sessions_through, server.first + DAYS + 60);
    check_cells(weeks, true);
}

static void an_import_is_sealed_at_once(void **unused)
{
    (void)unused;
    seal_at_once(APP_PRESET_STANDARD, true);
    seal_at_once(APP_PRESET_EXACT, false);
}

static int start_server(void **state)
{
    struct failure why = {0};
    if (cluster_start(state) != 0)
        return -1;
    server.state = cluster_connect("throng_state", "throng-aggregate");
    server.config.redis_socket = "/nonexistent/redis.sock";
    server.config.redis_timeout_ms = 100;
    server.stream = stream_new(&server.config);
    cluster_add_crowd("UTC", "2014-09-01");
    assert_int_equal(cluster_number("SELECT app FROM config.app"), 1);
    server.shard.number = 3;
    refresh();
    assert_int_equal(store_take(server.state, &server.shard, &why), RESULT_OK);
    return server.shard.held ? 0 : -1;
}

static int stop_server(void **state)
{
    directory_release(server.shard.directory);
    shard_reset(&server.shard);
    stream_free(server.stream);
    db_free(server.state);
    return cluster_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_what_the_definitions_say),
        cmocka_unit_test(the_facts_are_hard),
        cmocka_unit_test(an_import_is_sealed_at_once),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
