/*
 * What apps declare, closed in a private PostgreSQL: random persons' marks, sessions, steps, samples and entities, eleven
 * weeks of them in a zone whose clocks change, are closed at random moments, some closes failing, or all at once by an order
 * to seal; after each close every cell must be what the definitions say of the raw facts, and what nobody needs is gone.
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
#define TIMEOUT_MS (30 * MINUTE_MS)
#define USERS 40
#define DAYS 77
#define STEPS_MAX 60000
#define ZONE "America/Sao_Paulo"

static struct {
    struct db *state;
    struct config config;
    struct stream *stream; /* leads nowhere: the directory does without */
    struct shard shard;
    int32_t first; /* day */
} server;

/* The app */

static struct app_dimension dimensions[] = {
    {.scope = APP_SCOPE_EVENTS, .count = 4, .has_other = true},
    {.scope = APP_SCOPE_ENTRY, .count = 5, .has_other = true},
    {.scope = APP_SCOPE_EVENTS, .count = 50},
    {.scope = APP_SCOPE_EXIT, .count = 3},
};
static struct app_funnel funnels[] = {{.steps = 3, .window_days = 2}, {.steps = 5, .window_days = 7},
    {.steps = 2, .window_days = 30}};
static struct app_measure measures[] = {{.min = 0, .max = 1000, .step = 1, .of_outcome = true},
    {.min = -5, .max = 5, .step = 0.1, .of_outcome = true}, {.min = 0, .max = 1e9, .step = 0.5}};
static struct app_outcome outcomes[] = {
    {.measure = 0, .aggregate = APP_AGGREGATE_MEAN, .tiers = {{.sessions_from = 0}, {.sessions_from = 1}, {.sessions_from = 3}},
        .tier_count = 3},
    {.measure = 1, .aggregate = APP_AGGREGATE_SUM},
    {.measure = 0, .aggregate = APP_AGGREGATE_MAX, .tiers = {{.sessions_from = 1}, {.sessions_from = 2}}, .tier_count = 2},
    {.measure = 1, .aggregate = APP_AGGREGATE_LAST},
};
static struct app_dimension paths[] = {{.count = 6, .has_other = true}, {.count = 3}};
static struct app_item items[8];

static struct app app = {.dimensions = dimensions, .dimension_count = 4, .features = items, .feature_count = 6,
    .segments = items, .segment_count = 5, .goals = items, .goal_count = 5, .completion = true, .funnels = funnels,
    .funnel_count = 3, .measures = measures, .measure_count = 3, .outcomes = outcomes, .outcome_count = 4, .entities = items,
    .entity_count = 2, .paths = paths, .path_count = 2, .session_timeout_ms = TIMEOUT_MS};

/* Randomness, and a zone by hand: UTC-3, and UTC-2 from 2017-10-15T03:00Z to 2018-02-18T02:00Z. */

static uint64_t dice;

static uint32_t roll(uint32_t sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % sides;
}

#define SUMMER_MS 1508036400000LL
#define WINTER_MS 1518919200000LL

static int32_t day_at(int64_t ms)
{
    return (int32_t)((ms - (ms >= SUMMER_MS && ms < WINTER_MS ? 2 : 3) * HOUR_MS) / DAY_MS);
}

static int64_t start_of(int32_t day)
{
    int64_t ms = day * DAY_MS + 3 * HOUR_MS;
    return ms > SUMMER_MS && ms < WINTER_MS ? ms - HOUR_MS : ms;
}

static int64_t moment_of(int32_t day)
{
    int64_t at = start_of(day) + (int64_t)roll(24 * 60) * MINUTE_MS;
    /* The last and the first millisecond of days and weeks, too. */
    at = roll(12) == 0 ? start_of(day + 1) - 1 : at;
    return roll(12) == 0 ? start_of(day) : at;
}

/* Raw facts, gathered in rows of an INSERT. */

static struct {
    char text[65536];
    size_t length;
    const char *table;
} batch;

static void flush_rows(void)
{
    if (batch.length > 0)
        cluster_sql(batch.text);
    batch.length = 0;
}

