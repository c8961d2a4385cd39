/*
 * Whether a definition's counted things can follow those of the version before. Their positions name them in what is
 * collected and not released yet, and their meaning is what released numbers stand for: so neither changes.
 *
 * Sees:     nothing of a person.
 * Uses:     schema/.
 * Threads:  pure functions.
 * Failure:  RESULT_INVALID with the member's path.
 */
#ifndef THRONG_CATALOGUE_SUCCESSION_H
#define THRONG_CATALOGUE_SUCCESSION_H

#include "schema/app.h"
#include "schema/failure.h"

/* Check that the dimensions, features, segments, goals, completion, funnels, measures, outcomes, entities and paths of now
 * have their places, names and meanings in next; new ones stand behind them. A dimension or path may get more values and
 * may take in events and properties that are new. The events and properties of next must follow those of now already. */
enum result succession_check(const struct app *now, const struct app *next, struct failure *why);

#endif
