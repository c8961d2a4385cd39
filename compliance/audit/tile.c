#include "compliance/audit/tile.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 8 /* of tiles in a tree of up to 2^63 leaves */
#define INDEX_MAX_GROUPS 7

static enum result refuse(struct failure *why, const char *text)
{
    failure_set(why, "tile", "%s", text);
    return RESULT_INVALID;
}

unsigned tile_width(int level, uint64_t index, uint64_t size)
{
    if (level >= LEVELS || level < TILE_ENTRIES)
        return 0;
    uint64_t nodes = level == TILE_ENTRIES ? size : size >> (TILE_HEIGHT * (unsigned)level);
    if (index > nodes / TILE_WIDTH)
        return 0;
    uint64_t left = nodes - index * TILE_WIDTH;
    return left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
}

static bool tile_valid(const struct tile *tile)
{
    return tile->level >= TILE_ENTRIES && tile->level <= TILE_LEVEL_MAX && tile->index <= INT64_MAX && tile->width >= 1 &&
           tile->width <= TILE_WIDTH;
}

enum result tile_print(const struct tile *tile, char out[TILE_PATH_MAX_BYTES], struct failure *why)
{
    if (!tile_valid(tile))
        return refuse(why, "the tile has a level, index or width that none may have");
    struct text_writer writer = {.bytes = out, .room = TILE_PATH_MAX_BYTES};
    text_puts(&writer, "tile/");
    if (tile->level == TILE_ENTRIES)
        text_puts(&writer, "entries");
    else
        text_put_decimal(&writer, (uint64_t)tile->level);
    uint64_t unit = 1;
    while (tile->index / unit >= 1000)
        unit *= 1000;
    for (; unit > 0; unit /= 1000) {
        char group[8];
        (void)snprintf(group, sizeof group, "/%s%03u", unit > 1 ? "x" : "", (unsigned)(tile->index / unit % 1000));
        text_puts(&writer, group);
    }
    if (tile->width < TILE_WIDTH) {
        text_puts(&writer, ".p/");
        text_put_decimal(&writer, tile->width);
    }
    text_put(&writer, "", 1);
    assert(!writer.full);
    return RESULT_OK;
}

static bool take_group(struct text_view *path, unsigned *group)
{
    if (path->length < 3)
        return false;
    unsigned value = 0;
    for (size_t i = 0; i < 3; i++) {
        if (path->bytes[i] < '0' || path->bytes[i] > '9')
            return false;
        value = value * 10 + (unsigned)(path->bytes[i] - '0');
    }
    *path = (struct text_view){path->bytes + 3, path->length - 3};
    *group = value;
    return true;
}

/* x001/x234/067; no group before the first that is not zero. */
static bool take_index(struct text_view *path, uint64_t *index)
{
    uint64_t sum = 0;
    for (unsigned groups = 0; groups < INDEX_MAX_GROUPS; groups++) {
        bool more = text_skip(path, "x");
        unsigned group = 0;
        if (!take_group(path, &group) || sum > ((uint64_t)INT64_MAX - group) / 1000)
            return false;
        sum = sum * 1000 + group;
        if (!more) {
            *index = sum;
            return true;
        }
        if (sum == 0 || !text_skip(path, "/"))
            return false;
    }
    return false;
}

static bool take_level(struct text_view *path, int *level)
{
    if (text_skip(path, "entries/")) {
        *level = TILE_ENTRIES;
        return true;
    }
    const char *slash = path->length == 0 ? NULL : memchr(path->bytes, '/', path->length);
    uint64_t value = 0;
    if (slash == NULL || !text_decimal((struct text_view){path->bytes, (size_t)(slash - path->bytes)}, &value) ||
        value > TILE_LEVEL_MAX)
        return false;
    *path = (struct text_view){slash + 1, path->length - (size_t)(slash - path->bytes) - 1};
    *level = (int)value;
    return true;
}

enum result tile_parse(struct text_view path, struct tile *tile, struct failure *why)
{
    struct tile parsed = {.width = TILE_WIDTH};
    if (!text_skip(&path, "tile/") || !take_level(&path, &parsed.level))
        return refuse(why, "the path does not begin with tile/ and a level of 0 to 63 or entries");
    if (!take_index(&path, &parsed.index))
        return refuse(why, "the index of the tile is not in groups of three digits, or is too large");
    if (path.length > 0) {
        uint64_t width = 0;
        if (!text_skip(&path, ".p/") || !text_decimal(path, &width) || width == 0 || width >= TILE_WIDTH)
            return refuse(why, "the width of the tile is not .p/ and 1 to 255");
        parsed.width = (unsigned)width;
    }
    *tile = parsed;
    return RESULT_OK;
}

