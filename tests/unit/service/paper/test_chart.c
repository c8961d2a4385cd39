/* Charts: what is drawn, what is hatched, what is left blank. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/paper/chart.h"
#include "service/paper/markup.h"

static size_t count(const char *text, const char *what)
{
    size_t found = 0, length = strlen(text), size = strlen(what);
    for (size_t i = 0; i + size <= length; i++)
        found += memcmp(text + i, what, size) == 0;
    return found;
}

static char *line(const struct chart_point *points, size_t number, enum numeral_kind kind)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    chart_line(out, points, number, kind, "a <title> & \"more\"", false);
    (void)fclose(out);
    return text;
}

static void test_a_line_breaks_where_a_value_is_suppressed(void **state)
{
    (void)state;
    const struct chart_point points[] = {{.label = "1 Apr", .known = true, .value = 10, .bounded = true, .low = 5, .high = 15},
        {.label = "2 Apr", .known = true, .value = 12, .bounded = true, .low = 7, .high = 17}, {.label = "3 Apr"},
        {.label = "4 Apr", .missing = true}, {.label = "5 Apr", .known = true, .value = 1234, .marker = 'A'}};
    char *text = line(points, 5, NUMERAL_COUNT);
    assert_int_equal(count(text, "class=\"line\""), 1);
    assert_int_equal(count(text, "class=\"band\""), 1);
    assert_int_equal(count(text, "class=\"gap\""), 1);
    assert_int_equal(count(text, "<circle"), 3);
    assert_int_equal(count(text, "class=\"marker\""), 1);
    assert_non_null(strstr(text, ">1,234</text>"));
    assert_non_null(strstr(text, "aria-label=\"a &lt;title&gt; &amp; &quot;more&quot;\""));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
}

static void test_nothing_known_is_no_zero(void **state)
{
    (void)state;
    const struct chart_point points[] = {{.label = "1 Apr"}, {.label = "2 Apr"}};
    char *text = line(points, 2, NUMERAL_PERCENT);
    assert_int_equal(count(text, "class=\"gap\""), 2);
    assert_int_equal(count(text, "<circle"), 0);
    assert_null(strstr(text, "class=\"value\""));
    free(text);
}

static void test_bars_stay_on_their_scale(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    chart_bar(out, &(struct chart_point){.known = true, .value = 50, .bounded = true, .low = -10, .high = 500}, 100);
    chart_bar(out, &(struct chart_point){.known = false, .value = 50}, 100);
    (void)fclose(out);
    assert_non_null(strstr(text, "M0.0 7H130.0"));
    assert_int_equal(count(text, "class=\"bar\""), 1);
    assert_int_equal(count(text, "class=\"gap\""), 1);
    free(text);
}

static void test_heat_maps_tell_suppressed_from_open(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const struct chart_heat heat = {.rows = 1, .columns = 3, .row_names = {"5 Jan"}, .row_sizes = {"40"}, .column_names = {"+1", "+2", "+3"},
        .cells = {{{.known = true, .share = 0.254}, {.known = false}, {.blank = true}}}};
    chart_heat(out, &heat, "retention");
    (void)fclose(out);
    assert_non_null(strstr(text, ">25</text>"));
    assert_int_equal(count(text, "class=\"gap\""), 1);
    assert_int_equal(count(text, "<rect"), 2);
    free(text);
}

static void test_scales_end_on_round_numbers(void **state)
{
    (void)state;
    assert_float_equal(chart_round_up(0), 1, 0);
    assert_float_equal(chart_round_up(-3), 1, 0);
    assert_float_equal(chart_round_up(108), 200, 1e-9);
    assert_float_equal(chart_round_up(0.021), 0.025, 1e-9);
    assert_float_equal(chart_round_up(50), 50, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_breaks_where_a_value_is_suppressed),
        cmocka_unit_test(test_nothing_known_is_no_zero),
        cmocka_unit_test(test_bars_stay_on_their_scale),
        cmocka_unit_test(test_heat_maps_tell_suppressed_from_open),
        cmocka_unit_test(test_scales_end_on_round_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
