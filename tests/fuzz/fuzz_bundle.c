/*
 * Entry bundles: any bytes either are cut short, or are entries that make the same bytes again; and they are a bundle of
 * their own number of entries only.
 */
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *again = malloc(size + 1);
    require(again != NULL);
    size_t at = 0, used = 0;
    unsigned count = 0;
    struct text_view entry;
    enum result result;
    while ((result = tile_next_entry(data, size, &at, &entry, NULL)) == RESULT_OK) {
        require(tile_put_entry(again, size, &used, entry.bytes, entry.length, NULL) == RESULT_OK);
        count++;
    }
    require(result == RESULT_CORRUPT || (result == RESULT_NOT_FOUND && used == size));
    require(memcmp(again, data, used) == 0);
    struct tree_hash leaves[TILE_WIDTH];
    bool whole = result == RESULT_NOT_FOUND && count <= TILE_WIDTH;
    if (whole) {
        require(tile_leaves(data, size, count, leaves, NULL) == RESULT_OK);
        require(count == 0 || tile_leaves(data, size, count - 1, leaves, NULL) == RESULT_CORRUPT);
    }
    if (count < TILE_WIDTH)
        require(tile_leaves(data, size, count + 1, leaves, NULL) == RESULT_CORRUPT);
    free(again);
    return 0;
}
