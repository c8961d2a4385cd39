/*
 * What one transaction of a release puts into the database: how far releasing came, the audit leaves, the releases and their
 * values, what is refused.
 *
 * Sees:     released rows.
 * Uses:     service/db, sheet.h, record.h, head.h.
 * Threads:  as struct db.
 * Failure:  as db_run and record.h; the transaction must not be committed then.
 */
#ifndef THRONG_RELEASE_STORE_H
#define THRONG_RELEASE_STORE_H

#include <stdint.h>

#include "schema/app.h"
#include "service/db/db.h"
#include "service/release/head.h"
#include "service/release/sheet.h"

/* One (app, day, stage). Pointers are borrowed. */
struct store_day {
    const struct app *app; /* what it is released of */
    const struct policy *policy;
    struct sheet *sheet;
    enum family_stage stage;
    int32_t first_day, day;
    int64_t sealed_at_ms;
    struct head head; /* before store_leaves, then after */
    uint8_t ids[SHEET_RELEASES_MAX][16], refused_ids[SHEET_RELEASES_MAX][16];
    uint8_t hashes[SHEET_RELEASES_MAX][HEAD_HASH_BYTES];
};

/* Inside a transaction: the app is released through this day. RESULT_FULL if it was already: by another process. */
enum result store_progress(struct db *db, const struct store_day *day, struct failure *why);

/* Inside a transaction: write the leaves of what is on the sheet, whose ids go to day->ids and refused_ids; the head moves on by
 * each release. */
enum result store_leaves(struct db *db, struct store_day *day, struct failure *why);

/* Inside a transaction, with ids, head and hashes: write the releases (at least one), their values, what was refused. */
enum result store_releases(struct db *db, const struct store_day *day, struct failure *why);
/* See store_releases. */
enum result store_values(struct db *db, const struct store_day *day, struct failure *why);
/* See store_releases. */
enum result store_refused(struct db *db, const struct store_day *day, struct failure *why);

#endif
