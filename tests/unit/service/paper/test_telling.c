/* Numbers in words, and changes told honestly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "service/paper/telling.h"

static struct series_point noisy(double value, double half)
{
    return (struct series_point){.known = true, .noisy = true, .bounded = true, .value = value, .low = value - half, .high = value + half};
}

static void test_noise_is_called_noise(void **state)
{
    (void)state;
    char text[TELLING_BYTES];
    struct series_point now = noisy(1120, 70), before = noisy(1000, 70);
    assert_int_equal(telling_change(&now, &before, NUMERAL_COUNT, SPAN_WEEK, text), TELLING_NOISE);
    assert_string_equal(text, "within noise of the week before (1,000)");
    now = noisy(1200, 70);
    assert_int_equal(telling_change(&now, &before, NUMERAL_COUNT, SPAN_WEEK, text), TELLING_UP);
    assert_string_equal(text, "+20.0 % since the week before (1,000)");
}

static void test_exact_numbers_and_gaps(void **state)
{
    (void)state;
    char text[TELLING_BYTES];
    struct series_point now = noisy(0.2, 0), before = noisy(0.25, 0), hidden = {.known = false};
    now.noisy = before.noisy = false;
    assert_int_equal(telling_change(&now, &before, NUMERAL_PERCENT, SPAN_MONTH, text), TELLING_DOWN);
    assert_string_equal(text, "−5.0 points since the month before (25.0 %)");
    assert_int_equal(telling_change(&now, &now, NUMERAL_PERCENT, SPAN_MONTH, text), TELLING_NOISE);
    assert_string_equal(text, "as in the month before (20.0 %)");
    assert_int_equal(telling_change(&now, &hidden, NUMERAL_PERCENT, SPAN_DAY, text), TELLING_NONE);
    assert_string_equal(text, "the day before: suppressed");
    assert_int_equal(telling_change(&hidden, &now, NUMERAL_PERCENT, SPAN_DAY, text), TELLING_NONE);
    assert_string_equal(text, "");
    before = noisy(0, 0);
    (void)telling_change(&now, &before, NUMERAL_COUNT, SPAN_DAY, text);
    assert_string_equal(text, "the day before: 0");
}

static void test_numerals(void **state)
{
    (void)state;
    char text[2 * NUMERAL_BYTES + 8];
    struct series_point point = noisy(0.5, 0.25);
    assert_string_equal(numeral_write(1234567, NUMERAL_COUNT, text), "1,234,567");
    assert_string_equal(numeral_write(-1000, NUMERAL_COUNT, text), "−1,000");
    assert_string_equal(numeral_write(999, NUMERAL_COUNT, text), "999");
    assert_string_equal(numeral_write(200, NUMERAL_SECONDS, text), "3 min 20 s");
    assert_string_equal(numeral_write(4.25, NUMERAL_DECIMAL, text), "4.25");
    assert_string_equal(numeral_range(&point, NUMERAL_PERCENT, text), "25.0 – 75.0 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_is_called_noise),
        cmocka_unit_test(test_exact_numbers_and_gaps),
        cmocka_unit_test(test_numerals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
