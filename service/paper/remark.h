/*
 * What a page says in words: what is out of the ordinary, where the numbers go, an operator's notes, and what is suppressed.
 *
 * Sees:     released numbers, an operator's notes.
 * Uses:     api/series/insight, explain; service/paper/paper.
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_PAPER_REMARK_H
#define THRONG_PAPER_REMARK_H

#include "service/paper/paper.h"

/* Write what is out of the ordinary in the page's period, and trend and forecast. */
enum result remark_insights(struct paper *paper, struct failure *why);

/* Write the notes that charts have letters for. */
void remark_notes(struct paper *paper);

/* Write what is suppressed of what the page read so far, and what would help. */
void remark_suppressed(struct paper *paper);

#endif
