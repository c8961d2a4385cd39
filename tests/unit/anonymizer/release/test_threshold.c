/*
 * Thresholds: published integer thresholds; a table reckoned with 50 digits; the tail on both sides of t, summed in another
 * order; wide noise against its series; and that >= is not >.
 */
#include "tests/unit/anonymizer/release/samples.h"

#include "anonymizer/release/threshold.h"

static int64_t tail_of(struct rational sigma2, uint64_t one_in)
{
    int64_t t;
    assert_int_equal(threshold_tail(sigma2, one_in, &t, NULL), RESULT_OK);
    return t;
}

static int64_t half_width(struct rational sigma2)
{
    int64_t w;
    assert_int_equal(threshold_half_width(sigma2, &w, NULL), RESULT_OK);
    return w;
}

/* The noise's part of published thresholds for partitions: T = 1 + t with P[noise >= t] <= delta/l0. */
static void test_published(void **state)
{
    (void)state;
    json_t *golden = golden_values();
    size_t checked = 0;
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(golden, "values"), i, row) {
        if (strcmp(json_string_value(json_object_get(row, "kind")), "dgauss_integer_threshold") != 0)
            continue;
        struct rational sigma2 = {(uint64_t)golden_number(row, "sigma2"), 1};
        uint64_t one_in = (uint64_t)(golden_number(row, "l0") / golden_number(row, "delta") + 0.5);
        int64_t threshold = (int64_t)golden_number(row, "linf") + tail_of(sigma2, one_in);
        assert_int_equal(threshold, (int64_t)json_number_value(json_object_get(row, "value")));
        checked++;
    }
    assert_int_equal(checked, 4);
    json_decref(golden);
}

/* Sums of 50 digits (mpmath), and above 2^24 the Euler-Maclaurin series to its third derivative. */
static const struct { struct rational sigma2; int64_t t, w; } table[] = {
    {{4, 1}, 7, 4},
    {{38, 5}, 9, 5},
    {{10, 1}, 11, 6},
    {{64823, 1000}, 26, 16},
    {{100, 1}, 32, 20},
    {{400, 1}, 63, 39},
    {{462, 1}, 67, 42},
    {{1600, 1}, 125, 78},
    {{4000, 1}, 196, 124},
    {{27225, 2}, 362, 229},
    {{1000003, 7}, 1169, 741},
    {{1000000, 1}, 3091, 1960},
    {{16777216, 1}, 12659, 8028},
    {{16777217, 1}, 12659, 8028},
    {{100000000, 1}, 30903, 19600},
    {{4294967296, 3}, 116927, 74160},
    {{1099511627776, 1}, 3240344, 2055171},
    {{18014398509481984, 1}, 414763960, 263061913},
    {{18014398509481983, 12345}, 3732979, 2367622},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(tail_of(table[i].sigma2, THRESHOLD_ONE_IN), table[i].t);
        assert_int_equal(half_width(table[i].sigma2), table[i].w);
    }
}

/* P[Z >= t], by compensated sums from the middle outwards: the other way round than the code. */
static long double exact_tail(int64_t t, long double sigma2)
{
    long double sums[2] = {0, 0};
    long double lost[2] = {0, 0};
    int64_t furthest = (int64_t)(16 * sqrtl(sigma2)) + 2;
    for (int64_t x = -furthest; x <= furthest; x++) {
        long double term = expl(-(long double)(x * x) / (2 * sigma2));
        for (int i = 0; i < (x >= t ? 2 : 1); i++) {
            long double y = term - lost[i];
            long double sum = sums[i] + y;
            lost[i] = (sum - sums[i]) - y;
            sums[i] = sum;
        }
    }
    return sums[1] / sums[0];
}

/* Every quarter from 4 to 200: t is the smallest, and a 'greater' for 'at least' would be another one. */
static void test_smallest(void **state)
{
    (void)state;
    size_t differ = 0;
    size_t checked = 0;
    for (uint64_t quarters = 16; quarters <= 800; quarters++, checked++) {
        struct rational sigma2 = {quarters, 4};
        long double variance = (long double)quarters / 4;
        int64_t t = tail_of(sigma2, THRESHOLD_ONE_IN);
        assert_true(exact_tail(t, variance) <= 1e-3L);
        assert_true(exact_tail(t - 1, variance) > 1e-3L);
        int64_t wrong = t - 1;
        differ += exact_tail(wrong, variance) > 1e-3L && exact_tail(wrong + 1, variance) <= 1e-3L;
        int64_t w = half_width(sigma2);
        assert_true(2 * exact_tail(w + 1, variance) <= 0.05L);
        assert_true(2 * exact_tail(w, variance) > 0.05L);
    }
    assert_int_equal(differ, checked);
}

static void test_display(void **state)
{
    (void)state;
    int64_t tau;
    assert_int_equal(threshold_display((struct rational){64823, 1000}, 11, &tau, NULL), RESULT_OK);
    assert_int_equal(tau, 11 - 1 + 26);
    assert_int_equal(threshold_display((struct rational){4, 1}, 1, &tau, NULL), RESULT_OK);
    assert_int_equal(tau, 7);
}

static void test_monotone(void **state)
{
    (void)state;
    int64_t before = 0;
    /* Across the change of method too. */
    for (uint64_t sigma2 = 16776900; sigma2 < 16777500; sigma2 += 7) {
        int64_t t = tail_of((struct rational){sigma2, 1}, THRESHOLD_ONE_IN);
        assert_true(t >= before);
        before = t;
        sigma2 += 90;
    }
    assert_true(tail_of((struct rational){10, 1}, 40) <= tail_of((struct rational){10, 1}, 1000));
    assert_true(tail_of((struct rational){10, 1}, 1000) < tail_of((struct rational){10, 1}, 1000000000000));
}

static void test_refused(void **state)
{
    (void)state;
    int64_t out = 77;
    static const struct rational bad[] = {{3, 1}, {15, 4}, {0, 1}, {1, 0}, {UINT64_MAX, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(threshold_tail(bad[i], 1000, &out, NULL), RESULT_INVALID);
        assert_int_equal(threshold_display(bad[i], 11, &out, NULL), RESULT_INVALID);
        assert_int_equal(threshold_half_width(bad[i], &out, NULL), RESULT_INVALID);
    }
    struct rational ten = {10, 1};
    assert_int_equal(threshold_tail(ten, 39, &out, NULL), RESULT_INVALID);
    assert_int_equal(threshold_tail(ten, 1000000000001, &out, NULL), RESULT_INVALID);
    assert_int_equal(threshold_display(ten, 0, &out, NULL), RESULT_INVALID);
    assert_int_equal(threshold_display(ten, -1, &out, NULL), RESULT_INVALID);
    assert_int_equal(threshold_display(ten, THRESHOLD_K_MAX + 1, &out, NULL), RESULT_INVALID);
    assert_int_equal(out, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_smallest),
        cmocka_unit_test(test_display),
        cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
