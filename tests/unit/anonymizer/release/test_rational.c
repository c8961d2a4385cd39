/*
 * Rationals: lowest terms, exact sums and products, comparison at the edge of 64 bits, rounding, text; what does not fit fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "anonymizer/release/rational.h"

#define TOP UINT64_MAX

static void assert_rational(struct rational got, uint64_t numerator, uint64_t denominator)
{
    assert_true(got.numerator == numerator && got.denominator == denominator);
}

static void test_lowest_terms(void **state)
{
    (void)state;
    struct rational out = {7, 7};
    assert_int_equal(rational_make(76, 4, &out, NULL), RESULT_OK);
    assert_rational(out, 19, 1);
    assert_int_equal(rational_make(0, 12, &out, NULL), RESULT_OK);
    assert_rational(out, 0, 1);
    rational_wide wide = (rational_wide)TOP * 1000;
    assert_int_equal(rational_make(wide, 3000, &out, NULL), RESULT_OK);
    assert_rational(out, TOP / 3, 1);
    assert_int_equal(rational_make(wide, 7, &out, NULL), RESULT_FULL);
    assert_int_equal(rational_make(7, wide, &out, NULL), RESULT_FULL);
    assert_int_equal(rational_make(1, 0, &out, NULL), RESULT_INVALID);
    assert_int_equal(rational_make(0, 0, &out, NULL), RESULT_INVALID);
    assert_rational(out, TOP / 3, 1);
}

static void test_arithmetic(void **state)
{
    (void)state;
    struct rational out = {7, 7};
    assert_int_equal(rational_add((struct rational){1, 6}, (struct rational){1, 10}, &out, NULL), RESULT_OK);
    assert_rational(out, 4, 15);
    assert_int_equal(rational_multiply((struct rational){TOP, 4}, (struct rational){8, TOP}, &out, NULL), RESULT_OK);
    assert_rational(out, 2, 1);
    assert_int_equal(rational_divide((struct rational){3, 4}, (struct rational){9, 8}, &out, NULL), RESULT_OK);
    assert_rational(out, 2, 3);
    /* Half of the largest number, twice. */
    assert_int_equal(rational_add((struct rational){TOP, 2}, (struct rational){TOP, 2}, &out, NULL), RESULT_OK);
    assert_rational(out, TOP, 1);
    struct failure why = {0};
    assert_int_equal(rational_add(out, (struct rational){1, 1}, &out, &why), RESULT_FULL);
    assert_string_equal(why.field, "rational");
    /* Cross products that exceed 128 bits together. */
    assert_int_equal(rational_add((struct rational){TOP, TOP - 1}, (struct rational){TOP, TOP - 2}, &out, NULL), RESULT_FULL);
    assert_int_equal(rational_multiply(out, (struct rational){2, 1}, &out, NULL), RESULT_FULL);
    assert_int_equal(rational_divide(out, (struct rational){0, 1}, &out, NULL), RESULT_INVALID);
    assert_int_equal(rational_add(out, (struct rational){0, 0}, &out, NULL), RESULT_INVALID);
    assert_int_equal(rational_add((struct rational){1, 0}, (struct rational){1, 0}, &out, NULL), RESULT_INVALID);
    assert_rational(out, TOP, 1);
}

static void test_comparison(void **state)
{
    (void)state;
    assert_int_equal(rational_compare((struct rational){2, 4}, (struct rational){1, 2}), 0);
    assert_true(rational_compare((struct rational){TOP - 1, TOP}, (struct rational){TOP - 2, TOP - 1}) > 0);
    assert_true(rational_compare((struct rational){TOP, TOP - 1}, (struct rational){TOP - 1, TOP - 2}) < 0);
    assert_true(rational_compare((struct rational){0, 1}, (struct rational){1, TOP}) < 0);
}

