#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "service/base/metrics.h"

static void test_untouched_until_used(void **state)
{
    (void)state;
    assert_false(metrics_touched(METRIC_SPOOL_BYTES));
    metrics_set(METRIC_SPOOL_BYTES, 0);
    assert_true(metrics_touched(METRIC_SPOOL_BYTES));
    assert_int_equal(metrics_get(METRIC_SPOOL_BYTES), 0);
    metrics_set(METRIC_SPOOL_BYTES, -5);
    assert_int_equal(metrics_get(METRIC_SPOOL_BYTES), -5);
}

static void *count(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100000; i++)
        metrics_add(METRIC_EVENTS_ACCEPTED, 1);
    return NULL;
}

static void test_adds_of_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_get(METRIC_EVENTS_ACCEPTED), 400000);
}

/* The table keeps what the exposition formats need: names of one metric together, with one type and help. */
static void test_table_is_exposable(void **state)
{
    (void)state;
    for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
        const struct metric_info *info = metrics_info(id);
        assert_int_equal(strncmp(info->name, "throng_", 7), 0);
        size_t length = strlen(info->name);
        bool total = length > 6 && strcmp(info->name + length - 6, "_total") == 0;
        assert_int_equal(total, strcmp(info->type, "counter") == 0);
        for (enum metric_id other = id + 1; other < METRIC_COUNT; other++) {
            const struct metric_info *another = metrics_info(other);
            if (strcmp(info->name, another->name) != 0)
                continue;
            assert_string_equal(metrics_info(other - 1)->name, info->name);
            assert_string_equal(info->type, another->type);
            assert_string_equal(info->help, another->help);
            assert_string_not_equal(info->label, another->label);
        }
    }
}

static void test_requests_by_endpoint(void **state)
{
    (void)state;
    assert_int_equal(metrics_endpoint_of("/v1/events"), METRICS_ENDPOINT_EVENTS);
    assert_int_equal(metrics_endpoint_of("/v1/apps/shop/metrics"), METRICS_ENDPOINT_CATALOGUE);
    assert_int_equal(metrics_endpoint_of("/v1/apps/shop/metrics/sessions"), METRICS_ENDPOINT_METRIC);
    assert_int_equal(metrics_endpoint_of("/v1/apps/shop/metrics/sessions/x"), METRICS_ENDPOINT_OTHER);
    assert_int_equal(metrics_endpoint_of("/v1/apps"), METRICS_ENDPOINT_APPS);
    assert_int_equal(metrics_endpoint_of("/v1/appsx"), METRICS_ENDPOINT_OTHER);
    assert_int_equal(metrics_endpoint_of(""), METRICS_ENDPOINT_OTHER);
    metrics_request(METRICS_ENDPOINT_HEALTH_READY, 200);
    metrics_request(METRICS_ENDPOINT_HEALTH_READY, 304);
    metrics_request(METRICS_ENDPOINT_HEALTH_READY, 404);
    metrics_request(METRICS_ENDPOINT_HEALTH_READY, 503);
    for (int i = 0; i < 4; i++)
        assert_int_equal(metrics_get((enum metric_id)(METRIC_HTTP_HEALTH_READY_2XX + i)), 1);
    assert_string_equal(metrics_info(METRIC_HTTP_HEALTH_READY_5XX)->label, "endpoint=\"/health/ready\",code=\"5xx\"");
}

static void test_requests_by_duration(void **state)
{
    (void)state;
    metrics_request_took(0);
    metrics_request_took(5);
    metrics_request_took(6);
    metrics_request_took(3600000);
    assert_int_equal(metrics_get(METRIC_HTTP_TOOK_5MS), 2);
    assert_int_equal(metrics_get(METRIC_HTTP_TOOK_10MS), 1);
    assert_int_equal(metrics_get(METRIC_HTTP_TOOK_10S), 0);
    assert_int_equal(metrics_get(METRIC_HTTP_TOOK_ANY), 1);
    assert_int_equal(metrics_get(METRIC_HTTP_TOOK_SUM), 3600011);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untouched_until_used),
        cmocka_unit_test(test_adds_of_many_threads),
        cmocka_unit_test(test_table_is_exposable),
        cmocka_unit_test(test_requests_by_endpoint),
        cmocka_unit_test(test_requests_by_duration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
