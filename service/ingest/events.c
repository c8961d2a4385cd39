#include "service/ingest/events.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "anonymizer/edge/device.h"
#include "service/base/clock.h"
#include "service/base/metrics.h"

#define FORWARDED_MAX 1024
#define REFUSED_RETRY_S 300 /* what an operator must end */

/* Client address */

struct forwarded {
    char text[FORWARDED_MAX];
    size_t length;
};

/* Join the X-Forwarded-For headers; of what is too long the last part counts, for it is read from the right. */
static enum MHD_Result join_forwarded(void *argument, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct forwarded *forwarded = argument;
    (void)kind;
    if (strcasecmp(key, "X-Forwarded-For") != 0 || value == NULL)
        return MHD_YES;
    size_t length = strlen(value);
    if (length >= FORWARDED_MAX) {
        value += length - (FORWARDED_MAX - 1);
        length = FORWARDED_MAX - 1;
    }
    if (forwarded->length + length + 2 > FORWARDED_MAX)
        forwarded->length = 0;
    if (forwarded->length > 0)
        forwarded->text[forwarded->length++] = ',';
    memcpy(forwarded->text + forwarded->length, value, length);
    forwarded->length += length;
    forwarded->text[forwarded->length] = '\0';
    return MHD_YES;
}

static struct proxy_address client_of(const struct exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct forwarded forwarded = {.length = 0};
    if (exchange->service->proxy.count > 0)
        (void)MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, join_forwarded, &forwarded);
    return proxy_client(&exchange->service->proxy, info == NULL ? NULL : info->client_addr,
        forwarded.length == 0 ? NULL : forwarded.text);
}

/* Before the body */

static bool media_type_is(const char *given, const char *type)
{
    size_t length = strlen(type);
    return strncasecmp(given, type, length) == 0 && strchr("; \t", given[length]) != NULL; /* the NUL is found, too */
}

static void check_media_type(struct exchange *exchange)
{
    const char *type = exchange->headers[EXCHANGE_CONTENT_TYPE];
    const char *coding = exchange->headers[EXCHANGE_CONTENT_ENCODING];
    bool known = type != NULL && (media_type_is(type, "application/json") || media_type_is(type, "text/plain"));
    if (known && (coding == NULL || strcasecmp(coding, "identity") == 0))
        return;
    failure_set(&exchange->why, "Content-Type", "send application/json or text/plain, not encoded");
    exchange_refuse(exchange, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 0);
}

static void check_rate(struct exchange *exchange)
{
    struct proxy_address client = client_of(exchange);
    unsigned retry_after_s = 1;
    if (admission_allow(exchange->service->admission, &client, clock_steady_ms(), &retry_after_s))
        return;
    metrics_add(METRIC_RATE_LIMITED, 1);
    failure_set(&exchange->why, "", "more requests than one address may send");
    exchange_refuse(exchange, MHD_HTTP_TOO_MANY_REQUESTS, "rate_limited", retry_after_s);
}

static void check_available(struct exchange *exchange)
{
    if (selftest_is_failed(exchange->service->selftest)) {
        failure_set(&exchange->why, "", "an identifier was found where none may be; nothing is collected until that is looked at");
        exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "self_test_failed", REFUSED_RETRY_S);
        return;
    }
    if (exchange->view != NULL && !atomic_load(&exchange->service->ending) && notices_have_begun(exchange->service->notices))
        return;
    failure_set(&exchange->why, "", "the service is starting or ending; try again");
    exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", exchange->view == NULL ? 5 : 1);
}

/* An ingest key may send more at once; it is looked up before the body is read. */
static bool has_ingest_key(struct exchange *exchange)
{
    const char *bearer = exchange_bearer(exchange);
    struct request_grant *grant = &exchange->grant;
    size_t length = bearer == NULL ? 0 : strlen(bearer);
    exchange->granted = length > 0 && length <= REQUEST_KEY_MAX_BYTES && exchange->view != NULL &&
        catalogue_find_key(mirror_catalogue(exchange->view), bearer, length, &grant->kind, &grant->app) == RESULT_OK;
    return exchange->granted && grant->kind == CATALOGUE_INGEST_KEY;
}

