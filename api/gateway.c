#include "api/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/budget.h"
#include "api/bundles.h"
#include "api/dashboard.h"
#include "api/describe.h"
#include "api/entries.h"
#include "api/gauges.h"
#include "api/health.h"
#include "api/insights.h"
#include "api/keeper.h"
#include "api/live.h"
#include "api/logtiles.h"
#include "api/notes.h"
#include "api/numbers.h"
#include "api/ops.h"
#include "api/proofs.h"
#include "api/receipt.h"
#include "service/base/clock.h"
#include "service/base/metrics.h"

#define CONNECTION_MEMORY_BYTES (32u * 1024)
#define NAME_BYTES (NAME_MAX_BYTES + 1)
#define DRAIN_MS 3000

struct gateway {
    struct call_service *service;
    struct MHD_Daemon *daemon;
};

/* A request under way, as libmicrohttpd keeps it. */
struct request {
    int64_t started_ms;     /* steady */
    struct bundles_job *job; /* owned; NULL for most */
};

/* The variable parts of a path, in order, and what stands for a * at its end. */
struct parts {
    char text[2][NAME_BYTES];
    size_t count;
    const char *rest;
};

static enum MHD_Result answer_apps(struct call *call, const struct parts *parts)
{
    (void)parts;
    return describe_apps(call);
}

static enum MHD_Result answer_catalogue(struct call *call, const struct parts *parts)
{
    return describe_metrics(call, parts->text[0]);
}

static enum MHD_Result answer_metric(struct call *call, const struct parts *parts)
{
    return numbers_metric(call, parts->text[0], parts->text[1]);
}

static enum MHD_Result answer_retention(struct call *call, const struct parts *parts)
{
    return numbers_retention(call, parts->text[0]);
}

static enum MHD_Result answer_funnel(struct call *call, const struct parts *parts)
{
    return numbers_funnel(call, parts->text[0], parts->text[1]);
}

static enum MHD_Result answer_outcome(struct call *call, const struct parts *parts)
{
    return numbers_outcome(call, parts->text[0], parts->text[1]);
}

static enum MHD_Result answer_live_view(struct call *call, const struct parts *parts)
{
    return live_answer(call, parts->text[0]);
}

static enum MHD_Result answer_budget(struct call *call, const struct parts *parts)
{
    return budget_answer(call, parts->text[0]);
}

static enum MHD_Result answer_insights(struct call *call, const struct parts *parts)
{
    return insights_answer(call, parts->text[0]);
}

static enum MHD_Result answer_notes(struct call *call, const struct parts *parts)
{
    return notes_answer(call, parts->text[0]);
}

static enum MHD_Result answer_definitions(struct call *call, const struct parts *parts)
{
    (void)parts;
    return describe_definitions(call);
}

static enum MHD_Result answer_definition(struct call *call, const struct parts *parts)
{
    return describe_definition(call, parts->text[0]);
}

static enum MHD_Result answer_gauges(struct call *call, const struct parts *parts)
{
    (void)parts;
    return gauges_answer(call, false);
}

static enum MHD_Result answer_gauges_json(struct call *call, const struct parts *parts)
{
    (void)parts;
    return gauges_answer(call, true);
}

static enum MHD_Result answer_ops(struct call *call, const struct parts *parts)
{
    (void)parts;
    return ops_answer(call);
}

static enum MHD_Result answer_live(struct call *call, const struct parts *parts)
{
    (void)parts;
    return health_live(call);
}

static enum MHD_Result answer_ready(struct call *call, const struct parts *parts)
{
    (void)parts;
    return health_ready(call);
}

static enum MHD_Result answer_health(struct call *call, const struct parts *parts)
{
    (void)parts;
    return health_all(call);
}

static enum MHD_Result answer_dashboard(struct call *call, const struct parts *parts)
{
    (void)parts;
    return dashboard_answer(call);
}

static enum MHD_Result answer_entries(struct call *call, const struct parts *parts)
{
    (void)parts;
    return entries_list(call);
}

static enum MHD_Result answer_entry(struct call *call, const struct parts *parts)
{
    return entries_one(call, parts->rest);
}

static enum MHD_Result answer_proof(struct call *call, const struct parts *parts)
{
    (void)parts;
    return proofs_inclusion(call);
}

static enum MHD_Result answer_consistency(struct call *call, const struct parts *parts)
{
    (void)parts;
    return proofs_consistency(call);
}

static enum MHD_Result answer_export(struct call *call, const struct parts *parts)
{
    (void)parts;
    return bundles_answer(call);
}

static enum MHD_Result answer_receipt(struct call *call, const struct parts *parts)
{
    return receipt_answer(call, parts->rest);
}

