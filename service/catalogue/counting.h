/*
 * What an app definition counts beyond its events: dimensions, sources, features, goals, completion, funnels,
 * measures, outcomes, entities, paths and segments, each checked against the events and properties it names.
 *
 * Sees:     nothing of a person.
 * Uses:     jansson, schema/.
 * Threads:  pure functions.
 * Failure:  RESULT_INVALID with the member's path.
 */
#ifndef THRONG_CATALOGUE_COUNTING_H
#define THRONG_CATALOGUE_COUNTING_H

#include <jansson.h>

#include "schema/app.h"
#include "schema/failure.h"

/* Check the counting members of root, whose events and routes are compiled in app already, and add the goals to app's
 * events. On failure app is as valid as before, for definition_free. */
enum result counting_compile(const json_t *root, struct app *app, struct failure *why);

#endif
