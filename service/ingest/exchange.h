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
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/config.h"
#include "service/http/reply.h"
#include "service/ingest/admission.h"
#include "service/ingest/mirror.h"
#include "service/ingest/notices.h"
#include "service/ingest/purges.h"
#include "service/ingest/ration.h"
#include "service/ingest/selftest.h"
#include "service/http/proxy.h"
#include "service/ingest/writer.h"

#define EXCHANGE_FIRST_BYTES 4096u /* of a body: kept in the exchange itself */
#define EXCHANGE_PREPARED 50u      /* answers to requests of 1 to so many events, all accepted, are made once */

/* What all requests share. Owned by main; read-only but for the atomics and the spares. */
struct exchange_service {
    const struct config *config;
    struct keyd *keyd;
    struct node *node;
    struct spool *spool;
    struct counts *counts;
    struct mirror *mirror;
    struct writer *writer;
    struct admission *admission;
    struct notices *notices;
    struct purges *purges;
    struct ration *ration;
    struct selftest *selftest;
    struct proxy proxy;
    atomic_llong body_bytes; /* of all bodies in memory */
    atomic_llong in_progress;
    atomic_bool ending; /* no more events are taken */
    struct MHD_Response *accepted[EXCHANGE_PREPARED + 1]; /* [n]: n accepted, on the events path */
    pthread_mutex_t spare_lock;
    struct exchange *spare; /* wiped, linked by their item.next */
    size_t spare_count;
};

/* Request headers that mean something to us. */
enum exchange_header {
    EXCHANGE_AUTHORIZATION,
    EXCHANGE_CONTENT_ENCODING,
    EXCHANGE_CONTENT_LENGTH,
    EXCHANGE_CONTENT_TYPE,
    EXCHANGE_DNT,
    EXCHANGE_ORIGIN,
    EXCHANGE_SEC_GPC,
    EXCHANGE_TRANSFER_ENCODING,
    EXCHANGE_USER_AGENT,
    EXCHANGE_HEADERS,
};

/* How the headers say where the body ends. */
struct exchange_framing {
    unsigned lengths, codings;
    bool unknown_coding;
    bool odd_name; /* "Content-Length :" is a length to some, and another header to libmicrohttpd */
};

struct exchange {
    struct writer_item item; /* first: the writer gives this back */
    struct exchange_service *service;
    struct MHD_Connection *connection;
    enum MHD_Result (*finish)(struct exchange *exchange); /* called when the body is complete, and after a commit */
    int64_t started_ms; /* steady */
    enum metrics_endpoint endpoint;

    const char *headers[EXCHANGE_HEADERS]; /* the first of each name, borrowed from the connection; NULL: not there */
    struct exchange_framing framing;

    char *body; /* `first`, or from malloc; NULL: none yet, or gone */
    size_t body_length, body_capacity, body_limit;
    size_t discarded;

    struct mirror_view *view; /* held */
    char app[64];             /* name in an admin path */
    bool closes;              /* the connection ends with the answer */
    bool cors;                /* the events path: answers say Vary: Origin */
    bool parsed;              /* item.request is owned */
    bool submitted;           /* it has been at the writer's */
    bool granted;             /* grant is what the catalogue says of the bearer token */
    struct request_grant grant;
    const char *allowed_origin; /* borrowed from the connection */
    struct request_id person;   /* whose request it is; lies in the body or in item.request.document */
    struct packet_erase erase;
    struct writer_control control;

    unsigned refused; /* status decided already; 0: none */
    const char *problem;
    unsigned retry_after_s;
    const char *allow;
    struct failure why;
    char first[EXCHANGE_FIRST_BYTES]; /* zero beyond the body at all times */
};

/* Make what exchanges share: once, before any. False if memory is short. */
bool exchange_open(struct exchange_service *service);
/* Free it: after the last. */
void exchange_close(struct exchange_service *service);

/* An exchange for connection, its headers noted; NULL if memory is short. */
struct exchange *exchange_new(struct exchange_service *service, struct MHD_Connection *connection);
/* Wipe it and what it holds, and keep it for another request or free it. */
void exchange_free(struct exchange *exchange);

/* Decide on an error answer, unless one is decided: status, problem type (a literal), Retry-After in seconds (0:
 * none). */
void exchange_refuse(struct exchange *exchange, unsigned status, const char *problem, unsigned retry_after_s);

/* Copy the NAME in prefix NAME suffix to exchange->app; false if path has another form. */
bool exchange_take_app(struct exchange *exchange, const char *path, const char *prefix, const char *suffix);

/* Take size bytes of body. False: the connection is to be closed (deadline, or far more than was allowed). */
bool exchange_take(struct exchange *exchange, const char *bytes, size_t size);

/* Wipe and free the body; its place in the total stays taken, as what was made of it lasts until exchange_free. Ids of
 * item.request may lie in it and are gone then. */
void exchange_drop_body(struct exchange *exchange);

/* Hand the request to the writer and suspend the connection; finish is called again after the commit. False if the
 * writer takes no more. */
bool exchange_submit(struct exchange *exchange);

/* Queue the decided refusal. */
enum MHD_Result exchange_send_refusal(struct exchange *exchange);

/* Queue status with a JSON body (taken), or without one if NULL. */
enum MHD_Result exchange_send(struct exchange *exchange, unsigned status, char *json);

/* Queue the prepared answer for `events` accepted events and nothing else. False: there is none that fits this exchange,
 * and nothing is queued; else *queued is libmicrohttpd's word. */
bool exchange_send_prepared(struct exchange *exchange, size_t events, enum MHD_Result *queued);

/* Whether a query argument has this value. */
bool exchange_argument_is(const struct exchange *exchange, const char *name, const char *value);

/* The text behind "Authorization: Bearer ", or NULL. */
const char *exchange_bearer(const struct exchange *exchange);

#endif
