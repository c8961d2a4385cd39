/*
 * The exact cells of a run of closed days, read from the closed sums over all shards, set-wise, in one round trip. A cell
 * that is not there is zero.
 *
 * Of declared things, a number of people has cells of its own for weeks and months, and so has what is only made by the
 * month. The weeks and months of all others are sums of their days; how many distinct people are behind them is not known,
 * and the largest of the days stands for it: a lower bound, so that a threshold errs towards suppression.
 *
 * Under a differentially private policy sessions are read from what was clamped by a person's week, never from their sums.
 *
 * Sees:     closed sums (state.triple, day_sum, session_sum, cell; how many entities there are, never which): counts of
 *           people by day, first day, previous day and declared thing.
 * Uses:     service/db.
 * Threads:  one.
 * Failure:  as db_run; RESULT_CORRUPT if a sum names no known number.
 */
#ifndef THRONG_RELEASE_CELLS_H
#define THRONG_RELEASE_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/cell.h"
#include "schema/app.h"
#include "service/db/db.h"

/* What to read: of what app declares and policy lets leave, the cells that the closing of a day in [from, to], days since
 * 1970, makes due. That day is the last of their period; a funnel's comes its window later. */
struct cells_range {
    const struct app *app;
    const struct policy *policy;
    uint32_t shards; /* 0 … shards - 1 */
    int32_t from, to;
};

/* Which cell: of number in the interval that the closing of day makes due. */
struct cells_key {
    int32_t day;
    enum family_number number;
    enum family_interval interval;
    int32_t item; /* position of the declared thing; -1: number is not about one */
    int32_t n;    /* -1 where number has none */
};

struct cells;

/* Read the cells of stage to *out, owned by the caller until cells_free. */
enum result cells_read(struct db *db, enum family_stage stage, const struct cells_range *range, struct cells **out,
    struct failure *why);
/* Free; NULL is allowed. */
void cells_free(struct cells *cells);

/* The cell called key. */
struct cell cells_get(const struct cells *cells, const struct cells_key *key);

#endif
