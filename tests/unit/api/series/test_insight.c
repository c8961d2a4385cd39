/*
 * Trend, season, anomalies and forecasts: by hand, and on simulated years with planted changes, of audiences of several sizes under
 * the noise of preset standard. Prints how many of the planted days are found, and how many others are taken for such.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/series/insight.h"

#define DAYS 365
#define YEARS 40
#define SEASON 7
#define NOISE 64.81   /* of active users, preset standard */
#define SHOWN_FROM 36 /* there */

static uint64_t seed;

static double uniform(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return ((double)(seed >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
    double radius = sqrt(-2 * log(uniform()));
    return radius * cos(6.283185307179586 * uniform());
}

static const double lifts[SEASON] = {30, 20, 10, 0, -10, -20, -30};

static void read_line(double slope, double variance, struct insight_step *steps, struct insight_end *end)
{
    struct insight_value values[70];
    for (int i = 0; i < 70; i++)
        values[i] = (struct insight_value){true, 500 + slope * i + lifts[i % SEASON], variance};
    assert_true(insight_read(values, 70, SEASON, steps, end));
}

static void test_a_level_with_a_season(void **state)
{
    (void)state;
    struct insight_step steps[70];
    struct insight_end end;
    double value, low, high;
    read_line(0, 0, steps, &end);
    for (int i = 0; i < 70; i++)
        assert_true(fabs(steps[i].expected - 500 - lifts[i % SEASON]) < 1e-6);
    assert_true(fabs(end.slope) < 1e-6 && fabs(end.drift) < 1e-6);
    assert_true(fabs(end.level - 500) < 1e-6);
    for (size_t i = 0; i < SEASON; i++)
        assert_true(fabs(end.seasons[i] - lifts[i]) < 1e-6);
    insight_forecast(&end, 9, &value, &low, &high);
    assert_true(fabs(value - 500 - lifts[1]) < 1e-6);
    assert_true(fabs(high - low) < 1e-3);
}

/* A trend is damped, so that a line is followed at a distance, of less than five periods; its slope is told as it is. */
static void test_a_line_with_a_season(void **state)
{
    (void)state;
    struct insight_step steps[70];
    struct insight_end end;
    double value, low, high, mean = 0;
    read_line(2, 9, steps, &end);
    for (int i = 0; i < 70; i++)
        assert_true(fabs(steps[i].expected - (500 + 2 * i + lifts[i % SEASON])) < 2 * 5);
    for (size_t i = 0; i < SEASON; i++)
        mean += end.seasons[i] / SEASON;
    assert_true(fabs(end.slope - 2) < 1e-6);
    assert_true(end.drift > 0 && end.drift < 2);
    assert_true(fabs(end.level + mean - 638) < 2 * 5);
    for (size_t i = 0; i < SEASON; i++)
        assert_true(fabs(end.seasons[i] - mean - lifts[i]) < 2);
    /* Each period further the drift is a tenth less. */
    double last = 0, gone = end.level, drift = end.drift;
    for (size_t ahead = 1; ahead <= 14; ahead++, drift *= 0.9) {
        insight_forecast(&end, ahead, &value, &low, &high);
        gone += drift;
        assert_true(fabs(value - gone - end.seasons[(ahead - 1) % SEASON]) < 1e-6);
        assert_true(high - low >= last);
        last = high - low;
    }
}

static void test_too_little(void **state)
{
    (void)state;
    struct insight_value values[28] = {{false, 0, 0}};
    struct insight_step steps[28];
    struct insight_end end = {.level = 7};
    for (int i = 0; i < 28; i++)
        values[i] = (struct insight_value){i % 3 != 0, 100, 1};
    assert_false(insight_read(values, 27, SEASON, steps, &end));
    assert_false(insight_read(values, 28, SEASON, steps, &end));
    assert_false(insight_read(values, 28, 8, steps, &end));
    assert_true(end.level == 7);
    values[0].known = true;
    assert_true(insight_read(values, 28, SEASON, steps, &end));
    assert_false(steps[27].scored);
}

/* One odd day is an alarm, and does not become the level. */
static void test_one_day_off(void **state)
{
    (void)state;
    struct insight_value values[100];
    struct insight_step steps[100];
    struct insight_end end;
    seed = 3;
    for (int i = 0; i < 100; i++)
        values[i] = (struct insight_value){true, 1000 + 10 * normal(), 0};
    values[80].value = 5000;
    assert_true(insight_read(values, 100, SEASON, steps, &end));
    assert_true(steps[80].score > 50);
    assert_true(fabs(steps[81].score) < INSIGHT_ALARM);
    assert_true(fabs(end.level - 1000) < 15);
}

/* --- a year -------------------------------------------------------------------------------------------------------- */

struct tally {
    int planted, found, ordinary, alarms, forecasts, held;
};

/* Daily users of a day: growth of 30 % a year, a weekly season, days that are off by 5 % for reasons of their own, and counts. */
static double true_users(double users, int day, double factor)
{
    static const double week[SEASON] = {1.1, 1.1, 1.08, 1.05, 1, 0.8, 0.87};
    double expected = users * (1 + 0.3 * day / DAYS) * week[day % SEASON] * factor * (1 + 0.05 * normal());
    return fmax(0, round(expected + sqrt(fmax(expected, 0)) * normal()));
}

static struct insight_value release(double users)
{
    double noisy = round(users + sqrt(NOISE) * normal());
    return (struct insight_value){noisy >= SHOWN_FROM, noisy, NOISE};
}

/* Every 40th day or so is off by 40 %, up or down. */
static void one_year(double users, struct tally *tally)
{
    struct insight_value values[DAYS];
    struct insight_step steps[DAYS];
    struct insight_end end;
    int planted[DAYS] = {0};
    for (int i = 0; i < DAYS; i++) {
        planted[i] = i > 40 && i < DAYS - 15 && i % 40 == 0 ? (uniform() < 0.5 ? -1 : 1) : 0;
        values[i] = release(true_users(users, i, 1 + 0.4 * planted[i]));
    }
    /* the last days are for the forecast */
    if (!insight_read(values, DAYS - 14, SEASON, steps, &end))
        return;
    for (int i = 0; i < DAYS - 14; i++) {
        if (!steps[i].scored)
            continue;
        int alarm = fabs(steps[i].score) >= INSIGHT_ALARM && (planted[i] == 0 || (steps[i].score > 0) == (planted[i] > 0));
        tally->planted += planted[i] != 0;
        tally->found += planted[i] != 0 && alarm;
        tally->ordinary += planted[i] == 0;
        tally->alarms += planted[i] == 0 && alarm;
    }
    for (int i = DAYS - 14; i < DAYS; i++) {
        double value, low, high;
        insight_forecast(&end, (size_t)(i - (DAYS - 15)), &value, &low, &high);
        tally->forecasts += values[i].known;
        tally->held += values[i].known && values[i].value >= low && values[i].value <= high;
    }
}

static double percent(int part, int whole)
{
    return whole == 0 ? 0 : 100.0 * part / whole;
}

static void test_years(void **state)
{
    (void)state;
    static const struct {
        double users, found_at_least;
    } audiences[] = {{60, 10}, {200, 70}, {1000, 95}, {10000, 95}};
    print_message("daily users  planted days found  false alarms  forecasts that hold (95 %%)\n");
    for (size_t i = 0; i < sizeof audiences / sizeof audiences[0]; i++) {
        struct tally tally = {0};
        seed = 20261121;
        for (int year = 0; year < YEARS; year++)
            one_year(audiences[i].users, &tally);
        print_message("%11.0f  %17.1f%%  %11.2f%%  %26.1f%%\n", audiences[i].users, percent(tally.found, tally.planted),
            percent(tally.alarms, tally.ordinary), percent(tally.held, tally.forecasts));
        assert_true(tally.planted > 200);
        assert_true(percent(tally.found, tally.planted) >= audiences[i].found_at_least);
        assert_true(percent(tally.alarms, tally.ordinary) <= 1.5);
        assert_true(percent(tally.held, tally.forecasts) >= 88 && percent(tally.held, tally.forecasts) <= 99);
    }
}

/* --- a strange beginning ------------------------------------------------------------------------------------------- */

#define LEARNED 28 /* days, before anything is said */
#define LOOKED 120

/* On its first day a third of the crowd comes; then it settles, each day nearer by the same factor. */
struct beginning {
    const char *what;
    double settles_at, factor;
    double off_at_most[3]; /* percent */
};

struct strangeness {
    double off[LOOKED], slope; /* of what is expected, and the slope told, as a share of what is true */
    int scored, alarms;
};

static double true_beginning(const struct beginning *beginning, double people, int day)
{
    static const double week[SEASON] = {1.1, 1.1, 1.08, 1.05, 1, 0.8, 0.87};
    double share = beginning->settles_at + (1.0 / 3 - beginning->settles_at) * pow(beginning->factor, day);
    return people * share * week[day % SEASON];
}

static void begin_strangely(const struct beginning *beginning, double people, struct strangeness *out)
{
    struct insight_value values[LOOKED];
    struct insight_step steps[LOOKED];
    struct insight_end end;
    double truth[LOOKED];
    for (int i = 0; i < LOOKED; i++) {
        truth[i] = true_beginning(beginning, people, i);
        double users = truth[i] * (1 + 0.05 * normal());
        values[i] = release(fmax(0, round(users + sqrt(fmax(users, 0)) * normal())));
    }
    assert_true(insight_read(values, LOOKED, SEASON, steps, &end));
    for (int i = LEARNED; i < LOOKED; i++) {
        out->off[i] += (steps[i].expected - truth[i]) / truth[i] / YEARS;
        out->scored += steps[i].scored;
        out->alarms += steps[i].scored && fabs(steps[i].score) >= INSIGHT_ALARM;
    }
    assert_true(insight_read(values, 2 * LEARNED, SEASON, steps, &end));
    out->slope += end.slope / end.level / YEARS;
}

static double worst(const double *off, int from, int to)
{
    double sum = 0;
    for (int i = from; i < to; i++)
        sum += fabs(off[i]) / (to - from);
    return 100 * sum;
}

/* How a crowd began is no trend: it is not expected to go on. */
static void test_strange_beginnings(void **state)
{
    (void)state;
    static const struct beginning beginnings[] = {{"active users, a tenth of all at last", 0.1, 0.8, {5, 4, 3}},
        {"new users, a fiftieth of all at last", 0.02, 0.85, {40, 30, 15}}};
    print_message("%-38s  expected is off, days 28-41  42-69  70-119  slope told at day 56  alarms\n", "a third came on the first day:");
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        struct strangeness found = {.scored = 0};
        seed = 20261122;
        for (int year = 0; year < YEARS; year++)
            begin_strangely(&beginnings[i], 6000, &found);
        double weeks[] = {worst(found.off, LEARNED, 42), worst(found.off, 42, 70), worst(found.off, 70, LOOKED)};
        print_message("%-38s  %26.1f%%  %4.1f%%  %5.1f%%  %18.2f%%  %5.2f%%\n", beginnings[i].what, weeks[0], weeks[1], weeks[2],
            100 * found.slope, percent(found.alarms, found.scored));
        for (size_t j = 0; j < 3; j++)
            assert_true(weeks[j] <= beginnings[i].off_at_most[j]);
        assert_true(fabs(found.slope) < 0.01);
        assert_true(percent(found.alarms, found.scored) <= 1.5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_level_with_a_season),
        cmocka_unit_test(test_a_line_with_a_season),
        cmocka_unit_test(test_too_little),
        cmocka_unit_test(test_one_day_off),
        cmocka_unit_test(test_years),
        cmocka_unit_test(test_strange_beginnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
