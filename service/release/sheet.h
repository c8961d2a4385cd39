/*
 * A sheet: everything that the closing of one day lets leave in one stage, in the order in which it is written. Every
 * declared cell is on it, zeros and suppressed ones too.
 *
 * A release of retention belongs to the period that ended; its rows belong to the cohorts whose N-th period that was. A
 * family of declared things is one release with all of them, but each funnel is its own: week W is released with the day on
 * which the window of those ended who began on its Sunday, and weeks that began before the app's first day do not exist.
 *
 * Sees:     exact cells on the way in; released ones on the way out.
 * Uses:     anonymizer/release, cells.h, declared.h, period.h.
 * Threads:  a sheet belongs to one thread; no global state.
 * Failure:  RESULT_FULL (memory), or as cell_release.
 */
#ifndef THRONG_RELEASE_SHEET_H
#define THRONG_RELEASE_SHEET_H

#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"
#include "service/release/cells.h"

#define SHEET_RELEASES_MAX ((size_t)FAMILY_COUNT * (size_t)INTERVAL_COUNT + FUNNELS_MAX)
#define SHEET_BINS 18 /* of session_durations: bin 0 below 1 s, bin n from 2^(n-1) to below 2^n s, the last open */

struct sheet_row {
    enum family_number number;
    int32_t period; /* of the row: the cohort's for retention */
    int32_t item;   /* position of the declared thing; -1: number is not about one */
    int32_t n;
    struct released released;
};

/* One release: rows[first … first + count - 1]. */
struct sheet_release {
    enum family_id family;
    enum family_interval interval;
    int32_t period;
    int32_t funnel; /* its position; -1: not one funnel's */
    size_t first, count;
};

struct sheet {
    struct sheet_release releases[SHEET_RELEASES_MAX];
    size_t release_count;
    struct sheet_row *rows;
    size_t row_count, row_room;
};

/* Fill *sheet (zero-initialised, or used before: its memory is used again) with what the closing of day releases of app,
 * whose first day is first_day, in stage. cells hold that day. source as in noise_apply. */
enum result sheet_fill(struct sheet *sheet, const struct app *app, const struct policy *policy,
    const struct noise_source *source, int32_t first_day, int32_t day, enum family_stage stage, const struct cells *cells,
    struct failure *why);

/* Free what sheet owns. */
void sheet_free(struct sheet *sheet);

#endif
