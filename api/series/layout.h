/*
 * How the rows of an answer are laid out: what tells rows of one period apart, which numbers stand beside the value, and the
 * CSV that the API and `throng query` write of it.
 *
 * Sees:     released numbers and declared names.
 * Uses:     api/series/answer, items; libc.
 * Threads:  pure functions.
 */
#ifndef THRONG_SERIES_LAYOUT_H
#define THRONG_SERIES_LAYOUT_H

#include <stdio.h>

#include "api/series/answer.h"

#define LAYOUT_KEYS_MAX 3
#define LAYOUT_UUID_BYTES 37 /* with its NUL */

/* What a row is told apart by within its period. */
struct layout_key {
    const char *name; /* "item", "class", "from", "to", "step", "label", "tier", "n", "bin" */
    const char *text; /* NULL: it is number */
    int32_t number;
};

/* A number beside the value. */
struct layout_detail {
    const char *name; /* "count", "p50", "from_first", … */
    bool whole;
};

/* "period", or "cohort" of retention. */
const char *layout_period_name(const struct answer_question *question);

/* Write the keys of point (NULL: only their names) to out; returns how many there are. Texts are borrowed of the question. */
size_t layout_keys(const struct answer_question *question, const struct series_point *point,
    struct layout_key out[LAYOUT_KEYS_MAX]);

/* The details of every point, answer->detail_count of them; a static table. */
const struct layout_detail *layout_details(const struct metric *metric);

/* Write a leaf's id as text to out. Returns out. */
char *layout_uuid(const uint8_t id[16], char out[LAYOUT_UUID_BYTES]);

/* Write points first … first + count - 1 of answer as CSV with a head. */
void layout_csv(FILE *file, const struct answer_question *question, const struct answer *answer, size_t first, size_t count);

#endif
