/*
 * The schedule: which app, stage and days are due. A day is closed for an app when every shard has closed it; a closed day
 * is due until it is released, strictly in order from the app's first day.
 *
 * Sees:     progress and definitions; nothing of a person.
 * Uses:     service/db, service/catalogue/definition.
 * Threads:  a schedule belongs to one thread.
 * Failure:  as db_run; RESULT_INVALID if a stored definition does not compile.
 */
#ifndef THRONG_RELEASE_SCHEDULE_H
#define THRONG_RELEASE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"
#include "service/db/db.h"

/* Days since 1970-01-01, inclusive; empty if from > to. */
struct schedule_days {
    int32_t from, to;
};

/* What is due of one app. */
struct schedule_due {
    uint32_t app;
    uint32_t version; /* of its definition */
    uint32_t shards;
    int32_t first_day;
    struct schedule_days activity, sessions;
};

/* A version of an app's definition under which nothing leaves. */
struct schedule_refused {
    int32_t app, version;
};

/* Zero-initialise: {0}. */
struct schedule {
    struct schedule_due *due;
    size_t count;
    struct schedule_refused *refused;
    size_t refused_count;
};

/* Read what is due, by app, to schedule->due, but for what was refused; owned by *schedule, which keeps what it had on
 * failure. */
enum result schedule_read(struct db *db, struct schedule *schedule, struct failure *why);

/* Leave the app of due out from now on, until its definition has another version. RESULT_FULL without memory. */
enum result schedule_refuse(struct schedule *schedule, const struct schedule_due *due, struct failure *why);

/* Free what schedule owns. */
void schedule_free(struct schedule *schedule);

/* Read and compile the definition of a due app to *out, with its id, version and mode; owned by the caller until
 * definition_free. */
enum result schedule_definition(struct db *db, const struct schedule_due *due, struct app *out, struct failure *why);

#endif
