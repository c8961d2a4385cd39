/*
 * Bodies as rows of values: what the scanner takes, the loader takes too, and both make the same row of it; what the
 * scanner leaves, it leaves as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "service/ingest/document.h"

#define FIRST 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void compare(const struct document_value *a, const struct document_value *b)
{
    require(a->kind == b->kind && a->count == b->count && a->length == b->length);
    if (a->kind == DOCUMENT_TEXT)
        require(strlen(a->text) == a->count && memcmp(a->text, b->text, a->count + 1) == 0);
    if (a->kind == DOCUMENT_WHOLE)
        require(a->whole == b->whole);
    if (a->kind == DOCUMENT_REAL)
        require(memcmp(&a->real, &b->real, sizeof a->real) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document scanned, loaded;
    struct document_value first[FIRST], second[FIRST];
    struct failure why = {0};
    char *body = malloc(size == 0 ? 1 : size);
    require(body != NULL);
    if (size > 0)
        memcpy(body, data, size);
    document_begin(&scanned, first, FIRST);
    document_begin(&loaded, second, FIRST);
    bool taken = document_scan(&scanned, body, size);
    require(taken || size == 0 || memcmp(body, data, size) == 0);
    enum result result = document_load(&loaded, (const char *)data, size, &why);
    require(result == RESULT_OK || (!taken && why.text[0] != '\0'));
    require(!taken || scanned.count == loaded.count);
    for (size_t i = 0; taken && i < scanned.count; i++)
        compare(&scanned.values[i], &loaded.values[i]);
    document_free(&scanned);
    document_free(&loaded);
    free(body);
    return 0;
}
