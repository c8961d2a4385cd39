#include "compliance/sequencer/growth.h"

#include <stdlib.h>
#include <string.h>

static enum result no_memory(struct failure *why)
{
    failure_set(why, "tree", "out of memory");
    return RESULT_FAILED;
}

static enum result restore(
    const struct tile_source *source, uint64_t size, struct tree_frontier *frontier, struct failure *why)
{
    struct tile_reader *tiles = tile_reader_open(source, size);
    if (tiles == NULL)
        return no_memory(why);
    const struct tree_reader reader = {.read = tile_read, .context = tiles};
    enum result result = tree_restore(&reader, size, frontier, why);
    tile_reader_close(tiles);
    return result;
}

enum result growth_root(const struct tile_source *source, uint64_t size, struct tree_hash *root, struct failure *why)
{
    struct tree_frontier frontier = {0};
    enum result result = restore(source, size, &frontier, why);
    if (result == RESULT_OK)
        tree_root(&frontier, root);
    return result;
}

enum result growth_load(struct growth *growth, const struct tile_source *source, uint64_t size, struct failure *why)
{
    growth_clear(growth);
    enum result result = restore(source, size, &growth->frontier, why);
    for (unsigned level = 0; level < GROWTH_LEVELS && result == RESULT_OK; level++) {
        uint64_t nodes = size >> (TILE_HEIGHT * level);
        const struct tile tile = {.level = (int)level, .index = nodes / TILE_WIDTH, .width = (unsigned)(nodes % TILE_WIDTH)};
        if (tile.width > 0)
            result = source->load(source->context, &tile, growth->edge[level], why);
    }
    return result;
}

static enum result keep(struct growth *growth, const struct tile *tile, struct failure *why)
{
    if (growth->count == growth->room) {
        size_t room = growth->room * 2 + 8;
        struct growth_tile *tiles = realloc(growth->tiles, room * sizeof *tiles);
        if (tiles == NULL)
            return no_memory(why);
        growth->tiles = tiles;
        growth->room = room;
    }
    struct growth_tile *kept = &growth->tiles[growth->count++];
    kept->tile = *tile;
    memcpy(kept->hashes, growth->edge[tile->level], tile->width * TREE_HASH_BYTES);
    return RESULT_OK;
}

enum result growth_add(struct growth *growth, const void *leaf, size_t length, struct failure *why)
{
    struct tree_hash hash, nodes[TREE_HEIGHTS];
    size_t count = 0;
    uint64_t before = growth->frontier.size;
    tree_leaf(leaf, length, &hash);
    enum result result = tree_append(&growth->frontier, &hash, nodes, &count, why);
    for (unsigned height = 0; height < count && result == RESULT_OK; height += TILE_HEIGHT) {
        unsigned level = height / TILE_HEIGHT;
        uint64_t node = before >> height;
        const struct tile tile = {.level = (int)level, .index = node / TILE_WIDTH, .width = (unsigned)(node % TILE_WIDTH) + 1};
        memcpy(growth->edge[level] + (size_t)(tile.width - 1) * TREE_HASH_BYTES, nodes[height].bytes, TREE_HASH_BYTES);
        growth->touched[level] = tile.width < TILE_WIDTH;
        if (tile.width == TILE_WIDTH)
            result = keep(growth, &tile, why);
    }
    return result;
}

enum result growth_finish(struct growth *growth, struct failure *why)
{
    enum result result = RESULT_OK;
    for (unsigned level = 0; level < GROWTH_LEVELS && result == RESULT_OK; level++) {
        uint64_t nodes = growth->frontier.size >> (TILE_HEIGHT * level);
        const struct tile tile = {.level = (int)level, .index = nodes / TILE_WIDTH, .width = (unsigned)(nodes % TILE_WIDTH)};
        if (growth->touched[level])
            result = keep(growth, &tile, why);
        growth->touched[level] = false;
    }
    return result;
}

void growth_clear(struct growth *growth)
{
    growth->count = 0;
    memset(growth->touched, 0, sizeof growth->touched);
}

void growth_free(struct growth *growth)
{
    free(growth->tiles);
    *growth = (struct growth){0};
}
