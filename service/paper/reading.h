/*
 * What a page reads: a metric's last thirteen periods up to the one that the page is about, in its interval, or where the metric is not
 * released in that, in the next one that it is. Also keeps the account of what was suppressed in the period.
 *
 * Sees:     released numbers.
 * Uses:     api/series, service/db (role throng_read).
 * Threads:  as struct db.
 * Failure:  as service/db; nothing is to be freed then.
 */
#ifndef THRONG_PAPER_READING_H
#define THRONG_PAPER_READING_H

#include <stdbool.h>
#include <stddef.h>

#include "api/series/answer.h"
#include "schema/app.h"
#include "service/db/db.h"
#include "service/paper/span.h"

#define READING_PERIODS 13
#define READING_TALLIES_MAX 128

/* How much of a metric's newest period was suppressed. */
struct reading_tally {
    const char *metric; /* static */
    const char *item;   /* of the app's definition; NULL: none */
    enum span_interval interval;
    size_t shown, suppressed;
};

/* What the readings of one page share. */
struct reading_desk {
    struct db *db;         /* borrowed */
    const struct app *app; /* borrowed */
    struct span span;
    struct reading_tally tallies[READING_TALLIES_MAX];
    size_t tally_count;
};

struct reading {
    struct answer_question question;
    struct answer answer;
    struct span at; /* the period that is told of: the newest that is released, up to the page's own */
    bool own;       /* that is the page's own period, or as many of the shorter ones in it as there are */
};

/* Read metric (a name of metrics.def), of item (NULL: all) to *out; reading_free afterwards. What is not released at all leaves an
 * empty answer. by: the item is a dimension. */
enum result reading_take(struct reading_desk *desk, const char *metric, const char *item, bool by, struct reading *out,
    struct failure *why);
/* Free what reading owns. */
void reading_free(struct reading *reading);

/* The point of a metric without items in the period it is told of, or `back` periods before; NULL: not released. */
const struct series_point *reading_point(const struct reading *reading, int back);

/* Write the positions of the points of the period that is told of, the largest first, suppressed ones last, to out[0 … most - 1].
 * Returns how many there are in all. */
size_t reading_ranked(const struct reading *reading, size_t *out, size_t most);

#endif
