/*
 * Periods: Mondays, months, leap years, distances, and a walk over sixty years of days.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/base/clock.h"
#include "service/release/period.h"

static int32_t day(int year, unsigned month, unsigned of_month)
{
    return clock_days_from_civil(year, month, of_month);
}

static void test_known_dates(void **state)
{
    (void)state;
    assert_int_equal(period_of(INTERVAL_WEEK, day(1970, 1, 1)), day(1969, 12, 29));
    assert_int_equal(period_of(INTERVAL_WEEK, day(2026, 1, 1)), day(2025, 12, 29));
    assert_int_equal(period_of(INTERVAL_WEEK, day(2026, 4, 6)), day(2026, 4, 6));
    assert_int_equal(period_of(INTERVAL_WEEK, day(1969, 12, 28)), day(1969, 12, 22));
    assert_int_equal(period_of(INTERVAL_MONTH, day(2024, 2, 29)), day(2024, 2, 1));
    assert_int_equal(period_of(INTERVAL_DAY, 12), 12);
    assert_int_equal(period_of(INTERVAL_ROLLING_28, 12), 12);
    assert_true(period_ends_on(INTERVAL_MONTH, day(2024, 2, 29)));
    assert_false(period_ends_on(INTERVAL_MONTH, day(2024, 2, 28)));
    assert_true(period_ends_on(INTERVAL_MONTH, day(2023, 2, 28)));
    assert_true(period_ends_on(INTERVAL_WEEK, day(2026, 4, 5)));
    assert_false(period_ends_on(INTERVAL_WEEK, day(2026, 4, 6)));
    assert_true(period_ends_on(INTERVAL_DAY, 5) && period_ends_on(INTERVAL_ROLLING_7, 5));
}

static void test_steps_and_distances(void **state)
{
    (void)state;
    assert_int_equal(period_add(INTERVAL_MONTH, day(2026, 1, 1), -1), day(2025, 12, 1));
    assert_int_equal(period_add(INTERVAL_MONTH, day(2025, 12, 1), 14), day(2027, 2, 1));
    assert_int_equal(period_add(INTERVAL_WEEK, day(2026, 1, 5), -1), day(2025, 12, 29));
    assert_int_equal(period_add(INTERVAL_DAY, 10, 3), 13);
    assert_int_equal(period_distance(INTERVAL_MONTH, day(2025, 11, 1), day(2027, 1, 1)), 14);
    assert_int_equal(period_distance(INTERVAL_WEEK, day(2025, 12, 29), day(2026, 1, 12)), 2);
    char text[PERIOD_TEXT_BYTES];
    assert_string_equal(period_format(day(2026, 4, 1), text), "2026-04-01");
}

static void test_every_day_has_one_period(void **state)
{
    (void)state;
    static const enum family_interval intervals[] = {INTERVAL_DAY, INTERVAL_WEEK, INTERVAL_MONTH};
    for (size_t i = 0; i < 3; i++) {
        enum family_interval interval = intervals[i];
        int32_t period = period_of(interval, -400);
        for (int32_t d = -400; d < 22000; d++) {
            assert_int_equal(period_of(interval, d), period);
            int32_t next = period_add(interval, period, 1);
            assert_int_equal(period_distance(interval, period, next), 1);
            assert_int_equal(period_add(interval, next, -1), period);
            assert_int_equal(period_ends_on(interval, d), d + 1 == next);
            if (d + 1 == next)
                period = next;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_dates),
        cmocka_unit_test(test_steps_and_distances),
        cmocka_unit_test(test_every_day_has_one_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
