/*
 * Lifetimes: what of an app's state has outlived its purpose goes, and active days of old months fold into weeks and
 * months.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_EXPIRE_H
#define THRONG_AGGREGATE_EXPIRE_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Inside a transaction: delete and fold what of app in shard is over at now_ms (wall clock). Active days are folded only if
 * a day was closed since app->folded_through. */
enum result expire_app(struct db *db, const struct shard *shard, const struct fold_app *app, int64_t now_ms,
    struct failure *why);

#endif
