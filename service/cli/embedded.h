/*
 * Files that the binary carries: the migrations (schema/sql), the example apps (schema/apps) and the
 * beacon's hash (api/beacon/embedded).
 *
 * Uses:     the build, which writes embedded.inc from the files.
 * Threads:  constants.
 */
#ifndef THRONG_CLI_EMBEDDED_H
#define THRONG_CLI_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *path; /* in the tree: "schema/sql/0001_roles.sql" */
    const char *text; /* NUL-terminated */
    size_t length;    /* without the NUL */
};

/* All files, in ascending order of path. */
const struct embedded_file *embedded_files(size_t *count);

/* One file by path, or NULL. */
const struct embedded_file *embedded_find(const char *path);

#endif
