#include "service/ingest/server.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/ingest/admin.h"
#include "service/ingest/beacon.h"
#include "service/ingest/events.h"
#include "service/ingest/people.h"

#define CONNECTION_MEMORY_BYTES (16u * 1024)
#define READ_DEADLINE_MS 30000

/* A connection, as the sweeper sees it. */
struct peer {
    struct peer *before, *after;
    int fd;
    atomic_llong reading_since_ms; /* steady; INT64_MAX: its request is complete and being answered */
};

struct server {
    struct exchange_service *service;
    struct MHD_Daemon *daemon;
    enum server_kind kind;
    int quiesced_fd;
    int64_t deadline_ms;
    pthread_mutex_t lock; /* of the ring */
    struct peer peers;
};

/* Connections */

static void link_peer(struct server *server, struct MHD_Connection *connection, void **slot)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct peer *peer = calloc(1, sizeof *peer);
    *slot = peer;
    if (peer == NULL || info == NULL)
        return;
    peer->fd = info->connect_fd;
    atomic_init(&peer->reading_since_ms, clock_steady_ms());
    pthread_mutex_lock(&server->lock);
    peer->before = server->peers.before;
    peer->after = &server->peers;
    peer->before->after = peer;
    server->peers.before = peer;
    pthread_mutex_unlock(&server->lock);
}

static void unlink_peer(struct server *server, void **slot)
{
    struct peer *peer = *slot;
    *slot = NULL;
    if (peer == NULL)
        return;
    pthread_mutex_lock(&server->lock);
    if (peer->after != NULL) {
        peer->before->after = peer->after;
        peer->after->before = peer->before;
    }
    pthread_mutex_unlock(&server->lock);
    free(peer);
}

static void on_connection(void *argument, struct MHD_Connection *connection, void **slot,
    enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        link_peer(argument, connection, slot);
    else
        unlink_peer(argument, slot);
}

/* Note when connection began to wait for its next request, or that it waits for nothing. */
static void mark(struct MHD_Connection *connection, int64_t reading_since_ms)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct peer *peer = info == NULL ? NULL : info->socket_context;
    if (peer != NULL)
        atomic_store_explicit(&peer->reading_since_ms, reading_since_ms, memory_order_relaxed);
}

void server_sweep(struct server *server)
{
    int64_t limit_ms = clock_steady_ms() - server->deadline_ms;
    pthread_mutex_lock(&server->lock);
    for (struct peer *peer = server->peers.after; peer != &server->peers; peer = peer->after) {
        if (atomic_load_explicit(&peer->reading_since_ms, memory_order_relaxed) < limit_ms)
            (void)shutdown(peer->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->lock);
}

/* Routes */

static enum MHD_Result finish_refusal(struct exchange *exchange)
{
    return exchange_send_refusal(exchange);
}

static enum MHD_Result finish_live(struct exchange *exchange)
{
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    return exchange_send(exchange, MHD_HTTP_OK, strdup("{\"status\":\"pass\"}"));
}

static void begin_live(struct exchange *exchange, const char *method)
{
    exchange->finish = finish_live;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        return;
    exchange->allow = "GET, HEAD";
    exchange_refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", 0);
}

static void begin_unknown(struct exchange *exchange)
{
    exchange->finish = finish_refusal;
    failure_set(&exchange->why, "", "there is nothing at this path");
    exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "not_found", 0);
}

static void route(const struct server *server, struct exchange *exchange, const char *path, const char *method)
{
    exchange->body_limit = BODY_MAX_BYTES;
    exchange->endpoint = metrics_endpoint_of(path);
    bool public = server->kind == SERVER_PUBLIC;
    if (!public && people_begin(exchange, path, method, server->kind == SERVER_ADMIN))
        return;
    if (server->kind == SERVER_ADMIN && admin_begin(exchange, path, method))
        return;
    if (public && strcmp(path, server->service->config->ingest_events_path) == 0) {
        exchange->endpoint = METRICS_ENDPOINT_EVENTS;
        events_begin_public(exchange, method);
        return;
    }
    if (public && strcmp(path, server->service->config->ingest_beacon_path) == 0) {
        exchange->endpoint = METRICS_ENDPOINT_BEACON;
        beacon_begin(exchange, method);
        return;
    }
    if (strcmp(path, "/health/live") == 0)
        begin_live(exchange, method);
    else
        begin_unknown(exchange);
}

