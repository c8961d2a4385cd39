/* Sets of integers as ranges, against a plain bitmap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "service/aggregate/ranges.h"

#define SPAN 200

static uint32_t state = 12345;

static int64_t draw(int64_t below)
{
    state = state * 1664525u + 1013904223u;
    return (int64_t)(state >> 8) % below;
}

static void keeps_ranges_disjoint_and_merged(void **unused)
{
    (void)unused;
    struct ranges set = {0};
    assert_int_equal(ranges_add(&set, 5, 8), 3);
    assert_int_equal(ranges_add(&set, 8, 10), 2);
    assert_int_equal(ranges_add(&set, 0, 2), 2);
    assert_int_equal(ranges_add(&set, 1, 6), 3);
    assert_int_equal(ranges_add(&set, 3, 4), 0);
    char *text = ranges_format(&set);
    assert_string_equal(text, "{[0,10)}");
    free(text);
    ranges_clear(&set);
}

static void agrees_with_a_bitmap(void **unused)
{
    (void)unused;
    for (int round = 0; round < 500; round++) {
        struct ranges set = {0};
        bool map[SPAN] = {false};
        for (int step = 0; step < 40; step++) {
            int64_t low = draw(SPAN - 1);
            int64_t high = low + 1 + draw(SPAN - low > 12 ? 12 : SPAN - low);
            int64_t fresh = 0;
            for (int64_t i = low; i < high; i++) {
                fresh += map[i] ? 0 : 1;
                map[i] = true;
            }
            assert_int_equal(ranges_add(&set, low, high), fresh);
        }
        int64_t below = 0;
        for (int64_t i = 0; i < SPAN; i++) {
            assert_int_equal(ranges_has(&set, i), map[i]);
            assert_int_equal(ranges_count_below(&set, i), below);
            below += map[i] ? 1 : 0;
        }
        char *text = ranges_format(&set);
        struct ranges copy = {0};
        assert_int_equal(ranges_parse(&copy, text), RESULT_OK);
        char *again = ranges_format(&copy);
        assert_string_equal(text, again);
        free(text);
        free(again);
        ranges_clear(&set);
        ranges_clear(&copy);
    }
}

static void reads_what_postgresql_prints_and_nothing_else(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"", "{", "[1,2)", "{[1,2]}", "{[2,1)}", "{[1,2)} ", "{[1,2);}", "{[a,2)}", "{[1,2)[3,4)}", "{[1,2),}",
        "{[1,99999999999999999999)}", "{[ 1,2)}"};
    struct ranges set = {0};
    assert_int_equal(ranges_parse(&set, "{}"), RESULT_OK);
    assert_int_equal(ranges_parse(&set, "{[0,9007199254740992)}"), RESULT_OK);
    assert_true(ranges_has(&set, 9007199254740991));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ranges_parse(&set, bad[i]), RESULT_CORRUPT);
    ranges_clear(&set);
}

/* A client chooses its seqs: a source of many gaps is long text, and must not take time by its square. */
static void reads_long_text_in_time(void **unused)
{
    (void)unused;
    struct ranges set = {0};
    struct ranges again = {0};
    for (int64_t i = 0; i < 200000; i++)
        (void)ranges_add(&set, 9007199000000000 + 2 * i, 9007199000000000 + 2 * i + 1);
    char *text = ranges_format(&set);
    clock_t start = clock();
    assert_int_equal(ranges_parse(&again, text), RESULT_OK);
    assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
    assert_int_equal(ranges_count_below(&again, INT64_MAX), 200000);
    free(text);
    ranges_clear(&set);
    ranges_clear(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_ranges_disjoint_and_merged),
        cmocka_unit_test(agrees_with_a_bitmap),
        cmocka_unit_test(reads_long_text_in_time),
        cmocka_unit_test(reads_what_postgresql_prints_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
