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

/* Compile the counting members of root, whose events and routes are compiled in app already: the lists of what is counted,
 * and what each event counts for. On failure app is as valid as before, for definition_free. */
enum result counting_compile(const json_t *root, struct app *app, struct failure *why);

/* Free what counting_compile gave to app and its events, also after it failed. */
void counting_free(struct app *app);

#endif
