/*
 * Days of a zone made by hand: east and west of Greenwich, with days of 0, 23 and 25 hours, searched at every border.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/limits.h"
#include "service/aggregate/calendar.h"

#define HOUR_MS 3600000LL
#define DAY_MS (24 * HOUR_MS)

static struct calendar calendar;

/* Days begin offset_ms before UTC's, but from day `from` on shift_ms later than that. */
static void make(int64_t offset_ms, int32_t from, int32_t to, int64_t shift_ms)
{
    for (int32_t day = CALENDAR_FIRST_DAY; day <= CALENDAR_LAST_DAY; day++)
        calendar.start_ms[day - CALENDAR_FIRST_DAY] = day * DAY_MS - offset_ms + (day >= from && day < to ? shift_ms : 0);
}

static void check_borders(void)
{
    for (int32_t day = CALENDAR_FIRST_DAY; day < CALENDAR_LAST_DAY - 1; day++) {
        int64_t start = calendar_start_ms(&calendar, day);
        int64_t end = calendar_end_ms(&calendar, day);
        if (start < TS_MIN_MS || start == end)
            continue;
        assert_int_equal(calendar_day(&calendar, start), day);
        assert_int_equal(calendar_day(&calendar, end - 1), day);
        assert_int_equal(calendar_day(&calendar, start + (end - start) / 2), day);
    }
}

static void finds_the_day_at_every_border(void **unused)
{
    (void)unused;
    static const int64_t offsets[] = {0, -12 * HOUR_MS, 14 * HOUR_MS, 20700000, -3 * HOUR_MS};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        make(offsets[i], 0, 0, 0);
        check_borders();
        make(offsets[i], 17000, 17100, HOUR_MS); /* 25 hours, then 23 */
        check_borders();
        assert_int_equal(calendar_end_ms(&calendar, 16999) - calendar_start_ms(&calendar, 16999), 25 * HOUR_MS);
        assert_int_equal(calendar_end_ms(&calendar, 17099) - calendar_start_ms(&calendar, 17099), 23 * HOUR_MS);
    }
}

static void nothing_lies_in_a_day_without_hours(void **unused)
{
    (void)unused;
    make(-10 * HOUR_MS, 15339, CALENDAR_LAST_DAY + 1, -24 * HOUR_MS);
    check_borders();
    assert_int_equal(calendar_start_ms(&calendar, 15338), calendar_end_ms(&calendar, 15338));
    int64_t start = calendar_start_ms(&calendar, 15338);
    assert_int_equal(calendar_day(&calendar, start - 1), 15337);
    assert_int_equal(calendar_day(&calendar, start), 15339);
}

static void every_moment_has_a_day(void **unused)
{
    (void)unused;
    make(14 * HOUR_MS, 0, 0, 0);
    assert_int_equal(calendar_day(&calendar, TS_MIN_MS), 0);
    assert_in_range(calendar_day(&calendar, TS_MAX_MS - 1), 0, CALENDAR_LAST_DAY - 1);
    make(-12 * HOUR_MS, 0, 0, 0);
    assert_int_equal(calendar_day(&calendar, TS_MIN_MS), -1);
    assert_in_range(calendar_day(&calendar, TS_MAX_MS - 1), 0, CALENDAR_LAST_DAY - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_day_at_every_border),
        cmocka_unit_test(nothing_lies_in_a_day_without_hours),
        cmocka_unit_test(every_moment_has_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
