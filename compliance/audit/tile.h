/*
 * Tiles: the tree and the entries of a log as files that never change (C2SP tlog-tiles, "Merkle Tree", "Log entries").
 *
 *   tile/LEVEL/INDEX[.p/WIDTH]     WIDTH·32 bytes: the nodes (8·LEVEL, 256·INDEX + i) for i = 0 to WIDTH-1
 *   tile/entries/INDEX[.p/WIDTH]   WIDTH entries, each after its length as two bytes, big-endian
 *
 * LEVEL is 0 to 63. INDEX is written in groups of three digits, all but the last after an x: 1234067 is x001/x234/067.
 * A full tile has width 256 and no .p; a partial one 1 to 255. A path is in this one form or refused.
 *
 * Sees:     hashes; entry bundles hold audit leaves.
 * Uses:     libsodium through tree.h.
 * Threads:  every function may run anywhere; a struct tile_reader belongs to one thread.
 * Failure:  result codes and a struct failure; outputs are untouched on failure, unless the contract says otherwise.
 */
#ifndef THRONG_AUDIT_TILE_H
#define THRONG_AUDIT_TILE_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/text.h"
#include "compliance/audit/tree.h"
#include "schema/failure.h"

#define TILE_WIDTH 256 /* hashes or entries of a full tile */
#define TILE_HEIGHT 8  /* levels of the tree that one level of tiles stands for */
#define TILE_BYTES (TILE_WIDTH * TREE_HASH_BYTES)
#define TILE_LEVEL_MAX 63
#define TILE_ENTRIES (-1) /* the level of an entry bundle */
#define TILE_ENTRY_MAX_BYTES 65535
#define TILE_BUNDLE_MAX_BYTES (TILE_WIDTH * (2 + TILE_ENTRY_MAX_BYTES))
#define TILE_PATH_MAX_BYTES 64 /* with the NUL */

struct tile {
    int level;      /* TILE_ENTRIES, or 0 to TILE_LEVEL_MAX */
    uint64_t index; /* 0 to 2^63 - 1 */
    unsigned width; /* 1 to TILE_WIDTH */
};

/* How many hashes or entries tile (level, index) has in a tree of size leaves: 0 to TILE_WIDTH, 0 if it does not exist.
 * A server has a tile of any width up to that one. */
unsigned tile_width(int level, uint64_t index, uint64_t size);

/* Write the path of tile with a NUL, beginning with "tile/". RESULT_INVALID: a level, index or width out of range. */
enum result tile_print(const struct tile *tile, char out[TILE_PATH_MAX_BYTES], struct failure *why);

/* Parse a path that begins with "tile/". RESULT_INVALID if it is not in the one form. */
enum result tile_parse(struct text_view path, struct tile *tile, struct failure *why);

/* Where tiles come from. load writes the tile's width·32 bytes to hashes, or fails with a code of its own. It may serve a
 * partial tile from the beginning of a wider one. Only tiles of level 0 to 7 are asked for. */
struct tile_source {
    enum result (*load)(void *context, const struct tile *tile, uint8_t *hashes, struct failure *why);
    void *context;
};

/* Reads the nodes of a tree from its tiles. Keeps the last tile of each level, so that a proof loads one or two a level. */
struct tile_reader;

/* Read a tree of size leaves (up to TREE_SIZE_MAX) from source, which is copied. Owned by the caller until
 * tile_reader_close; NULL if there is no memory. */
struct tile_reader *tile_reader_open(const struct tile_source *source, uint64_t size);
/* Free; NULL is allowed. */
void tile_reader_close(struct tile_reader *reader);

/* The read of a struct tree_reader whose context is a struct tile_reader. RESULT_INVALID if the node is not in its tree;
 * what load returns. Nothing here is verified: the root that comes out must be the checkpoint's. */
enum result tile_read(void *reader, unsigned height, uint64_t index, struct tree_hash *out, struct failure *why);

/* Append an entry of length bytes to the bundle of *used bytes, which has room for room. RESULT_FULL: longer than
 * TILE_ENTRY_MAX_BYTES, or no room; nothing is appended then. */
enum result tile_put_entry(
    uint8_t *bundle, size_t room, size_t *used, const void *entry, size_t length, struct failure *why);

/* The entry at *at (begin with 0) of a bundle of length bytes: *entry borrows it, *at moves behind it. RESULT_NOT_FOUND at
 * the end; RESULT_CORRUPT if the bundle is cut short. */
enum result tile_next_entry(
    const uint8_t *bundle, size_t length, size_t *at, struct text_view *entry, struct failure *why);

/* Hash the entries of a bundle, which must be exactly width (at most TILE_WIDTH) of them and no byte more, to
 * leaves[0..width-1]. RESULT_CORRUPT; leaves are undefined then. */
enum result tile_leaves(
    const uint8_t *bundle, size_t length, unsigned width, struct tree_hash *leaves, struct failure *why);

#endif
