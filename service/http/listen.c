#include "service/http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Cut "HOST:PORT" or "[HOST]:PORT" in two; false if it is neither. */
static bool split(const char *address, char *host, size_t host_size, char *port, size_t port_size)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] == '\0' || strlen(colon + 1) >= port_size)
        return false;
    size_t length = (size_t)(colon - address);
    if (address[0] == '[' && length >= 3 && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    if (length >= host_size)
        return false;
    memcpy(host, address, length);
    host[length] = '\0';
    (void)snprintf(port, port_size, "%s", colon + 1);
    return true;
}

/* A listening socket on one resolved address, or -1 with errno. */
static int open_one(const struct addrinfo *info)
{
    const int on = 1;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind(fd, info->ai_addr, info->ai_addrlen) == 0 &&
        listen(fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

enum result listen_tcp(const char *address, const char *name, int *fd, struct failure *why)
{
    char host[256], port[16];
    if (!split(address, host, sizeof host, port, sizeof port)) {
        failure_set(why, name, "is not HOST:PORT");
        return RESULT_INVALID;
    }
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        failure_set(why, name, "cannot be resolved: %s", gai_strerror(error));
        return RESULT_INVALID;
    }
    int opened = -1;
    for (const struct addrinfo *info = found; info != NULL && opened < 0; info = info->ai_next)
        opened = open_one(info);
    int saved = errno;
    freeaddrinfo(found);
    if (opened < 0) {
        failure_set(why, name, "cannot be listened on: %s", strerror(saved));
        return RESULT_FAILED;
    }
    *fd = opened;
    return RESULT_OK;
}

enum result listen_unix(const char *path, int *fd, struct failure *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        failure_set(why, "run.directory", "gives a socket path over %zu bytes", sizeof address.sun_path - 1);
        return RESULT_INVALID;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int opened = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened < 0) {
        failure_set(why, "run.directory", "no socket can be made: %s", strerror(errno));
        return RESULT_FAILED;
    }
    (void)unlink(path);
    mode_t before = umask(0177);
    int bound = bind(opened, (const struct sockaddr *)&address, sizeof address);
    int saved = errno;
    (void)umask(before);
    if (bound != 0 || listen(opened, SOMAXCONN) != 0) {
        failure_set(why, "run.directory", "a socket cannot be listened on there: %s", strerror(bound != 0 ? saved : errno));
        close(opened);
        return RESULT_FAILED;
    }
    *fd = opened;
    return RESULT_OK;
}
