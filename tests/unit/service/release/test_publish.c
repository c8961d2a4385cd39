/*
 * Publishing against a private PostgreSQL: the closed sums of a random crowd's 900 days go in, and every released row is
 * compared with the definition counted straight from the crowd's days. Then: order, idempotence, a failure in the middle,
 * suppression, and what the role may not do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "anonymizer/release/policy.h"
#include "service/base/clock.h"
#include "service/catalogue/definition.h"
#include "service/db/db.h"
#include "service/release/period.h"
#include "service/release/publish.h"
#include "service/release/schedule.h"
#include "tests/unit/service/release/closed.h"

#define USERS 250
#define DAYS 900
#define BINS 18

static struct {
    int32_t first; /* day 0 */
    int join[USERS];
    bool active[USERS][DAYS];
    int before[USERS][DAYS + 1]; /* active days before day d */
} crowd;

static uint32_t hash(uint32_t a, uint32_t b, uint32_t salt)
{
    uint32_t x = a * 2654435761u ^ b * 2246822519u ^ salt * 3266489917u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    return x ^ x >> 16;
}

static int events_of(int user, int day)
{
    return 1 + (int)(hash((uint32_t)user, (uint32_t)day, 1) % 9);
}

static int views_of(int user, int day)
{
    return (int)(hash((uint32_t)user, (uint32_t)day, 2) % 5);
}

static int sessions_of(int user, int day)
{
    return 1 + (int)(hash((uint32_t)user, (uint32_t)day, 3) % 3);
}

static int bin_of(int user, int day, int session)
{
    return (int)(hash((uint32_t)user, (uint32_t)day, 10 + (uint32_t)session) % BINS);
}

static void make_crowd(void)
{
    crowd.first = clock_days_from_civil(2023, 11, 15);
    for (int user = 0; user < USERS; user++) {
        uint32_t u = (uint32_t)user;
        crowd.join[user] = user == 0 ? 0 : (int)(hash(u, 0, 7) % (DAYS - 10));
        int life = 1 + (int)(hash(u, 0, 8) % 500);
        uint32_t often = 2 + hash(u, 0, 9) % 98;
        for (int day = crowd.join[user]; day < DAYS; day++) {
            bool asleep = (day / (20 + user % 40)) % 3 == 2;
            crowd.active[user][day] = day == crowd.join[user]
                || (day < crowd.join[user] + life && !asleep && hash(u, (uint32_t)day, 6) % 100 < often);
        }
        for (int day = 0; day < DAYS; day++)
            crowd.before[user][day + 1] = crowd.before[user][day] + crowd.active[user][day];
    }
}

/* Whether user was active on a day in [from, to], days since 1970. */
static bool was_active(int user, int32_t from, int32_t to)
{
    int a = from < crowd.first ? 0 : from - crowd.first;
    int b = to >= crowd.first + DAYS ? DAYS : to - crowd.first + 1;
    return b > a && crowd.before[user][b] > crowd.before[user][a];
}

static void insert_triples(int app)
{
    struct db_params *params = db_params_new();
    for (int column = 0; column < 4; column++) {
        db_array_begin(params, column == 0 ? DB_ELEMENT_INT4 : DB_ELEMENT_DATE);
        for (int user = 0; user < USERS; user++) {
            int previous = -1;
            for (int day = 0; day < DAYS; day++) {
                if (!crowd.active[user][day])
                    continue;
                if (column == 3 && previous < 0)
                    db_array_bytes(params, NULL, 0);
                else
                    db_array_int(params, column == 0 ? user % (CLOSED_SHARDS - 1)
                        : crowd.first + (column == 1 ? day : column == 2 ? crowd.join[user] : previous));
                previous = day;
            }
        }
        db_array_end(params);
    }
    db_int4(params, app);
    assert_int_equal(db_run(cluster.owner, "triples", "INSERT INTO state.triple SELECT shard, $5, day, first, previous, 1"
        " FROM unnest($1::int[], $2::date[], $3::date[], $4::date[]) AS t (shard, day, first, previous)", params, NULL, NULL),
        RESULT_OK);
    db_params_free(params);
}

