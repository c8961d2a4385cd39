/* Moments: every way to write one, zones with their missing and doubled hours, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/cli/moment.h"

static int64_t ms_of(const char *text)
{
    int64_t ms = -1;
    return moment_parse(text, &ms) ? ms : -1;
}

static void test_utc(void **state)
{
    (void)state;
    assert_int_equal(moment_set_zone("UTC", NULL), RESULT_OK);
    assert_int_equal(ms_of("1767225600000"), 1767225600000);
    assert_int_equal(ms_of("2026-01-01"), 1767225600000);
    assert_int_equal(ms_of("2026-01-01 00:00"), 1767225600000);
    assert_int_equal(ms_of("2026-01-01T00:00:01.5"), 1767225601500);
    assert_int_equal(ms_of("2026-01-01T01:00:00+01:00"), 1767225600000);
    assert_int_equal(ms_of("2025-12-31T19:00:00.123456-0500"), 1767225600123);
    assert_int_equal(ms_of("2026-01-01t00:00:00z"), 1767225600000);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "x", "1767225600", "2026-02-30", "2026-13-01", "2026-01-01 24:00", "2026-01-01x",
        "2026-01-01T00:00:00+25:00", "2026-01-01 00:60", "9999-01-01", "1960-01-01", "17672256000000000", "2026-1-1",
        "2026-01-01 00:00:00.", "2026-01-01T00:00:00ZZ", "-1767225600000"};
    assert_int_equal(moment_set_zone("UTC", NULL), RESULT_OK);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(ms_of(texts[i]), -1);
}

static void test_zone_with_summer_time(void **state)
{
    (void)state;
    if (moment_set_zone("Europe/Vienna", NULL) != RESULT_OK)
        skip();
    assert_int_equal(ms_of("2026-01-01 01:00:00"), 1767225600000);
    assert_int_equal(ms_of("2026-07-01 02:00:00"), 1782864000000);
    assert_int_equal(ms_of("2026-07-01 02:00:30"), 1782864030000);
    /* 02:30 is missing on 29 March: moved forward, so never before 01:59 and never refused. */
    assert_true(ms_of("2026-03-29 02:30:00") > ms_of("2026-03-29 01:59:59"));
    /* an explicit zone goes before */
    assert_int_equal(ms_of("2026-07-01T00:00:00Z"), 1782864000000);
}

static void test_zone_that_shifts_within_an_hour(void **state)
{
    (void)state;
    if (moment_set_zone("America/St_Johns", NULL) != RESULT_OK)
        skip();
    /* 2010-03-14, 00:01 became 01:01: minutes of one hour have different offsets. */
    assert_int_equal(ms_of("2010-03-14 00:00:30"), 1268537430000);
    assert_int_equal(ms_of("2010-03-14 01:05:00"), 1268537700000);
}

static void test_unknown_zones(void **state)
{
    (void)state;
    assert_int_equal(moment_set_zone("Atlantis/Center", NULL), RESULT_NOT_FOUND);
    assert_int_equal(moment_set_zone("../UTC", NULL), RESULT_NOT_FOUND);
    assert_int_equal(moment_set_zone("", NULL), RESULT_NOT_FOUND);
}

static void test_dates(void **state)
{
    (void)state;
    int32_t days;
    char text[MOMENT_DATE_BYTES];
    assert_true(moment_parse_date("2026-01-01", &days));
    assert_int_equal(days, 20454);
    assert_string_equal(moment_format_date(days, text), "2026-01-01");
    assert_false(moment_parse_date("2026-01-01 00:00", &days));
    assert_false(moment_parse_date("2025-02-29", &days));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utc),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_zone_with_summer_time),
        cmocka_unit_test(test_zone_that_shifts_within_an_hour),
        cmocka_unit_test(test_unknown_zones),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