/* A body whose end a proxy before us may see elsewhere is refused unread, and with it whatever follows on the
 * connection (RFC 9112, 6.3 and 11.2); libmicrohttpd would take one of the two readings. */
static bool is_ambiguous(struct exchange *exchange)
{
    const struct exchange_framing *framing = &exchange->framing;
    if (framing->lengths + framing->codings <= 1 && !framing->unknown_coding && !framing->odd_name)
        return false;
    exchange->closes = true;
    failure_set(&exchange->why, framing->codings > 0 ? "Transfer-Encoding" : "Content-Length",
        "one Content-Length, or Transfer-Encoding: chunked");
    exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_request", 0);
    return true;
}

/* A declared length beyond the limit is answered before a byte of it is read; the connection ends with that. */
static bool announces_too_much(struct exchange *exchange)
{
    const char *length = exchange->headers[EXCHANGE_CONTENT_LENGTH];
    if (length == NULL || strtoull(length, NULL, 10) <= exchange->body_limit)
        return false;
    failure_set(&exchange->why, "", "the body is longer than %zu bytes", exchange->body_limit);
    exchange_refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "too_large", 0);
    return true;
}

static enum MHD_Result on_request(void *argument, struct MHD_Connection *connection, const char *path,
    const char *method, const char *version, const char *bytes, size_t *size, void **state)
{
    struct server *server = argument;
    struct exchange *exchange = *state;
    (void)version;
    if (exchange == NULL) {
        exchange = exchange_new(server->service, connection);
        if (exchange == NULL)
            return MHD_NO;
        *state = exchange;
        route(server, exchange, path, method);
        bool unreadable = is_ambiguous(exchange) || announces_too_much(exchange);
        return unreadable ? exchange_send_refusal(exchange) : MHD_YES;
    }
    if (*size > 0) {
        size_t given = *size;
        *size = 0;
        bool goes_on = exchange_take(exchange, bytes, given);
        /* libmicrohttpd is done with them, and frees its buffer as it is when the connection closes. */
        explicit_bzero((char *)(uintptr_t)bytes, given);
        return goes_on ? MHD_YES : MHD_NO;
    }
    mark(connection, INT64_MAX);
    return exchange->finish(exchange);
}

static void on_completed(void *argument, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code)
{
    (void)argument;
    (void)code;
    if (*state == NULL)
        return;
    exchange_free(*state);
    *state = NULL;
    mark(connection, clock_steady_ms());
}

/* Start and end */

static struct MHD_Daemon *start_daemon(struct server *server, int fd, unsigned threads, unsigned connections)
{
    const struct config *config = server->service->config;
    const struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)config->ingest_idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

enum result server_start(struct exchange_service *service, int fd, enum server_kind kind, unsigned threads,
    unsigned connections, struct server **out, struct failure *why)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        failure_set(why, "ingest.listen", "memory is short");
        close(fd);
        return RESULT_FAILED;
    }
    server->service = service;
    server->kind = kind;
    server->quiesced_fd = -1;
    server->deadline_ms = READ_DEADLINE_MS + service->config->ingest_idle_s * 1000;
    server->peers.before = server->peers.after = &server->peers;
    pthread_mutex_init(&server->lock, NULL);
    server->daemon = start_daemon(server, fd, threads, connections);
    if (server->daemon == NULL) {
        failure_set(why, "ingest.listen", "the HTTP server cannot be started");
        pthread_mutex_destroy(&server->lock);
        free(server);
        close(fd);
        return RESULT_FAILED;
    }
    *out = server;
    return RESULT_OK;
}

void server_quiesce(struct server *server)
{
    if (server == NULL)
        return;
    if (server->quiesced_fd < 0)
        server->quiesced_fd = MHD_quiesce_daemon(server->daemon);
}

void server_stop(struct server *server)
{
    if (server == NULL)
        return;
    server_quiesce(server);
    MHD_stop_daemon(server->daemon);
    if (server->quiesced_fd >= 0)
        close(server->quiesced_fd);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
