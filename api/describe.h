/*
 * What can be asked and what it means: apps, the catalogue of an app's metrics with what its policy funds, and definitions.
 *
 * Sees:     app definitions; nothing of a person.
 * Uses:     anonymizer/release (families and policy, never the sampler), api/series/metric, call, tenant; jansson.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_DESCRIBE_H
#define THRONG_API_DESCRIBE_H

#include "api/call.h"
#include "api/series/answer.h"
#include "schema/app.h"

/* GET /v1/apps: those that the key may see. */
enum MHD_Result describe_apps(struct call *call);

/* GET /v1/apps/{app}/metrics. */
enum MHD_Result describe_metrics(struct call *call, const char *app);

/* GET /v1/definitions, and one of them by id. */
enum MHD_Result describe_definitions(struct call *call);
/* See describe_definitions. */
enum MHD_Result describe_definition(struct call *call, const char *id);

/* {"id":…,"version":…} of what metric means; owned by the caller. */
json_t *describe_definition_of(const struct metric *metric);

/* The protection that answer's rows were released under, or, where it has none, that app's policy would give them. All
 * members are always there; owned by the caller. */
json_t *describe_protection(const struct app *app, const struct answer *answer);

#endif
