#include "service/ingest/keep.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/durable.h"

static enum result refuse(const char *name, const char *what, struct failure *why)
{
    failure_set(why, "ingest.state", "its file `%s` %s: %s", name, what, strerror(errno));
    return RESULT_FAILED;
}

enum result keep_store(const char *directory, const char *name, const void *bytes, size_t length, struct failure *why)
{
    char path[KEEP_PATH_BYTES], fresh[KEEP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)snprintf(fresh, sizeof fresh, "%s/%s.new", directory, name);
    if (!durable_put(fresh, path, bytes, length) || !durable_sync(directory))
        return refuse(name, "cannot be written", why);
    return RESULT_OK;
}

enum result keep_load(const char *directory, const char *name, size_t most, char **text, struct failure *why)
{
    char path[KEEP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == ENOENT)
        return RESULT_NOT_FOUND;
    if (file == NULL)
        return refuse(name, "cannot be read", why);
    char *read = malloc(most + 2);
    size_t length = read == NULL ? 0 : fread(read, 1, most + 1, file);
    bool failed = read == NULL || ferror(file) != 0;
    (void)fclose(file);
    if (!failed && length <= most) {
        read[length] = '\0';
        *text = read;
        return RESULT_OK;
    }
    free(read);
    failure_set(why, "ingest.state", "its file `%s` cannot be read, or is longer than %zu bytes", name, most);
    return failed ? RESULT_FAILED : RESULT_CORRUPT;
}
