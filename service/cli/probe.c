#include "service/cli/probe.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DOCUMENT_BYTES (64 * 1024)

static int dial(const char *directory, const char *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.status", directory, daemon);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const struct timeval patience = {.tv_sec = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

json_t *probe_status(const char *directory, const char *daemon)
{
    static char text[DOCUMENT_BYTES];
    int fd = dial(directory, daemon);
    if (fd < 0)
        return NULL;
    size_t used = 0;
    ssize_t got = 1;
    while (got > 0 && used < sizeof text) {
        got = read(fd, text + used, sizeof text - used);
        used += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    return got == 0 ? json_loadb(text, used, 0, NULL) : NULL;
}

bool probe_ready(const void *context, pid_t pid)
{
    const struct probe *probe = context;
    json_t *status = probe_status(probe->directory, probe->daemon);
    bool ready = json_is_true(json_object_get(status, "ready")) &&
                 json_integer_value(json_object_get(status, "pid")) == pid;
    json_decref(status);
    return ready;
}

json_int_t probe_metric(const json_t *status, const char *name)
{
    json_int_t sum = 0;
    size_t i;
    json_t *metric;
    json_array_foreach(json_object_get(status, "metrics"), i, metric)
    {
        const char *found = json_string_value(json_object_get(metric, "name"));
        if (found != NULL && strcmp(found, name) == 0)
            sum += json_integer_value(json_object_get(metric, "value"));
    }
    return sum;
}