struct sums {
    int64_t people, events, views, viewers, sessions, engaged, single, duration_ms, engaged_ms, bins[BINS], bin_people[BINS];
};

/* The sums over the users of shard (-1: all) and the days [from, to]; people: the largest of a day. */
static struct sums sums_of(int shard, int32_t from, int32_t to)
{
    struct sums sums = {0};
    for (int day = from - crowd.first < 0 ? 0 : from - crowd.first; day < DAYS && day <= to - crowd.first; day++) {
        int64_t people = 0;
        for (int user = 0; user < USERS; user++) {
            if (!crowd.active[user][day] || (shard >= 0 && user % (CLOSED_SHARDS - 1) != shard))
                continue;
            int sessions = sessions_of(user, day);
            people++;
            sums.events += events_of(user, day);
            sums.views += views_of(user, day);
            sums.viewers += views_of(user, day) > 0;
            sums.sessions += sessions;
            sums.engaged += sessions > 1;
            sums.single += sessions == 1;
            sums.duration_ms += sessions * 60123;
            sums.engaged_ms += sessions * 30077;
            uint32_t met = 0;
            for (int i = 0; i < sessions; i++) {
                int bin = bin_of(user, day, i);
                sums.bins[bin]++;
                sums.bin_people[bin] += met >> bin & 1 ? 0 : 1;
                met |= 1u << bin;
            }
        }
        sums.people = people > sums.people ? people : sums.people;
    }
    return sums;
}

static void insert_sums(int app)
{
    cluster_sql("BEGIN");
    for (int shard = 0; shard < CLOSED_SHARDS - 1; shard++)
        for (int32_t day = crowd.first; day < crowd.first + DAYS; day++) {
            struct sums sums = sums_of(shard, day, day);
            if (sums.people == 0)
                continue;
            char bins[512] = "", people[512] = "", text[2048], date[PERIOD_TEXT_BYTES];
            for (int i = 0; i < BINS; i++) {
                (void)snprintf(bins + strlen(bins), sizeof bins - strlen(bins), "%s%lld", i == 0 ? "" : ",",
                    (long long)sums.bins[i]);
                (void)snprintf(people + strlen(people), sizeof people - strlen(people), "%s%lld", i == 0 ? "" : ",",
                    (long long)sums.bin_people[i]);
            }
            (void)snprintf(text, sizeof text,
                "INSERT INTO state.day_sum VALUES (%d, %d, '%s', %lld, %lld, %lld, %lld, 0, 0);"
                "INSERT INTO state.session_sum VALUES (%d, %d, '%s', %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld,"
                " '{%s}', '{%s}')",
                shard, app, period_format(day, date), (long long)sums.people, (long long)sums.events, (long long)sums.views,
                (long long)sums.viewers, shard, app, date, (long long)sums.people, (long long)sums.sessions,
                (long long)sums.engaged, (long long)sums.engaged, (long long)sums.single, (long long)sums.single,
                (long long)sums.duration_ms, (long long)sums.engaged_ms, (long long)sums.events, bins, people);
            cluster_sql(text);
        }
    cluster_sql("COMMIT");
}

/* How many months after its first the user was active last, in the twelve that follow. */
static int last_active(int user)
{
    int32_t cohort = period_of(INTERVAL_MONTH, crowd.first + crowd.join[user]);
    int n = 12;
    while (!was_active(user, period_add(INTERVAL_MONTH, cohort, n), period_add(INTERVAL_MONTH, cohort, n + 1) - 1))
        n--;
    return n;
}

/* What is told of a cohort when it is twelve months old. */
static void insert_last_active(int app)
{
    cluster_sql("BEGIN");
    for (int user = 0; user < USERS; user++) {
        char text[512], date[PERIOD_TEXT_BYTES], due[PERIOD_TEXT_BYTES];
        int32_t cohort = period_of(INTERVAL_MONTH, crowd.first + crowd.join[user]);
        (void)snprintf(text, sizeof text, "INSERT INTO state.cell VALUES (%d, %d, '%s', 'last_active', 'month', '%s', 0, %d, 1, 1)",
            user % (CLOSED_SHARDS - 1), app, period_format(period_add(INTERVAL_MONTH, cohort, 13) - 1, due),
            period_format(cohort, date), last_active(user));
        cluster_sql(text);
    }
    cluster_sql("COMMIT");
}

