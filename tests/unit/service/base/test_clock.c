#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "service/base/clock.h"

static void test_now_is_shifted(void **state)
{
    (void)state;
    int64_t real_ms = (int64_t)time(NULL) * 1000;
    assert_in_range(clock_now_ms() - real_ms - 86400000, 0, 5000);
}

static void test_steady_goes_forward(void **state)
{
    (void)state;
    int64_t before_us = clock_steady_us();
    for (int i = 0; i < 1000; i++) {
        int64_t after_us = clock_steady_us();
        assert_true(after_us >= before_us);
        before_us = after_us;
    }
    assert_in_range(clock_steady_ms() - before_us / 1000, 0, 1000);
}

static void test_known_days(void **state)
{
    (void)state;
    assert_int_equal(clock_days_from_civil(1970, 1, 1), 0);
    assert_int_equal(clock_days_from_civil(1969, 12, 31), -1);
    assert_int_equal(clock_days_from_civil(2000, 2, 29), 11016);
    assert_int_equal(clock_days_from_civil(2100, 3, 1), 47541);
}

/* Every day from before 1600 to after 2400 follows the one before it, and comes back. */
static void test_civil_round_trip(void **state)
{
    (void)state;
    int32_t first = clock_days_from_civil(1599, 12, 31);
    int32_t last = clock_days_from_civil(2401, 1, 1);
    int year_before = 1599;
    unsigned month_before = 12;
    unsigned day_before = 30;
    for (int32_t days = first; days <= last; days++) {
        int year;
        unsigned month;
        unsigned day;
        clock_civil_from_days(days, &year, &month, &day);
        assert_int_equal(clock_days_from_civil(year, month, day), days);
        if (day == 1)
            assert_true(month == 1 ? year == year_before + 1 && month_before == 12 : month == month_before + 1);
        else
            assert_true(day == day_before + 1 && month == month_before && year == year_before);
        year_before = year;
        month_before = month;
        day_before = day;
    }
}

static void test_format(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(clock_format(0, text, sizeof text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_format(-1, text, sizeof text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(clock_format(1775037600123, text, 25), "2026-04-01T10:00:00.123Z");
    assert_string_equal(clock_format(951782400000, text, sizeof text), "2000-02-29T00:00:00.000Z");
}

static void test_dates(void **state)
{
    (void)state;
    static const char *const good[] = {"1970-01-01", "2024-02-29", "2199-12-31", "1900-01-01"};
    static const char *const bad[] = {"", "2026-2-1", "2026-02-30", "2025-02-29", "2026-13-01", "2026-00-01", "2026-01-00",
        "2026-01-01x", "1899-12-31", "2200-01-01", "2026/01/01", " 2026-01-01", "20260101"};
    char text[CLOCK_DATE_BYTES];
    int32_t days = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(clock_parse_date(bad[i], &days));
        assert_int_equal(days, 7);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(clock_parse_date(good[i], &days));
        assert_string_equal(clock_format_date(days, text), good[i]);
    }
}

int main(void)
{
    setenv("THRONG_TEST_CLOCK_OFFSET_MS", "86400000", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now_is_shifted),
        cmocka_unit_test(test_steady_goes_forward),
        cmocka_unit_test(test_known_days),
        cmocka_unit_test(test_civil_round_trip),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
