/*
 * POST of events, on the public path and on the admin socket, and its preflight.
 *
 * Sees:     requests (raw ids), while they last.
 * Uses:     exchange, request, device, writer.
 * Threads:  the daemon's.
 * Failure:  every refusal is a problem document; the statuses are those of request_parse, or 503 while nothing can be
 * kept.
 */
#ifndef THRONG_INGEST_EVENTS_H
#define THRONG_INGEST_EVENTS_H

#include "service/ingest/exchange.h"

/* Take up a request for the public events path, headers only: sets what is to be done with it. */
void events_begin_public(struct exchange *exchange, const char *method);

/* The same for /v1/apps/{exchange->app}/events on the admin socket. */
void events_begin_admin(struct exchange *exchange, const char *method);

#endif
