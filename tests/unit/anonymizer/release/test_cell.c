/*
 * Cells: identity under exact; threshold at its edge, rounding and intervals under threshold-only; complementary suppression.
 * With noise: how often what is too small is shown, how often an interval holds what is true, and that nothing leaves without a
 * sample.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/cell.h"
#include "tests/unit/anonymizer/release/samples.h"

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
    assert_int_equal(noise_apply(&exact, NULL, 41, &out, NULL), RESULT_OK);
    assert_int_equal(out, 41);
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

/* --- with noise ---------------------------------------------------------------------------------------------------- */

static struct plan_level level_of(enum family_number number, uint64_t sigma2, int64_t clamp)
{
    struct plan_level level;
    assert_int_equal(plan_level(number, (struct rational){sigma2, 1}, clamp, 11, &level, NULL), RESULT_OK);
    return level;
}

static struct released protect(const struct plan_level *level, const struct noise_source *source, enum family_number number,
    int64_t value)
{
    const struct cell cell = {value, 0};
    struct released out;
    assert_int_equal(cell_protect(level, source, number, &cell, NULL, &out, NULL), RESULT_OK);
    return out;
}

/* How often cells of value are shown: of n. */
static size_t shown_of(const struct plan_level *level, enum family_number number, int64_t value, size_t n)
{
    struct noise_source source = stream_source(41);
    size_t shown = 0;
    for (size_t i = 0; i < n; i++) {
        struct released out = protect(level, &source, number, value);
        shown += out.suppressed ? 0 : 1;
        if (out.suppressed)
            assert_true(out.value == 0 && out.low == 0 && out.high == 0 && out.reliability == CELL_SUPPRESSED);
        else
            assert_true(out.value >= level->tau);
    }
    return shown;
}

/* k - 1 people are shown at most once in 1000, an empty cell hardly ever (4.5 σ), one of τ people in half of all draws. */
static void test_too_small_is_not_shown(void **state)
{
    (void)state;
    static const struct { enum family_number number; int64_t clamp; } numbers[] = {{NUMBER_ACTIVE_USERS, 1}, {NUMBER_SESSIONS, 7}};
    for (size_t i = 0; i < 2; i++) {
        struct plan_level level = level_of(numbers[i].number, 65, numbers[i].clamp);
        size_t n = sample_count();
        /* Ten people, each with all that counts of one. */
        double shown = (double)shown_of(&level, numbers[i].number, 10 * numbers[i].clamp, n);
        assert_true(z_of(shown, n, 0.001) < LIMIT_Z);
        assert_true(shown > (double)n / 4000);
        assert_true(shown_of(&level, numbers[i].number, 0, n) <= n / 10000);
        assert_true(fabs((double)shown_of(&level, numbers[i].number, level.tau, n) / (double)n - 0.5) < 0.05);
    }
}

/* The exact value is in 95 % of all intervals: of cells far from the threshold, where all are shown. */
static void test_intervals_hold_the_value(void **state)
{
    (void)state;
    static const struct { uint64_t sigma2; int64_t clamp; } noises[] = {{4, 1}, {65, 1}, {1092, 1}, {102, 7}};
    size_t n = sample_count();
    for (size_t i = 0; i < sizeof noises / sizeof *noises; i++) {
        struct plan_level level = level_of(NUMBER_SESSIONS, noises[i].sigma2, noises[i].clamp);
        struct noise_source source = stream_source((unsigned char)(60 + i));
        const int64_t value = 5000;
        size_t held = 0;
        for (size_t j = 0; j < n; j++) {
            struct released out = protect(&level, &source, NUMBER_SESSIONS, value);
            assert_true(!out.suppressed && out.high - out.value == level.half_width && out.value - out.low == level.half_width);
            held += out.low <= value && value <= out.high;
        }
        /* The half-width is a whole number: never less than 95 %, for σ = 2 up to 97.9 %. */
        assert_true(z_of((double)held, n, 0.95) > -LIMIT_Z);
        assert_true((double)held < (noises[i].sigma2 > 50 ? 0.96 : 0.985) * (double)n);
    }
}

