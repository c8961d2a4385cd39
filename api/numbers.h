/*
 * Released numbers over HTTP: GET /v1/apps/{app}/metrics/{metric}, …/retention, …/funnels/{funnel} and …/outcomes/{outcome}, as
 * JSON or CSV, with a strong ETag and pages. What was never seen, what is suppressed and what is empty have the same shape.
 *
 * Sees:     released numbers.
 * Uses:     api/series, call, tenant; jansson, libsodium.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_NUMBERS_H
#define THRONG_API_NUMBERS_H

#include "api/call.h"

/* Answer for the metric or declared measure called metric of the app called app. */
enum MHD_Result numbers_metric(struct call *call, const char *app, const char *metric);

/* Answer for the retention of the app called app, kind=on. */
enum MHD_Result numbers_retention(struct call *call, const char *app);

/* Answer for a declared funnel or outcome of the app called app. */
enum MHD_Result numbers_funnel(struct call *call, const char *app, const char *funnel);
/* See numbers_funnel. */
enum MHD_Result numbers_outcome(struct call *call, const char *app, const char *outcome);

#endif
