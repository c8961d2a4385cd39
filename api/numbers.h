/*
 * Released numbers over HTTP: GET /v1/apps/{app}/metrics/{metric} and /v1/apps/{app}/retention, as JSON or CSV, with a strong
 * ETag and pages. What was never seen, what is suppressed and what is empty have the same shape.
 *
 * Sees:     released numbers.
 * Uses:     api/series, call, tenant; jansson, libsodium.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_NUMBERS_H
#define THRONG_API_NUMBERS_H

#include "api/call.h"

/* Answer for the metric called metric of the app called app. */
enum MHD_Result numbers_metric(struct call *call, const char *app, const char *metric);

/* Answer for the retention of the app called app, kind=on. */
enum MHD_Result numbers_retention(struct call *call, const char *app);

#endif
