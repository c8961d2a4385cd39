/*
 * A limit of requests for each actor, by key id or role: token buckets in a small table. Two actors may share a bucket.
 *
 * Uses:     libc.
 * Threads:  any.
 * Failure:  none once made.
 */
#ifndef THRONG_API_LIMITER_H
#define THRONG_API_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

struct limiter;

/* One that lets each actor have rate requests a second (1 to 1000), and burst (1 to 1000000) at once. Owned by the caller; NULL if
 * memory is short. */
struct limiter *limiter_new(int64_t rate, int64_t burst);
/* Free; NULL is allowed. */
void limiter_free(struct limiter *limiter);

/* Whether a request of actor may come at now_ms (steady clock, 0 or more). */
bool limiter_allow(struct limiter *limiter, const char *actor, int64_t now_ms);

#endif
