/*
 * What a report is about: one day, ISO week or calendar month, and the periods around it.
 *
 * Sees:     dates.
 * Uses:     service/base/clock.
 * Threads:  pure functions.
 * Failure:  false, outputs untouched.
 */
#ifndef THRONG_PAPER_SPAN_H
#define THRONG_PAPER_SPAN_H

#include <stdbool.h>
#include <stdint.h>

enum span_interval { SPAN_DAY, SPAN_WEEK, SPAN_MONTH };

#define SPAN_INTERVALS 3
#define SPAN_LABEL_BYTES 64

/* Days since 1970-01-01, both included. */
struct span {
    enum span_interval interval;
    int32_t first, last;
};

/* Read "2026-04-01" (a day), "2026-W14" (an ISO 8601 week) or "2026-04" (a month). */
bool span_parse(const char *text, struct span *out);

/* The period of the interval that day lies in. */
struct span span_of(enum span_interval interval, int32_t day);

/* The first day of the period `steps` after (below 0: before) the one that begins on first. */
int32_t span_step(enum span_interval interval, int32_t first, int steps);

/* "day", "week", "month". Static. */
const char *span_name(enum span_interval interval);

/* Write the period's name to out: "1 April 2026", "week 14 of 2026", "April 2026". Returns out. */
char *span_title(const struct span *span, char out[SPAN_LABEL_BYTES]);
/* Write its days: "30 March – 5 April 2026". Returns out. */
char *span_days(const struct span *span, char out[SPAN_LABEL_BYTES]);
/* Write what stands at an axis for the period that begins on first: "5 Apr", "Apr 26" of months. Returns out. */
char *span_tick(enum span_interval interval, int32_t first, char out[SPAN_LABEL_BYTES]);

#endif
