#include "anonymizer/edge/keyepoch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR_MS 3600000LL

/* Times by Python's datetime in UTC; numbers as year * 4 + (month - 1) // 3. */
static void test_quarters(void **state)
{
    (void)state;
    assert_int_equal(keyepoch_of(1767225600000, 92), 8104);     /* 2026-01-01 */
    assert_int_equal(keyepoch_of(1767225600000 - 1, 92), 8103); /* 2025-12-31T23:59:59.999 */
    assert_int_equal(keyepoch_of(1775001600000 - 1, 92), 8104);
    assert_int_equal(keyepoch_of(1775001600000, 92), 8105); /* 2026-04-01 */
    assert_int_equal(keyepoch_of(1795219200000, 92), 8107); /* 2026-11-21 */
    assert_int_equal(keyepoch_of(1835395200000, 92), 8112); /* 2028-02-29 */
    assert_int_equal(keyepoch_of(951868800000, 92), 8000);  /* 2000-03-01 */
    assert_int_equal(keyepoch_of(0, 92), 7880);
}

static void test_starts(void **state)
{
    (void)state;
    assert_int_equal(keyepoch_start_ms(8104, 92), 1767225600000);
    assert_int_equal(keyepoch_start_ms(8105, 92), 1775001600000);
    assert_int_equal(keyepoch_start_ms(8108, 92), 1798761600000); /* 2027-01-01 */
    for (int64_t number = 7880; number < 8400; number++) {
        int64_t start_ms = keyepoch_start_ms(number, 92);
        assert_int_equal(keyepoch_of(start_ms, 92), number);
        if (number > 7880)
            assert_int_equal(keyepoch_of(start_ms - 1, 92), number - 1);
    }
}

static void test_days(void **state)
{
    (void)state;
    assert_int_equal(keyepoch_of(29 * KEYEPOCH_DAY_MS, 30), 0);
    assert_int_equal(keyepoch_of(30 * KEYEPOCH_DAY_MS, 30), 1);
    assert_int_equal(keyepoch_of(30 * KEYEPOCH_DAY_MS - 1, 30), 0);
    assert_int_equal(keyepoch_start_ms(3, 7), 21 * KEYEPOCH_DAY_MS);
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t now_ms = 1795219200000;
    assert_true(keyepoch_clocks_agree(now_ms, now_ms, now_ms));
    assert_true(keyepoch_clocks_agree(now_ms, now_ms + HOUR_MS, now_ms));
    assert_true(keyepoch_clocks_agree(now_ms, now_ms, -1));
    assert_false(keyepoch_clocks_agree(now_ms, now_ms + HOUR_MS + 1, now_ms));
    assert_false(keyepoch_clocks_agree(now_ms, now_ms + HOUR_MS + 1, -1));
    assert_false(keyepoch_clocks_agree(now_ms, now_ms, now_ms - HOUR_MS - 1));
    assert_false(keyepoch_clocks_agree(now_ms, now_ms - HOUR_MS, now_ms + HOUR_MS)); /* each near the first only */
    assert_false(keyepoch_clocks_agree(now_ms, now_ms - HOUR_MS, now_ms - 2 * HOUR_MS));
    assert_false(keyepoch_clocks_agree(now_ms + 90LL * KEYEPOCH_DAY_MS, now_ms, now_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarters),
        cmocka_unit_test(test_starts),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
