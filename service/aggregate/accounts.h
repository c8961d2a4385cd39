/*
 * The leaves of past days: what was accepted, dropped and refused of each app, how many people's state went, whether the
 * self-tests passed. Numbers are told as powers of two.
 *
 * Sees:     sums; nothing of a person.
 * Uses:     libpq, libsodium, through the layers below.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_ACCOUNTS_H
#define THRONG_AGGREGATE_ACCOUNTS_H

#include "schema/failure.h"
#include "service/aggregate/directory.h"
#include "service/db/db.h"

/* A day's account is told when so many days have begun after it. */
#define ACCOUNTS_AGE_DAYS 2

/* Inside a transaction: append the leaves `ingestion` of the days that are old enough at `today` (UTC) and were not told yet, as
 * the database and the log know (a restored database may know less). Nothing, without a failure, as long as the log does not have
 * the start of this program: it may not be whole again before. */
enum result accounts_tell_ingestion(struct db *db, const struct directory *directory, int32_t today, struct failure *why);

/* Inside a transaction: append the leaves `state_expired` of the days before today. */
enum result accounts_tell_expiry(struct db *db, const struct directory *directory, int32_t today, struct failure *why);

/* Inside a transaction: append the leaves `self_test_passed` of the days before today. */
enum result accounts_tell_tests(struct db *db, int32_t today, struct failure *why);

#endif
