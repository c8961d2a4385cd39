/*
 * Numbers as people read them.
 *
 * Sees:     released numbers.
 * Uses:     libc.
 * Threads:  pure functions.
 * Failure:  none.
 */
#ifndef THRONG_PAPER_NUMERAL_H
#define THRONG_PAPER_NUMERAL_H

#include "api/series/answer.h"

enum numeral_kind { NUMERAL_COUNT, NUMERAL_PERCENT, NUMERAL_SECONDS, NUMERAL_DECIMAL };

#define NUMERAL_BYTES 64

/* How the values of a question are written. */
enum numeral_kind numeral_of(const struct answer_question *question);

/* Write value: "12,345", "12.3 %" (of 0.123), "3 min 20 s", "1.25". Returns out. */
char *numeral_write(double value, enum numeral_kind kind, char out[NUMERAL_BYTES]);

/* Write "low – high" of a bounded point, "" of others and of those that are exact. Returns out. */
char *numeral_range(const struct series_point *point, enum numeral_kind kind, char out[2 * NUMERAL_BYTES + 8]);

#endif
