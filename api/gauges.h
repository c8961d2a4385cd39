/*
 * GET /metrics and /metrics/json: gauges of the newest released numbers of all apps, for Prometheus. They carry no timestamp and
 * no label that names a day: throng_release_period_timestamp_seconds says of when they are. A suppressed one is absent.
 *
 * Sees:     released numbers.
 * Uses:     api/series, exposition, call, tenant.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_GAUGES_H
#define THRONG_API_GAUGES_H

#include "api/call.h"
#include "api/exposition.h"

/* Answer GET /metrics (by the Accept header) or, with json, /metrics/json. */
enum MHD_Result gauges_answer(struct call *call, bool json);

/* The exposition format that the call's Accept header prefers, and its content type. */
enum exposition_format gauges_format(const struct call *call, const char **content_type);

#endif
