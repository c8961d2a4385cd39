/*
 * The verifier: any bytes as a bundle, and any as a kept checkpoint, come to a verdict; what is not good has a finding that names
 * a place in plain text. Headers are made good first, so that the levels behind the container are reached.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/bundle/archive.h"
#include "compliance/verify/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void hear(void *context, const struct verify_finding *finding)
{
    size_t *count = context;
    require(finding->where[0] != '\0' && finding->what[0] != '\0');
    require(text_plain((struct text_view){finding->where, strlen(finding->where)}));
    require(text_plain((struct text_view){finding->what, strlen(finding->what)}));
    ++*count;
}

/* Give each header the one form of its name and size. */
static void mend(uint8_t *bytes, size_t size)
{
    struct archive_index *index = archive_index_make(bytes, size, NULL, NULL);
    require(index != NULL);
    for (size_t i = 0; i < archive_index_count(index); i++) {
        struct archive_file file = archive_index_file(index, i);
        char name[ARCHIVE_NAME_MAX_BYTES];
        uint64_t room = size - file.offset - ARCHIVE_BLOCK_BYTES;
        if (!file.damaged || !archive_name_valid(file.name))
            continue;
        memcpy(name, file.name.bytes, file.name.length);
        name[file.name.length] = '\0';
        archive_header(name, bytes[file.offset + 130] % (room + 1), bytes + file.offset);
    }
    archive_index_free(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct verify_outcome outcome;
    size_t count = 0;
    uint8_t *bytes = malloc(size + 1);
    require(bytes != NULL && sodium_init() >= 0);
    memcpy(bytes, data, size);
    mend(bytes, size);
    struct text_view since = {(const char *)data, size < 300 ? size : 300};
    struct verify_request request = {
        .bundle = {(const char *)bytes, size}, .since = &since, .found = hear, .context = &count};
    bool good = verify_run(&request, &outcome);
    require(good == (count == 0));
    free(bytes);
    return 0;
}
