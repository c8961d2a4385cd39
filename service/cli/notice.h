/*
 * A text for a privacy policy, true of one app's definition and of how Throng works; Markdown. What a definition cannot know,
 * who hosts it for example, is not made up: it is listed for the operator to add.
 *
 * Sees:     a definition.
 * Uses:     jansson.
 * Threads:  one.
 * Failure:  none.
 */
#ifndef THRONG_CLI_NOTICE_H
#define THRONG_CLI_NOTICE_H

#include <jansson.h>
#include <stdio.h>

#include "schema/app.h"

/* Write the text to out. app was compiled from definition, with its defaults. */
void notice_print(const struct app *app, const json_t *definition, FILE *out);

/* Write to out what a person has to add or decide, one a line; returns how many. */
size_t notice_print_open(const struct app *app, const json_t *definition, FILE *out);

#endif