__attribute__((format(printf, 2, 3))) static void add_row(const char *table, const char *format, ...)
{
    if (batch.length > sizeof batch.text - 512 || batch.table != table)
        flush_rows();
    batch.table = table;
    int written = batch.length == 0 ? snprintf(batch.text, sizeof batch.text, "INSERT INTO raw.%s VALUES ", table)
                                    : snprintf(batch.text + batch.length, 2, ",");
    batch.length += (size_t)written;
    va_list arguments;
    va_start(arguments, format);
    batch.length += (size_t)vsnprintf(batch.text + batch.length, sizeof batch.text - batch.length, format, arguments);
    va_end(arguments);
}

struct step {
    uint32_t user;
    int track;
    int64_t at_ms;
    int32_t value;
};

static struct step steps[STEPS_MAX];
static size_t step_count;

static void add_step(uint32_t user, int track, int64_t at_ms, int32_t value)
{
    assert_true(step_count < STEPS_MAX);
    steps[step_count++] = (struct step){user, track, at_ms, value};
    add_row("step", "(%u, %d, %lld, %d)", user, track, (long long)at_ms, value);
}

static void walk(uint32_t user, int32_t day)
{
    int64_t at = moment_of(day);
    for (uint32_t events = roll(9); events > 0; events--) {
        /* Several in one millisecond, gaps of exactly the timeout, and longer ones. */
        at += roll(4) == 0 ? 0 : roll(6) == 0 ? TIMEOUT_MS + roll(2) : (int64_t)roll(25) * MINUTE_MS;
        uint32_t class = roll(7);
        add_step(user, FOLD_PATH_TRACK, at, (int32_t)(class == 6 ? DIMENSION_VALUES_MAX : class));
        if (roll(2) == 0)
            add_step(user, FOLD_PATH_TRACK + 1, at, (int32_t)roll(3));
    }
    for (int funnel = 0; funnel < 3; funnel++) {
        at = moment_of(day);
        for (uint32_t events = roll(funnel == 2 ? 2 : 4); events > 0; events--) {
            at += roll(3) == 0 ? 0 : roll(20) == 0 ? (int64_t)funnels[funnel].window_days * DAY_MS : (int64_t)roll(300) * MINUTE_MS;
            if (day_at(at) >= server.first + DAYS)
                continue;
            int32_t mask = 1 << roll(funnels[funnel].steps);
            add_step(user, funnel, at, roll(4) == 0 ? mask | 1 << roll(funnels[funnel].steps) : mask);
        }
    }
}

static void add_marks(uint32_t user, int32_t day)
{
    for (uint32_t i = roll(5); i > 0; i--) {
        uint32_t kind = roll(4);
        uint32_t bit = kind == 0 ? roll(6) : kind == 1 ? 32 + roll(5) : kind == 2 ? 64 + (roll(5) == 0 ? 50 : roll(4)) :
            64 + 128 + roll(50);
        add_row("mark", "(%u, date '1970-01-01' + %d, %u)", user, day, bit);
    }
}

static void add_sessions(uint32_t user, int32_t day)
{
    int64_t at = start_of(day);
    for (uint32_t i = roll(8) == 0 ? roll(14) : 1 + roll(3); i > 0; i--) {
        at += (int64_t)(31 + roll(70)) * MINUTE_MS;
        uint64_t goals = roll(3) > 0 ? 0 : roll(32);
        goals |= roll(2) == 0 ? SESSION_STARTED : 0;
        goals |= roll(3) == 0 ? SESSION_DONE : 0;
        char entry[8] = "NULL";
        char leave[8] = "NULL";
        if (roll(4) > 0)
            (void)snprintf(entry, sizeof entry, "%u", roll(6) == 0 ? DIMENSION_VALUES_MAX : roll(5));
        if (roll(4) > 0)
            (void)snprintf(leave, sizeof leave, "%u", roll(3));
        uint32_t length_ms = roll(3) == 0 ? roll(60) * 1000 : 0;
        uint32_t views = roll(3);
        if (day_at(at) < server.first + DAYS)
            add_row("session", "(%u, date '1970-01-01' + %d, %lld, %lld, %s, %s, %u, %u)", user, day_at(at), (long long)at,
                (long long)(int64_t)goals, entry, leave, length_ms, views);
    }
}