/* Of people who are not asked: what a cell shows is its noisy value's alone. */
static void test_people_are_not_asked(void **state)
{
    (void)state;
    struct plan_level level = level_of(NUMBER_ACTIVE_USERS, 65, 1);
    static const int64_t people[] = {0, 5, 200, INT64_MAX};
    struct released first = {0};
    for (size_t i = 0; i < 4; i++) {
        struct noise_source source = stream_source(5);
        const struct cell cell = {200, people[i]};
        struct released out;
        assert_int_equal(cell_protect(&level, &source, NUMBER_ACTIVE_USERS, &cell, NULL, &out, NULL), RESULT_OK);
        if (i == 0)
            first = out;
        assert_true(!out.suppressed && out.value == first.value && out.reliability == first.reliability);
    }
    struct noise_source source = stream_source(5);
    assert_int_equal(protect(&level, &source, NUMBER_ACTIVE_USERS, 2000).reliability, CELL_HIGH);
    assert_int_equal(protect(&level, &source, NUMBER_ACTIVE_USERS, 200).reliability, CELL_MEDIUM);
    assert_int_equal(protect(&level, &source, NUMBER_ACTIVE_USERS, 60).reliability, CELL_LOW);
}

/* A sum is shown where its people are, whatever it is, and takes its noise where it is not. */
static void test_governed(void **state)
{
    (void)state;
    struct plan_level level = level_of(NUMBER_OUTCOME_SUM, 409, 1000);
    struct noise_source source = stream_source(6);
    const struct stream *stream = source.context;
    const struct cell cell = {0, 0};
    const struct released hidden = cell_suppressed(), shown = {.value = 60, .low = 20, .high = 100};
    bool negative = false;
    for (int i = 0; i < 64; i++) {
        struct released out;
        assert_int_equal(cell_protect(&level, &source, NUMBER_OUTCOME_SUM, &cell, &shown, &out, NULL), RESULT_OK);
        assert_true(!out.suppressed && out.high - out.low == 2 * level.half_width && out.reliability == CELL_LOW);
        negative = negative || out.value < 0;
        uint64_t before = stream->consumed;
        assert_int_equal(cell_protect(&level, &source, NUMBER_OUTCOME_SUM, &cell, &hidden, &out, NULL), RESULT_OK);
        assert_true(out.suppressed && out.value == 0 && stream->consumed > before);
    }
    assert_true(negative);
    struct released out = {.value = 99};
    assert_int_equal(cell_protect(&level, &source, NUMBER_OUTCOME_SUM, &cell, NULL, &out, NULL), RESULT_INVALID);
    assert_int_equal(cell_protect(&level, &source, NUMBER_OUTCOME_USERS, &cell, &shown, &out, NULL), RESULT_INVALID);
    assert_int_equal(out.value, 99);
}

static void expect_nothing(const struct plan_level *level, const struct noise_source *source, int64_t value,
    enum result expected)
{
    struct released out = {.value = 99};
    const struct cell cell = {value, 0};
    assert_int_equal(cell_protect(level, source, NUMBER_ACTIVE_USERS, &cell, NULL, &out, NULL), expected);
    assert_int_equal(out.value, 99);
}

/* No sample, no release: a source that fails at any byte, a stuck one, none; no level; values out of range. */
static void test_fails_closed(void **state)
{
    (void)state;
    struct plan_level level = level_of(NUMBER_ACTIVE_USERS, 65, 1), none = {0};
    struct noise_source source = stream_source(7), broken = {NULL, NULL};
    struct stream *stream = source.context;
    (void)protect(&level, &source, NUMBER_ACTIVE_USERS, 50);
    uint64_t needed = stream->consumed;
    for (uint64_t bytes = 1; bytes < needed; bytes++) {
        source = stream_source(7);
        stream->fails_after = bytes;
        expect_nothing(&level, &source, 50, RESULT_UNAVAILABLE);
    }
    unsigned char ones = 0xff;
    const struct noise_source stuck = {stuck_bytes, &ones};
    expect_nothing(&level, &stuck, 50, RESULT_FAILED);
    expect_nothing(&level, NULL, 50, RESULT_INVALID);
    expect_nothing(&level, &broken, 50, RESULT_INVALID);
    source = stream_source(7);
    expect_nothing(&none, &source, 50, RESULT_INVALID);
    expect_nothing(&level, &source, -1, RESULT_INVALID);
    expect_nothing(&level, &source, INT64_MAX, RESULT_FULL);
    /* A differentially private policy lets nothing through where no level is. */
    struct policy standard = policy_of(APP_PRESET_STANDARD);
    const struct cell cell = {50, 50};
    struct released out = {.value = 99};
    assert_int_equal(noise_apply(&standard, &source, 50, &out.value, NULL), RESULT_DENIED);
    assert_int_equal(cell_release(&standard, &source, NUMBER_ACTIVE_USERS, &cell, &out, NULL), RESULT_DENIED);
    assert_int_equal(out.value, 99);
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
        cmocka_unit_test(test_too_small_is_not_shown),
        cmocka_unit_test(test_intervals_hold_the_value),
        cmocka_unit_test(test_people_are_not_asked),
        cmocka_unit_test(test_governed),
        cmocka_unit_test(test_fails_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
