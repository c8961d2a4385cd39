/*
 * The live view of test apps: what a shard's packets say of twins, event by event, gathered in memory and written with the
 * flush. Of other apps nothing is gathered, and the schema takes nothing: schema/sql/0007_live.sql. The view holds the
 * newest LIVE_KEPT events of a twin, none longer than a day. Repetitions that come late enough to be told only by
 * state.seen are in the view too: it shows what arrived.
 *
 * Sees:     pseudonyms; the rows that readers see have numbers in their place.
 * Uses:     jansson, libpq, service/db.
 * Threads:  a struct live belongs to the thread of its shard.
 * Failure:  as service/db. Out of memory ends the process; what waits is bounded by LIVE_WAITING.
 */
#ifndef THRONG_AGGREGATE_LIVE_H
#define THRONG_AGGREGATE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "schema/packet.h"
#include "service/aggregate/directory.h"
#include "service/aggregate/forgotten.h"
#include "service/db/db.h"

#define LIVE_KEPT 1000    /* events of a twin in the view */
#define LIVE_WAITING 1000 /* events of a twin that wait for a flush; of more, the oldest are only counted */
#define LIVE_FLUSH_MS 500 /* what waits is written after so long */

struct live_twin; /* what waits of one */

/* Of one shard. All zero is empty. */
struct live {
    struct live_twin *twins; /* ascending by app */
    size_t count;
};

/* Gather the events of twins in the packet bytes[0..length-1] (checked, of type events), but for people to be forgotten. */
void live_take(struct live *live, const struct directory *directory, struct forgotten *forgotten, const uint8_t *bytes,
    size_t length);

/* Gather what was refused of twins: rows[0..count-1] of a counts packet of at_ms. */
void live_refuse(struct live *live, const struct directory *directory, int64_t at_ms, const struct packet_count *rows,
    size_t count);

/* Whether anything waits. */
bool live_waits(const struct live *live);

/* Inside a transaction: write what waits. It goes on waiting until live_clear: the transaction may fail. */
enum result live_write(struct db *db, const struct live *live, struct failure *why);

/* Forget what waits and free its memory. */
void live_clear(struct live *live);

/* Inside a transaction: delete from app's view the events of the person with names[0..count-1]. */
enum result live_erase(struct db *db, uint32_t app, const struct pseudonym *names, size_t count, struct failure *why);

/* Inside a transaction, of a purge packet: delete the view of app. */
enum result live_purge(struct db *db, uint32_t app, struct failure *why);

/* Delete from all views what is older than a day, and the views of twins whose time is over. */
enum result live_sweep(struct db *db, struct failure *why);

/* Delete the state, in the shard of that number, of twins that died over an hour ago: what was under way has come. */
enum result live_forget(struct db *db, uint16_t shard, struct failure *why);

#endif