static void test_rounding(void **state)
{
    (void)state;
    struct rational out = {7, 7};
    assert_int_equal(rational_round((struct rational){1, 3}, 1000, RATIONAL_UP, &out, NULL), RESULT_OK);
    assert_rational(out, 167, 500);
    assert_int_equal(rational_round((struct rational){1, 3}, 1000, RATIONAL_DOWN, &out, NULL), RESULT_OK);
    assert_rational(out, 333, 1000);
    /* What is a multiple stays. */
    assert_int_equal(rational_round((struct rational){3, 8}, 1000, RATIONAL_UP, &out, NULL), RESULT_OK);
    assert_rational(out, 3, 8);
    assert_int_equal(rational_round((struct rational){1, TOP}, 1000, RATIONAL_UP, &out, NULL), RESULT_OK);
    assert_rational(out, 1, 1000);
    assert_int_equal(rational_round((struct rational){TOP, 1}, 2, RATIONAL_UP, &out, NULL), RESULT_FULL);
    assert_int_equal(rational_round((struct rational){1, 1}, 0, RATIONAL_UP, &out, NULL), RESULT_INVALID);
    assert_int_equal(rational_round((struct rational){1, 0}, 1, RATIONAL_UP, &out, NULL), RESULT_INVALID);
    assert_rational(out, 1, 1000);
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        struct rational a;
        unsigned places;
        enum rational_rounding rounding;
        const char *decimal, *fraction;
    } rows[] = {
        {{0, 1}, 6, RATIONAL_UP, "0", "0"},
        {{38, 1}, 0, RATIONAL_UP, "38", "38"},
        {{38, 3}, 4, RATIONAL_UP, "12.6667", "38/3"},
        {{38, 3}, 4, RATIONAL_DOWN, "12.6666", "38/3"},
        {{38, 3}, 0, RATIONAL_DOWN, "12", "38/3"},
        {{64823, 1000}, 12, RATIONAL_UP, "64.823", "64823/1000"},
        {{1, 1000000000}, 12, RATIONAL_UP, "0.000000001", "1/1000000000"},
        {{1, TOP}, 18, RATIONAL_UP, "0.000000000000000001", "1/18446744073709551615"},
        {{1, TOP}, 18, RATIONAL_DOWN, "0", "1/18446744073709551615"},
        {{TOP, 1}, 99, RATIONAL_UP, "18446744073709551615", "18446744073709551615"},
        {{TOP, 2}, 18, RATIONAL_UP, "9223372036854775807.5", "18446744073709551615/2"},
        {{TOP, TOP - 1}, 18, RATIONAL_UP, "1.000000000000000001", "18446744073709551615/18446744073709551614"},
        {{999999, 1000000}, 3, RATIONAL_UP, "1", "999999/1000000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[RATIONAL_TEXT_MAX];
        rational_decimal(rows[i].a, rows[i].places, rows[i].rounding, text);
        assert_string_equal(text, rows[i].decimal);
        rational_fraction(rows[i].a, text);
        assert_string_equal(text, rows[i].fraction);
    }
}

static void test_parsing(void **state)
{
    (void)state;
    static const struct { const char *text; struct rational value; } good[] = {{"0", {0, 1}}, {"38", {38, 1}}, {"0.7328", {458, 625}},
        {"007.50", {15, 2}}, {"0.000000000000000001", {1, 1000000000000000000}}, {"18446744073709551615", {TOP, 1}},
        {"00000000000000000000000000000000000001", {1, 1}}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct rational out;
        assert_int_equal(rational_parse(good[i].text, &out, NULL), RESULT_OK);
        assert_rational(out, good[i].value.numerator, good[i].value.denominator);
    }
    static const char *const bad[] = {"", ".", "1.", ".5", "1.2.3", "-1", "+1", " 1", "1 ", "1e3", "0x1", "nan", "1,5",
        "0.0000000000000000001", "000000000000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rational out = {7, 7};
        assert_int_equal(rational_parse(bad[i], &out, NULL), RESULT_INVALID);
        assert_rational(out, 7, 7);
    }
    struct rational out = {7, 7};
    assert_int_equal(rational_parse("18446744073709551616", &out, NULL), RESULT_FULL);
    assert_rational(out, 7, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lowest_terms),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_comparison),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_parsing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
