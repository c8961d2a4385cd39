/*
 * Closing days of one app in one shard, in order, in two stages: what persons did becomes sums, and the persons' rows of
 * the day go.
 *   activity   when everything received by day end + lateness is applied: state.triple, state.day_sum; of what the app
 *              declares marks.h, samples.h, entities.h, journeys.h; of cohorts that matured cohorts.h
 *   sessions   24 h + session timeout later: state.session_sum; a session that goes on after the day is carried over; then
 *              the weeks and months that are done: marks.h, weeks.h, samples.h
 * While an app is importing nothing closes by itself; an order to seal closes both stages at once.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db, anonymizer/release (how much of one person counts).
 * Threads:  one db belongs to one thread.
 * Failure:  as store.h; runs inside the flush's transaction, so a failed close is no close.
 */
#ifndef THRONG_AGGREGATE_CLOSE_H
#define THRONG_AGGREGATE_CLOSE_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Whether any app of shard has a day to close when everything received by watermark_ms is applied. */
bool close_is_due(struct shard *shard, int64_t watermark_ms);

/* Close what is due. The fold must be in the database already, in this transaction. On success shard->apps tell how far
 * each is; *days counts the (app, day, stage) closed. The caller resets the shard if the transaction fails. */
enum result close_due(struct db *db, struct shard *shard, int64_t watermark_ms, uint64_t *days, struct failure *why);

#endif
