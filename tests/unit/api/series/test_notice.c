/*
 * What stands beside numbers in words: nothing where there is nothing to say, why most is suppressed and what would help, what
 * a bound does to a meaning; the promise of an ε and the outlook of a cell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/series/explain.h"
#include "api/series/notice.h"

static void test_notice(void **state)
{
    (void)state;
    char text[NOTICE_BYTES];
    struct series_point points[4] = {{.known = true}, {.known = false}, {.known = false}, {.known = false}};
    struct answer answer = {.points = points, .count = 4, .protection = "dp", .preset = "standard", .sigma2 = "64"};
    struct answer_question question = {.metric = metric_named("active_users"), .interval = "day"};
    assert_true(notice_write(&question, &answer, text));
    assert_non_null(strstr(text, "3 of 4 values are not shown"));
    assert_non_null(strstr(text, "preset small"));
    strcpy(answer.protection, "threshold");
    strcpy(answer.preset, "threshold-only");
    answer.sigma2[0] = '\0';
    assert_true(notice_write(&question, &answer, text));
    assert_null(strstr(text, "noise"));
    points[1].known = points[2].known = true;
    assert_false(notice_write(&question, &answer, text));
    assert_string_equal(text, "");
    question.metric = metric_named("goal_rate");
    assert_false(notice_write(&question, &answer, text));
    strcpy(answer.sigma2, "64");
    points[0].clamped = true;
    assert_true(notice_write(&question, &answer, text));
    assert_non_null(strstr(text, "one session a week and goal"));
    assert_non_null(strstr(text, "at the edge"));
}

static void test_promise(void **state)
{
    (void)state;
    char text[EXPLAIN_BYTES];
    assert_true(fabs(explain_certainty(0) - 50) < 1e-9);
    assert_true(fabs(explain_certainty(3) - 95.2574) < 1e-4);
    const struct explain_promise promise = {2.5, 8, 40, 1e-9};
    assert_ptr_equal(explain_promise(&promise, text), text);
    assert_non_null(strstr(text, "at most 99.97 % sure (ε = 8.00)"));
    assert_non_null(strstr(text, "no bound"));
    assert_true(strlen(text) < EXPLAIN_BYTES - 1);
}

static void test_cells(void **state)
{
    (void)state;
    char text[EXPLAIN_BYTES];
    assert_string_equal(explain_cell(5, 36, 16, text), "suppressed");
    assert_string_equal(explain_cell(30, 36, 16, text), "mostly suppressed");
    assert_string_equal(explain_cell(40, 36, 16, text), "often suppressed, else within 40 %");
    assert_string_equal(explain_cell(160, 36, 16, text), "shown, within 10 %");
    assert_string_equal(explain_family("active"), "distinct users by day, week and month");
    assert_string_equal(explain_family("none"), "none");
    assert_true(explain_typical("active", "month") == 1);
    assert_true(explain_typical("none", "day") == 0);
    assert_null(strstr(explain_help("small"), "preset small"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notice),
        cmocka_unit_test(test_promise),
        cmocka_unit_test(test_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
