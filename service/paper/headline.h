/*
 * The main numbers: cards with interval and change, and the last thirteen periods as lines.
 *
 * Sees:     released numbers.
 * Uses:     service/paper/paper, chart, telling.
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_PAPER_HEADLINE_H
#define THRONG_PAPER_HEADLINE_H

#include <stdbool.h>

#include "service/paper/paper.h"

/* Write the cards. *any: some number of the page's own period is released. */
enum result headline_cards(struct paper *paper, bool *any, struct failure *why);

/* Write the card of one metric; nothing if it is not released. */
enum result headline_card(struct paper *paper, const char *metric, bool *any, struct failure *why);

/* Write the lines. */
enum result headline_trends(struct paper *paper, struct failure *why);

/* Write the line of one metric; *drawn is false, and nothing is written, if it is not released. */
enum result headline_trend(struct paper *paper, const char *metric, bool half, bool *drawn, struct failure *why);

#endif
