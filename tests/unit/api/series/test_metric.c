/* Metrics: every one is released, or computed from what is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/family.h"
#include "api/series/metric.h"

static bool is_released(const char *number)
{
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++) {
        if (family_number_named(number, interval) != NUMBER_COUNT)
            return true;
    }
    return false;
}

static void test_parts_are_released(void **state)
{
    (void)state;
    size_t count = 0;
    for (; metric_at(count) != NULL; count++) {
        const struct metric *metric = metric_at(count);
        assert_ptr_equal(metric_named(metric->name), metric);
        assert_true(is_released(metric->above));
        assert_true(metric->below == NULL || is_released(metric->below));
        assert_true(metric->unit[0] != '\0' && metric->text[0] != '\0');
    }
    assert_true(count > 15);
    assert_null(metric_named("nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
