/*
 * One HTTP request from its first byte to its answer: the body taken within bounds, a refusal remembered until the
 * body is over (so that the client can read it), the request's place with the writer, and the answer with its
 * headers.
 *
 * Sees:     bodies and headers, while the request lasts; the body is wiped.
 * Uses:     libmicrohttpd, service/http.
 * Threads:  an exchange belongs to its daemon's thread, and to the writer between exchange_submit and the resumption.
 * Failure:  problem documents (RFC 9457).
 */
#ifndef THRONG_INGEST_EXCHANGE_H
#define THRONG_INGEST_EXCHANGE_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/config.h"
#include "service/http/reply.h"
#include "service/ingest/admission.h"
#include "service/ingest/mirror.h"
#include "service/http/proxy.h"
#include "service/ingest/writer.h"

/* What all requests share. Owned by main; read-only but for the atomics. */
struct exchange_service {
    const struct config *config;
    struct keyd *keyd;
    struct node *node;
    struct spool *spool;
    struct counts *counts;
    struct mirror *mirror;
    struct writer *writer;
    struct admission *admission;
    struct proxy proxy;
    atomic_llong body_bytes; /* of all bodies in memory */
    atomic_llong in_progress;
    atomic_bool ending; /* no more events are taken */
};

struct exchange {
    struct writer_item item; /* first: the writer gives this back */
    struct exchange_service *service;
    struct MHD_Connection *connection;
    enum MHD_Result (*finish)(struct exchange *exchange); /* called when the body is complete, and after a commit */
    int64_t started_ms; /* steady */

    char *body;
    size_t body_length, body_capacity, body_limit;
    size_t discarded;

    struct mirror_view *view; /* held */
    char app[64];             /* name in an admin path */
    bool closes;              /* the connection ends with the answer */
    bool cors;                /* the events path: answers say Vary: Origin */
    bool parsed;              /* item.request is owned */
    bool submitted;           /* it has been at the writer's */
    const char *allowed_origin; /* borrowed from the connection */

    unsigned refused; /* status decided already; 0: none */
    const char *problem;
    unsigned retry_after_s;
    const char *allow;
    struct failure why;
};

/* An exchange for connection; NULL if memory is short. */
struct exchange *exchange_new(struct exchange_service *service, struct MHD_Connection *connection);
/* Wipe and free it and what it holds. */
void exchange_free(struct exchange *exchange);

/* Decide on an error answer, unless one is decided: status, problem type (a literal), Retry-After in seconds (0:
 * none). */
void exchange_refuse(struct exchange *exchange, unsigned status, const char *problem, unsigned retry_after_s);

/* Take size bytes of body. False: the connection is to be closed (deadline, or far more than was allowed). */
bool exchange_take(struct exchange *exchange, const char *bytes, size_t size);

/* Wipe and free the body; its place in the total stays taken, as what was made of it lasts until exchange_free. */
void exchange_drop_body(struct exchange *exchange);

/* Hand the request to the writer and suspend the connection; finish is called again after the commit. False if the
 * writer takes no more. */
bool exchange_submit(struct exchange *exchange);

/* Queue the decided refusal. */
enum MHD_Result exchange_send_refusal(struct exchange *exchange);

/* Queue status with a JSON body (taken), or without one if NULL. */
enum MHD_Result exchange_send(struct exchange *exchange, unsigned status, char *json);

/* A request header, or NULL; and whether a query argument has this value. */
const char *exchange_header(const struct exchange *exchange, const char *name);
/* See exchange_header. */
bool exchange_argument_is(const struct exchange *exchange, const char *name, const char *value);

/* The text behind "Authorization: Bearer ", or NULL. */
const char *exchange_bearer(const struct exchange *exchange);

#endif
