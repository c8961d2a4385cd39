/*
 * The tree as it grows: its frontier, and the unfinished tile of each level, so that adding a leaf reads nothing. What
 * changes since the last growth_clear is kept as tiles, for the database and for the copy.
 *
 * Sees:     hashes; growth_add what leaves say.
 * Uses:     compliance/audit.
 * Threads:  one.
 * Failure:  result codes and a struct failure; a growth that failed must be loaded anew.
 */
#ifndef THRONG_SEQUENCER_GROWTH_H
#define THRONG_SEQUENCER_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/tile.h"
#include "compliance/audit/tree.h"

#define GROWTH_LEVELS 8 /* of tiles in a tree of up to 2^63 leaves */

/* A tile with its hashes. */
struct growth_tile {
    struct tile tile;
    uint8_t hashes[TILE_BYTES];
};

/* About 80 KiB and the changed tiles. Zero-initialise: the empty tree. */
struct growth {
    struct tree_frontier frontier;
    uint8_t edge[GROWTH_LEVELS][TILE_BYTES];
    bool touched[GROWTH_LEVELS];
    struct growth_tile *tiles; /* [0..count-1], those that are finished first */
    size_t count, room;
};

/* Become the tree of size leaves that source has. What source returns. */
enum result growth_load(struct growth *growth, const struct tile_source *source, uint64_t size, struct failure *why);

/* Add a leaf of length bytes (borrowed). */
enum result growth_add(struct growth *growth, const void *leaf, size_t length, struct failure *why);

/* Append the unfinished tiles that were touched to tiles, which is then all that changed since growth_clear. */
enum result growth_finish(struct growth *growth, struct failure *why);

/* Forget what changed. */
void growth_clear(struct growth *growth);

/* Free what it owns; it is the empty tree then. */
void growth_free(struct growth *growth);

/* *root: of the tree of size leaves as source has it. */
enum result growth_root(const struct tile_source *source, uint64_t size, struct tree_hash *root, struct failure *why);

#endif
