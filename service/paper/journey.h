/*
 * How people go on: funnels, who comes back, what the app's own measures come to, and outcomes by how often people come.
 *
 * Sees:     released numbers and declared names.
 * Uses:     service/paper/paper, chart, telling.
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_PAPER_JOURNEY_H
#define THRONG_PAPER_JOURNEY_H

#include "service/paper/paper.h"

/* Write a table of each funnel. */
enum result journey_funnels(struct paper *paper, struct failure *why);

/* Write the heat map of retention. */
enum result journey_retention(struct paper *paper, struct failure *why);

/* Write measures and outcomes. */
enum result journey_outcomes(struct paper *paper, struct failure *why);

#endif
