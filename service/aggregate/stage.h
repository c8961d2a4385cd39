/*
 * One stage of closing one app in one shard: which days it closes, and the parameters that its statements share. The files
 * that close something each take one.
 *
 * Sees:     nothing of a person.
 * Uses:     libpq, service/db.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_STAGE_H
#define THRONG_AGGREGATE_STAGE_H

#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* Borrowed while the stage runs. The days (before, through] are closed; before lies before every calendar if none was. */
struct stage {
    struct db *db;
    const struct shard *shard;
    const struct fold_app *app;
    int32_t before, through;
};

/* The stage that closes what lies after `before` (FOLD_NO_DAY: nothing is closed yet) up to and with `through`. */
struct stage stage_of(struct db *db, const struct shard *shard, const struct fold_app *app, int32_t before,
    int32_t through);

/* A new parameter list, owned by the caller: $1 shard, $2 app, $3 before, $4 through. */
struct db_params *stage_params(const struct stage *stage);

/* Run a statement that is done with them, and free params. */
enum result stage_run(const struct stage *stage, const char *name, const char *sql, struct db_params *params,
    struct failure *why);

/* The Monday of day's ISO week. Days count from 1970-01-01. */
int32_t stage_week(int32_t day);

/* The first day of day's calendar month, and its length in days. */
int32_t stage_month(int32_t day, int32_t *length);

/* Whether the last day of some ISO week, or of some calendar month, is among those that the stage closes. */
bool stage_ends_week(const struct stage *stage);
/* See stage_ends_week. */
bool stage_ends_month(const struct stage *stage);

#endif
