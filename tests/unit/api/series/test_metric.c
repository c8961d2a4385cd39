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
#include "service/catalogue/definition.h"

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
        assert_true((metric->unit[0] != '\0') == (metric->kind != METRIC_KIND_MEASURE && metric->kind != METRIC_KIND_OUTCOME));
        assert_true(metric->text[0] != '\0');
    }
    assert_true(count > 15);
    assert_null(metric_named("nothing"));
}

/* A measure is asked for by its name: it cannot have that of a metric which every app has. */
static void test_measures_have_other_names(void **state)
{
    (void)state;
    for (size_t i = 0; metric_at(i) != NULL; i++) {
        char text[512];
        struct app app;
        struct failure why = {0};
        snprintf(text, sizeof text, "{\"name\":\"a\",\"time_zone\":\"UTC\",\"events\":[{\"name\":\"e\",\"properties\":[{\"name\":\"n\","
            "\"type\":\"number\",\"min\":0,\"max\":9}]}],\"measures\":[{\"name\":\"%s\",\"event\":\"e\",\"property\":\"n\"}]}",
            metric_at(i)->name);
        enum result result = definition_parse(text, strlen(text), &app, &why);
        assert_int_equal(result, metric_is_declared(metric_at(i)) ? RESULT_OK : RESULT_INVALID);
        if (result == RESULT_OK)
            definition_free(&app);
        else
            assert_string_equal(why.field, "measures[0].name");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_released),
        cmocka_unit_test(test_measures_have_other_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