static int64_t count_last_active(int32_t cohort, int n)
{
    int64_t people = 0;
    for (int user = 0; user < USERS; user++)
        people += period_of(INTERVAL_MONTH, crowd.first + crowd.join[user]) == cohort && last_active(user) == n;
    return people;
}

/* A period's last day. */
static int32_t end_of(enum family_interval interval, int32_t period)
{
    return period_add(interval, period, 1) - 1;
}

static int64_t count_people(const char *metric, enum family_interval interval, int32_t period, int n)
{
    int32_t end = end_of(interval, period), prior = period_add(interval, period, -1);
    int64_t people = 0;
    for (int user = 0; user < USERS; user++) {
        int32_t first = crowd.first + crowd.join[user];
        bool fresh = period_of(interval, first) == period;
        bool active = was_active(user, period, end);
        if (strcmp(metric, "active_users") == 0)
            people += active;
        else if (strcmp(metric, "new_users") == 0)
            people += fresh;
        else if (strcmp(metric, "returning_users") == 0)
            people += active && !fresh;
        else if (strcmp(metric, "resurrected_users") == 0)
            people += active && !fresh && !was_active(user, prior, period - 1);
        else if (fresh) {
            int32_t then = period_add(interval, period, n);
            people += was_active(user, then, end_of(interval, then));
        }
    }
    return people;
}

static int64_t count_rolling(int32_t day, int32_t width)
{
    int64_t people = 0;
    for (int user = 0; user < USERS; user++)
        people += was_active(user, day - width + 1, day);
    return people;
}

static int64_t count_sum(const char *metric, enum family_interval interval, int32_t period, int n)
{
    struct sums sums = sums_of(-1, period, end_of(interval, period));
    const struct {
        const char *metric;
        int64_t value;
    } rows[] = {{"events", sums.events}, {"page_views", sums.views}, {"sessions", sums.sessions},
        {"engaged_sessions", sums.engaged}, {"single_event_sessions", sums.single}, {"session_events", sums.events},
        {"session_duration_ms", sums.duration_ms}, {"engaged_ms", sums.engaged_ms},
        {"session_durations", n >= 0 && n < BINS ? sums.bins[n] : -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].metric, metric) == 0)
            return rows[i].value;
    return -1;
}

