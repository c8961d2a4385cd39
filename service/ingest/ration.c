#include "service/ingest/ration.h"

#include <pthread.h>
#include <stdlib.h>

#define HOUR_MS (3600LL * 1000)

struct holder {
    uint64_t id;
    unsigned taken;                /* of at_ms that are set: a ring */
    int64_t at_ms[RATION_AN_HOUR]; /* [taken % RATION_AN_HOUR]: the oldest once all are set */
};

struct ration {
    pthread_mutex_t lock;
    unsigned count;
    struct holder holders[RATION_HOLDERS];
};

struct ration *ration_new(void)
{
    struct ration *ration = calloc(1, sizeof *ration);
    if (ration != NULL)
        pthread_mutex_init(&ration->lock, NULL);
    return ration;
}

void ration_free(struct ration *ration)
{
    if (ration == NULL)
        return;
    pthread_mutex_destroy(&ration->lock);
    free(ration);
}

static int64_t last_ms(const struct holder *holder)
{
    return holder->at_ms[(holder->taken + RATION_AN_HOUR - 1) % RATION_AN_HOUR];
}

/* The place of id, new or in the place of whoever was quiet longest. */
static struct holder *place_of(struct ration *ration, uint64_t id)
{
    struct holder *quiet = &ration->holders[0];
    for (unsigned i = 0; i < ration->count; i++) {
        struct holder *holder = &ration->holders[i];
        if (holder->id == id)
            return holder;
        if (last_ms(holder) < last_ms(quiet))
            quiet = holder;
    }
    if (ration->count < RATION_HOLDERS)
        quiet = &ration->holders[ration->count++];
    *quiet = (struct holder){.id = id};
    return quiet;
}

bool ration_take(struct ration *ration, uint64_t holder, int64_t now_ms, unsigned *retry_after_s)
{
    pthread_mutex_lock(&ration->lock);
    struct holder *place = place_of(ration, holder);
    int64_t *oldest = &place->at_ms[place->taken % RATION_AN_HOUR];
    int64_t wait_ms = place->taken < RATION_AN_HOUR ? 0 : *oldest + HOUR_MS - now_ms;
    if (wait_ms <= 0) {
        *oldest = now_ms;
        place->taken++;
        if (place->taken == 2 * RATION_AN_HOUR)
            place->taken = RATION_AN_HOUR;
    }
    pthread_mutex_unlock(&ration->lock);
    if (wait_ms > 0)
        *retry_after_s = (unsigned)((wait_ms + 999) / 1000);
    return wait_ms <= 0;
}
