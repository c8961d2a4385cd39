/*
 * A week and its days made to add up: by hand, over variances that differ, only where all eight are known, and never further off
 * than before on the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "api/series/consistent.h"

#define MONDAY 4 /* 1970-01-05 */
#define ROUNDS 4000

static struct series_point point(int32_t period, double value, double variance)
{
    return (struct series_point){.period = period, .item = -1, .n = -1, .known = true, .bounded = true, .noisy = true,
        .value = value, .variance = variance};
}

static double sum_of(const struct series_point *days)
{
    double sum = 0;
    for (size_t i = 0; i < CONSISTENT_DAYS; i++)
        sum += days[i].value;
    return sum;
}

static void test_mondays(void **state)
{
    (void)state;
    assert_int_equal(consistent_monday(MONDAY), MONDAY);
    assert_int_equal(consistent_monday(MONDAY + 6), MONDAY);
    assert_int_equal(consistent_monday(MONDAY + 7), MONDAY + 7);
    assert_int_equal(consistent_monday(0), -3);
    assert_int_equal(consistent_monday(-3), -3);
    assert_int_equal(consistent_monday(-4), -10);
}

/* The gap is 16, the variances are equal: each of eight takes two. */
static void test_by_hand(void **state)
{
    (void)state;
    struct series_point week = point(MONDAY, 716, 80), days[CONSISTENT_DAYS];
    for (int32_t i = 0; i < CONSISTENT_DAYS; i++)
        days[i] = point(MONDAY + i, 100, 80);
    consistent_weeks(&week, 1, days, CONSISTENT_DAYS);
    assert_true(week.value == 714 && week.released == 716 && week.adjusted);
    for (size_t i = 0; i < CONSISTENT_DAYS; i++)
        assert_true(days[i].value == 102 && days[i].released == 100 && days[i].adjusted);
    assert_true(fabs(week.variance - 70) < 1e-9);
    assert_true(days[0].low == 85 && days[0].high == 119);
}

/* Whole numbers add up too, and what has more noise moves further. */
static void test_rounding_and_weights(void **state)
{
    (void)state;
    struct series_point week = point(MONDAY, 705, 10), days[CONSISTENT_DAYS];
    for (int32_t i = 0; i < CONSISTENT_DAYS; i++)
        days[i] = point(MONDAY + i, 100, i == 0 ? 100 : 10);
    consistent_weeks(&week, 1, days, CONSISTENT_DAYS);
    assert_true(sum_of(days) == week.value);
    assert_true(week.value == 705);
    assert_true(days[0].value >= 103 && days[1].value <= 101);
}

static void test_nothing_is_moved(void **state)
{
    (void)state;
    for (int change = 0; change < 4; change++) {
        struct series_point week = point(MONDAY, 716, 80), days[CONSISTENT_DAYS];
        for (int32_t i = 0; i < CONSISTENT_DAYS; i++)
            days[i] = point(MONDAY + i, 100, 80);
        if (change == 0)
            days[3].known = false;
        if (change == 1)
            week.noisy = false;
        if (change == 2)
            days[6].period++;
        consistent_weeks(&week, 1, days, change == 3 ? CONSISTENT_DAYS - 1 : CONSISTENT_DAYS);
        assert_false(week.adjusted);
        assert_true(week.value == 716 && days[0].value == 100);
    }
}

static uint64_t seed = 20260401;

static double normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        sum += (double)(seed >> 11) / 9007199254740992.0;
    }
    return sum;
}

/* Errors become as much smaller as the variance says, and intervals hold what is true as often as they say. */
static void test_less_noise(void **state)
{
    (void)state;
    double squares = 0;
    int held = 0;
    for (int round_number = 0; round_number < ROUNDS; round_number++) {
        struct series_point week = point(MONDAY, round(700 + 9 * normal()), 81), days[CONSISTENT_DAYS];
        for (int32_t i = 0; i < CONSISTENT_DAYS; i++)
            days[i] = point(MONDAY + i, round(100 + 9 * normal()), 81);
        consistent_weeks(&week, 1, days, CONSISTENT_DAYS);
        assert_true(sum_of(days) == week.value);
        squares += pow(days[3].value - 100, 2);
        held += days[3].low <= 100 && 100 <= days[3].high;
    }
    double variance = squares / ROUNDS;
    assert_true(variance > 0.92 * 81 * 7 / 8 && variance < 1.08 * 81 * 7 / 8);
    assert_true(held > 0.94 * ROUNDS && held < 0.98 * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mondays),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_rounding_and_weights),
        cmocka_unit_test(test_nothing_is_moved),
        cmocka_unit_test(test_less_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
