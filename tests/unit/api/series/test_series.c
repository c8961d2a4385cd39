/* Ratios of released numbers and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>
#include <stdio.h>

#include "service/base/clock.h"
#include "api/series/series.h"

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

static struct series_point bin(int32_t n, double value, double width)
{
    struct series_point out = point(value, value - width, value + width, "high");
    out.n = n;
    return out;
}

static void test_quantiles_lie_in_their_bin(void **state)
{
    (void)state;
    const struct series_point bins[] = {bin(0, 10, 0), bin(1, 0, 0), bin(2, 0, 0), bin(3, 10, 0), bin(4, 0, 0)};
    struct series_point out;
    series_quantile(bins, 5, 17, 0.75, &out);
    assert_true(out.known && out.bounded);
    assert_near(out.value, 6); /* half way from 4 s to 8 s */
    assert_near(out.low, 4);
    assert_near(out.high, 8);
    series_quantile(bins, 5, 17, 0.25, &out);
    assert_near(out.value, 0.5);
    assert_near(out.low, 0);
    assert_near(out.high, 1);
}

static void test_quantile_bounds_follow_the_bins(void **state)
{
    (void)state;
    const struct series_point bins[] = {bin(0, 10, 2), bin(1, 10, 2), bin(2, 10, 2)};
    struct series_point out;
    series_quantile(bins, 3, 17, 0.6, &out);
    assert_near(out.value, 1.8); /* 18 of 30, 8 of them in the second bin */
    assert_near(out.low, 1);
    assert_near(out.high, 4); /* 8, 8 and 12: the 17th of 28 is in the third */
}

static void test_quantile_of_the_open_and_the_suppressed(void **state)
{
    (void)state;
    struct series_point bins[] = {bin(0, 1, 0), bin(1, 9, 0), bin(17, 90, 0)}, out;
    series_quantile(bins, 3, 17, 0.9, &out);
    assert_true(out.known && !out.bounded);
    assert_near(out.value, 65536);
    bins[0] = (struct series_point){.n = 0, .period = 1};
    series_quantile(bins, 2, 17, 0.5, &out);
    assert_true(out.known && !out.bounded);
    assert_string_equal(out.reliability, "low");
    bins[1] = (struct series_point){.n = 1, .period = 1};
    series_quantile(bins, 2, 17, 0.5, &out);
    assert_false(out.known || out.bounded);
    assert_string_equal(out.reliability, "suppressed");
}

/* As released with noise of this variance. */
static struct series_point noisy(double value, double variance)
{
    double half = 1.959963984540054 * sqrt(variance);
    struct series_point out = point(value, value - half, value + half, "high");
    out.noisy = true;
    out.variance = variance;
    return out;
}

static void test_noise_adds_up_as_noise_does(void **state)
{
    (void)state;
    struct series_point a = noisy(100, 9), b = noisy(60, 16), out;
    series_sum(&a, &b, &out);
    assert_true(out.noisy && out.variance == 25);
    assert_near(out.value, 160);
    assert_true(fabs(out.high - (160 + 1.959963984540054 * 5)) < 1e-9);
    series_difference(&a, &b, &out);
    assert_near(out.value, 40);
    assert_true(fabs(out.low - (40 - 1.959963984540054 * 5)) < 1e-9);
    const struct series_point days[] = {noisy(100, 16), noisy(104, 16), noisy(96, 16), noisy(100, 16)};
    series_mean(days, 4, 4, &out);
    assert_near(out.value, 100);
    assert_near(out.variance, 4);
    assert_true(fabs(out.high - (100 + 1.959963984540054 * 2)) < 1e-9);
    assert_string_equal(out.reliability, "high");
}

static void test_ratios_of_noise(void **state)
{
    (void)state;
    struct series_point above = noisy(50, 25), below = noisy(100, 25), out;
    series_ratio(&above, &below, 1, false, &out);
    assert_true(out.bounded && out.noisy);
    assert_true(fabs(out.low - 0.394646) < 1e-6 && fabs(out.high - 0.615050) < 1e-6);
    assert_string_equal(out.reliability, "low");
    below = noisy(9, 25);
    series_ratio(&above, &below, 1, false, &out);
    assert_true(out.known && !out.bounded);
    above = noisy(103, 25);
    below = noisy(100, 25);
    series_ratio(&above, &below, 1, false, &out);
    series_clamp(&out, 0, 1);
    assert_true(out.value == 1 && out.clamped && out.high == 1 && out.low < 1);
    struct series_point exact = point(7, 7, 7, "exact");
    series_clamp(&exact, 0, 1);
    assert_true(exact.value == 7 && !exact.clamped);
    above = noisy(30, 25);
    below = noisy(70, 25);
    series_part(&above, &below, &out);
    assert_near(out.value, 0.3);
    assert_true(out.bounded && out.low > 0.2 && out.high < 0.4);
}

/* 400 in [1, 2), 100 in [2, 4), 400 in [4, 8): the median may lie in any bin that the noise does not rule out. */
static void test_quantiles_of_noise(void **state)
{
    (void)state;
    struct series_point bins[3] = {noisy(400, 100), noisy(100, 100), noisy(400, 100)}, out;
    for (int32_t i = 0; i < 3; i++)
        bins[i].n = i + 1;
    series_quantile(bins, 3, 17, 0.5, &out);
    assert_near(out.value, 3);
    assert_true(out.bounded && out.low == 2 && out.high == 4);
    for (int32_t i = 0; i < 3; i++)
        bins[i].variance = 10000;
    series_quantile(bins, 3, 17, 0.5, &out);
    assert_true(out.bounded && out.low == 1 && out.high == 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ratio_has_the_widest_bounds),
        cmocka_unit_test(test_ratio_of_the_suppressed_is_suppressed),
        cmocka_unit_test(test_mean_needs_every_day),
        cmocka_unit_test(test_months),
        cmocka_unit_test(test_quantiles_lie_in_their_bin),
        cmocka_unit_test(test_quantile_bounds_follow_the_bins),
        cmocka_unit_test(test_quantile_of_the_open_and_the_suppressed),
        cmocka_unit_test(test_noise_adds_up_as_noise_does),
        cmocka_unit_test(test_ratios_of_noise),
        cmocka_unit_test(test_quantiles_of_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
