#include "api/limiter.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 256u
#define TOKEN 1000 /* a request, in the unit that a bucket is filled with `rate` of each millisecond */

struct bucket {
    bool used;
    int64_t level, at_ms;
};

struct limiter {
    pthread_mutex_t lock; /* of buckets */
    int64_t rate, burst;
    struct bucket buckets[BUCKETS];
};

struct limiter *limiter_new(int64_t rate, int64_t burst)
{
    struct limiter *limiter = calloc(1, sizeof *limiter);
    if (limiter == NULL)
        return NULL;
    pthread_mutex_init(&limiter->lock, NULL);
    limiter->rate = rate;
    limiter->burst = burst;
    return limiter;
}

void limiter_free(struct limiter *limiter)
{
    if (limiter == NULL)
        return;
    pthread_mutex_destroy(&limiter->lock);
    free(limiter);
}

/* FNV-1a. */
static uint32_t place(const char *actor)
{
    uint32_t hash = 2166136261u;
    for (; *actor != '\0'; actor++)
        hash = (hash ^ (uint8_t)*actor) * 16777619u;
    return hash % BUCKETS;
}

static void refill(const struct limiter *limiter, struct bucket *bucket, int64_t now_ms)
{
    int64_t most = limiter->burst * TOKEN, gone_ms = now_ms - bucket->at_ms;
    if (!bucket->used || gone_ms >= most / limiter->rate)
        bucket->level = most;
    else if (gone_ms > 0)
        bucket->level += gone_ms * limiter->rate;
    if (bucket->level > most)
        bucket->level = most;
    bucket->used = true;
    bucket->at_ms = now_ms;
}

bool limiter_allow(struct limiter *limiter, const char *actor, int64_t now_ms)
{
    pthread_mutex_lock(&limiter->lock);
    struct bucket *bucket = &limiter->buckets[place(actor)];
    refill(limiter, bucket, now_ms);
    bool allowed = bucket->level >= TOKEN;
    if (allowed)
        bucket->level -= TOKEN;
    pthread_mutex_unlock(&limiter->lock);
    return allowed;
}
