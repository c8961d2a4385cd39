/* Measures, funnels and outcomes, computed of released cells; what is suppressed makes what needs it unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/series/counted.h"
#include "api/series/layout.h"

static void assert_near(double value, double expected)
{
    if (!(value > expected - 1e-9 && value < expected + 1e-9))
        fail_msg("%g instead of %g", value, expected);
}

static struct series_point cell(int32_t period, int32_t n, double value)
{
    struct series_point out = {.period = period, .n = n, .known = value >= 0, .bounded = value >= 0, .value = value};
    out.low = out.high = value;
    snprintf(out.reliability, sizeof out.reliability, "%s", value < 0 ? "suppressed" : "exact");
    return out;
}

#define POINTS(list) {list, sizeof(list) / sizeof(list)[0]}

static void test_measures_are_in_their_unit(void **state)
{
    (void)state;
    /* 2, 2.5 and 4, that is 0, 1 and 4 steps; the next day nothing is shown */
    const struct app_measure measure = {.min = 2, .max = 9, .step = 0.5};
    const struct series_point sum[] = {cell(1, -1, 5), cell(2, -1, -1)}, count[] = {cell(1, -1, 3), cell(2, -1, 20)};
    const struct series_point bin[] = {cell(1, 0, 1), cell(1, 1, 1), cell(1, 2, 0), cell(1, 3, 1), cell(1, 4, 0), cell(2, 0, 20),
        cell(2, 1, 0), cell(2, 2, 0), cell(2, 3, -1), cell(2, 4, 0)};
    const struct counted_points sums = POINTS(sum), counts = POINTS(count), bins = POINTS(bin);
    struct answer answer = {.points = NULL};
    struct failure why = {0};
    assert_int_equal(counted_measure(&measure, &sums, &counts, &bins, &answer, &why), RESULT_OK);
    assert_int_equal(answer.count, 2);
    assert_near(answer.points[0].value, 8.5 / 3);
    assert_near(answer.points[0].low, 8.5 / 3);
    assert_near(answer.details[0].value, 3);
    assert_near(answer.details[1].value, 8.5);
    assert_near(answer.details[1].high, 8.5);
    assert_near(answer.details[2].value, 2.5);
    assert_true(answer.details[4].value >= 4 && answer.details[4].value <= 5.5);
    assert_false(answer.points[1].known);
    assert_near(answer.details[5].value, 20);
    assert_false(answer.details[6].known);
    assert_near(answer.details[7].value, 2);
    assert_string_equal(answer.details[7].reliability, "low");
    assert_int_equal(answer.bin_count, 5);
    assert_near(answer.bins[0].value, 21);
    assert_false(answer.bins[3].known);
    assert_near(counted_bin_from(&measure, 0), 2);
    assert_near(counted_bin_to(&measure, 0), 2);
    assert_near(counted_bin_from(&measure, 3), 4);
    assert_near(counted_bin_to(&measure, 3), 5.5);
    assert_near(counted_bin_to(&measure, 4), 9);
    answer_free(&answer);
}

static void test_sums_of_negative_numbers(void **state)
{
    (void)state;
    const struct app_measure measure = {.min = -10, .max = 10, .step = 1};
    struct series_point sum[] = {cell(1, -1, 30)}, count[] = {cell(1, -1, 4)};
    count[0].low = 3;
    count[0].high = 5;
    const struct counted_points sums = POINTS(sum), counts = POINTS(count), bins = {sum, 0};
    struct answer answer = {.points = NULL};
    struct failure why = {0};
    assert_int_equal(counted_measure(&measure, &sums, &counts, &bins, &answer, &why), RESULT_OK);
    assert_near(answer.points[0].value, -2.5);
    assert_near(answer.details[1].value, -10);
    assert_near(answer.details[1].low, -20);
    assert_near(answer.details[1].high, 0);
    assert_false(answer.details[2].known);
    answer_free(&answer);
}

static void test_funnels_are_sums_from_the_end(void **state)
{
    (void)state;
    const struct app_funnel funnel = {.steps = 3};
    const struct series_point cells[] = {cell(7, 0, 50), cell(7, 1, 30), cell(7, 2, 20), cell(14, 0, 40), cell(14, 1, -1),
        cell(14, 2, 10)};
    const struct counted_points furthest = POINTS(cells);
    struct answer answer = {.points = NULL};
    struct failure why = {0};
    assert_int_equal(counted_funnel(&funnel, &furthest, &answer, &why), RESULT_OK);
    assert_int_equal(answer.count, 6);
    assert_near(answer.points[0].value, 100);
    assert_near(answer.points[1].value, 50);
    assert_near(answer.points[2].value, 20);
    assert_string_equal(answer.details[0].reliability, ""); /* nothing goes before the first */
    assert_near(answer.details[2].value, 0.5);
    assert_near(answer.details[4].value, 0.4);
    assert_near(answer.details[5].value, 0.2);
    assert_false(answer.points[3].known || answer.points[4].known);
    assert_near(answer.points[5].value, 10);
    assert_false(answer.details[10].known || answer.details[11].known);
    assert_string_equal(answer.details[10].reliability, "suppressed");
    answer_free(&answer);
}