static void add_samples(uint32_t user, int32_t day)
{
    for (int measure = 0; measure < 3; measure++) {
        for (uint32_t i = roll(3) > 0 ? 0 : roll(20) == 0 ? roll(150) : roll(30); i > 0; i--) {
            int64_t value = measure == 0 ? roll(1001) : measure == 1 ? roll(101) : (int64_t)roll(2000) * roll(1000000);
            value = roll(10) == 0 ? 0 : value;
            int bin = 0;
            for (int64_t v = value; v > 0; v >>= 1)
                bin++;
            add_row("sample", "(%u, date '1970-01-01' + %d, %d, %d, %lld, %lld)", user, day, measure, bin, (long long)value,
                (long long)(start_of(day) + roll(60)));
        }
    }
    for (uint32_t i = roll(3) > 0 ? 0 : roll(12); i > 0; i--)
        add_row("touch", "(%u, date '1970-01-01' + %d, %u, %u)", user, day, roll(2), roll(30));
}

static void make_facts(uint32_t seed)
{
    dice = seed;
    step_count = 0;
    server.first = clock_days_from_civil(2017, seed % 2 == 0 ? 10 : 12, seed % 2 == 0 ? 3 : 20);
    cluster_sql("DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw; BEGIN;"
        "CREATE TABLE raw.mark (usr int, day date, bit int);"
        "CREATE TABLE raw.session (usr int, day date, at_ms bigint, goals bigint, entry int, leave int, length_ms int,"
        "  views int);"
        "CREATE TABLE raw.step (usr int, track int, at_ms bigint, value int);"
        "CREATE TABLE raw.sample (usr int, day date, measure int, bin int, value bigint, at_ms bigint);"
        "CREATE TABLE raw.touch (usr int, day date, class int, entity bigint);"
        "CREATE TABLE raw.funnel (due date, period date, item int, n int, value bigint);");
    for (uint32_t user = 1; user <= USERS; user++) {
        uint32_t often = 5 + roll(60);
        for (int32_t day = server.first; day < server.first + DAYS; day++) {
            if (roll(100) >= often)
                continue;
            add_marks(user, day);
            add_sessions(user, day);
            walk(user, day);
            add_samples(user, day);
        }
    }
    flush_rows();
    cluster_sql("COMMIT");
}

/* As the fold writes them. */
#define NAME(usr) "decode(lpad(to_hex(" usr "), 32, '0'), 'hex')"
static void write_state(void)
{
    cluster_sql(
        "CREATE FUNCTION raw.mask(bits int[]) RETURNS bit(576) LANGUAGE sql AS $$"
        "  SELECT string_agg(CASE WHEN i = ANY (bits) THEN '1' ELSE '0' END, '' ORDER BY i)::bit(576)"
        "  FROM generate_series(0, 575) i $$;"
        "CREATE TEMPORARY TABLE active AS SELECT usr, day FROM raw.mark UNION SELECT usr, day FROM raw.session"
        "  UNION SELECT usr, day FROM raw.sample;"
        "INSERT INTO state.person SELECT 3, 1, " NAME("usr") ", min(day), max(day) FROM active GROUP BY usr;"
        "INSERT INTO state.person_month SELECT 3, 1, " NAME("usr") ", date_trunc('month', day),"
        "  bit_or(1 << (extract(day FROM day)::int - 1)) FROM active GROUP BY usr, 4;"
        "INSERT INTO state.person_day SELECT 3, 1, " NAME("a.usr") ", a.day, 1, 0, raw.mask(m.bits) FROM active a"
        "  LEFT JOIN (SELECT usr, day, array_agg(bit) AS bits FROM raw.mark GROUP BY 1, 2) m USING (usr, day);"
        "UPDATE state.person_day SET marks = NULL WHERE marks = 0::bit(576);"
        "DROP TABLE active;"
        "INSERT INTO state.fragment SELECT 3, 1, " NAME("usr") ", '', NULL, at_ms, at_ms + length_ms, 1, views, 0, 0, goals,"
        "  CASE WHEN entry IS NOT NULL THEN 0 END, entry, CASE WHEN leave IS NOT NULL THEN 0 END, leave FROM raw.session;"
        "INSERT INTO state.step SELECT 3, 1, " NAME("usr") ", track, at_ms, value FROM raw.step ORDER BY random();"
        "INSERT INTO state.person_measure SELECT 3, 1, " NAME("usr") ", day, measure, bin, count(*), sum(value), max(value),"
        "  max(at_ms), (array_agg(value ORDER BY at_ms DESC, value DESC))[1] FROM raw.sample GROUP BY usr, day, measure, bin;"
        "INSERT INTO state.person_entity SELECT DISTINCT 3, 1, " NAME("usr") ", day, class, entity FROM raw.touch");
}

/* What the definitions say. */

