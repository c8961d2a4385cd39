/*
 * Answers of an HTTP server: status, body and the headers that every answer of ours carries (Cache-Control,
 * X-Content-Type-Options: nosniff), counted by endpoint and class of status.
 *
 * Sees:     only what the caller answers.
 * Uses:     libmicrohttpd, service/base.
 * Threads:  any; a connection belongs to its daemon's thread.
 * Failure:  MHD_NO closes the connection.
 */
#ifndef THRONG_HTTP_REPLY_H
#define THRONG_HTTP_REPLY_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "service/base/metrics.h"

#define REPLY_HEADERS_MAX 8
#define REPLY_JSON "application/json"
#define REPLY_PROBLEM "application/problem+json"

/* One answer under construction; zero-initialise. Names and values of headers are borrowed until reply_send returns. */
struct reply {
    unsigned status;
    enum metrics_endpoint endpoint; /* that it is counted for */
    const char *content_type; /* NULL: no Content-Type */
    const char *cache_control; /* NULL: no-store */
    char *body;               /* from malloc; reply_send takes it. NULL: empty */
    size_t body_length;       /* of a body that is bytes; 0: the body is a text that ends with a NUL */
    const char *constant;     /* instead of body: bytes that outlive every answer */
    size_t constant_length;
    size_t header_count;
    struct {
        const char *name;
        const char *value;
    } headers[REPLY_HEADERS_MAX];
};

/* Add a header; at most REPLY_HEADERS_MAX. */
void reply_header(struct reply *reply, const char *name, const char *value);

/* Whether a list of tags, weak or strong, has this strong one, quotes and all, or is "*": If-None-Match as RFC 9110, section
 * 13.1.2, has it. */
bool reply_has_tag(const char *list, const char *tag);

/* Make an answer that can be queued any number of times, on any connection; takes reply's body. The caller destroys it
 * with MHD_destroy_response. NULL if memory is short. */
struct MHD_Response *reply_make(struct reply *reply);

/* Queue a made answer on connection, and count it for endpoint. */
enum MHD_Result reply_queue(struct MHD_Connection *connection, enum metrics_endpoint endpoint, unsigned status,
    struct MHD_Response *response);

/* Queue the answer on connection and free its body. */
enum MHD_Result reply_send(struct MHD_Connection *connection, struct reply *reply);

#endif
