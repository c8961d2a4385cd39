/*
 * Cohorts: sizes that are new users, shares, returning users as a difference, who came in a period or later; with and without
 * noise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/series/cohorts.h"

static struct series_point cell(int32_t period, int32_t n, double value, double variance)
{
    double half = 1.959963984540054 * sqrt(variance);
    struct series_point out = {.period = period, .item = -1, .n = n, .known = value >= 0, .bounded = value >= 0,
        .noisy = variance > 0, .variance = variance, .value = value, .low = value - half, .high = value + half};
    strcpy(out.reliability, value < 0 ? "suppressed" : variance > 0 ? "high" : "exact");
    return out;
}

static void fill(struct answer *answer, const struct series_point *points, size_t count)
{
    *answer = (struct answer){.points = NULL};
    answer->points = malloc((count + 1) * sizeof *points);
    assert_non_null(answer->points);
    if (count > 0)
        memcpy(answer->points, points, count * sizeof *points);
    answer->count = count;
}

static void test_returning(void **state)
{
    (void)state;
    struct answer answer;
    struct failure why = {0};
    const struct series_point active[] = {cell(1, -1, 100, 0), cell(2, -1, 100, 64), cell(3, -1, 50, 64), cell(4, -1, -1, 64)};
    const struct series_point fresh[] = {cell(1, -1, 40, 0), cell(2, -1, 30, 36), cell(3, -1, 55, 36), cell(4, -1, 40, 36)};
    const struct series_point released[] = {cell(1, -1, 60, 0)};
    fill(&answer, released, 1);
    assert_int_equal(cohorts_returning(&(struct cohorts_points){active, 4}, &(struct cohorts_points){fresh, 4}, &answer, &why),
        RESULT_OK);
    assert_int_equal(answer.count, 4);
    assert_true(answer.points[0].value == 60 && !answer.points[0].noisy);
    assert_true(answer.points[1].value == 70 && answer.points[1].noisy && answer.points[1].variance == 100);
    assert_true(fabs(answer.points[1].low - (70 - 19.59964)) < 1e-4);
    assert_true(answer.points[2].value == 0 && answer.points[2].clamped && answer.points[2].low == 0);
    assert_false(answer.points[3].known);
    answer_free(&answer);
}

static void test_retention(void **state)
{
    (void)state;
    struct answer answer;
    struct failure why = {0};
    const struct series_point fresh[] = {cell(1, -1, 40, 0), cell(8, -1, 200, 25), cell(15, -1, 90, 25)};
    const struct series_point cells[] = {cell(1, 0, 40, 0), cell(1, 1, 10, 0), cell(8, 1, 100, 25), cell(8, 2, -1, 25)};
    fill(&answer, cells, 4);
    assert_int_equal(cohorts_retention(&(struct cohorts_points){fresh, 3}, &answer, &why), RESULT_OK);
    assert_int_equal(answer.count, 6);
    assert_true(answer.details[0].reliability[0] == '\0');
    assert_true(answer.details[1].value == 0.25 && answer.details[1].low == 0.25);
    assert_true(answer.points[2].period == 8 && answer.points[2].n == 0 && answer.points[2].value == 200);
    assert_true(answer.details[3].value == 0.5 && answer.details[3].bounded);
    assert_true(answer.details[3].low > 0.43 && answer.details[3].low < 0.45);
    assert_false(answer.details[4].known);
    assert_true(answer.points[5].period == 15 && answer.points[5].n == 0);
    answer_free(&answer);
}

static void test_on_or_after(void **state)
{
    (void)state;
    struct answer answer;
    struct failure why = {0};
    const struct series_point fresh[] = {cell(1, -1, 100, 0), cell(31, -1, 110, 16)};
    const struct series_point cells[] = {cell(1, 0, 50, 0), cell(1, 1, 30, 0), cell(1, 2, 20, 0), cell(31, 0, 60, 25),
        cell(31, 1, -1, 25), cell(31, 2, 40, 25)};
    fill(&answer, cells, 6);
    assert_int_equal(cohorts_on_or_after(&(struct cohorts_points){fresh, 2}, &answer, &why), RESULT_OK);
    assert_true(answer.points[0].value == 100 && answer.points[1].value == 50 && answer.points[2].value == 20);
    assert_true(answer.details[1].value == 0.5 && answer.details[2].value == 0.2);
    assert_true(answer.points[3].value == 110);
    assert_false(answer.points[4].known);
    assert_true(answer.points[5].value == 40 && answer.details[5].noisy && answer.details[5].bounded);
    answer_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_returning),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_on_or_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