static enum MHD_Result answer_checkpoint(struct call *call, const struct parts *parts)
{
    (void)parts;
    return logtiles_checkpoint(call);
}

static enum MHD_Result answer_log_keys(struct call *call, const struct parts *parts)
{
    (void)parts;
    return logtiles_keys(call);
}

static enum MHD_Result answer_tile(struct call *call, const struct parts *parts)
{
    (void)parts;
    return logtiles_tile(call);
}

/* The log's hashes: without a key if api.public_log says so. */
#define HASHES (ACCESS_READ | ACCESS_AUDIT)

/* {} stands for one segment: a name; * for the rest of the path, which its handler parses. Of two patterns that match the first
 * counts. scope 0: no key is needed. own_arguments: the handler checks the query parameters; the
 * others take none. kept: its answers are made of nothing but what has an edition (edition.h), the request's path and parameters,
 * the app that the reader's key is of, and whether Accept prefers CSV. */
static const struct route {
    const char *pattern;
    unsigned scope;
    bool own_arguments;
    bool kept;
    enum MHD_Result (*answer)(struct call *, const struct parts *);
} routes[] = {
    {"/v1/apps", ACCESS_READ, false, false, answer_apps},
    {"/v1/apps/{}/metrics", ACCESS_READ, false, true, answer_catalogue},
    {"/v1/apps/{}/metrics/{}", ACCESS_READ, true, true, answer_metric},
    {"/v1/apps/{}/retention", ACCESS_READ, true, true, answer_retention},
    {"/v1/apps/{}/funnels/{}", ACCESS_READ, true, true, answer_funnel},
    {"/v1/apps/{}/outcomes/{}", ACCESS_READ, true, true, answer_outcome},
    {"/v1/apps/{}/live", ACCESS_READ, true, false, answer_live_view},
    {"/v1/apps/{}/insights", ACCESS_READ, false, true, answer_insights},
    {"/v1/apps/{}/notes", ACCESS_READ, false, false, answer_notes},
    {"/v1/apps/{}/budget", ACCESS_READ, false, false, answer_budget},
    {"/v1/definitions", ACCESS_READ, false, false, answer_definitions},
    {"/v1/definitions/{}", ACCESS_READ, false, false, answer_definition},
    {"/v1/audit/entries", ACCESS_AUDIT, true, false, answer_entries},
    {"/v1/audit/entries/*", ACCESS_AUDIT, false, false, answer_entry},
    {"/v1/audit/proof", ACCESS_AUDIT, true, false, answer_proof},
    {"/v1/audit/consistency", ACCESS_AUDIT, true, false, answer_consistency},
    {"/v1/audit/export", ACCESS_AUDIT, false, false, answer_export},
    {"/v1/requests/*", ACCESS_ERASE, false, false, answer_receipt},
    {"/log/checkpoint", HASHES, false, false, answer_checkpoint},
    {"/log/vkey", HASHES, false, false, answer_log_keys},
    {"/log/tile/entries/*", ACCESS_AUDIT, false, false, answer_tile},
    {"/log/tile/*", HASHES, false, false, answer_tile},
    {"/metrics", ACCESS_METRICS, false, false, answer_gauges},
    {"/metrics/json", ACCESS_METRICS, false, false, answer_gauges_json},
    {"/metrics/ops", ACCESS_OPS, false, false, answer_ops},
    {"/health", ACCESS_OPS, false, false, answer_health},
    {"/health/live", 0, true, false, answer_live},
    {"/health/ready", 0, true, false, answer_ready},
    {"/dashboard", 0, true, false, answer_dashboard},
    {"/dashboard/", 0, true, false, answer_dashboard},
    {"/dashboard/dashboard.js", 0, true, false, answer_dashboard},
    {"/dashboard/dashboard.css", 0, true, false, answer_dashboard},
    {"/dashboard/inter.woff2", 0, true, false, answer_dashboard},
    {"/dashboard/icon.svg", 0, true, false, answer_dashboard},
    {"/dashboard/licences.txt", 0, true, false, answer_dashboard},
};

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool lower = text[i] >= 'a' && text[i] <= 'z', digit = text[i] >= '0' && text[i] <= '9';
        if (!lower && (i == 0 || (!digit && text[i] != '_' && text[i] != '-')))
            return false;
    }
    return length > 0 && length < NAME_BYTES;
}

static bool match(const char *pattern, const char *path, struct parts *parts)
{
    parts->count = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*') {
            parts->rest = path;
            return *path != '\0';
        }
        if (*pattern != '{') {
            if (*pattern != *path++)
                return false;
            continue;
        }
        size_t length = strcspn(path, "/");
        if (!is_name(path, length))
            return false;
        memcpy(parts->text[parts->count], path, length);
        parts->text[parts->count++][length] = '\0';
        path += length;
        pattern++;
    }
    return *path == '\0';
}

