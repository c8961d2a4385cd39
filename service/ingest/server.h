/*
 * Ingest's two HTTP servers: the public listener and the admin socket. Routes, connections and their deadlines.
 *
 * Public:  POST, OPTIONS ingest.events_path · GET ingest.beacon_path · GET /health/live
 * Admin:   POST /v1/apps/{app}/events[?mode=import] · GET /v1/keys · POST /v1/keys/{app}/ratchet · GET /v1/node
 *
 * Sees:     requests, while they last; logs none of it.
 * Uses:     libmicrohttpd (an epoll thread pool), exchange, events, beacon, admin.
 * Threads:  its own; server_sweep in one.
 * Failure:  RESULT_FAILED if a daemon cannot be started.
 */
#ifndef THRONG_INGEST_SERVER_H
#define THRONG_INGEST_SERVER_H

#include <stdbool.h>

#include "schema/failure.h"
#include "service/ingest/exchange.h"

struct server;

/* Serve on the listening socket fd (taken) with the given number of threads and connections; admin: the admin routes
 * instead of the public ones. service is borrowed. */
enum result server_start(struct exchange_service *service, int fd, bool admin, unsigned threads, unsigned connections,
    struct server **out, struct failure *why);

/* Close connections that have been sending one request for too long, however steadily. Call each second. */
void server_sweep(struct server *server);

/* Take no new connection. */
void server_quiesce(struct server *server);

/* Close what is left and free. service->ending is set and no request waits for the writer. NULL is allowed. */
void server_stop(struct server *server);

#endif