/* The furthest step after `step` by trying every event that may be the next one. */
static int furthest(const struct step *events, size_t count, const struct app_funnel *funnel, int step, int64_t at_ms,
    int64_t until_ms, uint64_t used)
{
    int best = step;
    for (size_t i = 0; i < count && step + 1 < (int)funnel->steps; i++) {
        const struct step *event = &events[i];
        if ((used >> i & 1) != 0 || event->at_ms < at_ms || event->at_ms > until_ms || (event->value >> (step + 1) & 1) == 0)
            continue;
        int far = furthest(events, count, funnel, step + 1, event->at_ms, until_ms, used | 1ULL << i);
        best = far > best ? far : best;
    }
    return best;
}

static void expect_funnel(uint32_t user, int item, int32_t monday)
{
    const struct app_funnel *funnel = &funnels[item];
    int64_t anchor_ms = INT64_MAX;
    for (size_t i = 0; i < step_count; i++) {
        const struct step *step = &steps[i];
        if (step->user == user && step->track == item && (step->value & 1) != 0 && step->at_ms < anchor_ms &&
            step->at_ms >= start_of(monday) && step->at_ms < start_of(monday + 7))
            anchor_ms = step->at_ms;
    }
    if (anchor_ms == INT64_MAX)
        return;
    struct step near[64];
    size_t count = 0;
    int64_t until_ms = anchor_ms + funnel->window_days * DAY_MS;
    for (size_t i = 0; i < step_count; i++) {
        if (steps[i].user == user && steps[i].track == item && steps[i].at_ms >= anchor_ms && steps[i].at_ms <= until_ms &&
            count < 64)
            near[count++] = steps[i];
    }
    int far = 0;
    for (size_t i = 0; i < count; i++) {
        int of = near[i].at_ms == anchor_ms && (near[i].value & 1) != 0 ?
            furthest(near, count, funnel, 0, anchor_ms, until_ms, 1ULL << i) : 0;
        far = of > far ? of : far;
    }
    add_row("funnel", "(date '1970-01-01' + %d, date '1970-01-01' + %d, %d, %d, 1)",
        monday + 6 + (int)funnel->window_days + 1, monday, item, far);
}

static void expect_funnels(void)
{
    for (int32_t monday = server.first - (server.first + 3) % 7; monday < server.first + DAYS; monday += 7) {
        for (int item = 0; item < 3; item++) {
            for (uint32_t user = 1; user <= USERS; user++)
                expect_funnel(user, item, monday);
        }
    }
    flush_rows();
}

/* What is of a person's week, under a differentially private preset only. */
static void expect_weeks(void)
{
    static char text[4096];
    (void)snprintf(text, sizeof text,
        "CREATE VIEW want.week AS SELECT *, row_number() OVER (PARTITION BY usr, period ORDER BY at_ms) AS rank"
        "  FROM raw.session JOIN want.span USING (day) WHERE span = 'week' AND %s;"
        "CREATE VIEW want.weeks AS SELECT due, 'sessions' AS number, span, period, 0 AS item, -1 AS n,"
        "  count(*) FILTER (WHERE rank <= %lld) AS value, count(DISTINCT usr) AS people FROM want.week GROUP BY due, span, period"
        "  UNION ALL SELECT due, 'engaged_sessions', span, period, 0, -1, sum(least(met, %lld))::bigint, count(*)"
        "    FROM (SELECT usr, due, span, period, count(*) AS met FROM want.week WHERE views > 1 GROUP BY 1, 2, 3, 4) e"
        "    GROUP BY due, span, period"
        "  UNION ALL SELECT due, 'session_durations', span, period, 0, bin, count(*), count(*) FROM (SELECT *,"
        "    (SELECT count(*) FROM generate_series(0, 16) i WHERE length_ms >= 1000 * 2 ^ i)::int AS bin FROM want.week"
        "    WHERE rank = 1) d GROUP BY due, span, period, bin"
        "  UNION ALL SELECT due, 'goal_sessions', span, period, goal, -1, count(*), count(*) FROM (SELECT *, row_number()"
        "    OVER (PARTITION BY usr, period ORDER BY goal) AS place FROM (SELECT DISTINCT usr, due, span, period, goal"
        "    FROM want.week CROSS JOIN generate_series(0, 4) AS goal WHERE (goals >> goal & 1) = 1) g) f"
        "    WHERE place <= %lld GROUP BY due, span, period, goal",
        app.preset == APP_PRESET_STANDARD ? "true" : "false", (long long)family_clamp(FAMILY_SESSIONS, app.preset),
        (long long)family_clamp(FAMILY_SESSIONS, app.preset), (long long)family_clamp(FAMILY_GOALS, app.preset));
    cluster_sql(text);
}