static const struct route *find_route(const char *path, struct parts *parts)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (match(routes[i].pattern, path, parts))
            return &routes[i];
    }
    return NULL;
}

/* The endpoint that a request of route is counted for. */
static enum metrics_endpoint endpoint_of(const struct route *route, const char *path)
{
    return route->answer == answer_tile ? METRICS_ENDPOINT_LOG : metrics_endpoint_of(path);
}

/* The scope that route needs; 0: none. */
static unsigned scope_of(const struct call_service *service, const struct route *route)
{
    return route->scope == HASHES && service->config->api_public_log ? 0 : route->scope;
}

static enum MHD_Result answer_kept(struct call *call, const struct route *route, const struct parts *parts)
{
    struct keeper_making making;
    enum MHD_Result answer;
    if (keeper_serve(call, &making, &answer))
        return answer;
    answer = route->answer(call, parts);
    keeper_finish(call, &making);
    return answer;
}

/* A path that is none needs a key too: a stranger learns nothing of what there is. */
static enum MHD_Result dispatch(struct call *call, const char *method)
{
    static const char *const none[] = {NULL};
    struct parts parts;
    enum MHD_Result refusal;
    const struct route *route = find_route(call->path, &parts);
    if (route != NULL)
        call->endpoint = endpoint_of(route, call->path);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return call_problem(call, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", "", "everything here is read by GET");
    if (route == NULL) {
        const unsigned any = ACCESS_READ | ACCESS_METRICS | ACCESS_OPS | ACCESS_AUDIT | ACCESS_ERASE;
        return call_admit(call, (enum access_scope)any, &refusal) ? call_not_found(call) : refusal;
    }
    unsigned scope = scope_of(call->service, route);
    if (scope != 0 && !call_admit(call, (enum access_scope)scope, &refusal))
        return refusal;
    if (!route->own_arguments && !call_knows_arguments(call, none))
        return call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", "", "there is a parameter that is not known here");
    return route->kept ? answer_kept(call, route, &parts) : route->answer(call, &parts);
}

/* The first call of a request brings its header; what comes as body is dropped, and answered at its end. */
static enum MHD_Result on_request(void *argument, struct MHD_Connection *connection, const char *path, const char *method,
    const char *version, const char *bytes, size_t *size, void **state)
{
    struct gateway *gateway = argument;
    (void)version;
    (void)bytes;
    if (*state == NULL) {
        struct request *request = malloc(sizeof *request);
        if (request == NULL)
            return MHD_NO;
        *request = (struct request){.started_ms = clock_steady_ms()};
        *state = request;
        metrics_set(METRIC_HTTP_IN_PROGRESS, atomic_fetch_add(&gateway->service->in_progress, 1) + 1);
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0;
        return MHD_YES;
    }
    struct request *request = *state;
    struct call call = {.service = gateway->service, .connection = connection, .path = path, .job = &request->job};
    return dispatch(&call, method);
}

static void on_completed(void *argument, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    struct gateway *gateway = argument;
    (void)connection;
    (void)code;
    struct request *request = *state;
    if (request == NULL)
        return;
    metrics_request_took(clock_steady_ms() - request->started_ms);
    bundles_free(request->job);
    free(request);
    *state = NULL;
    metrics_set(METRIC_HTTP_IN_PROGRESS, atomic_fetch_sub(&gateway->service->in_progress, 1) - 1);
}

static struct MHD_Daemon *start_daemon(struct gateway *gateway, int fd)
{
    const struct config *config = gateway->service->config;
    const struct MHD_OptionItem pool[] = {
        {config->api_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)config->api_threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, gateway, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->api_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)config->api_idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, gateway, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

enum result gateway_start(struct call_service *service, int fd, struct gateway **out, struct failure *why)
{
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        failure_set(why, "api.listen", "memory is short");
        close(fd);
        return RESULT_FAILED;
    }
    gateway->service = service;
    gateway->daemon = start_daemon(gateway, fd);
    if (gateway->daemon == NULL) {
        failure_set(why, "api.listen", "the HTTP server cannot be started");
        free(gateway);
        close(fd);
        return RESULT_FAILED;
    }
    *out = gateway;
    return RESULT_OK;
}

void gateway_stop(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    int fd = MHD_quiesce_daemon(gateway->daemon);
    while (atomic_load(&gateway->service->exporting)) /* no suspended connection may be left */
        (void)usleep(5000);
    int64_t until_ms = clock_steady_ms() + DRAIN_MS;
    while (atomic_load(&gateway->service->in_progress) > 0 && clock_steady_ms() < until_ms)
        (void)usleep(5000);
    MHD_stop_daemon(gateway->daemon);
    if (fd >= 0)
        close(fd);
    free(gateway);
}
