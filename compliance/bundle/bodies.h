/*
 * What a bundle holds of its log: where tiles and entry bundles are, the entries by their index, and the lines of a table. A
 * place is kept, so that reading in ascending order looks up each entry bundle once.
 *
 * Sees:     audit leaves, rows of tables.
 * Uses:     compliance/audit/tile.
 * Threads:  a reader belongs to one thread.
 * Failure:  result codes and a struct failure.
 */
#ifndef THRONG_BUNDLE_BODIES_H
#define THRONG_BUNDLE_BODIES_H

#include "compliance/audit/tile.h"
#include "compliance/bundle/archive.h"

#define BODIES_PATH_MAX_BYTES (4 + TILE_PATH_MAX_BYTES)

/* A place in a log. {.index = …, .size = …, .pruned_below = …} is the beginning; index is borrowed. */
struct bodies {
    const struct archive_index *index;
    uint64_t size, pruned_below;
    struct text_view bundle; /* of the entries around next; no bytes: none yet */
    uint64_t next;           /* index of the entry at `at` */
    size_t at;
};

/* The path, with a NUL, of the tile or entry bundle (level, index) in a bundle of a log of size leaves. False if its tree has
 * none. */
bool bodies_path(uint64_t size, int level, uint64_t index, struct tile *tile, char out[BODIES_PATH_MAX_BYTES]);

/* *leaf: entry index, borrowed from the bundle. RESULT_INVALID: it has no body or is not of the log; RESULT_CORRUPT: its file
 * is missing or cut short. */
enum result bodies_read(struct bodies *bodies, uint64_t index, struct text_view *leaf, struct failure *why);

/* The load of a struct tile_source whose context is a struct bodies: the tile as the bundle has it. */
enum result bodies_tile(void *bodies, const struct tile *tile, uint8_t *hashes, struct failure *why);

/* A table with a header, read in order. {.table = …} is the beginning. */
struct bodies_lines {
    struct text_view table, rest;
    uint64_t next;
};

/* *line: row (from 0) of the table, without its newline. RESULT_NOT_FOUND at the end. */
enum result bodies_line(struct bodies_lines *lines, uint64_t row, struct text_view *line);

#endif
