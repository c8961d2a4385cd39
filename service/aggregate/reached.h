/*
 * What sessions reach besides being there: goals, completion, classes of entry and exit, and the person's week and month.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db; anonymizer/release (how much of one person counts).
 * Threads:  a struct reached belongs to one thread.
 * Failure:  as db.h; out of memory ends the process (a page of sessions is held, and a row a day).
 */
#ifndef THRONG_AGGREGATE_REACHED_H
#define THRONG_AGGREGATE_REACHED_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/failure.h"
#include "service/aggregate/cells.h"
#include "service/aggregate/session.h"
#include "service/aggregate/stage.h"

struct reached {
    const struct stage *stage; /* borrowed */
    int32_t first;             /* day */
    bool cells_wanted, weeks_wanted, months_wanted;
    struct cells cells;
    struct reached_day *days;
    struct reached_period *periods; /* since the last reached_flush, one person's together */
    size_t period_count, period_size;
};

/* Ready for sessions of days [first, stage->through]; end it with reached_free. */
void reached_begin(struct reached *reached, const struct stage *stage, int32_t first);

/* Count a session of usr that starts on day. person: tells persons apart, all sessions of one come together. counts:
 * it is among those of the person's day that the sums take. */
void reached_session(struct reached *reached, const struct pseudonym *usr, size_t person, int32_t day,
    const struct session *session, bool counts);

/* Put the persons' weeks and months into state.person_period. */
enum result reached_flush(struct reached *reached, struct failure *why);

/* Put the cells into state.cell. */
enum result reached_store(const struct reached *reached, struct failure *why);

/* Give the memory back. */
void reached_free(struct reached *reached);

#endif
