/*
 * Fieller intervals: by hand, unbounded ones, and how often they hold what is true.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "api/series/interval.h"

#define ROUNDS 40000

static void test_by_hand(void **state)
{
    (void)state;
    double low = 7, high = 7;
    /* Without noise a ratio is what it is. */
    assert_true(interval_of_ratio((struct interval_value){30, 0}, (struct interval_value){40, 0}, &low, &high));
    assert_true(low == 0.75 && high == 0.75);
    /* Noise above only: ±1.96σ of it, divided. */
    assert_true(interval_of_ratio((struct interval_value){30, 100}, (struct interval_value){40, 0}, &low, &high));
    assert_true(fabs(low - (30 - 19.59964) / 40) < 1e-6);
    assert_true(fabs(high - (30 + 19.59964) / 40) < 1e-6);
    /* Both: a = 50, b = 100, variances 25: R²·9903.96 - 10000·R + 2403.96 = 0. */
    assert_true(interval_of_ratio((struct interval_value){50, 25}, (struct interval_value){100, 25}, &low, &high));
    assert_true(fabs(low - 0.394646) < 1e-6);
    assert_true(fabs(high - 0.615050) < 1e-6);
    assert_true(interval_of_difference((struct interval_value){50, 9}, (struct interval_value){20, 16}, &low, &high));
    assert_true(fabs(high - 39.79982) < 1e-5);
    assert_true(fabs(low - 20.20018) < 1e-5);
}

static void expect_none(double a, double va, double b, double vb)
{
    double low = 7, high = 7;
    assert_false(interval_of_ratio((struct interval_value){a, va}, (struct interval_value){b, vb}, &low, &high));
    assert_true(low == 7 && high == 7);
}

static void test_unbounded_is_none(void **state)
{
    (void)state;
    expect_none(10, 0, 0, 0);
    expect_none(10, 25, 9.7, 25);
    expect_none(10, 25, -9.7, 25);
    expect_none(1e200, 0, 1e-200, 0);
    expect_none((double)NAN, 0, 5, 0);
    expect_none(5, 0, (double)INFINITY, 0);
    expect_none(5, -1, 5, 0);
    double low, high;
    assert_true(interval_of_ratio((struct interval_value){10, 25}, (struct interval_value){9.9, 25}, &low, &high));
}

static double uniform(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return ((double)(*seed >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *seed)
{
    double radius = sqrt(-2 * log(uniform(seed)));
    return radius * cos(6.283185307179586 * uniform(seed));
}

/* Values that are exact, with noise: the true ratio is in 95 % of the intervals, near a bound's end too; where there is none, that
 * is no miss of an interval. The seed is fixed: four standard deviations of 40,000 rounds are 0.0044. */
static void test_coverage(void **state)
{
    (void)state;
    static const struct { double a, b, sigma_a, sigma_b; } cases[] = {{400, 1000, 9, 8}, {90, 120, 14, 8}, {20, 60, 9, 12},
        {0, 50, 8, 8}, {700, 30, 8, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t seed = 88172645463325252u + i;
        double truth = cases[i].a / cases[i].b;
        unsigned held = 0, given = 0;
        for (int round = 0; round < ROUNDS; round++) {
            double a = cases[i].a + cases[i].sigma_a * normal(&seed);
            double b = cases[i].b + cases[i].sigma_b * normal(&seed);
            double low, high;
            if (!interval_of_ratio((struct interval_value){a, cases[i].sigma_a * cases[i].sigma_a},
                    (struct interval_value){b, cases[i].sigma_b * cases[i].sigma_b}, &low, &high))
                continue;
            given++;
            held += low <= truth && truth <= high;
        }
        assert_true(given > ROUNDS * 99 / 100);
        assert_true(fabs((double)held / given - 0.95) < 0.006);
    }
}

/* The same of a part of a whole that is their sum, and by hand: what both have in common counts once. */
static void test_parts(void **state)
{
    (void)state;
    double low, high;
    assert_true(interval_of_part((struct interval_value){30, 0}, (struct interval_value){10, 0}, &low, &high));
    assert_true(low == 0.75 && high == 0.75);
    assert_false(interval_of_part((struct interval_value){5, 25}, (struct interval_value){5, 25}, &low, &high));
    static const struct { double part, rest, sigma; } cases[] = {{400, 600, 9}, {20, 80, 8}, {300, 5, 12}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t seed = 1234567891011u + i;
        double truth = cases[i].part / (cases[i].part + cases[i].rest), variance = cases[i].sigma * cases[i].sigma;
        unsigned held = 0;
        for (int round = 0; round < ROUNDS; round++) {
            const struct interval_value part = {cases[i].part + cases[i].sigma * normal(&seed), variance};
            const struct interval_value rest = {cases[i].rest + cases[i].sigma * normal(&seed), variance};
            assert_true(interval_of_part(part, rest, &low, &high));
            held += low <= truth && truth <= high;
        }
        assert_true(fabs((double)held / ROUNDS - 0.95) < 0.006);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_unbounded_is_none),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
