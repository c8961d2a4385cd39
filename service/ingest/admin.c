#include "service/ingest/admin.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/ingest/document.h"
#include "service/ingest/events.h"
#include "service/ingest/keep.h"

#define EXPORT_PASSPHRASE_MIN 12

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

static json_t *describe_linked(const struct keyd_status *status)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < status->linked_epochs; i++) {
        char commitment[2 * sizeof status->commitment + 1];
        const struct keyd_linked *linked = &status->linked[i];
        sodium_bin2hex(commitment, sizeof commitment, linked->commitment, sizeof linked->commitment);
        (void)json_array_append_new(list,
            json_pack("{s:I, s:s, s:I}", "epoch", (json_int_t)linked->epoch, "commitment", commitment, "linkable_until_ms",
                (json_int_t)linked->until_ms));
    }
    return list;
}

static json_t *describe_key(const struct exchange *exchange, const struct keyd_status *status, const char *ring)
{
    char commitment[2 * sizeof status->commitment + 1];
    const struct mirror_view *view = exchange->view;
    const struct app *app = view == NULL ? NULL : catalogue_app(mirror_catalogue(view), status->app);
    sodium_bin2hex(commitment, sizeof commitment, status->commitment, sizeof status->commitment);
    return json_pack("{s:s?, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:s}", "app", app == NULL ? NULL : app->name, "app_id",
        (json_int_t)status->app, "epoch", (json_int_t)status->epoch, "linked_epochs",
        (json_int_t)status->linked_epochs, "ratcheted_at_ms", (json_int_t)status->ratcheted_at_ms, "next_ratchet_ms",
        (json_int_t)status->next_ratchet_ms, "commitment", commitment, "linkable_until_ms", (json_int_t)status->until_ms,
        "linked", describe_linked(status), "ring", ring);
}

static enum MHD_Result finish_keys(struct exchange *exchange)
{
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    size_t count = 0;
    uint8_t ring[KEYD_RING_BYTES];
    char ring_text[2 * sizeof ring + 1];
    struct keyd_status *status = calloc(KEYD_APPS_MAX, sizeof *status);
    enum result result = RESULT_UNAVAILABLE;
    if (status != NULL)
        result = keyd_read_status(exchange->service->keyd, status, KEYD_APPS_MAX, &count, ring, &exchange->why);
    if (result != RESULT_OK) {
        free(status);
        return send_failure(exchange, result);
    }
    json_t *keys = json_array();
    sodium_bin2hex(ring_text, sizeof ring_text, ring, sizeof ring);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(keys, describe_key(exchange, &status[i], ring_text));
    free(status);
    return send_json(exchange, json_pack("{s:s, s:o}", "ring", ring_text, "keys", keys));
}

/* The order that a request carries out: ?order=UUID, zeros if there is none. False, and the request is refused, if it is no
 * UUID, or absent where it must not be. */
static bool read_order(struct exchange *exchange, bool required, uint8_t out[16])
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t length = 0;
    const char *text = MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, "order");
    memset(out, 0, 16);
    if (text == NULL && !required)
        return true;
    bool good = text != NULL && strlen(text) == sizeof form - 1;
    for (size_t i = 0; good && form[i] != '\0'; i++)
        good = (text[i] == '-') == (form[i] == '-');
    if (good && sodium_hex2bin(out, 16, text, sizeof form - 1, "-", &length, NULL) == 0 && length == 16)
        return true;
    failure_set(&exchange->why, "order", "must be a UUID: the id of the order that this carries out");
    exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_request", 0);
    return false;
}

/* The app of the path; NULL, and the request is refused, if there is none. */
static const struct app *find_app(struct exchange *exchange)
{
    const struct app *app =
        exchange->view == NULL ? NULL : catalogue_app_named(mirror_catalogue(exchange->view), exchange->app);
    if (app != NULL)
        return app;
    failure_set(&exchange->why, "app", "there is no app of this name");
    exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "not_found", 0);
    return NULL;
}