/* The views want.activity and want.sessions have every cell. */
static void write_expectations(void)
{
    static char text[16384];
    expect_funnels();
    (void)snprintf(text, sizeof text,
        "DROP SCHEMA IF EXISTS want CASCADE; CREATE SCHEMA want;"
        "CREATE VIEW want.span AS SELECT day, span, period, due FROM (SELECT date '2017-09-01' + i AS day FROM"
        "  generate_series(0, 300) i) d CROSS JOIN LATERAL (VALUES ('day', day, day), ('week', date_trunc('week', day)::date,"
        "  date_trunc('week', day)::date + 6), ('month', date_trunc('month', day)::date,"
        "  (date_trunc('month', day) + interval '1 month')::date - 1)) s (span, period, due);"
        "CREATE VIEW want.met AS SELECT DISTINCT usr, span, period, due, bit FROM raw.mark JOIN want.span USING (day);"
        "CREATE VIEW want.dimension AS SELECT due, 'dimension_users', span, period, item, n, count(*) AS value, count(*) AS people"
        "  FROM (SELECT usr, due, span, period, (bit - 64) / 64 AS item, min((bit - 64) %% 64) AS n FROM want.met"
        "  WHERE bit >= 64 GROUP BY 1, 2, 3, 4, 5) m GROUP BY due, span, period, item, n;"
        "CREATE VIEW want.feature AS SELECT due, kind || '_users', span, period, bit %% 32 AS item, -1 AS n, count(*) AS value,"
        "  count(*) AS people FROM (SELECT *, CASE WHEN bit < 32 THEN 'feature' ELSE 'segment' END AS kind, row_number() OVER"
        "  (PARTITION BY usr, span, period, bit / 32 ORDER BY bit) AS rank FROM want.met WHERE bit < 64) m"
        "  WHERE rank <= CASE kind WHEN 'feature' THEN %lld ELSE %lld END GROUP BY due, kind, span, period, bit;"
        "CREATE VIEW want.sample AS SELECT *, j * c / t > (j - 1) * c / t OR t <= c AS kept FROM (SELECT *, %lld AS c, row_number()"
        "  OVER (PARTITION BY usr, day, measure ORDER BY bin) AS j, count(*) OVER (PARTITION BY usr, day, measure) AS t"
        "  FROM raw.sample) s;"
        "CREATE VIEW want.measure AS SELECT day AS due, 'measure_count' AS number, 'day' AS span, day AS period, measure AS item, -1 AS n,"
        "  count(*) FILTER (WHERE kept) AS value, count(DISTINCT usr) AS people FROM want.sample GROUP BY day, measure"
        "  UNION ALL SELECT day, 'measure_bins', 'day', day, measure, bin, count(*), count(DISTINCT usr) FROM want.sample"
        "  WHERE kept GROUP BY day, measure, bin"
        "  UNION ALL SELECT day, 'measure_sum', 'day', day, measure, -1, sum(part), count(*) FROM (SELECT usr, day, measure,"
        "    CASE WHEN max(t) > max(c) THEN floor(sum(value) * max(c) / max(t)) ELSE sum(value) END::bigint AS part"
        "    FROM want.sample GROUP BY 1, 2, 3) p GROUP BY day, measure;"
        "CREATE VIEW want.touch AS SELECT DISTINCT day, class, entity FROM (SELECT *, row_number() OVER (PARTITION BY usr, day, class"
        "  ORDER BY entity) AS rank FROM (SELECT DISTINCT * FROM raw.touch) d) r WHERE rank <= %lld;"
        "CREATE VIEW want.entity AS SELECT day AS due, 'entity_count' AS number, 'day' AS span, day AS period, class AS item, -1 AS n, 0 AS value,"
        "  count(DISTINCT usr) AS people FROM raw.touch GROUP BY day, class;"
        "CREATE VIEW want.path AS SELECT day AS due, 'path_pairs' AS number, 'day' AS span, day AS period, track - 64 AS item, a * 64 + value AS n,"
        "  count(*) AS value, count(DISTINCT usr) AS people FROM (SELECT *, row_number() OVER (PARTITION BY usr, track, day"
        "  ORDER BY at_ms, value) AS rank FROM (SELECT *, (to_timestamp(at_ms / 1000.0) AT TIME ZONE '" ZONE "')::date AS day,"
        "  lag(value) OVER w AS a, lag(at_ms) OVER w AS a_ms FROM raw.step WHERE track >= 64"
        "  WINDOW w AS (PARTITION BY usr, track ORDER BY at_ms, value)) s WHERE a <> value AND at_ms - a_ms <= 1800000) p"
        "  WHERE rank <= %lld GROUP BY day, track, a, value;"
        "CREATE VIEW want.funnel AS SELECT due, 'funnel_users' AS number, 'week' AS span, period, item, n, sum(value)::bigint AS value,"
        "  sum(value)::bigint AS people FROM raw.funnel GROUP BY due, period, item, n;",
        (long long)family_clamp(FAMILY_FEATURES, app.preset), (long long)family_clamp(FAMILY_SEGMENTS, app.preset),
        (long long)(app.preset == APP_PRESET_EXACT ? 1000000000 : family_clamp(FAMILY_MEASURES, app.preset)),
        (long long)family_clamp(FAMILY_ENTITIES, app.preset), (long long)family_clamp(FAMILY_PATHS, app.preset));
    cluster_sql(text);
    expect_weeks();
    (void)snprintf(text, sizeof text,
        "CREATE VIEW want.goal AS SELECT day AS due, metric, 'day' AS span, day AS period, item, -1 AS n,"
        "  sum(least(sessions, most))::bigint AS value, count(*) AS people FROM (SELECT usr, day, metric, item, most,"
        "  count(*) AS sessions FROM (SELECT *, row_number() OVER (PARTITION BY usr, day ORDER BY at_ms) AS rank FROM raw.session) s"
        "  JOIN (SELECT 'goal_sessions' AS metric, i AS item, i AS bit, %lld AS most FROM generate_series(0, 4) i UNION ALL"
        "  VALUES ('start_sessions', 0, 62, %lld), ('completed_sessions', 0, 63, %lld)) g"
        "  ON (goals >> bit & 1) = 1 WHERE rank <= %lld GROUP BY 1, 2, 3, 4, 5) t GROUP BY day, metric, item;"
        "CREATE VIEW want.visit AS SELECT due, 'session_dimension_users', span, period, item, n, count(*) AS value,"
        "  count(*) AS people FROM (SELECT usr, due, span, period, item, min(class) AS n FROM raw.session JOIN want.span"
        "  USING (day) CROSS JOIN LATERAL (VALUES (1, entry), (3, leave)) c (item, class) WHERE class IS NOT NULL"
        "  GROUP BY 1, 2, 3, 4, 5) m GROUP BY due, span, period, item, n;"
        "CREATE VIEW want.person AS SELECT usr, measure, period, due, sum(value) AS sum, count(*) AS count, max(value) AS most,"
        "  (array_agg(value ORDER BY at_ms DESC, value DESC))[1] AS last, (SELECT count(*) FROM raw.session s WHERE s.usr = m.usr"
        "  AND s.day BETWEEN period AND due) AS sessions, due - period + 1 AS days FROM raw.sample m JOIN want.span USING (day)"
        "  WHERE span = 'month' GROUP BY 1, 2, 3, 4;"
        "CREATE VIEW want.person_value AS"
        "  SELECT *, 0 AS item, floor(1000 * sum / count + 0.5)::bigint AS v, CASE WHEN sessions * 7 >= 3 * days THEN 2"
        "    WHEN sessions * 7 >= days THEN 1 ELSE 0 END AS tier FROM want.person WHERE measure = 0 UNION ALL"
        "  SELECT *, 1, 1000 * least(sum, 1000 * 100), 0 FROM want.person WHERE measure = 1 UNION ALL"
        "  SELECT *, 2, 1000 * most, CASE WHEN sessions * 7 >= 2 * days THEN 1 ELSE 0 END FROM want.person"
        "    WHERE measure = 0 AND sessions * 7 >= days UNION ALL"
        "  SELECT *, 3, 1000 * last, 0 FROM want.person WHERE measure = 1;"
        "CREATE VIEW want.outcome AS SELECT due, 'outcome_users' AS number, 'month' AS span, period, item, tier AS n, count(*) AS value,"
        "  count(*) AS people FROM want.person_value GROUP BY due, period, item, tier UNION ALL"
        "  SELECT due, 'outcome_sum', 'month', period, item, tier, sum(v)::bigint, count(*) FROM want.person_value"
        "  GROUP BY due, period, item, tier UNION ALL"
        "  SELECT due, 'outcome_bins', 'month', period, item, tier * 64 + bin, count(*), count(*) FROM (SELECT *,"
        "    (SELECT count(*) FROM generate_series(0, 40) i WHERE v / 1000 >= 2 ^ i) AS bin FROM want.person_value) b"
        "    GROUP BY due, period, item, tier, bin;"
        "CREATE TABLE want.activity AS SELECT * FROM want.dimension UNION ALL SELECT * FROM want.feature UNION ALL"
        "  SELECT * FROM want.measure UNION ALL SELECT * FROM want.entity UNION ALL SELECT * FROM want.path UNION ALL"
        "  SELECT * FROM want.funnel;"
        "CREATE TABLE want.sessions AS SELECT * FROM want.goal UNION ALL SELECT * FROM want.visit UNION ALL"
        "  SELECT * FROM want.outcome UNION ALL SELECT * FROM want.weeks",
        (long long)family_clamp(FAMILY_GOALS, app.preset), (long long)family_clamp(FAMILY_COMPLETION, app.preset),
        (long long)family_clamp(FAMILY_COMPLETION, app.preset), (long long)family_clamp(FAMILY_SESSIONS, app.preset));
    cluster_sql(text);
}

