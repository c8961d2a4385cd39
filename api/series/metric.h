/*
 * Metrics by name: which released numbers each is, or is computed from. The rows of metrics.def; `throng query` and the API
 * answer from the same ones.
 *
 * Sees:     nothing of a person.
 * Uses:     libc.
 * Threads:  any; static tables.
 * Failure:  NULL where there is no such metric.
 */
#ifndef THRONG_SERIES_METRIC_H
#define THRONG_SERIES_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metric_kind {
    METRIC_KIND_COUNT,
    METRIC_KIND_RETURNING,
    METRIC_KIND_RATIO,
    METRIC_KIND_STICKINESS,
    METRIC_KIND_GROWTH,
    METRIC_KIND_RETENTION,
    METRIC_KIND_ON_OR_AFTER,
    METRIC_KIND_HISTOGRAM,
    METRIC_KIND_QUANTILE,
    METRIC_KIND_MEASURE,
    METRIC_KIND_FUNNEL,
    METRIC_KIND_OUTCOME,
};

/* Which of an app's lists a metric's rows are of. */
enum metric_list {
    METRIC_LIST_NONE,
    METRIC_LIST_DIMENSIONS,
    METRIC_LIST_SESSION_DIMENSIONS,
    METRIC_LIST_FEATURES,
    METRIC_LIST_SEGMENTS,
    METRIC_LIST_GOALS,
    METRIC_LIST_COMPLETION,
    METRIC_LIST_FUNNELS,
    METRIC_LIST_MEASURES,
    METRIC_LIST_OUTCOMES,
    METRIC_LIST_ENTITIES,
    METRIC_LIST_PATHS,
};

/* See metrics.def. */
struct metric {
    const char *name;
    enum metric_kind kind;
    enum metric_list list;
    const char *above, *below; /* below: NULL if there is none */
    double scale;
    bool complement;
    double quantile;
    const char *unit;
    int32_t version; /* 0: the released number's own */
    const char *text;
};

/* The metric called name, or the index-th one. Static rows. */
const struct metric *metric_named(const char *name);
/* See metric_named. */
const struct metric *metric_at(size_t index);

/* Whether it is asked for by the names that an app gave: the metric's own name is then only that of its definition. */
bool metric_is_declared(const struct metric *metric);

/* Whether it is in whole numbers: released as it is, or a sum of such. */
bool metric_is_whole(const struct metric *metric);

/* Whether it is known by calendar month only. */
bool metric_is_monthly(const struct metric *metric);

/* The shortest interval that it is known in: "day", "week" or "month". */
const char *metric_default_interval(const struct metric *metric);

/* Whether its rows are of cohorts, with a share of the cohort beside them. */
bool metric_has_cohorts(const struct metric *metric);

/* Whether it is a share: from 0 to 1, whatever noise says. */
bool metric_is_share(const struct metric *metric);

#endif
