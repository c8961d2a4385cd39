#include "compliance/sequencer/scrub.h"

#include <stdbool.h>
#include <string.h>

static enum result refuse(struct failure *why, const char *text)
{
    failure_set(why, "audit", "%s", text);
    return RESULT_CORRUPT;
}

/* The database's leaves of the bundle against its tile, which is the copy's. Pruned ones have no body. */
static enum result check_leaves(
    struct db *db, uint64_t index, unsigned width, struct database_batch *batch, const uint8_t *hashes, struct failure *why)
{
    for (unsigned at = 0; at < width;) {
        enum result result = database_entries(db, index * TILE_WIDTH + at, width - at, batch, why);
        if (result != RESULT_OK)
            return result;
        bool same = true;
        for (size_t i = 0; i < batch->count && same; i++) {
            struct tree_hash hash;
            if (batch->leaves[i].bytes == NULL)
                continue;
            tree_leaf(batch->leaves[i].bytes, batch->leaves[i].length, &hash);
            same = memcmp(hash.bytes, hashes + (at + i) * TREE_HASH_BYTES, TREE_HASH_BYTES) == 0;
        }
        at += (unsigned)batch->count;
        database_release(batch);
        if (!same)
            return refuse(why, "a leaf in the database is not the one that was signed");
    }
    return RESULT_OK;
}

/* Load tile from both; they must be alike. */
static enum result load_both(
    struct db *db, struct mirror *mirror, const struct tile *tile, uint8_t *hashes, struct failure *why)
{
    uint8_t other[TILE_BYTES];
    const struct tile_source stored = database_source(db), copied = mirror_source(mirror);
    enum result result = stored.load(stored.context, tile, hashes, why);
    if (result == RESULT_OK)
        result = copied.load(copied.context, tile, other, why);
    if (result == RESULT_OK && memcmp(hashes, other, tile->width * TREE_HASH_BYTES) != 0)
        return refuse(why, "a tile in the database is not that of the copy of the log");
    return result;
}

/* A whole tile's root stands in the tile above. */
static enum result check_above(struct db *db, struct mirror *mirror, uint64_t index, const uint8_t *hashes, struct failure *why)
{
    uint8_t above[TILE_BYTES];
    struct tree_frontier frontier = {0};
    struct tree_hash root, nodes[TREE_HEIGHTS];
    size_t count = 0;
    for (size_t i = 0; i < TILE_WIDTH; i++) {
        struct tree_hash hash;
        memcpy(hash.bytes, hashes + i * TREE_HASH_BYTES, TREE_HASH_BYTES);
        enum result result = tree_append(&frontier, &hash, nodes, &count, why);
        if (result != RESULT_OK)
            return result;
    }
    tree_root(&frontier, &root);
    const struct tile tile = {1, index / TILE_WIDTH, (unsigned)(index % TILE_WIDTH) + 1};
    enum result result = load_both(db, mirror, &tile, above, why);
    if (result == RESULT_OK && memcmp(above + (index % TILE_WIDTH) * TREE_HASH_BYTES, root.bytes, TREE_HASH_BYTES) != 0)
        return refuse(why, "the database's tiles do not belong together");
    return result;
}

enum result scrub_step(struct db *db, struct mirror *mirror, uint64_t size, struct database_batch *batch, uint64_t *next,
    struct failure *why)
{
    uint8_t hashes[TILE_BYTES];
    if (size == 0)
        return RESULT_OK;
    uint64_t last = (size - 1) / TILE_WIDTH;
    if (*next > last)
        *next = last;
    const struct tile tile = {0, *next, tile_width(0, *next, size)};
    enum result result = load_both(db, mirror, &tile, hashes, why);
    if (result == RESULT_OK)
        result = check_leaves(db, tile.index, tile.width, batch, hashes, why);
    if (result == RESULT_OK && tile.width == TILE_WIDTH)
        result = check_above(db, mirror, tile.index, hashes, why);
    if (result == RESULT_OK)
        *next = *next == 0 ? last : *next - 1;
    return result;
}
