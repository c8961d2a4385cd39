#include "service/ingest/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum result refuse(const char *name, const char *what, struct failure *why)
{
    failure_set(why, "ingest.state", "its file `%s` %s: %s", name, what, strerror(errno));
    return RESULT_FAILED;
}

static bool write_synced(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t part = write(fd, bytes, length);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return false;
        bytes += part;
        length -= (size_t)part;
    }
    return fsync(fd) == 0;
}

static bool sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = fsync(fd) == 0;
    (void)close(fd);
    return done;
}

enum result keep_store(const char *directory, const char *name, const void *bytes, size_t length, struct failure *why)
{
    char path[KEEP_PATH_BYTES], fresh[KEEP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)snprintf(fresh, sizeof fresh, "%s/%s.new", directory, name);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return refuse(name, "cannot be made", why);
    bool done = write_synced(fd, bytes, length);
    enum result result = done ? RESULT_OK : refuse(name, "cannot be written", why);
    (void)close(fd);
    if (done && (rename(fresh, path) != 0 || !sync_directory(directory)))
        result = refuse(name, "cannot be replaced", why);
    if (result != RESULT_OK)
        (void)unlink(fresh);
    return result;
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