/* Closing */

static enum result close_body(struct db *db, void *context, struct failure *why)
{
    const int64_t *watermark_ms = context;
    uint64_t days = 0;
    enum result result = close_due(db, &server.shard, *watermark_ms, &days, why);
    return result == RESULT_OK && *watermark_ms % 2 != 0 ? RESULT_FAILED : result;
}

/* Close what is due; an odd watermark fails at the end. */
static void close_at(int64_t watermark_ms)
{
    struct failure why = {0};
    struct fold_app before = server.shard.apps[0];
    enum result result = db_transaction(server.state, close_body, &watermark_ms, &why);
    if (result != RESULT_OK && watermark_ms % 2 == 0)
        fail_msg("%s %s", why.field, why.text);
    if (result != RESULT_OK)
        server.shard.apps[0] = before;
}

#define COLUMNS "due, number, interval, period, item::int, n, value, people"
#define SESSION_NUMBERS \
    "('goal_sessions', 'start_sessions', 'completed_sessions', 'session_dimension_users', 'outcome_users', 'outcome_sum'," \
    " 'outcome_bins', 'sessions', 'engaged_sessions', 'session_durations')"

static void check_cells(void)
{
    const struct fold_app *of = &server.shard.apps[0];
    if (of->activity_through == FOLD_NO_DAY)
        return;
    char want[512];
    (void)snprintf(want, sizeof want, "SELECT * FROM want.activity WHERE due <= date '1970-01-01' + %d", of->activity_through);
    cluster_compare("activity", "SELECT " COLUMNS " FROM state.cell WHERE number NOT IN " SESSION_NUMBERS, want);
    (void)snprintf(want, sizeof want, "SELECT * FROM want.sessions WHERE due <= date '1970-01-01' + %d",
        of->sessions_through == FOLD_NO_DAY ? 0 : of->sessions_through);
    cluster_compare("sessions", "SELECT " COLUMNS " FROM state.cell WHERE number IN " SESSION_NUMBERS, want);
    (void)snprintf(want, sizeof want, "SELECT class, span, period, entity FROM want.touch JOIN want.span USING (day)"
        " WHERE day <= date '1970-01-01' + %d GROUP BY 1, 2, 3, 4", of->activity_through);
    cluster_compare("entity", "SELECT class::int, interval, period, entity FROM state.entity", want);
}

