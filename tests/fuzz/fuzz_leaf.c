/*
 * Leaves read back: what parses is in its one form, so that putting it together again gives its bytes; its data lie where they
 * are said to lie.
 */
#include <stdlib.h>
#include <string.h>

#include "compliance/meaning/parsed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parsed leaf;
    struct failure why = {0};
    const struct text_view bytes = {(const char *)data, size};
    if (parsed_read(bytes, &leaf, &why) != RESULT_OK) {
        require(why.text[0] != '\0' && leaf.root == NULL);
        return 0;
    }
    require(leaf.known == (leaf.why.text[0] == '\0'));
    json_t *root = json_loadb(bytes.bytes, size, JSON_REJECT_DUPLICATES, NULL);
    char *again = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    require(again != NULL && strlen(again) == size && memcmp(again, data, size) == 0);
    require(json_equal(json_object_get(root, "data"), leaf.data) == 1);
    free(again);
    json_decref(root);
    char *members = json_dumps(leaf.data, JSON_COMPACT | JSON_SORT_KEYS);
    require(members != NULL && strlen(members) == leaf.data_text.length
        && memcmp(members, leaf.data_text.bytes, leaf.data_text.length) == 0);
    free(members);
    char id[PARSED_UUID_BYTES];
    require(strcmp(parsed_format_uuid(leaf.id, id), leaf.id_text) == 0);
    parsed_free(&leaf);
    return 0;
}
