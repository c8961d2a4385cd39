/*
 * Accounting: exact costs, sums that are never too small, variances that keep within a budget, statements by day, month and
 * thirteen months, and what does not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "anonymizer/release/accounting.h"
#include "anonymizer/release/epsilon.h"
#include "anonymizer/release/sigma2.h"

static const struct rational nano = {1, 1000000000};

static void assert_decimal(struct rational got, const char *wanted)
{
    char text[RATIONAL_TEXT_MAX];
    rational_decimal(got, RATIONAL_PLACES_MAX, RATIONAL_DOWN, text);
    assert_string_equal(text, wanted);
}

static void test_cost(void **state)
{
    (void)state;
    struct rational rho = {7, 7};
    struct accounting_charge charge = {.l2_squared = 38, .sigma2 = {64823, 1000}};
    assert_int_equal(accounting_rho(&charge, &rho, NULL), RESULT_OK);
    /* 38000/129646, in lowest terms. */
    assert_true(rho.numerator == 19000 && rho.denominator == 64823);
    assert_int_equal(accounting_stored(rho, &rho, NULL), RESULT_OK);
    assert_decimal(rho, "0.293105842063");
    charge.sigma2 = (struct rational){3, 1};
    assert_int_equal(accounting_rho(&charge, &rho, NULL), RESULT_INVALID);
    assert_decimal(rho, "0.293105842063");
}

/* Five families of unlike variances: at most five units above their exact sum, never below it. */
static void test_sum(void **state)
{
    (void)state;
    static const struct accounting_charge charges[] = {
        {38, {64823, 1000}}, {6, {101, 1}}, {22, {68201, 1000}}, {27, {153527, 1000}}, {12, {9999991, 1000}}};
    size_t n = sizeof charges / sizeof *charges;
    struct rational total;
    assert_int_equal(accounting_total(charges, n, &total, NULL), RESULT_OK);
    rational_wide exact = 0;
    for (size_t i = 0; i < n; i++) {
        struct rational rho;
        assert_int_equal(accounting_rho(&charges[i], &rho, NULL), RESULT_OK);
        /* In units of 10^-18, rounded down. */
        exact += (rational_wide)rho.numerator * 1000000000000000000u / rho.denominator;
    }
    rational_wide ours = (rational_wide)total.numerator * 1000000000000000000u / total.denominator;
    assert_true(ours >= exact && ours - exact <= n * 1000000u + n);
    assert_int_equal(ACCOUNTING_UNIT % total.denominator, 0);
    struct rational none;
    assert_int_equal(accounting_total(NULL, 0, &none, NULL), RESULT_OK);
    assert_true(none.numerator == 0 && none.denominator == 1);
    /* The same in any order, one after another. */
    struct rational backwards = {0, 1};
    for (size_t i = n; i-- > 0;) {
        struct rational rho;
        assert_int_equal(accounting_rho(&charges[i], &rho, NULL), RESULT_OK);
        assert_int_equal(accounting_add(backwards, rho, &backwards, NULL), RESULT_OK);
    }
    assert_int_equal(rational_compare(backwards, total), 0);
}

/* A long ledger of costs that no common denominator of 64 bits holds. */
static void test_long_ledger(void **state)
{
    (void)state;
    struct rational sum = {0, 1};
    for (uint64_t i = 0; i < 100000; i++) {
        struct accounting_charge charge = {.l2_squared = 1 + i % 40, .sigma2 = {4000 + i * 7919 % 1000003, 1000}};
        struct rational rho;
        assert_int_equal(accounting_rho(&charge, &rho, NULL), RESULT_OK);
        assert_int_equal(accounting_add(sum, rho, &sum, NULL), RESULT_OK);
    }
    /* 18446744.07… is the end. */
    struct rational full = {18000000, 1};
    struct rational before = full;
    assert_int_equal(accounting_add(full, full, &full, NULL), RESULT_FULL);
    assert_int_equal(accounting_times((struct rational){1500000, 1}, 13, &full, NULL), RESULT_FULL);
    assert_int_equal(rational_compare(full, before), 0);
}

static void test_variance_keeps_within(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 6, 12, 22, 27, 38, 1000, 100000, 4000000000000000};
    static const struct rational budgets[] = {{1206, 10000}, {7328, 10000}, {24687, 10000}, {293120, 1000000}, {1, 3},
        {7, 1000000}, {100, 1}};
    size_t exact = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof budgets / sizeof *budgets; j++) {
            struct accounting_charge charge = {.l2_squared = sizes[i]};
            enum result result = accounting_sigma2(sizes[i], budgets[j], &charge.sigma2, NULL);
            if (result == RESULT_FULL)
                continue;
            assert_int_equal(result, RESULT_OK);
            struct rational rho;
            assert_int_equal(accounting_rho(&charge, &rho, NULL), RESULT_OK);
            assert_true(rational_compare(rho, budgets[j]) <= 0);
            if (rational_compare(charge.sigma2, (struct rational){SIGMA2_MIN, 1}) == 0)
                continue;
            /* A thousandth less would cost too much. */
            if (charge.sigma2.numerator > SIGMA2_MAX / 1000)
                continue;
            charge.sigma2.numerator = charge.sigma2.numerator * (1000 / charge.sigma2.denominator) - 1;
            charge.sigma2.denominator = 1000;
            assert_int_equal(accounting_rho(&charge, &rho, NULL), RESULT_OK);
            assert_true(rational_compare(rho, budgets[j]) > 0);
            exact++;
        }
    assert_true(exact > 30);
}

