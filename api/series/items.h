/*
 * The things that an app declares, as the lists that metrics are of: their positions, names and classes.
 *
 * Sees:     app definitions.
 * Uses:     schema/, api/series/metric.
 * Threads:  pure functions.
 * Failure:  NULL or -1 where there is no such thing.
 */
#ifndef THRONG_SERIES_ITEMS_H
#define THRONG_SERIES_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/series/metric.h"
#include "schema/app.h"

/* Whether rows of the list are told apart by an item's name. */
bool items_are_named(enum metric_list list);

/* Whether app has what a metric of the list needs; always, if it needs nothing. */
bool items_any(const struct app *app, enum metric_list list);

/* The item at position, borrowed; NULL behind the last one. DIMENSIONS and SESSION_DIMENSIONS share their positions: what is
 * of the other list has a name here, and items_is tells them apart. */
const struct app_item *items_at(const struct app *app, enum metric_list list, size_t position);

/* Whether the item at position, which is there, is of the list. */
bool items_is(const struct app *app, enum metric_list list, size_t position);

/* The position of the item called name, -1 if the list has none. */
int32_t items_find(const struct app *app, enum metric_list list, const char *name);

/* The dimension or path at position of one of these lists, borrowed; NULL if the list is another or has none there. */
const struct app_dimension *items_classes(const struct app *app, enum metric_list list, int32_t position);

/* What class of dimension is called: its value, or "other". */
const char *items_class_name(const struct app_dimension *dimension, int32_t class);

/* The measure at position: the numeric value of x steps above the least one is min + step × x. The largest x. */
double items_most(const struct app_measure *measure);

#endif
