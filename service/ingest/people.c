#include "service/ingest/people.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/base/clock.h"
#include "service/base/metrics.h"
#include "service/ingest/document.h"
#include "service/ingest/ration.h"

#define BODY_BYTES 8192
#define VALUES_MAX 16
#define DAY_MS (24LL * 3600 * 1000)
#define DUE_DAYS 30      /* GDPR, Art. 12(3): a month */
#define LAST_DUE_DAYS 45 /* Cal. Civ. Code 1798.130(a)(2) */
#define PURGED_RETRY_S 300

enum member { USER, SEAL_TO, WITHDRAW, MEMBERS };
static const char *const member_names[MEMBERS] = {"user", "seal_to", "withdraw"};

static const struct {
    const char *suffix;
    enum packet_erase_kind kind;
} routes[] = {
    {"/erasures", PACKET_ERASURE},
    {"/objections", PACKET_OBJECTION},
    {"/access-requests", PACKET_ACCESS},
};

static const char *const kind_names[] = {[PACKET_ERASURE] = "erasure",
    [PACKET_OBJECTION] = "objection",
    [PACKET_ACCESS] = "access",
    [PACKET_WITHDRAWAL] = "withdrawal"};

/* The body */

static bool deny(struct exchange *exchange, const char *field, const char *text)
{
    failure_set(&exchange->why, field, "%s", text);
    exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_request", 0);
    return false;
}

static bool sort_members(
    struct exchange *exchange, const struct document_value *root, const struct document_value *out[MEMBERS])
{
    const struct document_value *name = root + 1;
    for (uint32_t m = 0; m < root->count; m++, name = document_next(name + 1)) {
        size_t i = 0;
        while (i < MEMBERS && strcmp(member_names[i], name->text) != 0)
            i++;
        if (i == MEMBERS) /* its name is the client's words: not repeated */
            return deny(exchange, "", "unknown member: only user, seal_to and withdraw may be there");
        out[i] = name + 1;
    }
    return true;
}

static bool read_user(struct exchange *exchange, const struct document_value *user)
{
    if (user == NULL || user->kind != DOCUMENT_TEXT)
        return deny(exchange, "user", "is required, a text");
    if (user->count < 1 || user->count > RAW_ID_MAX_BYTES)
        return deny(exchange, "user", "must have 1 to 256 bytes");
    exchange->person.kind = PSEUDONYM_USER;
    exchange->person.id = (struct raw_id){.bytes = user->text, .length = user->count};
    return true;
}

/* Whether an answer can be sealed to key: sealing refuses points of small order. */
static bool is_public_key(const uint8_t key[PACKET_SEAL_BYTES])
{
    uint8_t shared[crypto_scalarmult_BYTES], secret[crypto_scalarmult_SCALARBYTES];
    randombytes_buf(secret, sizeof secret);
    bool good = crypto_scalarmult(shared, secret, key) == 0;
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(shared, sizeof shared);
    return good;
}

static bool read_seal(struct exchange *exchange, const struct document_value *text)
{
    uint8_t *key = exchange->erase.seal;
    size_t length = 0;
    if (exchange->erase.kind != PACKET_ACCESS)
        return text == NULL || deny(exchange, "seal_to", "belongs to access requests alone");
    if (text == NULL || text->kind != DOCUMENT_TEXT)
        return deny(exchange, "seal_to", "is required: the base64 of an X25519 public key, to which the answer is sealed");
    if (sodium_base642bin(key, PACKET_SEAL_BYTES, text->text, text->count, NULL, &length, NULL,
            sodium_base64_VARIANT_ORIGINAL) != 0 ||
        length != PACKET_SEAL_BYTES || !is_public_key(key))
        return deny(exchange, "seal_to", "must be the base64 of an X25519 public key of 32 bytes");
    return true;
}

static bool read_withdraw(struct exchange *exchange, const struct document_value *withdraw)
{
    if (withdraw == NULL)
        return true;
    if (exchange->erase.kind != PACKET_OBJECTION)
        return deny(exchange, "withdraw", "belongs to objections alone");
    if (withdraw->kind != DOCUMENT_TRUE && withdraw->kind != DOCUMENT_FALSE)
        return deny(exchange, "withdraw", "must be true or false");
    if (withdraw->kind == DOCUMENT_TRUE)
        exchange->erase.kind = PACKET_WITHDRAWAL;
    return true;
}

