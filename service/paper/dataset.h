/*
 * Released rows as files: one a metric, and one each funnel, measure and outcome, with all intervals that it is released in. Rows are
 * those of the API.
 *
 * Sees:     released numbers.
 * Uses:     api/series, jansson, service/db (role throng_read).
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_PAPER_DATASET_H
#define THRONG_PAPER_DATASET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/series/metric.h"
#include "schema/app.h"
#include "service/db/db.h"

#define DATASET_NAME_BYTES 128

struct dataset_subject {
    const struct metric *metric;
    const char *item;              /* of a declared metric; borrowed from the app */
    char name[DATASET_NAME_BYTES]; /* of the file: "active_users.json", "funnel-first_story.json" */
};

/* How far the audit log has to reach to cover what was read. */
struct dataset_cover {
    int64_t newest;   /* index of the newest entry; -1: nothing was read */
    bool unlogged;    /* of some row the entry has no place in the log yet */
};

/* The index-th thing that app could have a file of; false behind the last. */
bool dataset_subject_at(const struct app *app, size_t index, struct dataset_subject *out);

/* Read all of subject's released rows to *out (owned by the caller; NULL: there are none), and move *cover on. */
enum result dataset_read(struct db *db, const struct app *app, const struct dataset_subject *subject, struct dataset_cover *cover,
    json_t **out, struct failure *why);

#endif
