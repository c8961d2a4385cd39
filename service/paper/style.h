/*
 * How pages look: one style sheet, light, for a screen and for A4 paper. Colours are those of the dashboard.
 *
 * Uses:     libc.
 * Threads:  constants.
 * Failure:  that of the stream.
 */
#ifndef THRONG_PAPER_STYLE_H
#define THRONG_PAPER_STYLE_H

#include <stdio.h>

/* Write the style sheet. */
void style_write(FILE *out);

#endif
