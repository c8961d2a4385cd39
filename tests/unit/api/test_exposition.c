/* Expositions: the three forms, escapes, and nothing twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/exposition.h"

static struct exposition *some(void)
{
    struct exposition *exposition = exposition_new();
    assert_non_null(exposition);
    const struct exposition_label odd = {"app", "a\"b\\c\nd"}, two[] = {{"daemon", "api"}, {"code", "2xx"}};
    exposition_family(exposition, "throng_a_ratio", "gauge", "A share");
    exposition_sample(exposition, "", &odd, 1, 0.25);
    exposition_sample(exposition, "", &odd, 1, 0.5);
    exposition_family(exposition, "throng_none", "gauge", "Without samples");
    exposition_family(exposition, "throng_b_total", "counter", "A count");
    exposition_sample(exposition, "", two, 2, 1e12);
    exposition_sample(exposition, "", NULL, 0, -3);
    const struct exposition_label bucket = {"le", "+Inf"};
    exposition_family(exposition, "throng_c_seconds", "histogram", "Times");
    exposition_sample(exposition, "_bucket", &bucket, 1, 2);
    exposition_sample(exposition, "_sum", NULL, 0, 0.5);
    exposition_sample(exposition, "_count", NULL, 0, 2);
    return exposition;
}

static void assert_written(enum exposition_format format, const char *expected)
{
    struct exposition *exposition = some();
    char *text = exposition_write(exposition, format);
    assert_string_equal(text, expected);
    free(text);
    exposition_free(exposition);
}

static void test_forms(void **state)
{
    (void)state;
    assert_written(EXPOSITION_AS_TEXT,
        "# HELP throng_a_ratio A share\n# TYPE throng_a_ratio gauge\nthrong_a_ratio{app=\"a\\\"b\\\\c\\nd\"} 0.25\n"
        "# HELP throng_b_total A count\n# TYPE throng_b_total counter\n"
        "throng_b_total{daemon=\"api\",code=\"2xx\"} 1000000000000\nthrong_b_total -3\n"
        "# HELP throng_c_seconds Times\n# TYPE throng_c_seconds histogram\nthrong_c_seconds_bucket{le=\"+Inf\"} 2\n"
        "throng_c_seconds_sum 0.5\nthrong_c_seconds_count 2\n");
    assert_written(EXPOSITION_AS_OPENMETRICS,
        "# HELP throng_a_ratio A share\n# TYPE throng_a_ratio gauge\nthrong_a_ratio{app=\"a\\\"b\\\\c\\nd\"} 0.25\n"
        "# HELP throng_b A count\n# TYPE throng_b counter\n"
        "throng_b_total{daemon=\"api\",code=\"2xx\"} 1000000000000\nthrong_b_total -3\n"
        "# HELP throng_c_seconds Times\n# TYPE throng_c_seconds histogram\nthrong_c_seconds_bucket{le=\"+Inf\"} 2\n"
        "throng_c_seconds_sum 0.5\nthrong_c_seconds_count 2\n# EOF\n");
    assert_written(EXPOSITION_AS_JSON,
        "{\"metrics\":[{\"name\":\"throng_a_ratio\",\"type\":\"gauge\",\"help\":\"A share\",\"samples\":["
        "{\"labels\":{\"app\":\"a\\\"b\\\\c\\nd\"},\"value\":0.25}]},"
        "{\"name\":\"throng_b_total\",\"type\":\"counter\",\"help\":\"A count\",\"samples\":["
        "{\"labels\":{\"daemon\":\"api\",\"code\":\"2xx\"},\"value\":1000000000000},{\"labels\":{},\"value\":-3}]},"
        "{\"name\":\"throng_c_seconds\",\"type\":\"histogram\",\"help\":\"Times\",\"samples\":["
        "{\"labels\":{\"le\":\"+Inf\"},\"value\":2,\"suffix\":\"_bucket\"},{\"labels\":{},\"value\":0.5,\"suffix\":\"_sum\"},"
        "{\"labels\":{},\"value\":2,\"suffix\":\"_count\"}]}]}");
}

static void test_empty(void **state)
{
    (void)state;
    struct exposition *exposition = exposition_new();
    char *text = exposition_write(exposition, EXPOSITION_AS_OPENMETRICS);
    assert_string_equal(text, "# EOF\n");
    free(text);
    exposition_free(exposition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
