/*
 * Publishing: the closed days of one app, released in order. One (app, day, stage) is one transaction: its progress, the plan
 * and the debits of a month that begins, its noise, its audit leaves, its release rows and its values stand or fall together,
 * so that a crash at any step leaves a day released whole or not at all, and a day is never released twice: noise that was
 * drawn in a transaction that failed is seen by nobody.
 *
 * A day is released under the plan of the last month whose data can change it: its own; of sessions, which may run on, the
 * following day's.
 *
 * Sees:     exact sums on the way in; writes released rows only.
 * Uses:     service/db, ledger.h, sheet.h, record.h, head.h; randomness of libsodium.
 * Threads:  one.
 * Failure:  RESULT_UNAVAILABLE (the database went away; whether a COMMIT that was under way counts, the next
 *           schedule_read tells), RESULT_FULL (someone else released the day meanwhile), RESULT_CORRUPT (the database has
 *           fewer releases than are known: head.h), or as db_run. What was released before stays.
 */
#ifndef THRONG_RELEASE_PUBLISH_H
#define THRONG_RELEASE_PUBLISH_H

#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"
#include "service/db/db.h"
#include "service/release/head.h"
#include "service/release/schedule.h"

/* What was released. */
struct publish_count {
    uint64_t transactions, rows, refused;
};

/* Where the head that is known outside the database is kept. */
struct publish_head {
    const char *state; /* directory of its file; NULL: none is written */
    struct head known;
};

/* Release what is due of app, whose definition in force it is, the activity of all due days first, then the sessions; stops
 * early between two days when the process is asked to end. Adds to *count what was committed, also when failing. */
enum result publish_app(struct db *db, const struct app *app, const struct schedule_due *due, struct publish_head *head,
    struct publish_count *count, struct failure *why);

#endif
