#include "service/base/status.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/metrics.h"

#define DOCUMENT_BYTES 32768
#define CLIENT_MS 1000 /* for a client that does not read */

static struct {
    struct sockaddr_un address;
    const char *daemon;
    int64_t started_ms;
    int listener;
    int stop;
    bool running;
    pthread_t thread;
    atomic_bool ready;
} status;

/* A document under way; what does not fit is left out, and `used` stays within bounds. */
struct document {
    size_t used;
    char bytes[DOCUMENT_BYTES];
};

__attribute__((format(printf, 2, 3))) static bool append(struct document *document, const char *format, ...)
{
    size_t room = sizeof document->bytes - document->used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(document->bytes + document->used, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room)
        return false;
    document->used += (size_t)length;
    return true;
}

static void append_quoted(struct document *document, const char *text)
{
    (void)append(document, "\"");
    for (; *text != '\0'; text++)
        (void)append(document, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    (void)append(document, "\"");
}

static void append_metric(struct document *document, enum metric_id id, bool first)
{
    const struct metric_info *info = metrics_info(id);
    (void)append(document, "%s{\"name\":\"%s\",\"label\":", first ? "" : ",", info->name);
    append_quoted(document, info->label);
    (void)append(document, ",\"value\":%lld}", (long long)metrics_get(id));
}

static void compose(struct document *document)
{
    document->used = 0;
    (void)append(document, "{\"daemon\":\"%s\",\"version\":\"" THRONG_VERSION "\",\"pid\":%ld,\"uptime_ms\":%lld,",
        status.daemon, (long)getpid(), (long long)(clock_steady_ms() - status.started_ms));
    (void)append(document, "\"ready\":%s,\"metrics\":[", atomic_load(&status.ready) ? "true" : "false");
    bool first = true;
    for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
        if (!metrics_touched(id))
            continue;
        append_metric(document, id, first);
        first = false;
    }
    (void)append(document, "]}\n");
}

/* Wait until fd can take bytes, or the deadline. */
static bool writable(int fd, int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_steady_ms();
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    return left > 0 && (poll(&ready, 1, (int)left) > 0 || errno == EINTR);
}

static void serve(int client)
{
    struct document document;
    compose(&document);
    int64_t deadline_ms = clock_steady_ms() + CLIENT_MS;
    size_t sent = 0;
    while (sent < document.used) {
        ssize_t n = send(client, document.bytes + sent, document.used - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            sent += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return;
        else if (!writable(client, deadline_ms))
            return;
    }
}

static void *run(void *unused)
{
    (void)unused;
    for (;;) {
        struct pollfd waiting[] = {{.fd = status.listener, .events = POLLIN}, {.fd = status.stop, .events = POLLIN}};
        if (poll(waiting, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (waiting[1].revents != 0)
            return NULL;
        int client = accept4(status.listener, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) {
            serve(client);
            (void)close(client);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
            (void)poll(&waiting[1], 1, 100); /* the connection stays pending: do not spin */
        }
    }
}

/* Remove what a dead process left at the address. False if somebody answers there, or it is no socket. */
static bool clear_stale(void)
{
    struct stat about;
    if (lstat(status.address.sun_path, &about) != 0)
        return errno == ENOENT;
    if (!S_ISSOCK(about.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool alive = connect(fd, (const struct sockaddr *)&status.address, sizeof status.address) == 0 || errno == EAGAIN;
    (void)close(fd);
    return !alive && unlink(status.address.sun_path) == 0;
}

static enum result open_listener(struct failure *why)
{
    if (!clear_stale()) {
        failure_set(
            why, "run.directory", "another process serves the status socket, or what lies there is no socket");
        return RESULT_FAILED;
    }
    status.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* On Linux the mode of the socket before bind(2) is the mode of the file: never more than 0600, without touching
     * the umask. */
    if (status.listener < 0 || fchmod(status.listener, 0600) != 0 ||
        bind(status.listener, (const struct sockaddr *)&status.address, sizeof status.address) != 0 ||
        listen(status.listener, 16) != 0) {
        failure_set(why, "run.directory", "cannot make the status socket there: %s", strerrordesc_np(errno));
        return RESULT_FAILED;
    }
    return RESULT_OK;
}

static void close_all(void)
{
    if (status.listener >= 0)
        (void)close(status.listener);
    if (status.stop >= 0)
        (void)close(status.stop);
    status.listener = -1;
    status.stop = -1;
}

enum result status_start(const char *directory, const char *daemon, struct failure *why)
{
    status.address.sun_family = AF_UNIX;
    int length = snprintf(status.address.sun_path, sizeof status.address.sun_path, "%s/%s.status", directory, daemon);
    if (length < 0 || (size_t)length >= sizeof status.address.sun_path) {
        failure_set(why, "run.directory", "too long for a unix socket: at most 80 bytes");
        return RESULT_INVALID;
    }
    status.daemon = daemon;
    status.started_ms = clock_steady_ms();
    status.listener = -1;
    status.stop = -1;
    enum result result = open_listener(why);
    if (result != RESULT_OK)
        goto failed;
    result = RESULT_FAILED;
    status.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (status.stop < 0 || pthread_create(&status.thread, NULL, run, NULL) != 0) {
        failure_set(why, "", "cannot start the status thread");
        (void)unlink(status.address.sun_path);
        goto failed;
    }
    status.running = true;
    return RESULT_OK;

failed:
    close_all();
    return result;
}

void status_ready(bool ready)
{
    atomic_store(&status.ready, ready);
}

void status_stop(void)
{
    if (!status.running)
        return;
    (void)!write(status.stop, &(uint64_t){1}, sizeof(uint64_t));
    (void)pthread_join(status.thread, NULL);
    (void)unlink(status.address.sun_path);
    close_all();
    status.running = false;
}