static void check_gone(void)
{
    const struct fold_app *of = &server.shard.apps[0];
    char query[512];
    if (of->activity_through == FOLD_NO_DAY)
        return;
    static const char *const days[] = {"person_day", "person_measure", "person_entity"};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        (void)snprintf(query, sizeof query, "SELECT count(*) FROM state.%s WHERE day <= date '1970-01-01' + %d", days[i],
            of->activity_through);
        assert_int_equal(cluster_number(query), 0);
    }
    if (of->sessions_through == FOLD_NO_DAY)
        return;
    (void)snprintf(query, sizeof query, "SELECT count(*) FROM state.person_period WHERE CASE interval WHEN 'week' THEN"
        " period + 6 ELSE (period + interval '1 month')::date - 1 END <= date '1970-01-01' + %d", of->sessions_through);
    assert_int_equal(cluster_number(query), 0);
    (void)snprintf(query, sizeof query, "SELECT count(*) FROM state.person_outcome WHERE (month + interval '1 month')::date - 1"
        " <= date '1970-01-01' + %d", of->sessions_through);
    assert_int_equal(cluster_number(query), 0);
    (void)snprintf(query, sizeof query, "SELECT count(*) FROM state.step WHERE at_ms < CASE track WHEN 0 THEN %lld WHEN 1 THEN %lld"
        " WHEN 2 THEN %lld ELSE %lld END",
        (long long)start_of(of->activity_through - 2 - 14), (long long)start_of(of->activity_through - 7 - 14),
        (long long)start_of(of->activity_through - 30 - 14), (long long)(start_of(of->activity_through + 1) - TIMEOUT_MS));
    assert_int_equal(cluster_number(query), 0);
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
        " state.triple, state.day_sum, state.session_sum, state.person_period, state.step, state.person_measure,"
        " state.person_outcome, state.person_entity, state.entity, state.cell; DELETE FROM config.seal_request");
    refresh();
    app.preset = preset;
    make_facts(seed);
    write_state();
    write_expectations();
}

