#include "service/aggregate/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct fold_app *shard_find_app(void *context, uint32_t app)
{
    struct shard *shard = context;
    size_t low = 0;
    size_t high = shard->app_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (shard->apps[middle].app < app)
            low = middle + 1;
        else
            high = middle;
    }
    return low < shard->app_count && shard->apps[low].app == app ? &shard->apps[low] : NULL;
}

struct shard_node *shard_node(struct shard *shard, uint64_t node)
{
    for (size_t i = 0; i < shard->node_count; i++) {
        if (shard->nodes[i].node == node)
            return &shard->nodes[i];
    }
    struct shard_node *nodes = realloc(shard->nodes, (shard->node_count + 1) * sizeof *nodes);
    assert(nodes != NULL);
    shard->nodes = nodes;
    struct shard_node *added = &nodes[shard->node_count++];
    *added = (struct shard_node){.node = node, .next_n = -1};
    return added;
}

int64_t shard_watermark(const struct shard *shard)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < shard->node_count; i++) {
        const struct shard_node *node = &shard->nodes[i];
        if (!node->ended && !directory_is_retired(shard->directory, node->node) && node->watermark_ms < least)
            least = node->watermark_ms;
    }
    return least == INT64_MAX ? INT64_MIN : least - SHARD_CLOCK_SLACK_MS;
}

int64_t shard_lost(const struct shard *shard)
{
    int64_t lost = 0;
    for (size_t i = 0; i < shard->node_count; i++) {
        const struct shard_node *node = &shard->nodes[i];
        if (node->next_n > 0)
            lost += node->next_n - ranges_count_below(&node->applied, node->next_n);
    }
    return lost;
}

void shard_reset(struct shard *shard)
{
    for (size_t i = 0; i < shard->node_count; i++)
        ranges_clear(&shard->nodes[i].applied);
    free(shard->nodes);
    free(shard->apps);
    live_clear(&shard->live);
    fold_clear(&shard->fold);
    forgotten_clear(&shard->fold.forgotten);
    struct fold fold = shard->fold;
    *shard = (struct shard){.number = shard->number, .fold = fold};
}
