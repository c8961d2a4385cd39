/*
 * Answers as JSON: their rows, and what of a declared thing stands beside them.
 *
 * Sees:     released numbers and declared names.
 * Uses:     api/series; jansson.
 * Threads:  pure functions.
 * Failure:  as jansson: members are missing where memory is.
 */
#ifndef THRONG_SERIES_ROWS_H
#define THRONG_SERIES_ROWS_H

#include <jansson.h>

#include "api/series/answer.h"

/* Said with every answer about an outcome. */
#define ROWS_CORRELATION \
    "This is a correlation: that those who come more often have other values does not say that coming more often causes them."

/* Points first … first + count - 1 of answer; owned by the caller. */
json_t *rows_list(const struct answer_question *question, const struct answer *answer, size_t first, size_t count);

/* Set the members of root that only this question's metric has: a histogram, a funnel's window, an outcome's tiers …. */
void rows_describe(json_t *root, const struct answer_question *question, const struct answer *answer);

/* What the rows are counted in: the metric's unit, or that of the declared measure. Borrowed. */
const char *rows_unit(const struct answer_question *question);

/* Names that the API gives to aggregates: "mean", "sum", "max", "last". */
const char *rows_aggregate_name(enum app_aggregate aggregate);

/* The tiers of an outcome; owned by the caller. */
json_t *rows_tiers(const struct app_outcome *outcome);

#endif