static int32_t closed_through(void)
{
    return server.shard.apps[0].activity_through;
}

static void play(uint32_t seed, enum app_preset preset, uint32_t most_days)
{
    start_anew(seed, preset);
    int64_t watermark_ms = start_of(server.first) + (int64_t)roll(100) * HOUR_MS;
    while (closed_through() < server.first + DAYS + 60) {
        int64_t cells = cluster_number("SELECT count(*) FROM state.cell");
        close_at(watermark_ms | 1);
        assert_int_equal(cluster_number("SELECT count(*) FROM state.cell"), cells);
        close_at(watermark_ms & ~1LL);
        check_cells();
        check_gone();
        watermark_ms += (int64_t)(1 + roll(most_days * 24)) * HOUR_MS;
    }
    assert_int_equal(cluster_number("SELECT count(*) FROM state.step"), 0);
    print_message("seed %u: %lld cells\n", seed, (long long)cluster_number("SELECT count(*) FROM state.cell"));
}

static void cells_are_what_the_definitions_say(void **unused)
{
    (void)unused;
    play(1, APP_PRESET_EXACT, 5);
    play(2, APP_PRESET_THRESHOLD, 20);
    play(3, APP_PRESET_STANDARD, 9);
    play(4, APP_PRESET_EXACT, 400);
}

static void an_import_is_sealed_at_once(void **unused)
{
    (void)unused;
    char text[256];
    start_anew(5, APP_PRESET_EXACT);
    (void)snprintf(text, sizeof text, "INSERT INTO config.seal_request (app, through, requested_at, leaf)"
        " SELECT %u, date '1970-01-01' + %d, '2017-01-01', id FROM audit.outbox LIMIT 1", server.shard.apps[0].app,
        server.first + DAYS);
    cluster_sql(text);
    refresh();
    close_at(start_of(server.first));
    assert_int_equal(closed_through(), server.first + DAYS);
    assert_int_equal(server.shard.apps[0].sessions_through, server.first + DAYS);
    check_cells();
    check_gone();
}

/* An app without declarations has none of it, whatever stands in the tables. */
static void what_is_not_declared_is_not_counted(void **unused)
{
    (void)unused;
    struct app declared = app;
    start_anew(6, APP_PRESET_EXACT);
    app = (struct app){.id = declared.id, .session_timeout_ms = TIMEOUT_MS, .preset = APP_PRESET_EXACT};
    close_at(start_of(server.first + 2 * DAYS));
    assert_int_equal(cluster_number("SELECT count(*) FROM state.cell"), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.person_period"), 0);
    assert_true(cluster_number("SELECT sum(sessions) FROM state.session_sum") > 0);
    app = declared;
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
    cluster_add_crowd(ZONE, "2017-09-01");
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
        cmocka_unit_test(an_import_is_sealed_at_once),
        cmocka_unit_test(what_is_not_declared_is_not_counted),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
