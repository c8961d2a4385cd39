/*
 * A sheet: everything that the closing of one day lets leave in one stage, in the order in which it is written. Every
 * declared cell is on it, zeros and suppressed ones too; with noise, every cell that the plans of all months fund whose data
 * can change it. What one of these months has not reserved the cost of is on the list of what is refused.
 *
 * A release of retention belongs to the period that ended; its rows belong to the cohorts whose N-th period that was. A
 * family of declared things with many cells each is one release for each thing, so that its audit leaf stays small; the others
 * are one release with all of them. Week W of a funnel is released with the day on which the window of those ended who began on
 * its Sunday, and weeks that began before the app's first day do not exist.
 *
 * Which months can change a cell: those from its period's first day to the day that closes it, of sessions to the day after;
 * of retention and of the last active period, from the cohort's period on.
 *
 * Sees:     exact cells on the way in; released ones on the way out.
 * Uses:     anonymizer/release, cells.h, declared.h, ledger.h, period.h.
 * Threads:  a sheet belongs to one thread; no global state.
 * Failure:  RESULT_FULL (memory), or as cell_release and cell_protect.
 */
#ifndef THRONG_RELEASE_SHEET_H
#define THRONG_RELEASE_SHEET_H

#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"
#include "service/release/cells.h"
#include "service/release/ledger.h"

/* Three intervals of the families that are split by thing, the others in each interval, and the funnels. */
#define SHEET_RELEASES_MAX ((size_t)FAMILY_COUNT * (size_t)INTERVAL_COUNT + FUNNELS_MAX + \
    (size_t)3 * (DIMENSIONS_MAX + MEASURES_MAX + OUTCOMES_MAX + PATHS_MAX))
#define SHEET_BINS 18 /* of session_durations: bin 0 below 1 s, bin n from 2^(n-1) to below 2^n s, the last open */

struct sheet_row {
    enum family_number number;
    int32_t period; /* of the row: the cohort's for retention and the last active period */
    int32_t item;   /* position of the declared thing; -1: number is not about one */
    int32_t n;
    struct rational sigma2; /* of its noise; 0/1: none */
    struct released released;
};

/* One release: rows[first … first + count - 1]. */
struct sheet_release {
    enum family_id family;
    enum family_interval interval;
    int32_t period;
    int32_t item; /* position of the thing that it is all about; -1: it is not of one thing */
    size_t first, count;
    struct ledger_grant grant; /* with noise: of all its cells */
};

struct sheet {
    struct sheet_release releases[SHEET_RELEASES_MAX];
    size_t release_count;
    struct sheet_release refused[SHEET_RELEASES_MAX]; /* without rows */
    size_t refused_count;
    struct sheet_row *rows;
    size_t row_count, row_room;
    /* The levels reckoned last, and of what: they stay the same for months. */
    struct sheet_level {
        struct rational sigma2;
        int32_t k;
        struct plan_level level;
    } levels[NUMBER_COUNT];
};

/* What a sheet is filled from. */
struct sheet_job {
    const struct app *app; /* with noise: the definition that month was planned by */
    const struct policy *policy;
    const struct noise_source *source; /* as in noise_apply */
    const struct ledger *ledger;       /* with noise: where every month up to month is planned; else not used */
    const struct cells *cells;         /* that day's */
    int32_t first_day, day;
    int32_t month; /* with noise: the last one whose data can change what is released */
    enum family_stage stage;
};

/* Fill *sheet (zero-initialised, or used before: its memory is used again) with what the closing of a day releases. */
enum result sheet_fill(struct sheet *sheet, const struct sheet_job *job, struct failure *why);

/* Free what sheet owns. */
void sheet_free(struct sheet *sheet);

#endif