static bool read_members(struct exchange *exchange, const struct document_value *root)
{
    const struct document_value *members[MEMBERS] = {NULL};
    return sort_members(exchange, root, members) && read_user(exchange, members[USER]) &&
        read_seal(exchange, members[SEAL_TO]) && read_withdraw(exchange, members[WITHDRAW]);
}

/* Read the body into person and erase; person.id lies in the body or in item.request.document. */
static bool parse(struct exchange *exchange)
{
    struct document document;
    struct document_value first[VALUES_MAX];
    char *body = exchange->body == NULL ? exchange->first : exchange->body;
    document_begin(&document, first, VALUES_MAX);
    enum result result = RESULT_OK;
    if (!document_scan(&document, body, exchange->body_length))
        result = document_load(&document, body, exchange->body_length, &exchange->why);
    exchange->parsed = true;
    exchange->item.request = (struct request){.document = document.owner};
    document.owner = NULL;
    bool read = false;
    if (result == RESULT_OK)
        read = read_members(exchange, document.values);
    else
        exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_request", 0);
    document_free(&document);
    return read;
}

/* Answers */

static void print_uuid(const uint8_t id[16], char out[37])
{
    char hex[33];
    sodium_bin2hex(hex, sizeof hex, id, 16);
    (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static enum MHD_Result send_receipt(struct exchange *exchange)
{
    char uuid[37], text[512];
    const struct packet_erase *erase = &exchange->erase;
    print_uuid(erase->request, uuid);
    /* Names of kinds and apps: nothing to escape. */
    (void)snprintf(text, sizeof text,
        "{\"request\":\"%s\",\"kind\":\"%s\",\"app\":\"%s\",\"received_at\":%lld,\"due_at\":%lld,\"last_due_at\":%lld}",
        uuid, kind_names[erase->kind], exchange->app, (long long)erase->at_ms,
        (long long)(erase->at_ms + DUE_DAYS * DAY_MS), (long long)(erase->at_ms + LAST_DUE_DAYS * DAY_MS));
    char *json = strdup(text);
    return json == NULL ? MHD_NO : exchange_send(exchange, MHD_HTTP_ACCEPTED, json);
}

static enum MHD_Result refuse_commit(struct exchange *exchange)
{
    failure_set(&exchange->why, "", "nothing can be kept at the moment; try again");
    exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", 1);
    return exchange_send_refusal(exchange);
}

static enum MHD_Result finish_submitted(struct exchange *exchange)
{
    if (exchange->item.safe)
        return send_receipt(exchange);
    if (exchange->item.named != RESULT_NOT_FOUND)
        return refuse_commit(exchange);
    failure_set(&exchange->why, "app", "has no key here: its names can no longer be computed by anyone");
    exchange_refuse(exchange, MHD_HTTP_CONFLICT, "no_key", 0);
    return exchange_send_refusal(exchange);
}

/* A random UUID (RFC 9562, version 4): nobody can guess it. */
static void draw_request(uint8_t id[16])
{
    randombytes_buf(id, 16);
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

static enum MHD_Result finish(struct exchange *exchange)
{
    if (exchange->submitted)
        return finish_submitted(exchange);
    if (exchange->refused != 0 || !parse(exchange))
        return exchange_send_refusal(exchange);
    struct request *request = &exchange->item.request;
    request->app = catalogue_app_named(mirror_catalogue(exchange->view), exchange->app);
    request->ids = &exchange->person;
    request->id_count = 1;
    draw_request(exchange->erase.request);
    exchange->erase.app = request->app->id;
    exchange->erase.at_ms = node_receive(exchange->service->node, &exchange->item.ticket);
    exchange->control = (struct writer_control){.erase = &exchange->erase};
    exchange->item.control = &exchange->control;
    if (exchange_submit(exchange))
        return MHD_YES;
    node_settle(exchange->service->node, &exchange->item.ticket);
    return refuse_commit(exchange);
}

/* Before the body */

static bool check_available(struct exchange *exchange)
{
    if (exchange->view != NULL && !atomic_load(&exchange->service->ending) && notices_have_begun(exchange->service->notices))
        return true;
    failure_set(&exchange->why, "", "the service is starting or ending; try again");
    exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", 5);
    return false;
}

/* The key first: who has none learns nothing of apps. */
static bool check_key(struct exchange *exchange)
{
    const char *bearer = exchange_bearer(exchange);
    const struct catalogue *catalogue = mirror_catalogue(exchange->view);
    const struct app *app = catalogue_app_named(catalogue, exchange->app);
    size_t length = bearer == NULL ? 0 : strlen(bearer);
    uint32_t covered = 0;
    enum result result = RESULT_NOT_FOUND;
    if (length > 0 && length <= REQUEST_KEY_MAX_BYTES)
        result = catalogue_find_erase_key(catalogue, bearer, length, &covered);
    if (result == RESULT_NOT_FOUND) {
        metrics_add(METRIC_AUTH_FAILURES, 1);
        failure_set(&exchange->why, "Authorization", "needs an API key of scope erase, as a bearer token");
        exchange_refuse(exchange, MHD_HTTP_UNAUTHORIZED, "unknown_key", 0);
        return false;
    }
    if (result == RESULT_OK && (covered == 0 || (app != NULL && app->id == covered)))
        return true;
    metrics_add(METRIC_ACCESS_DENIED, 1);
    failure_set(&exchange->why, "Authorization", "this key has not the scope erase, or not for this app");
    exchange_refuse(exchange, MHD_HTTP_FORBIDDEN, "forbidden", 0);
    return false;
}

/* Whoever may ask for access could learn who is known: few an hour, by key. */
static bool check_ration(struct exchange *exchange)
{
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    uint64_t holder;
    unsigned retry_after_s = 1;
    const char *bearer = exchange_bearer(exchange);
    catalogue_hash_key(bearer, strlen(bearer), hash);
    memcpy(&holder, hash, sizeof holder);
    if (ration_take(exchange->service->ration, holder, clock_steady_ms(), &retry_after_s))
        return true;
    metrics_add(METRIC_RATE_LIMITED, 1);
    failure_set(&exchange->why, "", "at most %d access requests an hour and key", RATION_AN_HOUR);
    exchange_refuse(exchange, MHD_HTTP_TOO_MANY_REQUESTS, "rate_limited", retry_after_s);
    return false;
}

static bool check_app(struct exchange *exchange)
{
    const struct app *app = catalogue_app_named(mirror_catalogue(exchange->view), exchange->app);
    if (app == NULL) {
        failure_set(&exchange->why, "app", "there is no app of this name");
        exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "not_found", 0);
        return false;
    }
    if (!purges_holds(exchange->service->purges, app->id))
        return true;
    failure_set(&exchange->why, "app", "is purged: its keys are destroyed, and its names cannot be computed any more");
    exchange_refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "purged", PURGED_RETRY_S);
    return false;
}

static bool check_media_type(struct exchange *exchange)
{
    const char *type = exchange->headers[EXCHANGE_CONTENT_TYPE];
    const char *coding = exchange->headers[EXCHANGE_CONTENT_ENCODING];
    if (type != NULL && strncasecmp(type, "application/json", 16) == 0 && strchr("; \t", type[16]) != NULL && coding == NULL)
        return true;
    failure_set(&exchange->why, "Content-Type", "send application/json, not encoded");
    exchange_refuse(exchange, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 0);
    return false;
}

static bool check_method(struct exchange *exchange, const char *method)
{
    if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
        return true;
    exchange->allow = "POST";
    exchange_refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", 0);
    return false;
}

bool people_begin(struct exchange *exchange, const char *path, const char *method, bool trusted)
{
    size_t i = 0, count = sizeof routes / sizeof routes[0];
    while (i < count && !exchange_take_app(exchange, path, "/v1/apps/", routes[i].suffix))
        i++;
    if (i == count)
        return false;
    exchange->erase.kind = routes[i].kind;
    exchange->view = mirror_hold(exchange->service->mirror);
    exchange->body_limit = BODY_BYTES;
    exchange->finish = finish;
    bool good = check_method(exchange, method) && check_available(exchange) && (trusted || check_key(exchange)) &&
        check_app(exchange) && check_media_type(exchange);
    if (good && !trusted && exchange->erase.kind == PACKET_ACCESS)
        (void)check_ration(exchange);
    return true;
}
