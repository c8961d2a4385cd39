/*
 * Families: the table says what the design says, names go there and back, and clamps follow the preset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/family.h"

static void test_numbers_are_found_by_name(void **state)
{
    (void)state;
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        const struct family_number_row *row = family_number(number);
        assert_true(row->intervals != 0 && row->version >= 1 && (row->unit == 1 || row->unit == 1000));
        for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++)
            if ((row->intervals >> interval & 1u) != 0)
                assert_int_equal(family_number_named(row->metric, interval), number);
    }
    assert_int_equal(family_number_named("active_users", INTERVAL_WEEK), NUMBER_ACTIVE_USERS);
    assert_int_equal(family_number_named("active_users", INTERVAL_ROLLING_28), NUMBER_ROLLING_USERS);
    assert_int_equal(family_number_named("visitors", INTERVAL_MONTH), NUMBER_COUNT);
    assert_int_equal(family_number_named("nothing", INTERVAL_DAY), NUMBER_COUNT);
}

static void test_intervals_are_found_by_name(void **state)
{
    (void)state;
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++)
        assert_int_equal(family_interval_named(family_interval_name(interval)), interval);
    assert_int_equal(family_interval_named("year"), INTERVAL_COUNT);
}

/* Under differential privacy a number leaves in intervals that it has, and only of families with a share; the shares are all. */
static void test_private_intervals(void **state)
{
    (void)state;
    int64_t permille = 0;
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        permille += family_permille(family);
        uint32_t private = 0;
        for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
            const struct family_number_row *row = family_number(number);
            assert_int_equal(row->private_intervals & ~row->intervals, 0);
            private |= row->family == family ? row->private_intervals : 0;
        }
        assert_true((private != 0) == (family_permille(family) > 0));
        assert_true((private != 0) == (family_l2_month(family) > 0) && (private != 0) == (family_l2_day(family) > 0));
    }
    assert_int_equal(permille, 1000);
}

static void test_clamps(void **state)
{
    (void)state;
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        assert_true(family_clamp(family, APP_PRESET_EXACT) == INT64_MAX);
        assert_in_range(family_clamp(family, APP_PRESET_THRESHOLD), 1, 1000);
        assert_true(family_clamp(family, APP_PRESET_STANDARD) <= family_clamp(family, APP_PRESET_THRESHOLD));
        assert_true(family_clamp(family, APP_PRESET_STRICT) == family_clamp(family, APP_PRESET_SMALL));
    }
    assert_true(family_clamp(FAMILY_SESSIONS, APP_PRESET_STANDARD) == 7);
    assert_true(family_clamp(FAMILY_DURATIONS, APP_PRESET_STANDARD) == 1);
    /* Without noise each declared feature may count, with noise four. */
    assert_true(family_clamp(FAMILY_FEATURES, APP_PRESET_THRESHOLD) == FEATURES_MAX);
    assert_true(family_clamp(FAMILY_SEGMENTS, APP_PRESET_THRESHOLD) == SEGMENTS_MAX);
    assert_true(family_clamp(FAMILY_FEATURES, APP_PRESET_SMALL) == 4);
    assert_true(family_clamp(FAMILY_MEASURES, APP_PRESET_STANDARD) == 20);
    assert_true(family_clamp(FAMILY_PATHS, APP_PRESET_THRESHOLD) == 100);
}

/* The places of the default budget, as the design's table has them. */
static void test_l2_places(void **state)
{
    (void)state;
    assert_true(family_l2_month(FAMILY_ACTIVE) == 38);
    assert_true(family_l2_month(FAMILY_NEW) == 6);
    assert_true(family_l2_month(FAMILY_RETENTION) == 22);
    assert_true(family_l2_month(FAMILY_SESSIONS) == 12);
    assert_true(family_l2_month(FAMILY_DURATIONS) == 8);
    assert_true(family_l2_month(FAMILY_DIMENSIONS) == 27);
    assert_true(family_l2_month(FAMILY_FEATURES) == 32);
    assert_true(family_l2_month(FAMILY_FUNNELS) == 10);
    assert_true(family_l2_month(FAMILY_LAST_ACTIVE) == 4);
    assert_true(family_l2_month(FAMILY_GOALS) == 32);
    assert_true(family_l2_month(FAMILY_OUTCOMES) == 2);
    assert_true(family_l2_month(FAMILY_ROLLING) == 0);
    assert_true(family_l2_day(FAMILY_ACTIVE) == 3);
    assert_true(family_l2_day(FAMILY_RETENTION) == family_l2_month(FAMILY_RETENTION));
    assert_int_equal(family_choice(FAMILY_RETENTION), CHOICE_COHORT);
    assert_int_equal(family_choice(FAMILY_FEATURES), CHOICE_ITEMS);
    assert_string_equal(family_name(FAMILY_RETENTION), "retention");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_found_by_name),
        cmocka_unit_test(test_intervals_are_found_by_name),
        cmocka_unit_test(test_private_intervals),
        cmocka_unit_test(test_clamps),
        cmocka_unit_test(test_l2_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
