/*
 * Records: the audit leaves of releases and of refusals. A release's leaf carries every number that it released, grouped by what
 * they are of, so that the largest release there can be fits an entry of the transparency log.
 *
 *   "rows": [[metric, item, [[n, value], …]], …]   value null: suppressed; a fourth element where the noise is another than
 *                                                  the leaf's "sigma_squared"
 *
 * Sees:     released numbers and declared names.
 * Uses:     compliance/audit/leaf, sheet.h, declared.h; randomness of libsodium for ids and nonces.
 * Threads:  one.
 * Failure:  as leaf_finish.
 */
#ifndef THRONG_RELEASE_RECORD_H
#define THRONG_RELEASE_RECORD_H

#include <stdint.h>

#include "anonymizer/release/policy.h"
#include "compliance/audit/leaf.h"
#include "schema/app.h"
#include "service/release/sheet.h"

/* The bytes that an entry of the log can have. */
#define RECORD_MAX_BYTES 65535

/* The closing that something was released with: all that a database needs that lost it (replay.h). */
struct record_closing {
    int32_t first_day; /* of the app */
    int32_t day;       /* that was closed, in this stage */
    enum family_stage stage;
    int64_t sealed_at_ms; /* by the schedule */
    int64_t place;        /* of the release among all: 1, 2, …; unused for a refused one */
};

/* The leaf of a release on the sheet, made of app under policy; owned by the caller. Its id to id. */
struct leaf *record_release(const struct app *app, const struct policy *policy, const struct sheet *sheet,
    const struct sheet_release *release, const struct record_closing *closing, uint8_t id[16]);

/* The leaf of a refused one; owned by the caller. Its id to id. */
struct leaf *record_refused(const struct app *app, const struct policy *policy, const struct sheet_release *refused,
    const struct record_closing *closing, uint8_t id[16]);

/* "activity", "sessions". */
const char *record_stage(enum family_stage stage);

/* The name of the thing that the release is all about; "": it is not of one. Borrowed from app. */
const char *record_item(const struct app *app, const struct sheet_release *release);

/* The threshold that its cells had to reach. */
int32_t record_k(const struct policy *policy, const struct sheet_release *release);

/* What protects it: "none" also where only some months whose data it was made of are protected. */
const char *record_protection(const struct policy *policy, const struct sheet_release *release);

/* σ² and ρ as decimal texts, exact; NULL for 0. Returns out or NULL. */
const char *record_sigma2(struct rational sigma2, char out[RATIONAL_TEXT_MAX]);
/* See record_sigma2. */
const char *record_rho(struct rational rho, char out[RATIONAL_TEXT_MAX]);

/* σ² of a release's cells, where nothing else is said of one. */
struct rational record_common(const struct sheet *sheet, const struct sheet_release *release);

#endif
