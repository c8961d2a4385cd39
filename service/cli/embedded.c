#include "service/cli/embedded.h"

#include <string.h>

/* Defines the arrays, and `files` over them. */
#include "service/cli/embedded.inc"

const struct embedded_file *embedded_files(size_t *count)
{
    *count = sizeof files / sizeof *files;
    return files;
}

const struct embedded_file *embedded_find(const char *path)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    }
    return NULL;
}
