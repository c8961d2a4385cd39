/*
 * What somebody who reads an answer should know beside its numbers: that most of it is suppressed and what would help, what a
 * bound on each person's part does to a number's meaning, that a value was moved to the edge of what can be.
 *
 * Sees:     released numbers.
 * Uses:     api/series/answer, explain; libc.
 * Threads:  pure functions.
 * Failure:  none; what does not fit is cut.
 */
#ifndef THRONG_SERIES_NOTICE_H
#define THRONG_SERIES_NOTICE_H

#include <stdbool.h>

#include "api/series/answer.h"

#define NOTICE_BYTES 2048

/* Write what answer's reader should know to out[NOTICE_BYTES], one sentence after another. false: nothing; out is "" then. */
bool notice_write(const struct answer_question *question, const struct answer *answer, char out[NOTICE_BYTES]);

#endif