/* The origin to echo to this browser while the app is not known: some app allows it. */
static void allow_origin(struct exchange *exchange)
{
    const char *origin = exchange->headers[EXCHANGE_ORIGIN];
    if (origin != NULL && exchange->view != NULL &&
        catalogue_allows_origin(mirror_catalogue(exchange->view), origin))
        exchange->allowed_origin = origin;
}

/* After the body */

static void refuse_parsed(struct exchange *exchange, enum result result)
{
    switch (result) {
    case RESULT_INVALID:
        exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_request", 0);
        return;
    case RESULT_NOT_FOUND:
        metrics_add(METRIC_AUTH_FAILURES, 1);
        exchange_refuse(exchange, MHD_HTTP_UNAUTHORIZED, "unknown_key", 0);
        return;
    case RESULT_DENIED:
        if (strcmp(exchange->why.field, "ts") == 0) {
            exchange_refuse(exchange, MHD_HTTP_CONFLICT, "sealed", 0);
            return;
        }
        exchange->allowed_origin = NULL;
        exchange_refuse(exchange, MHD_HTTP_FORBIDDEN, "forbidden", 0);
        return;
    case RESULT_FULL:
        exchange_refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "too_large", 0);
        return;
    case RESULT_OK:
    case RESULT_UNAVAILABLE:
    case RESULT_CORRUPT:
    case RESULT_FAILED:
        break;
    }
    exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", 1);
}

/* Read the body into item.request; the admin socket names the app by its path. */
static enum result parse(struct exchange *exchange, const struct app *admin_app, bool import)
{
    char address[PROXY_TEXT_BYTES];
    struct proxy_address client = client_of(exchange);
    const char *gpc = exchange->headers[EXCHANGE_SEC_GPC], *dnt = exchange->headers[EXCHANGE_DNT];
    struct request_context context = {
        .catalogue = mirror_catalogue(exchange->view),
        .bearer = exchange_bearer(exchange),
        .grant = exchange->granted ? &exchange->grant : NULL,
        .origin = exchange->headers[EXCHANGE_ORIGIN],
        .user_agent = exchange->headers[EXCHANGE_USER_AGENT],
        .address = proxy_text(&client, address),
        .gpc = gpc != NULL && strcmp(gpc, "1") == 0,
        .dnt = dnt != NULL && strcmp(dnt, "1") == 0,
        .admin_app = admin_app,
        .import = import,
        .received_at_ms = exchange->item.ticket.received_at_ms,
    };
    context.bot = exchange->service->config->ingest_bot_filter && admin_app == NULL && device_is_bot(context.user_agent);
    char *body = exchange->body == NULL ? exchange->first : exchange->body;
    enum result result =
        request_parse(&context, body, exchange->body_length, &exchange->item.request, &exchange->why);
    exchange->parsed = result == RESULT_OK;
    if (!exchange->parsed)
        exchange_drop_body(exchange);
    if (exchange->parsed && exchange->allowed_origin != NULL &&
        !catalogue_app_allows_origin(exchange->item.request.app, exchange->allowed_origin))
        exchange->allowed_origin = NULL;
    return result;
}

static void count_events(const struct exchange *exchange)
{
    const struct request *request = &exchange->item.request;
    metrics_add(METRIC_EVENTS_ACCEPTED, request->event_count);
    metrics_add(METRIC_EVENTS_REJECTED, request->rejected_count);
    metrics_add(METRIC_EVENTS_DROPPED, request->dropped);
    counts_add(exchange->service->counts, request->app->id, request->reasons);
}

static enum MHD_Result send_accepted(struct exchange *exchange, bool keep)
{
    const struct request *request = &exchange->item.request;
    enum MHD_Result queued;
    if (keep)
        count_events(exchange);
    if (request->rejected_count == 0 && request->dropped == 0 &&
        exchange_send_prepared(exchange, request->event_count, &queued))
        return queued;
    char *answer = request_answer(request);
    return answer == NULL ? MHD_NO : exchange_send(exchange, MHD_HTTP_ACCEPTED, answer);
}

