#include "service/ingest/counts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/metrics.h"

struct row {
    uint32_t app;
    uint64_t count[PACKET_REASONS];
};

struct counts {
    pthread_mutex_t lock;
    struct row *rows; /* ascending by app */
    size_t count, capacity;
};

struct counts *counts_new(void)
{
    struct counts *counts = calloc(1, sizeof *counts);
    if (counts != NULL)
        pthread_mutex_init(&counts->lock, NULL);
    return counts;
}

void counts_free(struct counts *counts)
{
    if (counts == NULL)
        return;
    pthread_mutex_destroy(&counts->lock);
    free(counts->rows);
    free(counts);
}

static struct row *insert(struct counts *counts, size_t at, uint32_t app)
{
    if (counts->count == counts->capacity) {
        size_t capacity = counts->capacity * 2 + 16;
        struct row *rows = reallocarray(counts->rows, capacity, sizeof *rows);
        if (rows == NULL)
            return NULL;
        counts->rows = rows;
        counts->capacity = capacity;
    }
    memmove(counts->rows + at + 1, counts->rows + at, (counts->count - at) * sizeof *counts->rows);
    counts->rows[at] = (struct row){.app = app};
    counts->count++;
    return &counts->rows[at];
}

/* The row of app, made if there is none; NULL if memory is short. */
static struct row *find(struct counts *counts, uint32_t app)
{
    size_t low = 0, high = counts->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (counts->rows[middle].app < app)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < counts->count && counts->rows[low].app == app)
        return &counts->rows[low];
    return insert(counts, low, app);
}

/* Which metric a reason is counted by. */
static const enum metric_id metric_of[PACKET_REASONS] = {
#define REASON(id, name, kind) [PACKET_REASON_##id] = METRIC_REFUSED_##id,
#include "schema/reason.def"
#undef REASON
};

void counts_add(struct counts *counts, uint32_t app, const uint32_t reasons[PACKET_REASONS])
{
    uint32_t any = 0;
    for (size_t r = 0; r < PACKET_REASONS; r++)
        any |= reasons[r];
    if (any == 0)
        return;
    pthread_mutex_lock(&counts->lock);
    struct row *row = find(counts, app);
    for (size_t r = 0; r < PACKET_REASONS && row != NULL; r++)
        row->count[r] += reasons[r];
    pthread_mutex_unlock(&counts->lock);
    for (size_t r = 0; r < PACKET_REASONS; r++)
        if (reasons[r] > 0)
            metrics_add(metric_of[r], reasons[r]);
}

size_t counts_take(struct counts *counts, struct packet_count *rows)
{
    size_t taken = 0;
    pthread_mutex_lock(&counts->lock);
    for (size_t i = 0; i < counts->count; i++) {
        struct row *row = &counts->rows[i];
        for (size_t r = 0; r < PACKET_REASONS && taken < COUNTS_ROWS_MAX; r++) {
            if (row->count[r] == 0)
                continue;
            rows[taken++] =
                (struct packet_count){.app = row->app, .reason = (enum packet_reason)r, .count = row->count[r]};
            row->count[r] = 0;
        }
    }
    pthread_mutex_unlock(&counts->lock);
    return taken;
}

void counts_return(struct counts *counts, const struct packet_count *rows, size_t count)
{
    pthread_mutex_lock(&counts->lock);
    for (size_t i = 0; i < count; i++) {
        struct row *row = find(counts, rows[i].app);
        if (row != NULL)
            row->count[rows[i].reason] += rows[i].count;
    }
    pthread_mutex_unlock(&counts->lock);
}