/* Order change of the path's app; request and app are filled in. RESULT_INVALID: refused already. */
static enum result change_key(struct exchange *exchange, struct notices_change *change, const struct app **app)
{
    *app = exchange->refused != 0 ? NULL : find_app(exchange);
    if (*app == NULL || !read_order(exchange, false, change->request))
        return RESULT_INVALID;
    change->app = (*app)->id;
    change->epoch_days = (*app)->epoch_days;
    change->link_epochs = (*app)->link_epochs;
    enum result result = notices_change_key(exchange->service->notices, change, &exchange->why);
    if (result == RESULT_NOT_FOUND)
        exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "not_found", 0);
    else if (result == RESULT_DENIED)
        exchange_refuse(exchange, MHD_HTTP_CONFLICT, "no_key", 0);
    else if (result != RESULT_OK)
        exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", 1);
    return result;
}

static enum MHD_Result finish_step(struct exchange *exchange, enum packet_notice_act act, const char *done)
{
    const struct app *app;
    struct notices_change change = {.act = act};
    if (change_key(exchange, &change, &app) != RESULT_OK)
        return exchange_send_refusal(exchange);
    return send_json(exchange, json_pack("{s:s, s:b}", "app", app->name, done, 1));
}

static enum MHD_Result finish_ratchet(struct exchange *exchange)
{
    return finish_step(exchange, PACKET_KEY_RATCHETED, "ratcheted");
}

static enum MHD_Result finish_rotate(struct exchange *exchange)
{
    return finish_step(exchange, PACKET_KEY_ROTATED, "rotated");
}

/* Destroy the app's keys, and begin anew at once where this node may make keys: to be without is what a purge is for. */
static enum MHD_Result finish_destroy(struct exchange *exchange)
{
    const struct app *app;
    struct notices_change change = {.act = PACKET_KEY_DESTROYED};
    struct failure why = {0};
    if (change_key(exchange, &change, &app) != RESULT_OK)
        return exchange_send_refusal(exchange);
    bool born = false;
    change.act = PACKET_KEY_BORN;
    if (exchange->service->config->ingest_create_keys && !purges_holds(exchange->service->purges, app->id))
        born = notices_change_key(exchange->service->notices, &change, &why) == RESULT_OK;
    return send_json(exchange, json_pack("{s:s, s:b, s:b}", "app", app->name, "destroyed", 1, "new_root", born));
}

/* Export */

/* Copy {"passphrase":"…"} of the body to out. */
static bool read_passphrase(struct exchange *exchange, char *out, size_t size)
{
    struct document document;
    struct document_value first[8];
    char *body = exchange->body == NULL ? exchange->first : exchange->body;
    document_begin(&document, first, sizeof first / sizeof first[0]);
    bool read = document_scan(&document, body, exchange->body_length) ||
        document_load(&document, body, exchange->body_length, &exchange->why) == RESULT_OK;
    const struct document_value *root = document.values;
    bool good = read && root->count == 1 && strcmp(root[1].text, "passphrase") == 0 && root[2].kind == DOCUMENT_TEXT &&
        root[2].count >= EXPORT_PASSPHRASE_MIN && root[2].count < size;
    if (good)
        memcpy(out, root[2].text, root[2].count + 1);
    document_free(&document);
    exchange_drop_body(exchange);
    if (good)
        return true;
    exchange->why = (struct failure){0};
    failure_set(&exchange->why, "passphrase", "send {\"passphrase\":\"…\"}, of %d to %zu bytes", EXPORT_PASSPHRASE_MIN, size - 1);
    exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_request", 0);
    return false;
}

