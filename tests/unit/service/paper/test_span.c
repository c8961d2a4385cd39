/* Periods of reports: days, ISO weeks, months; their names and neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/base/clock.h"
#include "service/paper/span.h"

static void test_what_is_no_period_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "2026", "2026-W00", "2026-W54", "2025-W53", "2026-13", "2026-00", "2026-02-30", "2026-w14",
        "2026-W1", "2026-04-01 ", "26-04"};
    struct span span;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(span_parse(wrong[i], &span));
}

static void test_weeks_begin_on_monday(void **state)
{
    (void)state;
    struct span span;
    char label[SPAN_LABEL_BYTES];
    assert_true(span_parse("2026-W14", &span));
    assert_int_equal(span.first, clock_days_from_civil(2026, 3, 30));
    assert_int_equal(span.last, clock_days_from_civil(2026, 4, 5));
    assert_string_equal(span_title(&span, label), "week 14 of 2026");
    assert_string_equal(span_days(&span, label), "30 March – 5 April 2026");
    assert_true(span_parse("2026-W53", &span));
    assert_string_equal(span_days(&span, label), "28 December 2026 – 3 January 2027");
    assert_string_equal(span_title(&span, label), "week 53 of 2026");
    assert_true(span_parse("2026-W01", &span));
    assert_string_equal(span_title(&span, label), "week 1 of 2026");
    assert_int_equal(span.first, clock_days_from_civil(2025, 12, 29));
}

static void test_months_and_days(void **state)
{
    (void)state;
    struct span span;
    char label[SPAN_LABEL_BYTES];
    assert_true(span_parse("2024-02", &span));
    assert_int_equal(span.last - span.first, 28);
    assert_string_equal(span_title(&span, label), "February 2024");
    assert_string_equal(span_tick(SPAN_MONTH, span.first, label), "Feb 24");
    assert_int_equal(span_step(SPAN_MONTH, span.first, -2), clock_days_from_civil(2023, 12, 1));
    assert_int_equal(span_step(SPAN_MONTH, span.first, 11), clock_days_from_civil(2025, 1, 1));
    assert_true(span_parse("2026-04-01", &span));
    assert_int_equal(span.first, span.last);
    assert_string_equal(span_days(&span, label), "1 April 2026");
    assert_string_equal(span_tick(SPAN_DAY, span.first, label), "1 Apr");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_period_is_refused),
        cmocka_unit_test(test_weeks_begin_on_monday),
        cmocka_unit_test(test_months_and_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
