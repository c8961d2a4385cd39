/*
 * What noise costs when days are released: the same closed sums of a year, of one app under the preset standard, published with the
 * noise that is planned and with a sampler that returns 0 at once (the linker puts it in the sampler's place). All else is the same:
 * rows, plans, debits, leaves, transactions, a real PostgreSQL. Both alternately, ROUNDS times; prints medians: time, this
 * process's CPU time, and time within the sampler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "anonymizer/release/gaussian.h"
#include "service/base/clock.h"
#include "tests/unit/service/release/closed.h"

#define ROUNDS 15
#define PEOPLE 1000

struct cost {
    int64_t wall_us, cpu_us, sampler_us;
    uint64_t transactions, rows, samples;
};

static bool silent;
static uint64_t samples;
static int64_t sampler_ns;

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(clock_gettime(clock, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

enum result __real_gaussian_sample(const struct noise_source *source, struct rational sigma2, int64_t *out, struct failure *why);
enum result __wrap_gaussian_sample(const struct noise_source *source, struct rational sigma2, int64_t *out, struct failure *why);

enum result __wrap_gaussian_sample(const struct noise_source *source, struct rational sigma2, int64_t *out, struct failure *why)
{
    samples++;
    if (silent) {
        *out = 0;
        return RESULT_OK;
    }
    int64_t started = nanoseconds(CLOCK_MONOTONIC);
    enum result result = __real_gaussian_sample(source, sigma2, out, why);
    sampler_ns += nanoseconds(CLOCK_MONOTONIC) - started;
    return result;
}

static const char events[] =
    "{\"name\":\"view\",\"kind\":\"view\",\"properties\":[{\"name\":\"way\",\"type\":\"enum\",\"values\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}]},"
    "{\"name\":\"done\"}";
static const char more[] =
    "\"dimensions\":[{\"name\":\"way\",\"property\":\"way\"}],\"features\":[{\"name\":\"viewing\",\"events\":[\"view\"]},"
    "{\"name\":\"doing\",\"events\":[\"done\"]}],\"goals\":[{\"name\":\"bought\",\"event\":\"done\"}],";

/* A crowd that comes first on the day first and every day after. */
static void insert(int app, const char *first, const char *last)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
        "INSERT INTO state.triple SELECT 0, %d, d::date, '%s', CASE WHEN d::date > '%s' THEN d::date - 1 END, %d"
        " FROM generate_series('%s'::date, '%s'::date, interval '1 day') AS d;"
        "INSERT INTO state.cell SELECT 0, %d, d::date, number, 'week', d::date, 0, n, 700, 700 FROM (VALUES ('dimension_users', 0),"
        " ('dimension_users', 1), ('feature_users', -1), ('goal_sessions', -1), ('sessions', -1), ('session_durations', 3))"
        " AS c (number, n) CROSS JOIN generate_series('%s'::date, '%s'::date, interval '1 day') AS d WHERE extract(isodow FROM d) = 7",
        app, first, first, PEOPLE, first, last, app, first, last);
    cluster_sql(text);
}

static struct cost publish(int round, bool without)
{
    char name[32];
    struct publish_count count = {0};
    (void)snprintf(name, sizeof name, "%s%d", without ? "without" : "with", round);
    int app = closed_app_of(name, "standard", "2025-01-05 23:30Z", events, more);
    insert(app, "2025-01-06", "2026-01-04");
    closed_through(app, -1, clock_days_from_civil(2026, 1, 4));
    struct schedule_due due = closed_due(app);
    silent = without;
    samples = 0;
    sampler_ns = 0;
    int64_t started = nanoseconds(CLOCK_MONOTONIC), cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    return (struct cost){(nanoseconds(CLOCK_MONOTONIC) - started) / 1000, (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1000,
        sampler_ns / 1000, count.transactions, count.rows, samples};
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double median_ms(const struct cost costs[ROUNDS], size_t offset)
{
    int64_t values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        memcpy(&values[i], (const char *)&costs[i] + offset, sizeof values[i]);
    qsort(values, ROUNDS, sizeof values[0], compare);
    return (double)values[ROUNDS / 2] / 1000;
}

static void tell(const char *what, const struct cost costs[ROUNDS])
{
    (void)printf("| %s | %llu | %llu | %llu | %.0f | %.0f | %.1f |\n", what, (unsigned long long)costs[0].transactions,
        (unsigned long long)costs[0].rows, (unsigned long long)costs[0].samples, median_ms(costs, offsetof(struct cost, wall_us)),
        median_ms(costs, offsetof(struct cost, cpu_us)), median_ms(costs, offsetof(struct cost, sampler_us)));
}

static void measure(void **state)
{
    (void)state;
    struct cost with[ROUNDS], without[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        with[round] = publish(round, false);
        without[round] = publish(round, true);
    }
    (void)puts("| noise | transactions | rows | samples | ms | CPU ms of the job | of it in the sampler |\n"
               "| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    tell("with", with);
    tell("without", without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(measure)};
    return cmocka_run_group_tests(tests, closed_start, closed_stop);
}
