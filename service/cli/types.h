/*
 * TypeScript declarations of an app's events: a discriminated union by name, with what the definition says of each property,
 * for `tsc --strict`. What the server fills in is not in them.
 *
 * Sees:     nothing of a person.
 * Uses:     jansson.
 * Threads:  pure.
 * Failure:  as stdio.
 */
#ifndef THRONG_CLI_TYPES_H
#define THRONG_CLI_TYPES_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Write the declarations of the checked definition root (borrowed), of that version, to file. */
void types_print(FILE *file, const json_t *root, int32_t version);

#endif
