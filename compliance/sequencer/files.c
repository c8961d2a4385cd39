#include "compliance/sequencer/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/durable.h"

static enum result fail(struct failure *why, const char *what, const char *how)
{
    failure_set(why, what, "cannot be %s: %s", how, strerror(errno));
    return RESULT_FAILED;
}

char *files_join(char out[FILES_PATH_BYTES], const char *directory, const char *name)
{
    (void)snprintf(out, FILES_PATH_BYTES, "%s/%s", directory, name);
    return out;
}

enum result files_put(const char *fresh, const char *path, const void *bytes, size_t length, const char *what,
    struct failure *why)
{
    return durable_put(fresh, path, bytes, length) ? RESULT_OK : fail(why, what, "written");
}

enum result files_sync(const char *directory, const char *what, struct failure *why)
{
    return durable_sync(directory) ? RESULT_OK : fail(why, what, "made durable");
}

enum result files_replace(const char *directory, const char *name, const void *bytes, size_t length, struct failure *why)
{
    char path[FILES_PATH_BYTES], fresh[FILES_PATH_BYTES];
    (void)files_join(path, directory, name);
    (void)snprintf(fresh, sizeof fresh, "%s/.%s.new", directory, name);
    enum result result = files_put(fresh, path, bytes, length, name, why);
    return result == RESULT_OK ? files_sync(directory, name, why) : result;
}

static enum result read_open(int fd, uint8_t *out, size_t room, size_t *length, const char *what, struct failure *why)
{
    size_t got = 0;
    uint8_t beyond;
    while (true) {
        ssize_t part = got < room ? read(fd, out + got, room - got) : read(fd, &beyond, 1);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return fail(why, what, "read");
        if (part == 0)
            break;
        if (got == room) {
            failure_set(why, what, "is longer than %zu bytes", room);
            return RESULT_FULL;
        }
        got += (size_t)part;
    }
    *length = got;
    return RESULT_OK;
}

enum result files_read(const char *path, void *out, size_t room, size_t *length, const char *what, struct failure *why)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        failure_set(why, what, "is not there");
        return RESULT_NOT_FOUND;
    }
    if (fd < 0)
        return fail(why, what, "read");
    enum result result = read_open(fd, out, room, length, what, why);
    (void)close(fd);
    return result;
}

static enum result sync_parent(const char *path, const char *what, struct failure *why)
{
    char parent[FILES_PATH_BYTES];
    (void)snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL || slash == parent)
        return RESULT_OK;
    *slash = '\0';
    return files_sync(parent, what, why);
}

enum result files_make_directory(const char *path, const char *what, struct failure *why)
{
    if (mkdir(path, 0700) == 0)
        return sync_parent(path, what, why);
    return errno == EEXIST ? RESULT_OK : fail(why, what, "made");
}
