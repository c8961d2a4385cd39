/*
 * The private listener: routes and the HTTP server.
 *
 *   GET /v1/apps · /v1/apps/{app}/metrics · /metrics/{metric} · /retention · /budget     scope read
 *   GET /v1/definitions · /v1/definitions/{id}                                          scope read
 *   GET /v1/audit/entries · /v1/audit/entries/{index} · /proof · /consistency · /export  scope audit
 *   GET /log/checkpoint · /log/vkey · /log/tile/…                                       scope read or audit (api.public_log: no key)
 *   GET /log/tile/entries/…                                                             scope audit
 *   GET /v1/requests/{id}                                                               scope erase
 *   GET /metrics · /metrics/json                                                        scope metrics
 *   GET /metrics/ops · /health                                                          scope ops
 *   GET /health/live · /health/ready · /dashboard/…                                     no key
 *
 * Sees:     requests, while they last; logs none of it.
 * Uses:     libmicrohttpd (an epoll thread pool).
 * Threads:  its own.
 * Failure:  RESULT_FAILED if the server cannot be started.
 */
#ifndef THRONG_API_GATEWAY_H
#define THRONG_API_GATEWAY_H

#include "api/call.h"
#include "schema/failure.h"

struct gateway;

/* Serve on the listening socket fd (taken). service is borrowed until gateway_stop. */
enum result gateway_start(struct call_service *service, int fd, struct gateway **out, struct failure *why);

/* Take no new connection, answer what is asked, end and free. NULL is allowed. */
void gateway_stop(struct gateway *gateway);

#endif
