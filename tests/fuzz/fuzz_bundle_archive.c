/*
 * Archives: any bytes are indexed without reading beyond them; an archive without a defect is written again byte for byte from
 * what was read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/bundle/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void count_defect(void *context, const struct archive_defect *defect)
{
    size_t *count = context;
    require(defect->what[0] != '\0');
    ++*count;
}

/* Write what index has again, and compare. */
static void write_again(const struct archive_index *index, const uint8_t *data, size_t size)
{
    char *bytes = NULL;
    size_t length = 0;
    struct archive_writer writer;
    FILE *out = open_memstream(&bytes, &length);
    require(out != NULL);
    archive_begin(&writer, out, NULL);
    for (size_t i = 0; i < archive_index_count(index); i++) {
        struct archive_file found, file = archive_index_file(index, i);
        char name[ARCHIVE_NAME_MAX_BYTES];
        require(!file.damaged && file.name.length < sizeof name);
        memcpy(name, file.name.bytes, file.name.length);
        name[file.name.length] = '\0';
        require(archive_index_find(index, name, &found) == RESULT_OK && found.offset == file.offset);
        require(archive_put(&writer, name, file.content.bytes, file.content.length, NULL) == RESULT_OK);
    }
    require(archive_end(&writer, NULL, NULL) == RESULT_OK && fclose(out) == 0);
    require(length == size && memcmp(bytes, data, size) == 0);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t defects = 0, damaged = 0;
    struct archive_index *index = archive_index_make(data, size, count_defect, &defects);
    require(index != NULL);
    for (size_t i = 0; i < archive_index_count(index); i++) {
        struct archive_file file = archive_index_file(index, i);
        damaged += file.damaged;
        require(file.offset + ARCHIVE_BLOCK_BYTES <= size);
        if (!file.damaged)
            require((const uint8_t *)file.content.bytes + file.content.length <= data + size);
    }
    if (defects == 0 && damaged == 0)
        write_again(index, data, size);
    (void)archive_index_lower(index, "log/");
    archive_index_free(index);
    return 0;
}
