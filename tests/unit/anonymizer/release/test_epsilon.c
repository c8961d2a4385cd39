/*
 * The conversion between rho and ε: published values, never below the formula at any α, rounding in the safe direction, and the
 * way back.
 */
#include "tests/unit/anonymizer/release/samples.h"

#include "anonymizer/release/epsilon.h"

static const struct rational nano = {1, 1000000000};

/* ε at one α = 1 + beta: the formula of Proposition 12 solved for ε. */
static long double epsilon_at(long double beta, long double rho, long double delta)
{
    return (1 + beta) * rho + (-logl(delta) - logl(beta) - (1 + beta) * log1pl(1 / beta)) / beta;
}

/* The least over a fine grid of α: not below the true minimum. */
static long double epsilon_on_grid(long double rho, long double delta)
{
    long double least = INFINITY;
    for (long double log_beta = -10; log_beta < 30; log_beta += 0.0005L)
        least = fminl(least, epsilon_at(expl(log_beta), rho, delta));
    return least;
}

static void test_published(void **state)
{
    (void)state;
    json_t *golden = golden_values();
    size_t checked[3] = {0, 0, 0};
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(golden, "values"), i, row) {
        const char *kind = json_string_value(json_object_get(row, "kind"));
        double ours;
        if (strcmp(kind, "zcdp_eps") == 0) {
            ours = epsilon_bound(golden_number(row, "rho"), golden_number(row, "delta"));
            checked[0]++;
        } else if (strcmp(kind, "zcdp_delta") == 0) {
            ours = epsilon_delta_bound(golden_number(row, "rho"), golden_number(row, "eps"));
            checked[1]++;
        } else if (strcmp(kind, "zcdp_rho") == 0) {
            ours = epsilon_rho_bound(golden_number(row, "eps"), golden_number(row, "delta"));
            checked[2]++;
        } else if (strcmp(kind, "gaussian_rdp_eps") == 0) {
            double multiplier = golden_number(row, "noise_multiplier");
            ours = epsilon_bound(1 / (2 * multiplier * multiplier), golden_number(row, "delta"));
        } else {
            continue;
        }
        double value = json_number_value(json_object_get(row, "value"));
        double tolerance = json_number_value(json_object_get(row, "tolerance"));
        if (fabs(ours - value) > tolerance)
            fail_msg("%s: %.17g, not %.17g", json_string_value(json_object_get(row, "id")), ours, value);
    }
    assert_int_equal(checked[0], 8);
    assert_int_equal(checked[1], 4);
    assert_int_equal(checked[2], 1);
    json_decref(golden);
}

static void test_is_a_bound(void **state)
{
    (void)state;
    static const double rhos[] = {1e-12, 1e-6, 0.0025, 0.1206, 0.7328, 2.4687, 9.5, 100};
    static const double deltas[] = {1e-12, 1e-9, 1e-6, 0.01};
    for (size_t i = 0; i < sizeof rhos / sizeof *rhos; i++)
        for (size_t j = 0; j < sizeof deltas / sizeof *deltas; j++) {
            double bound = epsilon_bound(rhos[i], deltas[j]);
            long double least = epsilon_on_grid(rhos[i], deltas[j]);
            /* The grid misses the best α by 0.00025 of its logarithm at most: by 10^-7 of ε. */
            assert_true(bound <= fmaxl(least, 0) * (1 + 1e-7L) + 1e-14L && bound >= least * (1 - 1e-7L));
            double delta = epsilon_delta_bound(rhos[i], bound);
            assert_true(bound == 0 || (delta <= deltas[j] * (1 + 1e-9) && delta >= deltas[j] * (1 - 1e-9)));
        }
}

static struct rational epsilon_of(struct rational rho, struct rational delta)
{
    struct rational out;
    assert_int_equal(epsilon_of_rho(rho, delta, &out, NULL), RESULT_OK);
    return out;
}

/* 60-digit values: 6.4740700207264865 for rho = 1/2, 9.521463671792231 for 1, at δ = 1e-9. */
static void test_rounded_up(void **state)
{
    (void)state;
    struct rational half = epsilon_of((struct rational){1, 2}, nano);
    assert_int_equal(rational_compare(half, (struct rational){6474071, 1000000}), 0);
    struct rational one = epsilon_of((struct rational){1, 1}, nano);
    assert_int_equal(rational_compare(one, (struct rational){9521464, 1000000}), 0);
    struct rational none = epsilon_of((struct rational){0, 1}, nano);
    assert_int_equal(none.numerator, 0);
    /* The least cost that is stored is no 0. */
    assert_true(epsilon_of((struct rational){1, 1000000000000}, nano).numerator > 0);
}

static void test_way_back(void **state)
{
    (void)state;
    static const struct { uint64_t epsilon; uint64_t low, high; } presets[] = {
        {3, 120550, 120650}, {8, 732750, 732850}, {16, 2468650, 2468750}};
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        struct rational epsilon = {presets[i].epsilon, 1};
        struct rational rho;
        assert_int_equal(epsilon_to_rho(epsilon, nano, 1000000000000, &rho, NULL), RESULT_OK);
        assert_true(rational_compare(rho, (struct rational){presets[i].low, 1000000}) > 0);
        assert_true(rational_compare(rho, (struct rational){presets[i].high, 1000000}) < 0);
        assert_true(rational_compare(epsilon_of(rho, nano), epsilon) <= 0);
        /* A millionth more is more than was asked for. */
        struct rational more;
        assert_int_equal(rational_add(rho, (struct rational){1, 1000000}, &more, NULL), RESULT_OK);
        assert_true(rational_compare(epsilon_of(more, nano), epsilon) > 0);
        char text[RATIONAL_TEXT_MAX];
        rational_decimal(rho, 12, RATIONAL_DOWN, text);
        print_message("epsilon %u buys rho %s\n", (unsigned)presets[i].epsilon, text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct rational out = {7, 7};
    struct rational one = {1, 1};
    static const struct rational deltas[] = {{0, 1}, {1, 1}, {2, 1}, {1, 0}, {0, 0}};
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        struct failure why = {0};
        assert_int_equal(epsilon_of_rho(one, deltas[i], &out, &why), RESULT_INVALID);
        assert_string_equal(why.field, "delta");
        assert_int_equal(epsilon_to_rho(one, deltas[i], 1000, &out, NULL), RESULT_INVALID);
    }
    static const struct rational numbers[] = {{1, 0}, {1000001, 1}, {UINT64_MAX, 1}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(epsilon_of_rho(numbers[i], nano, &out, NULL), RESULT_INVALID);
        assert_int_equal(epsilon_to_rho(numbers[i], nano, 1000, &out, NULL), RESULT_INVALID);
    }
    assert_int_equal(epsilon_to_rho((struct rational){0, 1}, nano, 1000, &out, NULL), RESULT_INVALID);
    assert_int_equal(epsilon_to_rho(one, nano, 0, &out, NULL), RESULT_INVALID);
    assert_int_equal(epsilon_to_rho((struct rational){1000000, 1}, nano, UINT64_MAX, &out, NULL), RESULT_FULL);
    assert_true(out.numerator == 7 && out.denominator == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_is_a_bound),
        cmocka_unit_test(test_rounded_up),
        cmocka_unit_test(test_way_back),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
