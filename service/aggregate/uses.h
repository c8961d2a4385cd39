/*
 * What an event counts for besides itself: the app's declared things, gathered in the fold, event by event, and digested
 * before the flush. An event without uses costs nothing.
 *
 * Sees:     pseudonyms, as the fold does.
 * Uses:     libc, schema/.
 * Threads:  as fold.h.
 * Failure:  none.
 */
#ifndef THRONG_AGGREGATE_USES_H
#define THRONG_AGGREGATE_USES_H

#include "service/aggregate/fold.h"

/* Count event, which was appended as fold->events[at] and is of an identified user, for all that its declaration in
 * definition says. */
void uses_apply(struct fold *fold, const struct app *definition, const struct packet_event *event, size_t at);

/* Sort, merge and cap steps, measures and entities, and give fold->days (sorted) their marks. May be done again after more
 * was added. */
void uses_digest(struct fold *fold);

#endif
