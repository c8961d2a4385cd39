/*
 * What an app declares, as cells: which declared things a number is about, their names, and which cells each has.
 *
 * Sees:     definitions; nothing of a person.
 * Uses:     anonymizer/release/family, schema/app.h; libc.
 * Threads:  pure functions.
 */
#ifndef THRONG_RELEASE_DECLARED_H
#define THRONG_RELEASE_DECLARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/family.h"
#include "schema/app.h"

/* More cells of one thing than any has: the pairs of two classes of a path, "other" among them. */
#define DECLARED_CELLS_MAX ((DIMENSION_VALUES_MAX + 1) * DIMENSION_VALUES_MAX)

/* A pair of classes is n = from * DECLARED_PAIR + to; a bin of an outcome n = tier * DECLARED_PAIR + bin. */
#define DECLARED_PAIR 64

/* Whether number is about declared things, so that its cells have an item. */
bool declared_has_items(enum family_number number);

/* How many such things app has: positions 0 … count - 1. 0 if number is not about any. */
int32_t declared_items(const struct app *app, enum family_number number);

/* The name of the thing at position item. Borrowed from app; "" if it has none or item is -1. */
const char *declared_name(const struct app *app, enum family_number number, int32_t item);

/* How many things of family app has if each is a release by itself, for it may have many cells; -1: family is not split. */
int32_t declared_split(const struct app *app, enum family_id family);

/* Write n of each cell that number has of the thing at position item to n[], ascending, and return how many there are; 0:
 * the number is not about that thing (a dimension of another scope). */
size_t declared_cells(const struct app *app, enum family_number number, int32_t item, int32_t n[DECLARED_CELLS_MAX]);

/* Steps from the least to the largest value of a measure: at least 1. */
int64_t declared_steps(const struct app_measure *measure);

/* How many cells of declared things a day, a week's share of a day included, has on average; at least 1. */
size_t declared_cells_a_day(const struct app *app);

#endif
