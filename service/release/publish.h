/*
 * Publishing: the closed days of one app, released in order. One (app, day, stage) is one transaction: its progress, its
 * audit leaves, its release rows and its values stand or fall together, so that a crash at any step leaves a day released
 * whole or not at all, and a day is never released twice.
 *
 * Sees:     exact sums on the way in; writes released rows only.
 * Uses:     service/db, compliance/audit/leaf, anonymizer/release; randomness of libsodium.
 * Threads:  one.
 * Failure:  RESULT_UNAVAILABLE (the database went away; whether a COMMIT that was under way counts, the next
 *           schedule_read tells), RESULT_FULL (someone else released the day meanwhile), or as db_run. What was released
 *           before stays.
 */
#ifndef THRONG_RELEASE_PUBLISH_H
#define THRONG_RELEASE_PUBLISH_H

#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/policy.h"
#include "schema/app.h"
#include "service/db/db.h"
#include "service/release/schedule.h"

/* What was released. */
struct publish_count {
    uint64_t transactions, rows;
};

/* Release what is due of app under policy, the activity of all due days first, then the sessions; stops early between two
 * days when the process is asked to end. Adds to *count what was committed, also when failing. */
enum result publish_app(struct db *db, const struct app *app, const struct policy *policy, const struct schedule_due *due,
    struct publish_count *count, struct failure *why);

#endif