static void test_variance_bounds(void **state)
{
    (void)state;
    struct rational sigma2 = {7, 7};
    assert_int_equal(accounting_sigma2(0, (struct rational){1, 1}, &sigma2, NULL), RESULT_INVALID);
    assert_int_equal(accounting_sigma2(1, (struct rational){0, 1}, &sigma2, NULL), RESULT_INVALID);
    assert_int_equal(accounting_sigma2(1, (struct rational){1, 0}, &sigma2, NULL), RESULT_INVALID);
    assert_int_equal(accounting_sigma2(UINT64_MAX, (struct rational){1, UINT64_MAX}, &sigma2, NULL), RESULT_FULL);
    assert_int_equal(accounting_sigma2(SIGMA2_MAX, (struct rational){499, 1000}, &sigma2, NULL), RESULT_FULL);
    assert_true(sigma2.numerator == 7 && sigma2.denominator == 7);
    /* Too large for three decimals, not for a whole number. */
    assert_int_equal(accounting_sigma2(SIGMA2_MAX - 1, (struct rational){1, 2}, &sigma2, NULL), RESULT_OK);
    assert_true(sigma2.numerator == SIGMA2_MAX - 1 && sigma2.denominator == 1);
    assert_int_equal(accounting_sigma2(1, (struct rational){1000, 1}, &sigma2, NULL), RESULT_OK);
    assert_true(sigma2.numerator == SIGMA2_MIN && sigma2.denominator == 1);
}

/* The shares of the default plan: together within the budget. */
static void test_plan(void **state)
{
    (void)state;
    static const struct { uint64_t percent, l2; } plan[] = {
        {40, 38}, {5, 6}, {22, 22}, {2, 4}, {12, 27}, {8, 12}, {3, 8}, {5, 32}, {2, 10}, {1, 2}};
    size_t n = sizeof plan / sizeof *plan;
    struct accounting_charge charges[sizeof plan / sizeof *plan];
    struct rational budget;
    assert_int_equal(accounting_budget((struct rational){8, 1}, nano, &budget, NULL), RESULT_OK);
    for (size_t i = 0; i < n; i++) {
        struct rational share;
        charges[i].l2_squared = plan[i].l2;
        assert_int_equal(accounting_share(budget, (struct rational){plan[i].percent, 1}, &share, NULL), RESULT_OK);
        assert_int_equal(accounting_sigma2(plan[i].l2, share, &charges[i].sigma2, NULL), RESULT_OK);
    }
    struct accounting_guarantee month;
    struct rational total;
    assert_int_equal(accounting_total(charges, n, &total, NULL), RESULT_OK);
    assert_true(rational_compare(total, budget) <= 0);
    assert_int_equal(accounting_guarantee(total, nano, &month, NULL), RESULT_OK);
    assert_true(rational_compare(month.epsilon, (struct rational){8, 1}) <= 0);
    assert_true(rational_compare(month.epsilon, (struct rational){7999, 1000}) > 0);
    struct rational share = {7, 7};
    assert_int_equal(accounting_share(budget, (struct rational){101, 1}, &share, NULL), RESULT_INVALID);
    assert_int_equal(share.numerator, 7);
}

static void test_statement(void **state)
{
    (void)state;
    struct accounting_statement out;
    struct rational day = {5, 100};
    struct rational month = {1, 2};
    assert_int_equal(accounting_statement(day, month, nano, &out, NULL), RESULT_OK);
    assert_decimal(out.day.rho, "0.05");
    assert_decimal(out.day.epsilon, "1.881661");
    assert_decimal(out.month.rho, "0.5");
    assert_decimal(out.month.epsilon, "6.474071");
    assert_decimal(out.months.rho, "6.5");
    struct rational epsilon;
    assert_int_equal(epsilon_of_rho((struct rational){13, 2}, nano, &epsilon, NULL), RESULT_OK);
    assert_int_equal(rational_compare(out.months.epsilon, epsilon), 0);
    assert_int_equal(rational_compare(out.months.delta, nano), 0);
    /* Thirteen months cost less than thirteen times the ε of one. */
    assert_true(rational_compare(out.months.epsilon, (struct rational){13 * 6474071, 1000000}) < 0);
    assert_int_equal(accounting_statement(day, month, (struct rational){1, 1}, &out, NULL), RESULT_INVALID);
}

static void test_deltas(void **state)
{
    (void)state;
    struct rational sum = {7, 7};
    assert_int_equal(accounting_delta(nano, nano, &sum, NULL), RESULT_OK);
    assert_decimal(sum, "0.000000002");
    assert_int_equal(accounting_delta((struct rational){1, 2}, (struct rational){1, 2}, &sum, NULL), RESULT_INVALID);
    assert_decimal(sum, "0.000000002");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_long_ledger),
        cmocka_unit_test(test_variance_keeps_within),
        cmocka_unit_test(test_variance_bounds),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_statement),
        cmocka_unit_test(test_deltas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
