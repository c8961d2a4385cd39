/*
 * Checkpoints: any text either is refused with a reason, or is printed again byte for byte.
 */
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint checkpoint;
    struct failure why = {0};
    if (checkpoint_parse((struct text_view){(const char *)data, size}, &checkpoint, &why) != RESULT_OK) {
        require(why.text[0] != '\0');
        return 0;
    }
    char *again = malloc(size);
    require(again != NULL && checkpoint.size <= TREE_SIZE_MAX);
    struct text_writer out = {.bytes = again, .room = size};
    require(checkpoint_print(&checkpoint, &out, &why) == RESULT_OK);
    require(out.length == size && memcmp(again, data, size) == 0);
    free(again);
    return 0;
}
