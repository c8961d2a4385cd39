/*
 * The data inventory for people: every column that is stored and every field that travels, by class and retention, out of
 * schema/inventory.def, which a gate holds against the real database.
 *
 * Sees:     names.
 * Uses:     jansson.
 * Threads:  one.
 * Failure:  none.
 */
#ifndef THRONG_CLI_INVENTORY_H
#define THRONG_CLI_INVENTORY_H

#include <jansson.h>
#include <stdio.h>

/* Write it as a table. */
void inventory_print(FILE *out);

/* As an array of {"place", "name", "class", "retention"}; owned by the caller. */
json_t *inventory_json(void);

#endif
