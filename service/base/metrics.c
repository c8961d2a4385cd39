#include "service/base/metrics.h"

#include <assert.h>
#include <stdatomic.h>

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
