/*
 * What the aggregator knows of the installation: the catalogue it publishes, the calendars of the apps' zones, orders to
 * seal, and retired nodes. A test app is among the apps until an hour after its time: what was under way finds it. One thread reads it from PostgreSQL when config.installation.catalogue_version has moved, and
 * publishes it to Redis; workers hold a snapshot.
 *
 * Sees:     nothing of a person.
 * Uses:     libpq, hiredis, jansson through the layers below.
 * Threads:  snapshots are read-only and counted; directory_current may be called anywhere.
 */
#ifndef THRONG_AGGREGATE_DIRECTORY_H
#define THRONG_AGGREGATE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "service/aggregate/calendar.h"
#include "service/catalogue/catalogue.h"
#include "service/db/db.h"
#include "service/stream/stream.h"

struct directory_app {
    const struct app *definition; /* borrowed from the catalogue */
    const struct calendar *calendar;
    int32_t created_day; /* in its zone */
    bool importing;
    bool twin; /* a test app */
    /* The latest order to seal; through_day is FOLD_NO_DAY without one. */
    int32_t seal_through_day;
    int64_t seal_requested_ms;
    bool seal_force;
};

struct directory; /* a snapshot */

/* Read PostgreSQL and Redis and publish what is new. Called by one thread, about once a second. RESULT_UNAVAILABLE if
 * either is away: the last snapshot stays. */
enum result directory_refresh(struct db *db, struct stream *stream, struct failure *why);

/* The present snapshot, held; NULL before the first refresh. Give it back with directory_release. */
const struct directory *directory_current(void);
/* See directory_current. NULL is allowed. */
void directory_release(const struct directory *directory);

/* Its version; its apps, ascending by id; whether node was retired. */
uint64_t directory_version(const struct directory *directory);
/* See directory_version. */
const struct directory_app *directory_apps(const struct directory *directory, size_t *count);
/* See directory_version. */
bool directory_is_retired(const struct directory *directory, uint64_t node);

/* The name of any app that the database has, those included whose definition is not published any more: a test app's after its
 * time. "" if it has none of that number. Borrowed from the snapshot. */
const char *directory_name(const struct directory *directory, uint32_t app);

/* Whether there is a test app among the apps. */
bool directory_has_twins(const struct directory *directory);

#endif
