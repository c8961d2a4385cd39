#include "api/series/metric.h"

#include <string.h>

static const struct metric metrics[] = {
#define METRIC(name, kind, list, above, below, scale, complement, quantile, unit, version, text) \
    {#name, METRIC_KIND_##kind, METRIC_LIST_##list, above, below, scale, complement, quantile, unit, version, text},
#include "api/series/metrics.def"
#undef METRIC
};

const struct metric *metric_at(size_t index)
{
    return index < sizeof metrics / sizeof metrics[0] ? &metrics[index] : NULL;
}

const struct metric *metric_named(const char *name)
{
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        if (strcmp(metrics[i].name, name) == 0)
            return &metrics[i];
    }
    return NULL;
}

bool metric_is_whole(const struct metric *metric)
{
    return metric->version == 0 || metric->kind == METRIC_KIND_FUNNEL || metric->kind == METRIC_KIND_ON_OR_AFTER;
}

bool metric_is_declared(const struct metric *metric)
{
    return metric->kind == METRIC_KIND_MEASURE || metric->kind == METRIC_KIND_FUNNEL || metric->kind == METRIC_KIND_OUTCOME;
}

bool metric_is_monthly(const struct metric *metric)
{
    return metric->kind == METRIC_KIND_STICKINESS || metric->kind == METRIC_KIND_GROWTH ||
        metric->kind == METRIC_KIND_OUTCOME || metric->kind == METRIC_KIND_ON_OR_AFTER;
}

bool metric_has_cohorts(const struct metric *metric)
{
    return metric->kind == METRIC_KIND_RETENTION || metric->kind == METRIC_KIND_ON_OR_AFTER;
}

/* A session may complete what another started, and events are more than sessions. */
bool metric_is_share(const struct metric *metric)
{
    return metric->kind == METRIC_KIND_STICKINESS ||
        (metric->kind == METRIC_KIND_RATIO && strcmp(metric->unit, "ratio") == 0 &&
            metric->list != METRIC_LIST_COMPLETION && strcmp(metric->above, "session_events") != 0);
}

const char *metric_default_interval(const struct metric *metric)
{
    if (metric_is_monthly(metric))
        return "month";
    return metric->list == METRIC_LIST_FUNNELS || metric->list == METRIC_LIST_PATHS ? "week" : "day";
}
