#include "service/base/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

bool durable_write(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t part = write(fd, at, length);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return false;
        at += part;
        length -= (size_t)part;
    }
    return true;
}

/* Close, without losing the errno of what went wrong before. */
static bool finish(int fd, bool done)
{
    int saved = errno;
    if (close(fd) != 0 && done)
        return false;
    errno = saved;
    return done;
}

bool durable_put(const char *fresh, const char *path, const void *bytes, size_t length)
{
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool written = durable_write(fd, bytes, length) && fsync(fd) == 0;
    if (finish(fd, written) && rename(fresh, path) == 0)
        return true;
    int saved = errno;
    (void)unlink(fresh);
    errno = saved;
    return false;
}

bool durable_sync(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && finish(fd, fsync(fd) == 0);
}
