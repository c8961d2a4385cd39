/*
 * Numbers in words: what a metric is called, and how a number moved since the period before, honestly: where the intervals of both
 * overlap, noise may be all of it.
 *
 * Sees:     released numbers.
 * Uses:     service/paper/numeral, span.
 * Threads:  pure functions.
 * Failure:  none; what does not fit is cut.
 */
#ifndef THRONG_PAPER_TELLING_H
#define THRONG_PAPER_TELLING_H

#include "service/paper/numeral.h"
#include "service/paper/span.h"

#define TELLING_BYTES 160

enum telling_change { TELLING_NONE, TELLING_NOISE, TELLING_UP, TELLING_DOWN };

/* What people call a metric: "Active users". Written to out. Returns out. */
char *telling_metric(const char *name, char out[TELLING_BYTES]);

/* What a declared thing is called: its title, or else its name. Borrowed. */
const char *telling_item(const struct app_item *item);

/* Write how now stands to before (either may be NULL: not released) to out: "+12.0 % since the week before (1,100)", "within noise of the
 * week before (1,100)", … */
enum telling_change telling_change(const struct series_point *now, const struct series_point *before, enum numeral_kind kind,
    enum span_interval interval, char out[TELLING_BYTES]);

#endif
