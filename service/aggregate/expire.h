/*
 * Lifetimes: what of an app's state has outlived its purpose goes. Statements that look at every person of an app run when
 * a day is new, those of active months when a month is.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db; anonymizer/release (whether cohorts mature).
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_EXPIRE_H
#define THRONG_AGGREGATE_EXPIRE_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Inside a transaction: delete what of app in shard is over at now_ms (wall clock). What app->expired says was done is not
 * done again. */
enum result expire_app(struct db *db, const struct shard *shard, const struct fold_app *app, int64_t now_ms,
    struct failure *why);

/* What app->expired becomes when expire_app's transaction is in. */
struct fold_expired expire_mark(const struct shard *shard, const struct fold_app *app, int64_t now_ms);

#endif