static int64_t expected(const char *metric, enum family_interval interval, int32_t period, int n)
{
    if (interval == INTERVAL_ROLLING_7)
        return count_rolling(period, 7);
    if (interval == INTERVAL_ROLLING_28)
        return count_rolling(period, 28);
    if (interval == INTERVAL_ROLLING_30)
        return count_rolling(period, 30);
    if (strcmp(metric, "last_active") == 0)
        return count_last_active(period, n);
    if (strstr(metric, "_users") != NULL || strcmp(metric, "retention") == 0)
        return count_people(metric, interval, period, n);
    return count_sum(metric, interval, period, n);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How many cells are declared for the days of the crowd. */
static int64_t declared(void)
{
    int64_t count = 0;
    for (int32_t day = crowd.first; day < crowd.first + DAYS; day++) {
        int32_t months = period_distance(INTERVAL_MONTH, period_of(INTERVAL_MONTH, crowd.first), period_of(INTERVAL_MONTH, day));
        count += 3 + 6 + 24 + 1 + least(CLOSED_DAYS, day - crowd.first);
        if (period_ends_on(INTERVAL_WEEK, day))
            count += 6 + 24 + 1 + least(CLOSED_WEEKS, period_distance(INTERVAL_WEEK, period_of(INTERVAL_WEEK, crowd.first),
                period_of(INTERVAL_WEEK, day)));
        if (period_ends_on(INTERVAL_MONTH, day))
            count += 6 + 24 + 1 + least(CLOSED_MONTHS, months) + (months >= 12 ? 13 : 0);
    }
    return count;
}

static void compare_with_crowd(int app)
{
    struct db_params *params = db_params_new();
    db_int4(params, app);
    PGresult *result = NULL;
    assert_int_equal(db_run(cluster.owner, "values", "SELECT metric, interval, period, n, value, low, high, reliability"
        " FROM release.value WHERE app = $1", params, &result, NULL), RESULT_OK);
    db_params_free(params);
    assert_int_equal(PQntuples(result), declared());
    int64_t nonzero = 0;
    for (int row = 0; row < PQntuples(result); row++) {
        const char *metric = db_get_text(result, row, 0);
        enum family_interval interval = family_interval_named(db_get_text(result, row, 1));
        int32_t period = db_get_date(result, row, 2);
        int64_t want = expected(metric, interval, period, db_get_int4(result, row, 3));
        int64_t got = db_get_int8(result, row, 4);
        if (want != got)
            fail_msg("%s %d of day %d, n %d: released %lld, counted %lld", metric, (int)interval, period - crowd.first,
                db_get_int4(result, row, 3), (long long)got, (long long)want);
        assert_true(db_get_int8(result, row, 5) == got && db_get_int8(result, row, 6) == got);
        assert_string_equal(db_get_text(result, row, 7), "exact");
        nonzero += got != 0;
    }
    assert_true(nonzero > PQntuples(result) / 2);
    PQclear(result);
}

static void test_a_crowd_is_counted_as_defined(void **state)
{
    (void)state;
    int app = closed_app("crowd", "exact", "2030-01-01", "");
    insert_triples(app);
    insert_sums(app);
    insert_last_active(app);
    closed_through(app, -1, crowd.first + DAYS - 1);
    struct schedule_due due = closed_due(app);
    assert_int_equal(due.app, app);
    assert_int_equal(due.first_day, crowd.first);
    assert_int_equal(due.activity.to, crowd.first + DAYS - 1);
    struct publish_count count = {0};
    int64_t start_ms = clock_steady_ms();
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    int64_t took_ms = clock_steady_ms() - start_ms;
    print_message("%d days of two stages, %lld rows: %lld ms\n", DAYS, (long long)count.rows, (long long)took_ms);
    assert_true(took_ms < 60000);
    assert_int_equal(count.transactions, 2 * DAYS);
    assert_int_equal(count.rows, declared());
    compare_with_crowd(app);
    assert_int_equal(closed_due(app).app, 0);
    /* A second process that read the schedule before: nothing happens twice. */
    struct publish_count again = {0};
    assert_int_equal(closed_publish(&due, &again), RESULT_FULL);
    assert_int_equal(again.transactions, 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.value"), declared());
}

/* And the schedule's time is the zone's. */
static void test_leaves_hold_the_rows(void **state)
{
    (void)state;
    closed_leaves();
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release WHERE family = 'active' AND interval = 'day'"), DAYS);
    /* The day on which summer time begins ends at 22:00 UTC; lateness is six hours. */
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release WHERE family = 'active' AND interval = 'day'"
        " AND period = '2024-03-31' AND sealed_at = '2024-04-01 04:00Z'"), 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release WHERE family = 'sessions' AND interval = 'day'"
        " AND period = '2024-03-31' AND sealed_at = '2024-04-02 04:30Z'"), 1);
}

static void test_days_without_anyone_are_zero(void **state)
{
    (void)state;
    int app = closed_app("quiet", "exact", "2025-06-01 22:30Z", "\"anonymous_visitors\":true,");
    int32_t created = clock_days_from_civil(2025, 6, 2); /* 00:30 in Berlin */
    assert_int_equal(closed_due(app).app, 0);
    for (int shard = 0; shard < CLOSED_SHARDS - 1; shard++)
        closed_through(app, shard, created + 2);
    assert_int_equal(closed_due(app).app, 0);
    closed_through(app, CLOSED_SHARDS - 1, created - 1);
    assert_int_equal(closed_due(app).app, 0);
    closed_through(app, CLOSED_SHARDS - 1, created + 1);
    struct schedule_due due = closed_due(app);
    assert_int_equal(due.first_day, created);
    assert_int_equal(due.activity.to, created + 1);
    struct publish_count count = {0};
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    assert_int_equal(count.transactions, 4);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.value AS v JOIN config.app USING (app) WHERE name = 'quiet'"
        " AND value = 0 AND reliability = 'exact'"), 2 * (3 + 7 + 24 + 1) + 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.value AS v JOIN config.app USING (app) WHERE name = 'quiet'"
        " AND metric = 'visitors'"), 2);
}

