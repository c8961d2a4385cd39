#include "service/ingest/admin.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/ingest/events.h"

#define STATUS_APPS_MAX 4096

static enum MHD_Result send_json(struct exchange *exchange, json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text == NULL ? MHD_NO : exchange_send(exchange, MHD_HTTP_OK, text);
}

static enum MHD_Result send_failure(struct exchange *exchange, enum result result)
{
    if (result == RESULT_NOT_FOUND)
        exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "not_found", 0);
    exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", 1);
    return exchange_send_refusal(exchange);
}

/* Keys */

static json_t *describe_key(const struct mirror_view *view, const struct keyd_status *status)
{
    char commitment[2 * sizeof status->commitment + 1];
    const struct app *app = view == NULL ? NULL : catalogue_app(mirror_catalogue(view), status->app);
    sodium_bin2hex(commitment, sizeof commitment, status->commitment, sizeof status->commitment);
    return json_pack("{s:s?, s:I, s:I, s:I, s:I, s:I, s:s}", "app", app == NULL ? NULL : app->name, "app_id",
        (json_int_t)status->app, "epoch", (json_int_t)status->epoch, "linked_epochs",
        (json_int_t)status->linked_epochs, "ratcheted_at_ms", (json_int_t)status->ratcheted_at_ms, "next_ratchet_ms",
        (json_int_t)status->next_ratchet_ms, "commitment", commitment);
}

static enum MHD_Result finish_keys(struct exchange *exchange)
{
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    size_t count = 0;
    struct keyd_status *status = calloc(STATUS_APPS_MAX, sizeof *status);
    enum result result = RESULT_UNAVAILABLE;
    if (status != NULL)
        result = keyd_read_status(exchange->service->keyd, status, STATUS_APPS_MAX, &count, &exchange->why);
    if (result != RESULT_OK) {
        free(status);
        return send_failure(exchange, result);
    }
    json_t *keys = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(keys, describe_key(exchange->view, &status[i]));
    free(status);
    return send_json(exchange, json_pack("{s:o}", "keys", keys));
}

static enum MHD_Result finish_ratchet(struct exchange *exchange)
{
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    const struct app *app =
        exchange->view == NULL ? NULL : catalogue_app_named(mirror_catalogue(exchange->view), exchange->app);
    if (app == NULL) {
        failure_set(&exchange->why, "app", "there is no app of this name");
        return send_failure(exchange, RESULT_NOT_FOUND);
    }
    enum result result = keyd_ratchet(exchange->service->keyd, app->id, &exchange->why);
    if (result != RESULT_OK)
        return send_failure(exchange, result);
    return send_json(exchange, json_pack("{s:s, s:b}", "app", app->name, "ratcheted", 1));
}

/* Node */

static enum MHD_Result finish_node(struct exchange *exchange)
{
    char id[24];
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    const struct exchange_service *service = exchange->service;
    int64_t oldest_ms = node_oldest_ms(service->node);
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)node_id(service->node));
    json_t *oldest = oldest_ms == INT64_MAX ? json_null() : json_integer(oldest_ms);
    return send_json(exchange,
        json_pack("{s:s, s:I, s:I, s:o}", "node", id, "spool_bytes", (json_int_t)spool_bytes(service->spool),
            "spool_capacity_bytes", (json_int_t)service->config->ingest_spool_bytes, "oldest_unacknowledged_ms",
            oldest));
}

/* Routes */

/* The NAME in prefix NAME suffix, copied to exchange->app; false if path has another form. */
static bool take_name(struct exchange *exchange, const char *path, const char *prefix, const char *suffix)
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

static void allow_only(struct exchange *exchange, const char *method, const char *allowed)
{
    exchange->view = mirror_hold(exchange->service->mirror);
    if (strcmp(method, allowed) == 0)
        return;
    exchange->allow = allowed;
    exchange_refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", 0);
}

bool admin_begin(struct exchange *exchange, const char *path, const char *method)
{
    if (take_name(exchange, path, "/v1/apps/", "/events")) {
        events_begin_admin(exchange, method);
        return true;
    }
    if (strcmp(path, "/v1/keys") == 0)
        exchange->finish = finish_keys;
    else if (strcmp(path, "/v1/node") == 0)
        exchange->finish = finish_node;
    else if (take_name(exchange, path, "/v1/keys/", "/ratchet"))
        exchange->finish = finish_ratchet;
    else
        return false;
    allow_only(exchange, method, exchange->finish == finish_ratchet ? "POST" : "GET");
    return true;
}
