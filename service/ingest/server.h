/*
 * Ingest's HTTP servers: the public listener, the admin socket, and the private listener for people's requests. Routes,
 * connections and their deadlines.
 *
 * Public:  POST, OPTIONS ingest.events_path · GET ingest.beacon_path · GET /health/live
 * Private: POST /v1/apps/{app}/erasures, objections, access-requests (an objection is withdrawn by "withdraw":true) ·
 *          GET /health/live
 * Admin:   as private, without a key · POST /v1/apps/{app}/events[?mode=import] · GET /v1/keys ·
 *          POST /v1/keys/{app}/ratchet|rotate|destroy[?order=UUID] · POST /v1/keys/export ·
 *          POST /v1/apps/{app}/purge?order=UUID · POST /v1/apps/{app}/resume[?order=UUID] · POST /v1/self-test ·
 *          GET /v1/node
 *
 * Sees:     requests, while they last; logs none of it.
 * Uses:     libmicrohttpd (an epoll thread pool), exchange, events, beacon, people, admin.
 * Threads:  its own; server_sweep in one.
 * Failure:  RESULT_FAILED if a daemon cannot be started.
 */
#ifndef THRONG_INGEST_SERVER_H
#define THRONG_INGEST_SERVER_H

#include <stdbool.h>

#include "schema/failure.h"
#include "service/ingest/exchange.h"

struct server;

enum server_kind { SERVER_PUBLIC, SERVER_ADMIN, SERVER_PRIVATE };

/* Serve on the listening socket fd (taken) with the given number of threads and connections, by the routes of kind.
 * service is borrowed. */
enum result server_start(struct exchange_service *service, int fd, enum server_kind kind, unsigned threads,
    unsigned connections, struct server **out, struct failure *why);

/* Close connections that have been sending one request for too long, however steadily. Call each second. */
void server_sweep(struct server *server);

/* Take no new connection. NULL is allowed. */
void server_quiesce(struct server *server);

/* Close what is left and free. service->ending is set and no request waits for the writer. NULL is allowed. */
void server_stop(struct server *server);

#endif
