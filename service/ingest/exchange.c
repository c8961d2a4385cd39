#include "service/ingest/exchange.h"

#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/base/clock.h"
#include "service/base/metrics.h"
#include "service/http/problem.h"

#define READ_DEADLINE_MS 30000
#define SPARE_MAX 64u

/* What exchanges share */

static struct MHD_Response *prepare_accepted(size_t events)
{
    char text[80];
    (void)snprintf(text, sizeof text, "{\"accepted\":%zu,\"rejected\":[],\"dropped\":0}", events);
    struct reply reply = {.status = MHD_HTTP_ACCEPTED, .body = strdup(text), .content_type = REPLY_JSON};
    reply_header(&reply, "Vary", "Origin");
    return reply.body == NULL ? NULL : reply_make(&reply);
}

bool exchange_open(struct exchange_service *service)
{
    (void)pthread_mutex_init(&service->spare_lock, NULL);
    for (size_t n = 1; n <= EXCHANGE_PREPARED; n++) {
        service->accepted[n] = prepare_accepted(n);
        if (service->accepted[n] == NULL)
            return false;
    }
    return true;
}

void exchange_close(struct exchange_service *service)
{
    for (size_t n = 1; n <= EXCHANGE_PREPARED; n++) {
        if (service->accepted[n] != NULL)
            MHD_destroy_response(service->accepted[n]);
    }
    while (service->spare != NULL) {
        struct exchange *exchange = service->spare;
        service->spare = (struct exchange *)exchange->item.next;
        free(exchange);
    }
    (void)pthread_mutex_destroy(&service->spare_lock);
}

static struct exchange *take_spare(struct exchange_service *service)
{
    pthread_mutex_lock(&service->spare_lock);
    struct exchange *exchange = service->spare;
    if (exchange != NULL) {
        service->spare = (struct exchange *)exchange->item.next;
        service->spare_count--;
    }
    pthread_mutex_unlock(&service->spare_lock);
    return exchange;
}

/* Keep exchange, wiped, for another request, or free it. */
static void give_spare(struct exchange_service *service, struct exchange *exchange)
{
    memset(exchange, 0, offsetof(struct exchange, first));
    pthread_mutex_lock(&service->spare_lock);
    bool kept = service->spare_count < SPARE_MAX;
    if (kept) {
        exchange->item.next = (struct writer_item *)service->spare;
        service->spare = exchange;
        service->spare_count++;
    }
    pthread_mutex_unlock(&service->spare_lock);
    if (!kept)
        free(exchange);
}

/* Headers */

static const struct {
    const char *name;
    size_t length;
} known[EXCHANGE_HEADERS] = {
    [EXCHANGE_AUTHORIZATION] = {"Authorization", 13},
    [EXCHANGE_CONTENT_ENCODING] = {"Content-Encoding", 16},
    [EXCHANGE_CONTENT_LENGTH] = {"Content-Length", 14},
    [EXCHANGE_CONTENT_TYPE] = {"Content-Type", 12},
    [EXCHANGE_DNT] = {"DNT", 3},
    [EXCHANGE_ORIGIN] = {"Origin", 6},
    [EXCHANGE_SEC_GPC] = {"Sec-GPC", 7},
    [EXCHANGE_TRANSFER_ENCODING] = {"Transfer-Encoding", 17},
    [EXCHANGE_USER_AGENT] = {"User-Agent", 10},
};

static void note_framing(struct exchange_framing *framing, size_t header, const char *value)
{
    framing->lengths += header == EXCHANGE_CONTENT_LENGTH;
    if (header != EXCHANGE_TRANSFER_ENCODING)
        return;
    framing->codings++;
    framing->unknown_coding = value == NULL || strcasecmp(value, "chunked") != 0;
}

static enum MHD_Result note_header(void *argument, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct exchange *exchange = argument;
    size_t length = 0, header = 0;
    (void)kind;
    for (; name[length] != '\0'; length++) {
        if (name[length] == ' ' || name[length] == '\t' || name[length] == '\r' || name[length] == '\n')
            exchange->framing.odd_name = true;
    }
    while (header < EXCHANGE_HEADERS && (known[header].length != length || strcasecmp(known[header].name, name) != 0))
        header++;
    if (header == EXCHANGE_HEADERS)
        return MHD_YES;
    note_framing(&exchange->framing, header, value);
    if (exchange->headers[header] == NULL)
        exchange->headers[header] = value;
    return MHD_YES;
}

/* Beginning and end */

struct exchange *exchange_new(struct exchange_service *service, struct MHD_Connection *connection)
{
    struct exchange *exchange = take_spare(service);
    if (exchange == NULL)
        exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL)
        return NULL;
    exchange->item.next = NULL;
    exchange->service = service;
    exchange->connection = connection;
    exchange->started_ms = clock_steady_ms();
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, note_header, exchange);
    metrics_set(METRIC_HTTP_IN_PROGRESS, atomic_fetch_add(&service->in_progress, 1) + 1);
    return exchange;
}

void exchange_drop_body(struct exchange *exchange)
{
    if (exchange->body == NULL)
        return;
    sodium_memzero(exchange->body, exchange->body_length);
    if (exchange->body != exchange->first)
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
    metrics_request_took(clock_steady_ms() - exchange->started_ms);
    give_spare(service, exchange);
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
    size_t capacity = exchange->body_capacity == 0 ? EXCHANGE_FIRST_BYTES : exchange->body_capacity;
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
    char *body = capacity <= EXCHANGE_FIRST_BYTES ? exchange->first : malloc(capacity);
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
    struct reply reply = {.status = status, .endpoint = exchange->endpoint, .body = json};
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

bool exchange_send_prepared(struct exchange *exchange, size_t events, enum MHD_Result *queued)
{
    bool plain = exchange->cors && exchange->allowed_origin == NULL && exchange->allow == NULL && !exchange->closes &&
        !atomic_load(&exchange->service->ending);
    if (!plain || events == 0 || events > EXCHANGE_PREPARED)
        return false;
    exchange_drop_body(exchange);
    *queued = reply_queue(exchange->connection, exchange->endpoint, MHD_HTTP_ACCEPTED, exchange->service->accepted[events]);
    return true;
}

enum MHD_Result exchange_send_refusal(struct exchange *exchange)
{
    char *document = problem_document(exchange->refused, exchange->problem, &exchange->why);
    return exchange_send(exchange, exchange->refused, document);
}

/* Reading */

bool exchange_take_app(struct exchange *exchange, const char *path, const char *prefix, const char *suffix)
{
    size_t before = strlen(prefix), after = strlen(suffix), length = strlen(path);
    if (length <= before + after || strncmp(path, prefix, before) != 0 || strcmp(path + length - after, suffix) != 0)
        return false;
    length -= before + after;
    if (length >= sizeof exchange->app || memchr(path + before, '/', length) != NULL)
        return false;
    memcpy(exchange->app, path + before, length);
    exchange->app[length] = '\0';
    return true;
}

bool exchange_argument_is(const struct exchange *exchange, const char *name, const char *value)
{
    const char *given = MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
    return given != NULL && strcmp(given, value) == 0;
}

const char *exchange_bearer(const struct exchange *exchange)
{
    const char *header = exchange->headers[EXCHANGE_AUTHORIZATION];
    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    header += 7;
    return header + strspn(header, " ");
}
