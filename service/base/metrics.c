#include "service/base/metrics.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

static _Atomic int64_t values[METRIC_COUNT];
static _Atomic bool touched[METRIC_COUNT];

static const struct metric_info infos[METRIC_COUNT] = {
#define METRIC(id, name, label, type, help) [METRIC_##id] = {name, label, type, help},
#include "service/base/metrics.def"
#undef METRIC
};

/* Counters are hot: the flag's cache line stays shared once it is set. */
static void touch(enum metric_id id)
{
    if (!atomic_load_explicit(&touched[id], memory_order_relaxed))
        atomic_store_explicit(&touched[id], true, memory_order_relaxed);
}

void metrics_add(enum metric_id id, uint64_t count)
{
    assert(id < METRIC_COUNT);
    (void)atomic_fetch_add_explicit(&values[id], (int64_t)count, memory_order_relaxed);
    touch(id);
}

void metrics_set(enum metric_id id, int64_t value)
{
    assert(id < METRIC_COUNT);
    atomic_store_explicit(&values[id], value, memory_order_relaxed);
    touch(id);
}

int64_t metrics_get(enum metric_id id)
{
    assert(id < METRIC_COUNT);
    return atomic_load_explicit(&values[id], memory_order_relaxed);
}

bool metrics_touched(enum metric_id id)
{
    assert(id < METRIC_COUNT);
    return atomic_load_explicit(&touched[id], memory_order_relaxed);
}

const struct metric_info *metrics_info(enum metric_id id)
{
    assert(id < METRIC_COUNT);
    return &infos[id];
}

/* Whether path is of the template route, in which {} stands for one segment. */
static bool is_of(const char *route, const char *path)
{
    while (*route != '\0') {
        if (*route == '{') {
            route += strcspn(route, "}") + 1;
            path += strcspn(path, "/");
        } else if (*route++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

enum metrics_endpoint metrics_endpoint_of(const char *path)
{
    static const char *const routes[] = {
#define ENDPOINT(id, route) route,
#include "service/base/endpoints.def"
#undef ENDPOINT
    };
    for (size_t i = 0; i < METRICS_ENDPOINT_COUNT; i++) {
        if (is_of(routes[i], path))
            return (enum metrics_endpoint)i;
    }
    return METRICS_ENDPOINT_OTHER;
}

void metrics_request(enum metrics_endpoint endpoint, unsigned status)
{
    unsigned class = status < 300 ? 0 : status < 400 ? 1 : status < 500 ? 2 : 3;
    assert(endpoint < METRICS_ENDPOINT_COUNT);
    metrics_add((enum metric_id)(METRIC_HTTP_OTHER_2XX + 4 * (unsigned)endpoint + class), 1);
}

void metrics_request_took(int64_t took_ms)
{
    static const int64_t bounds_ms[] = {5, 10, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10000, INT64_MAX};
    size_t bucket = 0;
    while (took_ms > bounds_ms[bucket])
        bucket++;
    metrics_add((enum metric_id)(METRIC_HTTP_TOOK_5MS + bucket), 1);
    metrics_add(METRIC_HTTP_TOOK_SUM, took_ms < 0 ? 0 : (uint64_t)took_ms);
}
