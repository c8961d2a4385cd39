#include "service/ingest/exchange.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/base/clock.h"
#include "service/base/metrics.h"
#include "service/http/problem.h"

#define READ_DEADLINE_MS 30000
#define FIRST_CAPACITY 4096u

struct exchange *exchange_new(struct exchange_service *service, struct MHD_Connection *connection)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL)
        return NULL;
    exchange->service = service;
    exchange->connection = connection;
    exchange->started_ms = clock_steady_ms();
    metrics_set(METRIC_HTTP_IN_PROGRESS, atomic_fetch_add(&service->in_progress, 1) + 1);
    return exchange;
}

void exchange_drop_body(struct exchange *exchange)
{
    if (exchange->body == NULL)
        return;
    sodium_memzero(exchange->body, exchange->body_length);
    free(exchange->body);
    exchange->body = NULL;
}

/* Drop the body and give its place in the total to others. */
static void give_up_body(struct exchange *exchange)
{
    long long capacity = (long long)exchange->body_capacity;
    exchange_drop_body(exchange);
    exchange->body_capacity = 0;
    if (capacity > 0)
        metrics_set(METRIC_BODY_BYTES, atomic_fetch_sub(&exchange->service->body_bytes, capacity) - capacity);
}

void exchange_free(struct exchange *exchange)
{
    struct exchange_service *service = exchange->service;
    if (exchange->parsed)
        request_free(&exchange->item.request);
    give_up_body(exchange);
    mirror_release(exchange->view);
    metrics_set(METRIC_HTTP_IN_PROGRESS, atomic_fetch_sub(&service->in_progress, 1) - 1);
    free(exchange);
}

void exchange_refuse(struct exchange *exchange, unsigned status, const char *problem, unsigned retry_after_s)
{
    if (exchange->refused != 0)
        return;
    exchange->refused = status;
    exchange->problem = problem;
    exchange->retry_after_s = retry_after_s;
}

/* Body */

/* Make room for `need` bytes within the total of all bodies. */
static bool reserve(struct exchange *exchange, size_t need)
{
    size_t capacity = exchange->body_capacity == 0 ? FIRST_CAPACITY : exchange->body_capacity;
    while (capacity < need)
        capacity *= 2;
    if (capacity > exchange->body_limit)
        capacity = exchange->body_limit;
    if (capacity <= exchange->body_capacity)
        return true;
    long long more = (long long)(capacity - exchange->body_capacity);
    atomic_llong *total = &exchange->service->body_bytes;
    if (atomic_fetch_add(total, more) + more > exchange->service->config->ingest_body_bytes) {
        atomic_fetch_sub(total, more);
        return false;
    }
    exchange->body_capacity = capacity;
    char *body = malloc(capacity);
    if (body == NULL)
        return false;
    if (exchange->body_length > 0)
        memcpy(body, exchange->body, exchange->body_length);
    exchange_drop_body(exchange);
    exchange->body = body;
    metrics_set(METRIC_BODY_BYTES, atomic_load(total));
    return true;
}

bool exchange_take(struct exchange *exchange, const char *bytes, size_t size)
{
    if (clock_steady_ms() - exchange->started_ms > READ_DEADLINE_MS)
        return false;
    if (exchange->refused == 0 && size > exchange->body_limit - exchange->body_length) {
        failure_set(&exchange->why, "", "the body is longer than %zu bytes", exchange->body_limit);
        exchange_refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "too_large", 0);
    }
    if (exchange->refused == 0 && !reserve(exchange, exchange->body_length + size)) {
        failure_set(&exchange->why, "", "too many requests are being read; try again");
        exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", 1);
    }
    if (exchange->refused != 0) {
        give_up_body(exchange); /* else requests that none of which can grow would refuse each other */
        exchange->discarded += size;
        return exchange->discarded <= BODY_TRUSTED_MAX_BYTES;
    }
    memcpy(exchange->body + exchange->body_length, bytes, size);
    exchange->body_length += size;
    return true;
}

/* Commit */

static void resume(struct writer_item *item)
{
    struct exchange *exchange = (struct exchange *)item;
    MHD_resume_connection(exchange->connection);
}

bool exchange_submit(struct exchange *exchange)
{
    exchange->item.done = resume;
    exchange->submitted = true;
    MHD_suspend_connection(exchange->connection);
    if (writer_submit(exchange->service->writer, &exchange->item) == RESULT_OK)
        return true;
    exchange->submitted = false;
    MHD_resume_connection(exchange->connection);
    return false;
}

/* Answers */

enum MHD_Result exchange_send(struct exchange *exchange, unsigned status, char *json)
{
    char retry_after[16];
    struct reply reply = {.status = status, .body = json};
    exchange_drop_body(exchange);
    if (json != NULL)
        reply.content_type = exchange->refused != 0 ? REPLY_PROBLEM : REPLY_JSON;
    if (exchange->retry_after_s > 0) {
        (void)snprintf(retry_after, sizeof retry_after, "%u", exchange->retry_after_s);
        reply_header(&reply, "Retry-After", retry_after);
    }
    if (exchange->allow != NULL)
        reply_header(&reply, "Allow", exchange->allow);
    if (exchange->cors)
        reply_header(&reply, "Vary", "Origin");
    if (exchange->allowed_origin != NULL)
        reply_header(&reply, "Access-Control-Allow-Origin", exchange->allowed_origin);
    if (exchange->allowed_origin != NULL && status == MHD_HTTP_NO_CONTENT) {
        reply_header(&reply, "Access-Control-Allow-Methods", "POST");
        reply_header(&reply, "Access-Control-Allow-Headers", "Content-Type, Authorization");
        reply_header(&reply, "Access-Control-Max-Age", "86400");
    }
    if (exchange->closes || atomic_load(&exchange->service->ending))
        reply_header(&reply, "Connection", "close");
    return reply_send(exchange->connection, &reply);
}

enum MHD_Result exchange_send_refusal(struct exchange *exchange)
{
    char *document = problem_document(exchange->refused, exchange->problem, &exchange->why);
    return exchange_send(exchange, exchange->refused, document);
}

/* Reading */

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

bool exchange_argument_is(const struct exchange *exchange, const char *name, const char *value)
{
    const char *given = MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
    return given != NULL && strcmp(given, value) == 0;
}

const char *exchange_bearer(const struct exchange *exchange)
{
    const char *header = exchange_header(exchange, "Authorization");
    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    header += 7;
    return header + strspn(header, " ");
}
