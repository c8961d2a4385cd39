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

/* Compile the definition in root (borrowed) to *out, owned by the caller until definition_free. id, version and mode
 * are left 0. Every member that the schema names is checked, references between them too (a goal's event, a funnel's
 * steps), whether or not struct app keeps it. */
enum result definition_compile(const json_t *root, struct app *out, struct failure *why);

/* As definition_compile, from text; duplicate keys and trailing text are errors, with the line. */
enum result definition_parse(const char *text, size_t length, struct app *out, struct failure *why);

/* Free what app owns (not app itself). */
void definition_free(struct app *app);

/* What of `next` cannot follow `now`: name, time zone and population are immutable; events, properties, enumeration
 * values and routes keep their positions (new ones go to the end); a property keeps its type, a number its min and
 * step; counted things keep their place and meaning (succession.h); the preset does not become weaker nor k smaller.
 * RESULT_INVALID with the member. */
enum result definition_check_successor(const struct app *now, const struct app *next, struct failure *why);

/* The index of the event called name, of the property called name, of the value text of an enumeration; -1 if there
 * is none. All strings are NUL-terminated and borrowed. */
int definition_find_event(const struct app *app, const char *name);
/* See definition_find_event. */
int definition_find_prop(const struct app_event *event, const char *name);
/* See definition_find_event. */
int definition_find_value(const struct app_prop *prop, const char *text);

/* The index of the route that path belongs to, after its query and fragment are cut off; -1: other. A pattern's
 * ":name" takes exactly one segment that is not empty; where several patterns match, the first difference decides: a
 * literal segment goes before a parameter. A trailing slash makes no difference. */
int definition_find_route(const struct app *app, const char *path);

#endif
