#include "compliance/export/papers.h"

#include <string.h>

#define FOLDER "compliance/export/"

/* What embed.cmake makes arrays of. */
struct embedded_file {
    const char *path, *text;
    size_t length;
};

#include "compliance/export/embedded.inc"

enum result papers_put(const char *name, struct archive_writer *archive, struct failure *why)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(files[i].path + sizeof FOLDER - 1, name) == 0)
            return archive_put(archive, name, files[i].text, files[i].length, why);
    }
    failure_set(why, "bundle", "no such paper is carried");
    return RESULT_NOT_FOUND;
}
