/*
 * People's requests and purges, carried out in the transaction that moves the offset over their packets: rows go, marks stay,
 * answers are sealed, and the trail says so. Leaves say nothing of whether anything was found.
 *
 * Sees:     pseudonyms; in an answer everything that is kept about a person, for as long as it takes to seal it.
 * Uses:     libpq, libsodium, through the layers below.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_REQUESTS_H
#define THRONG_AGGREGATE_REQUESTS_H

#include "schema/failure.h"
#include "service/aggregate/shard.h"
#include "service/db/db.h"

#define REQUESTS_TOGETHER 128     /* as many are carried out in one transaction, if no event lies between them */
#define REQUESTS_DAY_MS 86400000LL
#define REQUESTS_DUE_DAYS 30      /* GDPR Art. 12(3): a month */
#define REQUESTS_LAST_DUE_DAYS 45 /* Cal. Civ. Code 1798.130(a)(2) */
#define REQUESTS_ANSWER_DAYS 30   /* an answer to access can be fetched so long */
#define REQUESTS_PURGE_DAYS 2     /* copies are gone so long after the last backup */

/* Inside a transaction: carry out erases[0..count-1], in order, with statements for many at once. What they add to
 * shard->fold.forgotten is to be written and told (recall.h). keep_days: how long a backup may be kept. A request that was carried
 * out before is, without new leaves. */
enum result requests_apply(struct db *db, struct shard *shard, const struct packet_erase *erases, size_t count, int64_t keep_days,
    struct failure *why);

/* Inside a transaction: delete every row about the person known by one of names[0..count-1] now or, by an alias, before, the
 * live view's included. */
enum result requests_forget(struct db *db, const struct shard *shard, uint32_t app, const struct pseudonym *names, size_t count,
    struct failure *why);

/* Inside a transaction: record a request that a restored database lacks and that was carried out anew for mark. */
enum result requests_record_again(struct db *db, const struct shard *shard, const struct forgotten_mark *mark, int64_t keep_days,
    struct failure *why);

/* Inside a transaction: delete what this shard holds of the app, and its live view. */
enum result requests_purge(struct db *db, const struct shard *shard, const struct forgotten_purge *purge, struct failure *why);

#endif
