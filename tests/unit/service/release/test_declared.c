/*
 * What is declared: names, positions and cells of each kind of thing, at their edges; and how much a day has of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/release/declared.h"

static int32_t n[DECLARED_CELLS_MAX];

static void test_an_app_without_anything(void **state)
{
    (void)state;
    static const struct app none;
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        assert_int_equal(declared_items(&none, number), 0);
        assert_string_equal(declared_name(&none, number, -1), "");
    }
    assert_int_equal(declared_cells_a_day(&none), 1);
    assert_false(declared_has_items(NUMBER_ACTIVE_USERS));
    assert_false(declared_has_items(NUMBER_SESSION_DURATIONS));
    assert_true(declared_has_items(NUMBER_DIMENSION_USERS));
    assert_true(declared_has_items(NUMBER_ENTITY_COUNT));
    assert_true(declared_has_items(NUMBER_COMPLETED_SESSIONS));
}

static void test_dimensions_by_scope(void **state)
{
    (void)state;
    struct app_dimension dimensions[] = {{.item.name = "page", .count = 3}, {.item.name = "landing", .count = 2,
        .has_other = true, .scope = APP_SCOPE_ENTRY}, {.item.name = "last", .count = 50, .has_other = true,
        .scope = APP_SCOPE_EXIT}};
    const struct app app = {.dimensions = dimensions, .dimension_count = 3};
    assert_int_equal(declared_items(&app, NUMBER_DIMENSION_USERS), 3);
    assert_string_equal(declared_name(&app, NUMBER_SESSION_DIMENSION_USERS, 1), "landing");
    assert_int_equal(declared_cells(&app, NUMBER_DIMENSION_USERS, 0, n), 3);
    assert_int_equal(declared_cells(&app, NUMBER_SESSION_DIMENSION_USERS, 0, n), 0);
    assert_int_equal(declared_cells(&app, NUMBER_DIMENSION_USERS, 1, n), 0);
    assert_int_equal(declared_cells(&app, NUMBER_SESSION_DIMENSION_USERS, 1, n), 3);
    assert_true(n[0] == 0 && n[1] == 1 && n[2] == DIMENSION_VALUES_MAX);
    assert_int_equal(declared_cells(&app, NUMBER_SESSION_DIMENSION_USERS, 2, n), 51);
}

static void test_completion_has_no_name(void **state)
{
    (void)state;
    const struct app app = {.completion = true};
    assert_int_equal(declared_items(&app, NUMBER_START_SESSIONS), 1);
    assert_string_equal(declared_name(&app, NUMBER_START_SESSIONS, 0), "");
    assert_int_equal(declared_cells(&app, NUMBER_COMPLETED_SESSIONS, 0, n), 1);
    assert_int_equal(n[0], -1);
}

/* Bin 0 is the least value, bin i from 2^(i-1) to below 2^i steps above it: the largest has the number of its bits. */
static void test_bins_end_with_the_largest_value(void **state)
{
    (void)state;
    struct app_measure measure = {.item.name = "cost", .step = 0.1};
    const struct app app = {.measures = &measure, .measure_count = 1};
    static const struct {
        double min, max;
        int64_t steps;
        size_t bins;
    } cases[] = {{0, 0.1, 1, 2}, {-0.1, 0.1, 2, 3}, {0, 0.3, 3, 3}, {0, 0.4, 4, 4}, {1, 103.4, 1024, 12}, {0, 0.26, 3, 3},
        {0, 1e8, 1000000000, 31}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        measure.min = cases[i].min;
        measure.max = cases[i].max;
        assert_true(declared_steps(&measure) == cases[i].steps);
        assert_int_equal(declared_cells(&app, NUMBER_MEASURE_BINS, 0, n), cases[i].bins);
        assert_int_equal(n[cases[i].bins - 1], cases[i].bins - 1);
        assert_int_equal(declared_cells(&app, NUMBER_MEASURE_SUM, 0, n), 1);
    }
}

static void test_outcomes_by_tier(void **state)
{
    (void)state;
    struct app_measure measures[] = {{.max = 1, .step = 1}, {.max = 1e9, .step = 1}};
    struct app_outcome outcomes[] = {{.measure = 0, .aggregate = APP_AGGREGATE_LAST, .tier_count = 3},
        {.measure = 1, .aggregate = APP_AGGREGATE_SUM}};
    const struct app app = {.measures = measures, .measure_count = 2, .outcomes = outcomes, .outcome_count = 2};
    assert_int_equal(declared_cells(&app, NUMBER_OUTCOME_USERS, 0, n), 3);
    assert_int_equal(declared_cells(&app, NUMBER_OUTCOME_BINS, 0, n), 6);
    assert_true(n[1] == 1 && n[2] == DECLARED_PAIR && n[5] == 2 * DECLARED_PAIR + 1);
    assert_int_equal(declared_cells(&app, NUMBER_OUTCOME_SUM, 1, n), 1);
    assert_int_equal(n[0], 0);
    assert_int_equal(declared_cells(&app, NUMBER_OUTCOME_BINS, 1, n), 41); /* sums up to 1000 times the range */
}

static void test_pairs_of_different_classes(void **state)
{
    (void)state;
    struct app_dimension paths[] = {{.count = DIMENSION_VALUES_MAX, .has_other = true}, {.count = 2}};
    const struct app app = {.paths = paths, .path_count = 2};
    size_t count = declared_cells(&app, NUMBER_PATH_PAIRS, 0, n);
    assert_int_equal(count, DECLARED_CELLS_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(n[i] / DECLARED_PAIR != n[i] % DECLARED_PAIR && n[i] % DECLARED_PAIR <= DIMENSION_VALUES_MAX);
        assert_true(i == 0 || n[i] > n[i - 1]);
    }
    assert_int_equal(declared_cells(&app, NUMBER_PATH_PAIRS, 1, n), 2);
    assert_int_equal(declared_cells_a_day(&app), 1 + (2550 + 2) / 7 + (2550 + 2) / 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_app_without_anything),
        cmocka_unit_test(test_dimensions_by_scope),
        cmocka_unit_test(test_completion_has_no_name),
        cmocka_unit_test(test_bins_end_with_the_largest_value),
        cmocka_unit_test(test_outcomes_by_tier),
        cmocka_unit_test(test_pairs_of_different_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
