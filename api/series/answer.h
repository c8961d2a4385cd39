/*
 * One question about one app, answered from released rows: a metric's points over some periods, with the protection that the
 * newest of its rows was released under. What is no released number is computed from released ones (series.h).
 *
 * Sees:     released numbers.
 * Uses:     service/db (role throng_read), libsodium (hash).
 * Threads:  as struct db.
 * Failure:  as service/db; nothing is to be freed then.
 */
#ifndef THRONG_SERIES_ANSWER_H
#define THRONG_SERIES_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "api/series/metric.h"
#include "api/series/series.h"
#include "schema/app.h"
#include "service/db/db.h"

#define ANSWER_DIGEST_BYTES 32
#define ANSWER_OPEN_BIN 17 /* the last bin of session_durations has no upper end */

/* The periods from and to are included, as days since 1970: a period's first day (rolling windows: its last; retention: its
 * cohort's first). Strings are borrowed. */
struct answer_question {
    int32_t app;
    const struct app *declared; /* its definition; NULL is allowed for metrics without a list */
    const struct metric *metric;
    const char *item; /* of the metric's list; NULL: all of them. metric_is_declared: required */
    bool by;          /* the item is a dimension that another metric is broken down by: rows need not name it */
    bool consistent;  /* of new_users by day and week: days add up to their week (consistent.h) */
    const char *interval; /* "day", "week", …; metric_is_monthly: "month" */
    int32_t from, to;
    size_t most; /* read no more than about so many rows, whole periods from the first on; 0: all. Of METRIC_KIND_COUNT only */
};

struct answer {
    struct series_point *points; /* ascending by period, item and n */
    size_t count;
    struct series_point *details; /* detail_count of each point, as layout_details names them; empty reliability: none */
    size_t detail_count;
    struct series_point *spread; /* of outcomes: SERIES_BINS_MAX of each point, spread_bins of them used */
    size_t spread_bins;
    struct series_point bins[SERIES_BINS_MAX]; /* session_duration, measures: their histogram, summed over the periods */
    size_t bin_count;
    int32_t version; /* of the released numbers read; 0: none */
    char preset[32], protection[16], mechanism[64], sigma2[64], rho[64]; /* empty: none */
    int32_t k;
    uint8_t digest[ANSWER_DIGEST_BYTES]; /* over the audit leaves of all rows read, in order, and which are in the log: equal rows, equal digest */
};

/* Answer question to *out; answer_free afterwards. */
enum result answer_read(struct db *db, const struct answer_question *question, struct answer *out, struct failure *why);
/* Free what answer owns. */
void answer_free(struct answer *answer);

#endif
