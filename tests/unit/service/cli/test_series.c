/* Ratios of released numbers and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "service/base/clock.h"
#include "service/cli/series.h"

static void assert_near(double value, double expected)
{
    assert_true(value > expected - 1e-9 && value < expected + 1e-9);
}

static struct series_point point(double value, double low, double high, const char *reliability)
{
    struct series_point out = {.period = 1, .n = -1, .known = true, .bounded = true, .value = value, .low = low, .high = high};
    snprintf(out.reliability, sizeof out.reliability, "%s", reliability);
    return out;
}

static void test_ratio_has_the_widest_bounds(void **state)
{
    (void)state;
    struct series_point above = point(50, 48, 52, "high"), below = point(100, 98, 102, "medium"), out;
    series_ratio(&above, &below, 1, false, &out);
    assert_true(out.known && out.bounded);
    assert_near(out.value, 0.5);
    assert_near(out.low, 48.0 / 102);
    assert_near(out.high, 52.0 / 98);
    assert_string_equal(out.reliability, "medium");
    series_ratio(&above, &below, 1, true, &out);
    assert_near(out.value, 0.5);
    assert_near(out.low, 1 - 52.0 / 98);
    assert_near(out.high, 1 - 48.0 / 102);
}

static void test_ratio_of_the_suppressed_is_suppressed(void **state)
{
    (void)state;
    struct series_point above = point(50, 48, 52, "high"), none = {.period = 1}, zero = point(0, 0, 0, "exact"), out;
    series_ratio(&above, &none, 1, false, &out);
    assert_false(out.known || out.bounded);
    assert_string_equal(out.reliability, "suppressed");
    series_ratio(&none, &above, 1, false, &out);
    assert_false(out.known);
    series_ratio(&above, &zero, 1, false, &out);
    assert_false(out.known);
}

static void test_mean_needs_every_day(void **state)
{
    (void)state;
    struct series_point days[2] = {point(10, 8, 12, "high"), point(20, 18, 22, "low")}, out;
    series_mean(days, 2, 2, &out);
    assert_true(out.known);
    assert_near(out.value, 15);
    assert_near(out.low, 13);
    assert_string_equal(out.reliability, "low");
    series_mean(days, 2, 3, &out);
    assert_false(out.known);
}

static void test_months(void **state)
{
    (void)state;
    int32_t january = clock_days_from_civil(2026, 1, 1);
    assert_int_equal(series_month(january, -1), clock_days_from_civil(2025, 12, 1));
    assert_int_equal(series_month(january, 1), clock_days_from_civil(2026, 2, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ratio_has_the_widest_bounds),
        cmocka_unit_test(test_ratio_of_the_suppressed_is_suppressed),
        cmocka_unit_test(test_mean_needs_every_day),
        cmocka_unit_test(test_months),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