/* The database refuses in the middle: days before stand, that day is not there at all, and later all is made up for. */
static void test_a_day_is_whole_or_not_there(void **state)
{
    (void)state;
    int app = closed_app("torn", "exact", "2025-06-02", "");
    int32_t created = clock_days_from_civil(2025, 6, 2);
    closed_through(app, -1, created + 9);
    cluster_sql("ALTER TABLE release.value ADD CONSTRAINT planted CHECK (metric <> 'page_views' OR period <> '2025-06-06') NOT VALID");
    struct schedule_due due = closed_due(app);
    struct publish_count count = {0};
    assert_int_equal(closed_publish(&due, &count), RESULT_INVALID);
    assert_int_equal(count.transactions, 4);
    assert_int_equal(cluster_number("SELECT activity_through - date '1970-01-01' + 0::bigint FROM release.progress JOIN config.app USING (app)"
        " WHERE name = 'torn' AND sessions_through IS NULL"), created + 3);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release JOIN config.app USING (app) WHERE name = 'torn'"
        " AND period >= '2025-06-06'"), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox AS o LEFT JOIN release.release AS r ON r.leaf = o.id"
        " WHERE o.act = 'aggregates_released' AND r.leaf IS NULL"), 0);
    cluster_sql("ALTER TABLE release.value DROP CONSTRAINT planted");
    due = closed_due(app);
    assert_int_equal(due.activity.from, created + 4);
    assert_int_equal(due.sessions.from, created);
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    assert_int_equal(count.transactions, 20);
}

/* A lost connection, then the same schedule: what had been committed is not repeated. */
static void test_a_lost_connection(void **state)
{
    (void)state;
    int app = closed_app("lost", "exact", "2025-06-02", "");
    closed_through(app, -1, clock_days_from_civil(2025, 6, 5));
    struct schedule_due due = closed_due(app);
    cluster_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'throng_release'");
    struct publish_count count = {0};
    struct app compiled;
    assert_int_equal(schedule_definition(closed.release, &due, &compiled, NULL), RESULT_UNAVAILABLE);
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    assert_int_equal(count.transactions, 8);
}

