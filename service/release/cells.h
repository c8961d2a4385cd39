/*
 * The exact cells of a run of closed days, read from the closed sums over all shards, set-wise, in one round trip. A cell
 * that is not there is zero.
 *
 * Sees:     closed sums (state.triple, day_sum, session_sum): counts of people by day, first day and previous day.
 * Uses:     service/db.
 * Threads:  one.
 * Failure:  as db_run; RESULT_CORRUPT if a sum names no known number.
 */
#ifndef THRONG_RELEASE_CELLS_H
#define THRONG_RELEASE_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/cell.h"
#include "service/db/db.h"

/* What to read: the cells whose period ends on a day in [from, to], days since 1970. */
struct cells_range {
    uint32_t app;
    uint32_t shards; /* 0 … shards - 1 */
    int32_t from, to;
    int32_t n_max; /* the largest N of retention wanted, in any interval */
    bool rolling;  /* rolling windows too */
};

struct cells;

/* Read the cells of stage to *out, owned by the caller until cells_free. */
enum result cells_read(struct db *db, enum family_stage stage, const struct cells_range *range, struct cells **out,
    struct failure *why);
/* Free; NULL is allowed. */
void cells_free(struct cells *cells);

/* The cell of number in the period of interval that ends on day, for n (-1 where number has none). */
struct cell cells_get(const struct cells *cells, int32_t day, enum family_number number, enum family_interval interval,
    int32_t n);

#endif
