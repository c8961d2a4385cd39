/*
 * Tables and sparklines in a terminal, in UTF-8.
 *
 * Sees:     released numbers and names of the installation.
 * Uses:     libc.
 * Threads:  a table belongs to one thread.
 * Failure:  aborts when memory is exhausted: nothing sensible can be printed then.
 */
#ifndef THRONG_CLI_GRID_H
#define THRONG_CLI_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define GRID_COLUMNS_MAX 64

struct grid;

/* A table whose columns are described by align, one character each: 'l' or 'r'. The first row of cells is the heading. */
struct grid *grid_new(const char *align);
/* Free; NULL is allowed. */
void grid_free(struct grid *grid);

/* Append a cell (copied), row by row. */
void grid_cell(struct grid *grid, const char *text);
/* As grid_cell, from a printf format. */
void grid_format(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print it, columns two spaces apart. */
void grid_print(const struct grid *grid, FILE *file);

/* How many columns text takes: its UTF-8 characters. */
size_t grid_width(const char *text);

/* Draw values[0..count-1] as bars "▁▂▃▄▅▆▇█" between 0 and their largest into out[0..size-1], 3 bytes each and a NUL; a
 * value below 0 is missing and drawn as "·". What does not fit is left out at the beginning. Returns out. */
char *grid_sparkline(const double *values, size_t count, char *out, size_t size);

#endif