static void test_threshold_only(void **state)
{
    (void)state;
    int app = closed_app("few", "threshold-only", "2025-06-02", "");
    /* First day: 30 new. Second: 20 returning and 3 new. Third: 30 returning and 15 new. */
    char text[1024];
    (void)snprintf(text, sizeof text,
        "INSERT INTO state.triple (shard, app, day, first_day, previous_day, people) VALUES"
        " (0, %d, '2025-06-02', '2025-06-02', NULL, 14), (1, %d, '2025-06-02', '2025-06-02', NULL, 16),"
        " (0, %d, '2025-06-03', '2025-06-02', '2025-06-02', 20), (1, %d, '2025-06-03', '2025-06-03', NULL, 3),"
        " (0, %d, '2025-06-04', '2025-06-02', '2025-06-03', 20), (0, %d, '2025-06-04', '2025-06-02', '2025-06-02', 10),"
        " (2, %d, '2025-06-04', '2025-06-04', NULL, 15)", app, app, app, app, app, app, app);
    cluster_sql(text);
    closed_through(app, -1, clock_days_from_civil(2025, 6, 4));
    struct schedule_due due = closed_due(app);
    struct publish_count count = {0};
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    cluster_sql("CREATE VIEW few AS SELECT v.* FROM release.value AS v JOIN config.app USING (app) WHERE name = 'few' AND interval = 'day'");
    assert_int_equal(cluster_number("SELECT value FROM few WHERE metric = 'active_users' AND period = '2025-06-03'"), 25);
    assert_int_equal(cluster_number("SELECT count(*) FROM few WHERE period = '2025-06-03' AND metric IN ('new_users', 'returning_users')"
        " AND value IS NULL AND low IS NULL AND high IS NULL AND reliability = 'suppressed'"), 2);
    /* The second day's cohort is its new users under another name. */
    assert_int_equal(cluster_number("SELECT count(*) FROM few WHERE metric = 'retention' AND period = '2025-06-03' AND n = 0"
        " AND value IS NULL"), 1);
    /* And on the second day, who came back of the first cohort are the returning ones under another name. */
    assert_int_equal(cluster_number("SELECT count(*) FROM few WHERE metric = 'retention' AND period = '2025-06-02' AND n = 1"
        " AND value IS NULL"), 1);
    assert_int_equal(cluster_number("SELECT value FROM few WHERE metric = 'retention' AND period = '2025-06-02' AND n = 2"), 30);
    assert_int_equal(cluster_number("SELECT sum(value)::bigint FROM few WHERE period = '2025-06-04'"
        " AND metric IN ('active_users', 'new_users', 'returning_users')"), 45 + 15 + 30);
    assert_int_equal(cluster_number("SELECT count(*) FROM few WHERE metric = 'events' AND value IS NOT NULL"), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.value AS v JOIN config.app USING (app) WHERE name = 'few'"
        " AND interval LIKE 'rolling%'"), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release JOIN config.app USING (app) WHERE name = 'few'"
        " AND (protection <> 'threshold' OR k <> 11 OR mechanism <> 'round_to_5')"), 0);
}

static void test_what_is_refused_is_due_no_more(void **state)
{
    (void)state;
    int app = closed_app("private", "standard", "2025-06-02", "");
    closed_through(app, -1, clock_days_from_civil(2025, 6, 4));
    struct schedule_due due = closed_due(app);
    assert_int_equal(due.app, app);
    /* A new version of its definition brings it back. */
    struct schedule schedule = {0};
    assert_int_equal(schedule_refuse(&schedule, &due, NULL), RESULT_OK);
    assert_int_equal(schedule_read(closed.release, &schedule, NULL), RESULT_OK);
    assert_int_equal(schedule.count, 0);
    cluster_sql("UPDATE config.app SET version = 2 WHERE name = 'private'");
    assert_int_equal(schedule_read(closed.release, &schedule, NULL), RESULT_OK);
    assert_int_equal(schedule.count, 1);
    schedule_free(&schedule);
}

static void test_the_role_sees_sums_only(void **state)
{
    (void)state;
    static const char *const forbidden[] = {"SELECT 1 FROM state.person", "SELECT 1 FROM state.person_day",
        "SELECT 1 FROM state.fragment", "SELECT 1 FROM state.entity", "SELECT 1 FROM state.person_entity",
        "SELECT 1 FROM state.person_period", "SELECT 1 FROM state.step", "DELETE FROM state.cell",
        "SELECT 1 FROM audit.outbox", "SELECT 1 FROM config.write_key",
        "DELETE FROM release.ledger", "UPDATE release.plan SET k = 1", "DELETE FROM release.head", "TRUNCATE release.plan",
        "DELETE FROM release.value", "UPDATE release.value SET value = 0", "DELETE FROM release.release",
        "INSERT INTO state.triple VALUES (0, 1, '2025-01-01', '2025-01-01', NULL, 1)"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        assert_int_equal(db_script(closed.release, forbidden[i], NULL), RESULT_DENIED);
}

static int start(void **state)
{
    make_crowd();
    return closed_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crowd_is_counted_as_defined),
        cmocka_unit_test(test_leaves_hold_the_rows),
        cmocka_unit_test(test_days_without_anyone_are_zero),
        cmocka_unit_test(test_a_day_is_whole_or_not_there),
        cmocka_unit_test(test_a_lost_connection),
        cmocka_unit_test(test_threshold_only),
        cmocka_unit_test(test_what_is_refused_is_due_no_more),
        cmocka_unit_test(test_the_role_sees_sums_only),
    };
    return cmocka_run_group_tests(tests, start, closed_stop);
}
