/*
 * Policies: what each preset lets leave, its threshold, and the consent that it needs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/policy.h"

static void test_exact(void **state)
{
    (void)state;
    struct policy policy;
    assert_int_equal(policy_make(APP_PRESET_EXACT, true, 50, &policy, NULL), RESULT_OK);
    assert_int_equal(policy.k, 1);
    assert_int_equal(policy.rounding, 1);
    assert_string_equal(policy_protection_name(policy.protection), "none");
    assert_string_equal(policy_mechanism(&policy), "none");
    assert_true(policy_allows(&policy, NUMBER_ROLLING_USERS, INTERVAL_ROLLING_30));
    assert_false(policy_allows(&policy, NUMBER_ACTIVE_USERS, INTERVAL_ROLLING_30));
    assert_false(policy_allows(&policy, NUMBER_VISITORS, INTERVAL_WEEK));
}

static void test_threshold(void **state)
{
    (void)state;
    struct policy policy;
    assert_int_equal(policy_make(APP_PRESET_THRESHOLD, true, 3, &policy, NULL), RESULT_OK);
    assert_int_equal(policy.k, POLICY_K_MIN);
    assert_int_equal(policy.rounding, 5);
    assert_false(policy.breakdowns);
    assert_true(policy.complementary);
    assert_string_equal(policy_protection_name(policy.protection), "threshold");
    assert_string_equal(policy_mechanism(&policy), "round_to_5");
    assert_string_equal(policy_preset_name(policy.preset), "threshold-only");
    assert_false(policy_allows(&policy, NUMBER_ROLLING_USERS, INTERVAL_ROLLING_7));
    assert_true(policy_allows(&policy, NUMBER_ACTIVE_USERS, INTERVAL_MONTH));
    assert_int_equal(policy_make(APP_PRESET_THRESHOLD, true, 40, &policy, NULL), RESULT_OK);
    assert_int_equal(policy.k, 40);
}

/* Under threshold-only nothing that parts people by what they are or do; under exact everything, in its intervals. */
static void test_breakdowns(void **state)
{
    (void)state;
    static const enum family_number breakdowns[] = {NUMBER_DIMENSION_USERS, NUMBER_SESSION_DIMENSION_USERS,
        NUMBER_SEGMENT_USERS, NUMBER_OUTCOME_USERS, NUMBER_OUTCOME_SUM, NUMBER_OUTCOME_BINS, NUMBER_PATH_PAIRS,
        NUMBER_LAST_ACTIVE};
    struct policy exact, threshold;
    assert_int_equal(policy_make(APP_PRESET_EXACT, true, 1, &exact, NULL), RESULT_OK);
    assert_int_equal(policy_make(APP_PRESET_THRESHOLD, true, 11, &threshold, NULL), RESULT_OK);
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        bool breakdown = false;
        for (size_t i = 0; i < sizeof breakdowns / sizeof *breakdowns; i++)
            breakdown = breakdown || breakdowns[i] == number;
        for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++) {
            bool has = (family_number(number)->intervals >> interval & 1u) != 0;
            assert_true(policy_allows(&exact, number, interval) == has);
            assert_true(policy_allows(&threshold, number, interval) == (has && !breakdown && interval <= INTERVAL_MONTH));
        }
    }
    assert_true(policy_allows(&threshold, NUMBER_FUNNEL_USERS, INTERVAL_WEEK));
    assert_false(policy_allows(&exact, NUMBER_FUNNEL_USERS, INTERVAL_DAY));
}

/* The differentially private presets need no consent; what leaves is what families.def gives a share. */
static void test_private(void **state)
{
    (void)state;
    static const struct { enum app_preset preset; uint32_t k; int32_t expected; const char *name; } presets[] = {
        {APP_PRESET_STRICT, 11, 20, "strict"}, {APP_PRESET_STRICT, 30, 30, "strict"}, {APP_PRESET_STANDARD, 1, 11, "standard"},
        {APP_PRESET_SMALL, 11, 11, "small"}, {APP_PRESET_SMALL, 40, 40, "small"}};
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        struct policy policy;
        assert_int_equal(policy_make(presets[i].preset, false, presets[i].k, &policy, NULL), RESULT_OK);
        assert_int_equal(policy.k, presets[i].expected);
        assert_int_equal(policy.preset, presets[i].preset);
        assert_string_equal(policy_preset_name(policy.preset), presets[i].name);
        assert_string_equal(policy_protection_name(policy.protection), "dp");
        assert_string_equal(policy_mechanism(&policy), "discrete_gaussian");
        assert_false(policy.complementary || policy.rolling);
        for (enum family_number number = 0; number < NUMBER_COUNT; number++)
            for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++)
                assert_true(policy_allows(&policy, number, interval) ==
                    ((family_number(number)->private_intervals >> interval & 1u) != 0));
        assert_true(policy_allows(&policy, NUMBER_SESSIONS, INTERVAL_WEEK));
        assert_false(policy_allows(&policy, NUMBER_SESSIONS, INTERVAL_DAY));
    }
}

static void test_k_is_bounded(void **state)
{
    (void)state;
    struct policy policy = {.k = 77};
    struct failure why = {0};
    assert_int_equal(policy_make(APP_PRESET_STANDARD, false, POLICY_K_MAX + 1u, &policy, &why), RESULT_INVALID);
    assert_string_equal(why.field, "privacy.k");
    assert_int_equal(policy_make(APP_PRESET_EXACT, true, UINT32_MAX, &policy, NULL), RESULT_INVALID);
    assert_int_equal(policy.k, 77);
}

static void expect_denied(enum app_preset preset, bool allowed, const char *field)
{
    struct failure why = {0};
    struct policy policy = {.k = 77};
    assert_int_equal(policy_make(preset, allowed, 11, &policy, &why), RESULT_DENIED);
    assert_int_equal(policy.k, 77);
    assert_string_equal(why.field, field);
    assert_true(strlen(why.text) > 20);
}

static void test_denied(void **state)
{
    (void)state;
    expect_denied(APP_PRESET_EXACT, false, "privacy.allow_unprotected");
    expect_denied(APP_PRESET_THRESHOLD, false, "privacy.allow_unprotected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_breakdowns),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_k_is_bounded),
        cmocka_unit_test(test_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