static enum MHD_Result refuse_commit(struct exchange *exchange)
{
    failure_set(&exchange->why, "", "nothing can be kept at the moment; try again");
    exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", 1);
    return exchange_send_refusal(exchange);
}

/* item.request is parsed: answer at once, or give it to the writer, who settles its ticket then. */
static enum MHD_Result keep(struct exchange *exchange)
{
    struct node *node = exchange->service->node;
    const struct request *request = &exchange->item.request;
    bool dry_run = exchange_argument_is(exchange, "dry_run", "1");
    if (purges_holds(exchange->service->purges, request->app->id)) {
        node_settle(node, &exchange->item.ticket);
        failure_set(&exchange->why, "", "this app was purged; it is not collected until it is resumed");
        exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "purged", REFUSED_RETRY_S);
        return exchange_send_refusal(exchange);
    }
    if (mirror_refuses(exchange->view, request->app->id)) {
        node_settle(node, &exchange->item.ticket);
        return refuse_commit(exchange);
    }
    if (dry_run || request->event_count == 0) {
        node_settle(node, &exchange->item.ticket);
        return send_accepted(exchange, !dry_run);
    }
    if (exchange_submit(exchange))
        return MHD_YES;
    node_settle(node, &exchange->item.ticket);
    return refuse_commit(exchange);
}

static enum MHD_Result finish(struct exchange *exchange, const struct app *admin_app, bool import)
{
    if (exchange->submitted)
        return exchange->item.safe ? send_accepted(exchange, true) : refuse_commit(exchange);
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    (void)node_receive(exchange->service->node, &exchange->item.ticket);
    enum result result = parse(exchange, admin_app, import);
    if (result == RESULT_OK)
        return keep(exchange);
    node_settle(exchange->service->node, &exchange->item.ticket);
    refuse_parsed(exchange, result);
    return exchange_send_refusal(exchange);
}

static enum MHD_Result finish_public(struct exchange *exchange)
{
    return finish(exchange, NULL, false);
}

static enum MHD_Result finish_preflight(struct exchange *exchange)
{
    return exchange_send(exchange, MHD_HTTP_NO_CONTENT, NULL);
}

static enum MHD_Result finish_admin(struct exchange *exchange)
{
    const struct app *app =
        exchange->view == NULL ? NULL : catalogue_app_named(mirror_catalogue(exchange->view), exchange->app);
    bool import = exchange_argument_is(exchange, "mode", "import");
    if (exchange->view != NULL && app == NULL) {
        failure_set(&exchange->why, "app", "there is no app of this name");
        exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "not_found", 0);
    }
    if (app != NULL && import && app->mode != APP_MODE_IMPORTING) {
        failure_set(&exchange->why, "mode", "the app is live; set its mode to importing first");
        exchange_refuse(exchange, MHD_HTTP_CONFLICT, "not_importing", 0);
    }
    return finish(exchange, app, import);
}

/* Beginning */

static bool check_method(struct exchange *exchange, const char *method, const char *allow)
{
    if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
        return true;
    exchange->allow = allow;
    failure_set(&exchange->why, "", "events are sent by POST");
    exchange_refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", 0);
    return false;
}

void events_begin_public(struct exchange *exchange, const char *method)
{
    exchange->view = mirror_hold(exchange->service->mirror);
    exchange->cors = true;
    exchange->body_limit = has_ingest_key(exchange) ? BODY_TRUSTED_MAX_BYTES : BODY_MAX_BYTES;
    allow_origin(exchange);
    if (strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0) {
        exchange->finish = finish_preflight;
        return;
    }
    exchange->finish = finish_public;
    if (!check_method(exchange, method, "POST, OPTIONS"))
        return;
    check_rate(exchange);
    check_available(exchange);
    check_media_type(exchange);
}

void events_begin_admin(struct exchange *exchange, const char *method)
{
    exchange->view = mirror_hold(exchange->service->mirror);
    exchange->body_limit = BODY_TRUSTED_MAX_BYTES;
    exchange->finish = finish_admin;
    if (!check_method(exchange, method, "POST"))
        return;
    check_available(exchange);
    check_media_type(exchange);
}
