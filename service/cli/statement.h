/*
 * A deployment statement: what a privacy preset promises of one app, in the form of the OpenDP deployments registry (tier 3). All
 * numbers are the plan's. A preset that is not differentially private is marked so, and has no parameters.
 *
 * Sees:     a definition and its plan, and when the first number was released; nothing of a person.
 * Uses:     anonymizer/release (plan; no sampler), api/series/explain; jansson.
 * Threads:  one.
 * Failure:  none.
 */
#ifndef THRONG_CLI_STATEMENT_H
#define THRONG_CLI_STATEMENT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "anonymizer/release/plan.h"

/* What is not in a definition. NULL and "": not said. */
struct statement_facts {
    const char *curator, *region, *use;
    char since[11];             /* the first release's day, by the schedule */
    int64_t unprotected_months; /* of the app's population, which were released without noise */
};

/* The statement of app, as a tree that the caller owns. plan: of that app, NULL if its preset is not differentially private.
 * Borrows everything. */
json_t *statement_make(const struct app *app, const struct plan *plan, const struct statement_facts *facts);

/* Write a tree of objects, lists of texts, texts and numbers as YAML. */
void statement_print(const json_t *statement, FILE *out);

#endif