/* The last tile that was loaded of one level; width 0: none. */
struct kept {
    struct tile tile;
    uint8_t hashes[TILE_BYTES];
};

struct tile_reader {
    struct tile_source source;
    uint64_t size;
    struct kept kept[LEVELS];
};

struct tile_reader *tile_reader_open(const struct tile_source *source, uint64_t size)
{
    struct tile_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->source = *source;
    reader->size = size;
    return reader;
}

void tile_reader_close(struct tile_reader *reader)
{
    free(reader);
}

static enum result keep(struct tile_reader *reader, unsigned level, uint64_t index, struct failure *why)
{
    struct kept *kept = &reader->kept[level];
    if (kept->tile.width > 0 && kept->tile.index == index)
        return RESULT_OK;
    struct tile wanted = {.level = (int)level, .index = index, .width = tile_width((int)level, index, reader->size)};
    kept->tile.width = 0; /* a load that fails may have written half of it */
    enum result result = reader->source.load(reader->source.context, &wanted, kept->hashes, why);
    if (result == RESULT_OK)
        kept->tile = wanted;
    return result;
}

enum result tile_read(void *context, unsigned height, uint64_t index, struct tree_hash *out, struct failure *why)
{
    struct tile_reader *reader = context;
    if (height >= TREE_HEIGHTS || index >= reader->size >> height)
        return refuse(why, "the node is not in the tree");
    unsigned level = height / TILE_HEIGHT, inner = height % TILE_HEIGHT;
    uint64_t first = index << inner; /* of the hashes below the node at this level of tiles */
    enum result result = keep(reader, level, first / TILE_WIDTH, why);
    if (result != RESULT_OK)
        return result;
    struct tree_frontier frontier = {0};
    for (uint64_t i = first % TILE_WIDTH, end = i + ((uint64_t)1 << inner); i < end; i++) {
        struct tree_hash hash, nodes[TREE_HEIGHTS];
        size_t count = 0;
        memcpy(hash.bytes, reader->kept[level].hashes + i * TREE_HASH_BYTES, TREE_HASH_BYTES);
        (void)tree_append(&frontier, &hash, nodes, &count, NULL); /* at most 128: never full */
    }
    tree_root(&frontier, out);
    return RESULT_OK;
}

enum result tile_put_entry(
    uint8_t *bundle, size_t room, size_t *used, const void *entry, size_t length, struct failure *why)
{
    if (length > TILE_ENTRY_MAX_BYTES || *used > room || room - *used < length + 2) {
        failure_set(why, "entry", "an entry of %zu bytes has no room; none may have more than %d", length,
            TILE_ENTRY_MAX_BYTES);
        return RESULT_FULL;
    }
    bundle[*used] = (uint8_t)(length >> 8);
    bundle[*used + 1] = (uint8_t)(length & 0xff);
    if (length > 0)
        memcpy(bundle + *used + 2, entry, length);
    *used += length + 2;
    return RESULT_OK;
}

static enum result corrupt(struct failure *why, const char *text)
{
    failure_set(why, "entry", "%s", text);
    return RESULT_CORRUPT;
}

enum result tile_next_entry(
    const uint8_t *bundle, size_t length, size_t *at, struct text_view *entry, struct failure *why)
{
    if (*at == length) {
        failure_set(why, "entry", "the bundle has no more entries");
        return RESULT_NOT_FOUND;
    }
    if (*at > length || length - *at < 2)
        return corrupt(why, "the bundle is cut short");
    size_t bytes = (size_t)bundle[*at] << 8 | bundle[*at + 1];
    if (length - *at - 2 < bytes)
        return corrupt(why, "the bundle is cut short");
    *entry = (struct text_view){(const char *)bundle + *at + 2, bytes};
    *at += bytes + 2;
    return RESULT_OK;
}

enum result tile_leaves(
    const uint8_t *bundle, size_t length, unsigned width, struct tree_hash *leaves, struct failure *why)
{
    size_t at = 0;
    for (unsigned i = 0; i < width; i++) {
        struct text_view entry;
        enum result result = tile_next_entry(bundle, length, &at, &entry, why);
        if (result != RESULT_OK)
            return RESULT_CORRUPT;
        tree_leaf(entry.bytes, entry.length, &leaves[i]);
    }
    return at == length ? RESULT_OK : corrupt(why, "the bundle has more entries than it should");
}
