/*
 * App definitions: JSON checked and compiled to a struct app. schema/app.schema.json says the same for editors and
 * auditors; a test holds the two together.
 *
 * Sees:     nothing of a person.
 * Uses:     jansson, schema/.
 * Threads:  pure functions; a compiled app is read-only.
 * Failure:  RESULT_INVALID with the path of the member at fault ("events[2].properties.mood.values") and what to do.
 */
#ifndef THRONG_CATALOGUE_DEFINITION_H
#define THRONG_CATALOGUE_DEFINITION_H

#include <jansson.h>

#include "schema/app.h"
#include "schema/failure.h"

/* Compile the definition in root (borrowed) to *out, owned by the caller until definition_free. id, version and mode are
 * left 0. Every member that the schema names is checked, references between them too (a goal's event, a funnel's
 * steps), whether or not struct app keeps it. */
enum result definition_compile(const json_t *root, struct app *out, struct failure *why);

/* As definition_compile, from text; duplicate keys and trailing text are errors, with the line. */
enum result definition_parse(const char *text, size_t length, struct app *out, struct failure *why);

/* Free what app owns (not app itself). */
void definition_free(struct app *app);

/* What of `next` cannot follow `now`: time zone and population are immutable, event and property indexes only grow.
 * RESULT_INVALID with the member. */
enum result definition_check_successor(const struct app *now, const struct app *next, struct failure *why);

#endif
