/*
 * Counters, gauges and histograms of one process: rows of metrics.def, kept in atomics, shown by the status socket.
 *
 * Sees:     nothing of a person: names and label values are constants.
 * Uses:     libc.
 * Threads:  any; relaxed atomics.
 */
#ifndef THRONG_BASE_METRICS_H
#define THRONG_BASE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metric_id {
#define METRIC(id, name, label, type, help) METRIC_##id,
#include "service/base/metrics.def"
#undef METRIC
    METRIC_COUNT
};

/* What requests are counted by: rows of endpoints.def. */
enum metrics_endpoint {
#define ENDPOINT(id, route) METRICS_ENDPOINT_##id,
#include "service/base/endpoints.def"
#undef ENDPOINT
    METRICS_ENDPOINT_COUNT
};

/* The endpoint whose template path is of; METRICS_ENDPOINT_OTHER if there is none. */
enum metrics_endpoint metrics_endpoint_of(const char *path);

/* Count an answer of this status to a request for endpoint. */
void metrics_request(enum metrics_endpoint endpoint, unsigned status);

/* Note how long a request took, from its header to the end of its answer. */
void metrics_request_took(int64_t took_ms);

/* Add count to counter id. */
void metrics_add(enum metric_id id, uint64_t count);

/* Set gauge id. */
void metrics_set(enum metric_id id, int64_t value);

/* The present value of id. */
int64_t metrics_get(enum metric_id id);

/* Whether id was ever added to or set. */
bool metrics_touched(enum metric_id id);

struct metric_info {
    const char *name;  /* "throng_events_total" */
    const char *label; /* "result=\"accepted\"", several with commas, or "" */
    const char *type;  /* "counter", "gauge" or "histogram" (sum: in milliseconds) */
    const char *help;
};

/* What id is. A static row. */
const struct metric_info *metrics_info(enum metric_id id);

#endif
