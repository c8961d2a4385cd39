#include "compliance/bundle/bodies.h"

#include <string.h>

bool bodies_path(uint64_t size, int level, uint64_t index, struct tile *tile, char out[BODIES_PATH_MAX_BYTES])
{
    *tile = (struct tile){level, index, tile_width(level, index, size)};
    memcpy(out, "log/", 4);
    return tile->width > 0 && tile_print(tile, out + 4, NULL) == RESULT_OK;
}

static enum result open_bundle(struct bodies *bodies, uint64_t index, struct failure *why)
{
    struct tile tile;
    struct archive_file file;
    char path[BODIES_PATH_MAX_BYTES];
    if (!bodies_path(bodies->size, TILE_ENTRIES, index / TILE_WIDTH, &tile, path) ||
        archive_index_find(bodies->index, path, &file) != RESULT_OK) {
        failure_set(why, "log", "an entry bundle is missing");
        return RESULT_CORRUPT;
    }
    bodies->bundle = file.content;
    bodies->next = index - index % TILE_WIDTH;
    bodies->at = 0;
    return RESULT_OK;
}

enum result bodies_read(struct bodies *bodies, uint64_t index, struct text_view *leaf, struct failure *why)
{
    if (index >= bodies->size || index < bodies->pruned_below) {
        failure_set(why, "log", "an entry is asked for that has no body");
        return RESULT_INVALID;
    }
    bool behind = bodies->bundle.bytes == NULL || index < bodies->next || bodies->next % TILE_WIDTH == 0 ||
                  index / TILE_WIDTH != bodies->next / TILE_WIDTH;
    enum result result = behind ? open_bundle(bodies, index, why) : RESULT_OK;
    while (result == RESULT_OK && bodies->next <= index) {
        result =
            tile_next_entry((const uint8_t *)bodies->bundle.bytes, bodies->bundle.length, &bodies->at, leaf, why);
        bodies->next++;
    }
    if (result == RESULT_OK)
        return RESULT_OK;
    bodies->bundle = (struct text_view){0};
    failure_set(why, "log", "an entry bundle is cut short");
    return RESULT_CORRUPT;
}

enum result bodies_tile(void *context, const struct tile *tile, uint8_t *hashes, struct failure *why)
{
    struct bodies *bodies = context;
    struct tile whole;
    struct archive_file file;
    char path[BODIES_PATH_MAX_BYTES];
    if (!bodies_path(bodies->size, tile->level, tile->index, &whole, path) || whole.width < tile->width ||
        archive_index_find(bodies->index, path, &file) != RESULT_OK ||
        file.content.length != whole.width * (size_t)TREE_HASH_BYTES) {
        failure_set(why, "tile", "a tile of the tree is missing or of another length");
        return RESULT_CORRUPT;
    }
    memcpy(hashes, file.content.bytes, tile->width * (size_t)TREE_HASH_BYTES);
    return RESULT_OK;
}

enum result bodies_line(struct bodies_lines *lines, uint64_t row, struct text_view *line)
{
    if (row < lines->next || lines->rest.bytes == NULL) {
        lines->rest = lines->table;
        lines->next = 0;
        if (!text_line(&lines->rest, line))
            return RESULT_NOT_FOUND;
    }
    for (;;) {
        if (!text_line(&lines->rest, line))
            return RESULT_NOT_FOUND;
        if (lines->next++ == row)
            return RESULT_OK;
    }
}
