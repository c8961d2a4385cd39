#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "anonymizer/release/cohort.h"

#define HOUR_MS 3600000

/* Receipt on the first day of a month, the day of its expiry, and the closing of the twelfth month after it. */
static void a_cohort_matures_before_it_is_forgotten(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t horizon_days;
        int64_t lateness_ms;
        bool matures;
    } rows[] = {
        {400, 6 * HOUR_MS, true}, /* what apps have unless they say otherwise */
        {399, 6 * HOUR_MS, true},
        {398, 6 * HOUR_MS, false},
        {398, 0, true},
        {397, 0, false},
        {400, 48 * HOUR_MS, true},
        {400, 48 * HOUR_MS + 1, false},
        {405, 168 * HOUR_MS, true},
        {404, 168 * HOUR_MS, false},
        {62, 0, false},
        {800, 168 * HOUR_MS, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct app app = {.horizon_days = rows[i].horizon_days, .lateness_ms = rows[i].lateness_ms};
        if (cohort_matures(&app) != rows[i].matures)
            fail_msg("%u days: %d", rows[i].horizon_days, (int)!rows[i].matures);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_cohort_matures_before_it_is_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
