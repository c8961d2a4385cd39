/*
 * The JSON texts of a bundle: manifest, policy and consistency proofs are refused, or are read to what is printed again byte for
 * byte. The first byte of the input chooses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/bundle/archive.h"
#include "compliance/bundle/manifest.h"
#include "compliance/bundle/terms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_manifest(struct text_view text)
{
    char *bytes = NULL;
    size_t length = 0, at = 0;
    struct manifest_member member;
    enum result result;
    FILE *out = open_memstream(&bytes, &length);
    require(out != NULL);
    while ((result = manifest_next(text, &at, &member, NULL)) == RESULT_OK) {
        char name[ARCHIVE_NAME_MAX_BYTES];
        memcpy(name, member.name.bytes, member.name.length);
        name[member.name.length] = '\0';
        require(manifest_put(out, name, member.size, member.hash, NULL) == RESULT_OK);
    }
    require(fclose(out) == 0);
    if (result == RESULT_NOT_FOUND)
        require(length + 1 == text.length && memcmp(bytes, text.bytes + 1, length - 1) == 0);
    free(bytes);
}

static void try_terms(struct text_view text)
{
    static struct terms terms;
    static char again[TERMS_MAX_BYTES];
    struct text_writer writer = {.bytes = again, .room = sizeof again};
    struct failure why = {0};
    if (terms_parse(text, &terms, &why) != RESULT_OK) {
        require(why.text[0] != '\0');
        return;
    }
    terms_print(&terms, &writer);
    require(!writer.full && writer.length == text.length && memcmp(again, text.bytes, text.length) == 0);
}

static void try_link(struct text_view text)
{
    static struct terms_link link;
    static char again[TERMS_LINK_MAX_BYTES];
    struct text_writer writer = {.bytes = again, .room = sizeof again};
    if (terms_link_parse(text, &link, NULL) != RESULT_OK)
        return;
    terms_link_print(&link, &writer);
    require(!writer.full && writer.length == text.length && memcmp(again, text.bytes, text.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct text_view text = {(const char *)data + 1, size - 1};
    if (data[0] == 'm')
        try_manifest(text);
    else if (data[0] == 'p')
        try_terms(text);
    else
        try_link(text);
    return 0;
}