static void test_outcomes_by_tier(void **state)
{
    (void)state;
    const struct app_measure measure = {.min = 1, .max = 3, .step = 0.5};
    struct app_outcome outcome = {.aggregate = APP_AGGREGATE_MEAN, .tier_count = 2};
    const struct series_point sum[] = {cell(1, 0, 4000), cell(1, 1, 6000)}, user[] = {cell(1, 0, 4), cell(1, 1, 2)};
    const struct series_point bin[] = {cell(1, 0, 1), cell(1, 1, 2), cell(1, 2, 1), cell(1, 64, 0), cell(1, 65, 0), cell(1, 66, 2)};
    const struct counted_points sums = POINTS(sum), users = POINTS(user), bins = POINTS(bin);
    struct answer answer = {.points = NULL};
    struct failure why = {0};
    assert_int_equal(counted_outcome(&outcome, &measure, &sums, &users, &bins, &answer, &why), RESULT_OK);
    assert_int_equal(answer.count, 3);
    assert_int_equal(answer.points[0].n, -1);
    assert_near(answer.points[0].value, 1 + 0.5 * 10 / 6);
    assert_near(answer.points[1].value, 1.5);
    assert_near(answer.points[2].value, 2.5);
    assert_near(answer.details[0].value, 6);
    assert_string_equal(answer.details[3].reliability, "");
    assert_near(answer.details[5].value, 1);
    assert_int_equal(answer.spread_bins, 3);
    assert_near(answer.spread[2].value, 3);
    assert_near(answer.spread[2 * SERIES_BINS_MAX + 2].value, 2);
    answer_free(&answer);
}

static void test_outcomes_without_tiers(void **state)
{
    (void)state;
    const struct app_measure measure = {.min = 1, .max = 3, .step = 0.5};
    const struct app_outcome outcome = {.aggregate = APP_AGGREGATE_SUM};
    const struct series_point sum[] = {cell(1, 0, 4000), cell(32, 0, 9000)}, user[] = {cell(1, 0, 4), cell(32, 0, -1)};
    const struct counted_points sums = POINTS(sum), users = POINTS(user), bins = {sum, 0};
    struct answer answer = {.points = NULL};
    struct failure why = {0};
    assert_int_equal(counted_outcome(&outcome, &measure, &sums, &users, &bins, &answer, &why), RESULT_OK);
    assert_int_equal(answer.count, 2);
    assert_near(answer.points[0].value, 0.5); /* above the least value: how many values there were is not known */
    assert_false(answer.points[1].known);
    answer_free(&answer);
}

/* What tells rows apart stands before the value, and texts are quoted where CSV wants it. */
static void test_csv(void **state)
{
    (void)state;
    char first[] = "buy \"it\", now", second[] = "/", *values[] = {second};
    struct app app = {.name = "a"};
    struct app_funnel funnel = {.item = {.name = "f"}, .steps = 2, .labels = {first, second}};
    struct app_dimension path = {.item = {.name = "p"}, .values = values, .count = 1, .has_other = true};
    app.funnels = &funnel;
    app.funnel_count = 1;
    app.paths = &path;
    app.path_count = 1;
    const struct series_point cells[] = {cell(4, 0, 6), cell(4, 1, 2)};
    const struct counted_points furthest = POINTS(cells);
    const struct answer_question question = {.declared = &app, .metric = metric_named("funnel"), .item = "f"};
    struct answer answer = {.points = NULL};
    struct failure why = {0};
    assert_int_equal(counted_funnel(&funnel, &furthest, &answer, &why), RESULT_OK);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    layout_csv(file, &question, &answer, 0, 2);
    fclose(file);
    assert_string_equal(text,
        "period,step,label,value,low,high,reliability,from_previous,from_previous_low,from_previous_high,from_first,"
        "from_first_low,from_first_high,k,sigma2,rho,sealed_at,audit_index,audit_leaf\n"
        "1970-01-05,1,\"buy \"\"it\"\", now\",8,8,8,exact,,,,,,,0,,,1970-01-01T00:00:00.000Z,,00000000-0000-0000-0000-000000000000\n"
        "1970-01-05,2,/,2,2,2,exact,0.25,0.25,0.25,0.25,0.25,0.25,0,,,1970-01-01T00:00:00.000Z,,00000000-0000-0000-0000-000000000000\n");
    free(text);
    answer_free(&answer);
    struct layout_key keys[LAYOUT_KEYS_MAX];
    const struct answer_question paths = {.declared = &app, .metric = metric_named("paths")};
    const struct series_point pair = {.n = 50};
    assert_int_equal(layout_keys(&paths, &pair, keys), 3);
    assert_string_equal(keys[0].text, "p");
    assert_string_equal(keys[1].text, "/");
    assert_string_equal(keys[2].text, "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measures_are_in_their_unit),
        cmocka_unit_test(test_sums_of_negative_numbers),
        cmocka_unit_test(test_funnels_are_sums_from_the_end),
        cmocka_unit_test(test_outcomes_by_tier),
        cmocka_unit_test(test_outcomes_without_tiers),
        cmocka_unit_test(test_csv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
