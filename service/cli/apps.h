/*
 * Apps as the database holds them: found by name with their compiled definition, and their mode.
 *
 * Sees:     nothing of a person.
 * Uses:     service/db, service/catalogue, service/cli/act.
 * Threads:  as struct db.
 * Failure:  as service/db; RESULT_NOT_FOUND: no such app.
 */
#ifndef THRONG_CLI_APPS_H
#define THRONG_CLI_APPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "schema/app.h"
#include "service/db/db.h"

#define APPS_HASH_BYTES 32

struct apps_row {
    int32_t id;
    int32_t version;
    bool importing;
    bool twin;      /* a test app */
    char *body;     /* the definition as JSON */
    struct app app; /* compiled; id and version are set */
};

/* Find the app called name as throng_owner or throng_read; *out is to be freed with apps_row_free. */
enum result apps_find(struct db *db, const char *name, struct apps_row *out, struct failure *why);
/* Free what row owns. */
void apps_row_free(struct apps_row *row);

/* SHA-256 of the definition's canonical form: sorted, compact. Borrows root. */
void apps_hash_definition(const json_t *root, uint8_t out[APPS_HASH_BYTES]);

/* Inside a transaction of throng_owner: write a version of app's definition, text, with its hash and the leaf that records
 * it. Borrows everything. */
enum result apps_write_definition(struct db *db, int32_t app, int32_t version, const char *text,
    const uint8_t hash[APPS_HASH_BYTES], const uint8_t leaf[16], struct failure *why);

/* Put the app into import mode, or back to live, with its leaf, if it is not so already; *row follows. As throng_owner.
 * RESULT_INVALID: a test app takes live events only. */
enum result apps_set_importing(struct db *db, struct apps_row *row, bool importing, struct failure *why);

/* The moment before which days are sealed, ms (INT64_MIN: none is). As throng_owner. */
enum result apps_sealed_until_ms(struct db *db, const struct apps_row *row, int64_t *ms, struct failure *why);

/* The present day in zone (clock_now_ms), days since 1970. */
enum result apps_today(struct db *db, const char *zone, int32_t *today, struct failure *why);

/* A preset's name. A static string. */
const char *apps_preset_name(enum app_preset preset);

#endif
