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
    METRIC_KIND_RATIO,
    METRIC_KIND_STICKINESS,
    METRIC_KIND_GROWTH,
    METRIC_KIND_RETENTION,
    METRIC_KIND_HISTOGRAM,
    METRIC_KIND_QUANTILE,
};

/* See metrics.def. */
struct metric {
    const char *name;
    enum metric_kind kind;
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

/* Whether it is in whole numbers: released as it is. */
bool metric_is_whole(const struct metric *metric);

/* Whether it is known by calendar month only. */
bool metric_is_monthly(const struct metric *metric);

/* Whether its points are told apart by n within a period. */
bool metric_has_cells(const struct metric *metric);

#endif
