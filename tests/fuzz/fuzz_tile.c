/*
 * Tile paths: any path either is refused with a reason, or is printed again byte for byte.
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
    struct tile tile;
    struct failure why = {0};
    char again[TILE_PATH_MAX_BYTES];
    if (tile_parse((struct text_view){(const char *)data, size}, &tile, &why) != RESULT_OK) {
        require(why.text[0] != '\0');
        return 0;
    }
    require(tile_print(&tile, again, &why) == RESULT_OK);
    require(strlen(again) == size && memcmp(again, data, size) == 0);
    require(tile_width(tile.level, tile.index, TREE_SIZE_MAX) <= TILE_WIDTH);
    return 0;
}
