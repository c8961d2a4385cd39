/*
 * Cells: identity under exact; threshold at its edge, rounding and intervals under threshold-only; complementary suppression.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/cell.h"

static struct policy policy_of(enum app_preset preset)
{
    struct policy policy;
    assert_int_equal(policy_make(preset, true, 11, &policy, NULL), RESULT_OK);
    return policy;
}

static struct released release(enum app_preset preset, enum family_number number, int64_t value, int64_t people)
{
    struct policy policy = policy_of(preset);
    struct cell cell = {value, people};
    struct released out;
    assert_int_equal(cell_release(&policy, NULL, number, &cell, &out, NULL), RESULT_OK);
    return out;
}

static void test_exact_is_the_identity(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 1, 4, 10, 11, 12345678901234};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct released out = release(APP_PRESET_EXACT, NUMBER_ENGAGED_MS, values[i], 0);
        assert_false(out.suppressed);
        assert_true(out.value == values[i] && out.low == values[i] && out.high == values[i]);
        assert_int_equal(out.reliability, CELL_EXACT);
    }
}

static void test_noise_says_it_is_none(void **state)
{
    (void)state;
    struct policy exact = policy_of(APP_PRESET_EXACT);
    struct policy threshold = policy_of(APP_PRESET_THRESHOLD);
    int64_t out = 0;
    assert_true(noise_is_identity(&exact) && noise_is_identity(&threshold));
    assert_int_equal(noise_apply(&threshold, NULL, 42, &out, NULL), RESULT_OK);
    assert_int_equal(out, 42);
}

/* Empty, too small and never possible: the same bytes. */
static void test_threshold_hides_alike(void **state)
{
    (void)state;
    struct released empty = release(APP_PRESET_THRESHOLD, NUMBER_ACTIVE_USERS, 0, 0);
    for (int64_t people = 0; people < 11; people++) {
        struct released out = release(APP_PRESET_THRESHOLD, NUMBER_ACTIVE_USERS, people, people);
        assert_true(out.suppressed && out.value == empty.value && out.low == empty.low && out.high == empty.high);
        assert_int_equal(out.reliability, CELL_SUPPRESSED);
    }
    assert_false(release(APP_PRESET_THRESHOLD, NUMBER_ACTIVE_USERS, 11, 11).suppressed);
    /* Ten people with a thousand events; a thousand people of whom at most three have such a session. */
    assert_true(release(APP_PRESET_THRESHOLD, NUMBER_EVENTS, 1000, 10).suppressed);
    assert_true(release(APP_PRESET_THRESHOLD, NUMBER_ENGAGED_SESSIONS, 3, 1000).suppressed);
    assert_false(release(APP_PRESET_THRESHOLD, NUMBER_ENGAGED_MS, 3, 1000).suppressed);
}

static void test_rounding_covers_the_value(void **state)
{
    (void)state;
    for (int64_t value = 11; value < 2000; value++) {
        struct released out = release(APP_PRESET_THRESHOLD, NUMBER_ACTIVE_USERS, value, value);
        assert_true(out.value % 5 == 0 && out.low <= value && value <= out.high && out.high - out.low == 4);
        assert_true(out.low <= out.value && out.value <= out.high);
        out = release(APP_PRESET_THRESHOLD, NUMBER_SESSION_DURATION_MS, value * 777, 100);
        assert_true(out.value % 5000 == 0 && out.low <= value * 777 && value * 777 <= out.high);
    }
    assert_int_equal(release(APP_PRESET_THRESHOLD, NUMBER_ACTIVE_USERS, 11, 11).reliability, CELL_MEDIUM);
    assert_int_equal(release(APP_PRESET_THRESHOLD, NUMBER_ACTIVE_USERS, 40, 40).reliability, CELL_HIGH);
    assert_int_equal(release(APP_PRESET_THRESHOLD, NUMBER_ENGAGED_MS, 100, 40).reliability, CELL_LOW);
    assert_int_equal(release(APP_PRESET_THRESHOLD, NUMBER_ENGAGED_MS, 100, 40).low, 0);
    /* Sums of measures in their steps. */
    assert_int_equal(release(APP_PRESET_THRESHOLD, NUMBER_MEASURE_SUM, 1003, 40).value, 1005);
}

static void test_out_of_range(void **state)
{
    (void)state;
    struct policy policy = policy_of(APP_PRESET_THRESHOLD);
    static const struct cell bad[] = {{-1, 5}, {5, -1}, {INT64_MAX, 20}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct released out = {.value = 99};
        struct failure why = {0};
        assert_int_equal(cell_release(&policy, NULL, NUMBER_EVENTS, &bad[i], &out, &why), RESULT_INVALID);
        assert_int_equal(out.value, 99);
        assert_string_equal(why.field, "events");
    }
}

static void test_complement(void **state)
{
    (void)state;
    struct policy threshold = policy_of(APP_PRESET_THRESHOLD);
    struct policy exact = policy_of(APP_PRESET_EXACT);
    struct released shown = release(APP_PRESET_THRESHOLD, NUMBER_NEW_USERS, 100, 100);
    struct released hidden = cell_suppressed();
    struct released other = shown;
    cell_complement(&threshold, &shown, &other);
    assert_false(shown.suppressed || other.suppressed);
    cell_complement(&exact, &shown, &hidden);
    assert_false(shown.suppressed);
    cell_complement(&threshold, &shown, &hidden);
    assert_true(shown.suppressed && hidden.suppressed && shown.value == 0);
    cell_complement(&threshold, &hidden, &other);
    assert_true(other.suppressed);
}

static void expect_parts(struct released parts[4], bool a, bool b, bool c, bool d)
{
    struct policy threshold = policy_of(APP_PRESET_THRESHOLD);
    struct released *all[] = {&parts[0], &parts[1], &parts[2], &parts[3]};
    cell_complement_parts(&threshold, all, 4);
    assert_true(parts[0].suppressed == a && parts[1].suppressed == b && parts[2].suppressed == c && parts[3].suppressed == d);
}

/* Of parts of a released sum never all but one are shown. */
static void test_complement_of_parts(void **state)
{
    (void)state;
    const struct released none = cell_suppressed(), large = {.value = 90}, small = {.value = 15};
    expect_parts((struct released[]){large, small, large, small}, false, false, false, false);
    expect_parts((struct released[]){large, none, small, large}, false, true, true, false);
    expect_parts((struct released[]){none, small, small, large}, true, true, false, false);
    expect_parts((struct released[]){none, none, small, large}, true, true, false, false);
    expect_parts((struct released[]){none, none, none, none}, true, true, true, true);
    struct policy exact = policy_of(APP_PRESET_EXACT), threshold = policy_of(APP_PRESET_THRESHOLD);
    struct released shown = large, hidden = none, *both[] = {&shown, &hidden};
    cell_complement_parts(&exact, both, 2);
    assert_false(shown.suppressed);
    cell_complement_parts(&threshold, &both[1], 1);
    cell_complement_parts(&threshold, both, 0);
    assert_false(shown.suppressed);
    cell_complement_parts(&threshold, both, 2);
    assert_true(shown.suppressed && shown.value == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_is_the_identity),
        cmocka_unit_test(test_noise_says_it_is_none),
        cmocka_unit_test(test_threshold_hides_alike),
        cmocka_unit_test(test_rounding_covers_the_value),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_complement),
        cmocka_unit_test(test_complement_of_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
