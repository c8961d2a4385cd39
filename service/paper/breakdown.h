/*
 * What people do and where they come from: dimensions, features, goals and the other things that an app declares, as tables with bars.
 *
 * Sees:     released numbers and declared names.
 * Uses:     service/paper/paper, chart, telling.
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_PAPER_BREAKDOWN_H
#define THRONG_PAPER_BREAKDOWN_H

#include "service/paper/paper.h"

/* Write the breakdowns by dimension. */
enum result breakdown_dimensions(struct paper *paper, struct failure *why);

/* Write features, segments, goals, entities, paths and measures. */
enum result breakdown_declared(struct paper *paper, struct failure *why);

#endif
