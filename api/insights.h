/*
 * Insights: trend, weekly season, what is out of the ordinary, and a forecast of an app's main numbers. Computed of released rows
 * alone (api/series/insight), so that they cost no budget and the same rows always say the same.
 *
 * Sees:     released numbers.
 * Uses:     api/series, call, tenant; jansson.
 * Threads:  as call.
 * Failure:  problem documents; as service/db.
 */
#ifndef THRONG_API_INSIGHTS_H
#define THRONG_API_INSIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "api/call.h"
#include "schema/app.h"

/* GET /v1/apps/{app}/insights. */
enum MHD_Result insights_answer(struct call *call, const char *app);

/* The metrics that there are insights of, by index; NULL behind the last. Static. */
const char *insights_metric(size_t index);

/* Read the score of the newest released period of one of them to *score. *any is false, and *score untouched, where there is none:
 * suppressed, or too little to compare it with. */
enum result insights_score(struct db *db, const struct app *app, const char *metric, bool *any, double *score,
    struct failure *why);

#endif
