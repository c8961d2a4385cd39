/*
 * Charts as inline SVG: a line with its band of intervals, a bar with its interval, a heat map. No script; colours come from the
 * page's style sheet; what is suppressed is hatched, never drawn as 0.
 *
 * Sees:     released numbers.
 * Uses:     service/paper/markup, numeral.
 * Threads:  pure functions of their arguments; the same give the same bytes.
 * Failure:  none but the stream's.
 */
#ifndef THRONG_PAPER_CHART_H
#define THRONG_PAPER_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "service/paper/numeral.h"

#define CHART_POINTS_MAX 60
#define CHART_HEAT_COLUMNS_MAX 16
#define CHART_HEAT_ROWS_MAX 16

/* One period of a line. */
struct chart_point {
    const char *label; /* below the axis; NULL: none. Borrowed */
    bool missing;      /* nothing is released: a blank */
    bool known;        /* else suppressed: hatched */
    bool bounded;
    double value, low, high;
    char marker; /* a letter above a dashed line; 0: none */
};

/* Draw points[0 … count - 1] (at most CHART_POINTS_MAX), the last of them with its value beside it. alt says in words what it is (escaped);
 * half: for half of the page's width. */
void chart_line(FILE *out, const struct chart_point *points, size_t count, enum numeral_kind kind, const char *alt, bool half);

/* Draw a bar of value with the interval's whisker, on a scale from 0 to most > 0. Suppressed: a hatched bar. */
void chart_bar(FILE *out, const struct chart_point *point, double most);

/* A cell: a share from 0 to 1. blank: its time is not over. */
struct chart_cell {
    bool blank, known;
    double share;
};

struct chart_heat {
    size_t rows, columns;
    char row_names[CHART_HEAT_ROWS_MAX][24];
    char row_sizes[CHART_HEAT_ROWS_MAX][24]; /* of the cohort; shown in a column of its own */
    char column_names[CHART_HEAT_COLUMNS_MAX][12];
    struct chart_cell cells[CHART_HEAT_ROWS_MAX][CHART_HEAT_COLUMNS_MAX];
};

/* Draw a heat map whose cells say their per cent. alt: as chart_line. */
void chart_heat(FILE *out, const struct chart_heat *heat, const char *alt);

/* The least round number that is not below value: 1, 2, 2.5 or 5 times a power of ten; 1 for 0. */
double chart_round_up(double value);

#endif
