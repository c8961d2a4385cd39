/* A ration: so many an hour, by holder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/ingest/ration.h"

#define HOUR_MS 3600000

static void ten_an_hour(void **state)
{
    (void)state;
    struct ration *ration = ration_new();
    unsigned wait_s = 0;
    for (int i = 0; i < RATION_AN_HOUR; i++)
        assert_true(ration_take(ration, 7, 1000 + i * 1000, &wait_s));
    assert_false(ration_take(ration, 7, 20000, &wait_s));
    assert_int_equal(wait_s, (HOUR_MS + 1000 - 20000 + 999) / 1000);
    assert_true(ration_take(ration, 8, 20000, &wait_s));
    assert_true(ration_take(ration, 7, HOUR_MS + 1000, &wait_s));
    assert_false(ration_take(ration, 7, HOUR_MS + 1500, &wait_s));
    assert_int_equal(wait_s, 1);
    for (int i = 0; i < 100; i++) /* the ring goes round */
        assert_true(ration_take(ration, 9, (int64_t)i * HOUR_MS / 2, &wait_s));
    ration_free(ration);
}

static void holders_without_end(void **state)
{
    (void)state;
    struct ration *ration = ration_new();
    unsigned wait_s = 0;
    for (uint64_t i = 0; i < 3 * RATION_HOLDERS; i++)
        assert_true(ration_take(ration, i + 1, (int64_t)i + 1, &wait_s));
    ration_free(ration);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_an_hour), cmocka_unit_test(holders_without_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