/* Write all keys, sealed anew, to keys.export in the state directory. */
static enum MHD_Result finish_export(struct exchange *exchange)
{
    char passphrase[256];
    uint8_t *bytes = NULL;
    size_t length = 0;
    const char *directory = exchange->service->config->ingest_state;
    if (exchange->refused != 0 || !read_passphrase(exchange, passphrase, sizeof passphrase))
        return exchange_send_refusal(exchange);
    enum result result = keyd_export(exchange->service->keyd, passphrase, &bytes, &length, &exchange->why);
    sodium_memzero(passphrase, sizeof passphrase);
    if (result == RESULT_OK)
        result = keep_store(directory, "keys.export", bytes, length, &exchange->why);
    free(bytes);
    if (result != RESULT_OK)
        return send_failure(exchange, RESULT_UNAVAILABLE);
    char path[KEEP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/keys.export", directory);
    return send_json(exchange, json_pack("{s:s, s:I}", "file", path, "bytes", (json_int_t)length));
}

/* Purge */

static enum MHD_Result finish_purge(struct exchange *exchange)
{
    uint8_t order[16];
    struct exchange_service *service = exchange->service;
    const struct app *app = exchange->refused != 0 ? NULL : find_app(exchange);
    if (app == NULL || !read_order(exchange, true, order))
        return exchange_send_refusal(exchange);
    enum result result = purges_order(service->purges, app->id, order, &exchange->why);
    if (result != RESULT_OK)
        return send_failure(exchange, RESULT_UNAVAILABLE);
    /* What neither Redis nor the spool takes now is tried again each second, and after every start. */
    result = purges_finish(
        service->purges, service->notices, service->writer, (uint32_t)service->config->stream_shards, &exchange->why);
    return send_json(
        exchange, json_pack("{s:s, s:b, s:b}", "app", app->name, "purged", 1, "finished", result == RESULT_OK));
}

static enum MHD_Result finish_resume(struct exchange *exchange)
{
    struct notices_change change = {.act = PACKET_KEY_BORN};
    const struct app *app = exchange->refused != 0 ? NULL : find_app(exchange);
    if (app == NULL || !read_order(exchange, false, change.request))
        return exchange_send_refusal(exchange);
    enum result result = purges_resume(exchange->service->purges, app->id, &exchange->why);
    if (result == RESULT_NOT_FOUND)
        exchange_refuse(exchange, MHD_HTTP_CONFLICT, "not_purged", 0);
    if (result != RESULT_OK)
        return send_failure(exchange, result);
    if (change_key(exchange, &change, &app) != RESULT_OK)
        return exchange_send_refusal(exchange);
    return send_json(exchange, json_pack("{s:s, s:b}", "app", app->name, "resumed", 1));
}

/* Self-test */

static enum MHD_Result finish_self_test(struct exchange *exchange)
{
    size_t places, found;
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    enum result result = selftest_run(exchange->service->selftest, &places, &found, &exchange->why);
    if (result != RESULT_OK)
        return send_failure(exchange, result);
    return send_json(exchange,
        json_pack("{s:b, s:I, s:I}", "ok", found == 0, "places", (json_int_t)places, "found", (json_int_t)found));
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

static const struct {
    const char *prefix, *suffix; /* suffix NULL: prefix is the whole path; else the app's name lies between */
    const char *method;
    enum MHD_Result (*finish)(struct exchange *exchange);
} routes[] = {
    {"/v1/keys", NULL, "GET", finish_keys},
    {"/v1/keys/export", NULL, "POST", finish_export},
    {"/v1/keys/", "/ratchet", "POST", finish_ratchet},
    {"/v1/keys/", "/rotate", "POST", finish_rotate},
    {"/v1/keys/", "/destroy", "POST", finish_destroy},
    {"/v1/apps/", "/purge", "POST", finish_purge},
    {"/v1/apps/", "/resume", "POST", finish_resume},
    {"/v1/self-test", NULL, "POST", finish_self_test},
    {"/v1/node", NULL, "GET", finish_node},
};

static bool is_route(struct exchange *exchange, size_t i, const char *path)
{
    return routes[i].suffix == NULL ? strcmp(path, routes[i].prefix) == 0
                                    : exchange_take_app(exchange, path, routes[i].prefix, routes[i].suffix);
}

bool admin_begin(struct exchange *exchange, const char *path, const char *method)
{
    size_t i = 0, count = sizeof routes / sizeof routes[0];
    if (exchange_take_app(exchange, path, "/v1/apps/", "/events")) {
        events_begin_admin(exchange, method);
        return true;
    }
    while (i < count && !is_route(exchange, i, path))
        i++;
    if (i == count)
        return false;
    exchange->finish = routes[i].finish;
    exchange->view = mirror_hold(exchange->service->mirror);
    if (strcmp(method, routes[i].method) == 0)
        return true;
    exchange->allow = routes[i].method;
    exchange_refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", 0);
    return true;
}
