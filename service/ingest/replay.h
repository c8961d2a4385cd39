/*
 * The replayer: sends what waits in the spool beside live traffic, ends earlier incarnations in their name, and knows
 * whether Redis takes entries. After a failure live traffic goes straight to the spool until an entry, or with
 * nothing waiting a PING, has gone through here again: nobody's request pays for finding out.
 *
 * Sees:     packets (pseudonyms).
 * Uses:     service/stream, spool, node, notices; one thread of its own.
 * Threads:  replay_up and replay_failed in any.
 * Failure:  tried again each half second.
 */
#ifndef THRONG_INGEST_REPLAY_H
#define THRONG_INGEST_REPLAY_H

#include <stdbool.h>

#include "schema/failure.h"
#include "service/base/config.h"
#include "service/ingest/node.h"
#include "service/ingest/notices.h"
#include "service/ingest/purges.h"
#include "service/ingest/spool.h"

struct replay;

/* Start the thread; the arguments are borrowed for its life. NULL if the system refuses. */
struct replay *replay_start(const struct config *config, struct node *node, struct spool *spool, struct purges *purges,
    struct notices *notices);

/* Whether live traffic should try Redis. */
bool replay_up(const struct replay *replay);

/* Redis did not take something. */
void replay_failed(struct replay *replay);

/* Send what still can be sent, for deadline_ms at most; if nothing is left, end this node with a last watermark and
 * take it off the nodes file. Then free. Call when no writer runs any more. NULL is allowed. */
void replay_stop(struct replay *replay, int64_t deadline_ms);

#endif
