#include "service/cli/sender.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/limits.h"
#include "service/catalogue/definition.h"
#include "service/cli/poster.h"

#define BODY_BYTES (900 * 1024)

/* The seqs of one request's events, to tell which were rejected. */
struct ticket {
    struct ticket *next;
    size_t count;
    uint64_t seqs[REQUEST_EVENTS_MAX];
};

struct sender {
    const struct app *app;
    struct poster *poster;
    struct sender_tally tally;
    char source[SENDER_SOURCE_BYTES];
    struct ticket *ticket; /* of the open request; NULL: none */
    struct ticket *flying; /* of those that are not answered yet */
    char *body;
    size_t length, capacity;
};

static const char *const reason_names[PACKET_REASONS] = {
#define REASON(id, name, kind) name,
#include "schema/reason.def"
#undef REASON
};

const char *sender_reason_name(enum packet_reason reason)
{
    return reason_names[reason];
}

void sender_make_source(const char *kind, const char *what, const uint8_t hash[32], uint64_t chunk,
    char out[SENDER_SOURCE_BYTES])
{
    uint8_t digest[32];
    uint64_t lengths[2] = {strlen(kind), strlen(what)};
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof digest);
    crypto_generichash_update(&state, (const unsigned char *)lengths, sizeof lengths);
    crypto_generichash_update(&state, (const unsigned char *)kind, strlen(kind));
    crypto_generichash_update(&state, (const unsigned char *)what, strlen(what));
    crypto_generichash_update(&state, hash, 32);
    crypto_generichash_update(&state, (const unsigned char *)&chunk, sizeof chunk);
    crypto_generichash_final(&state, digest, sizeof digest);
    sodium_bin2base64(out, SENDER_SOURCE_BYTES, digest, sizeof digest, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* --- the body ------------------------------------------------------------------------------------------------------ */

static void reserve(struct sender *sender, size_t more)
{
    if (sender->length + more <= sender->capacity)
        return;
    size_t capacity = sender->capacity == 0 ? 256 * 1024 : sender->capacity;
    while (capacity < sender->length + more)
        capacity *= 2;
    char *grown = realloc(sender->body, capacity);
    assert(grown != NULL);
    sender->body = grown;
    sender->capacity = capacity;
}

static void put(struct sender *sender, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct sender *sender, const char *format, ...)
{
    reserve(sender, 512);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(sender->body + sender->length, 512, format, arguments);
    va_end(arguments);
    assert(length >= 0 && length < 512);
    sender->length += (size_t)length;
}

/* A JSON string of UTF-8 text. */
static void put_text(struct sender *sender, const char *text)
{
    size_t length = strlen(text);
    reserve(sender, length * 6 + 2);
    char *to = sender->body + sender->length;
    *to++ = '"';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20) {
            to += sprintf(to, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            *to++ = '\\';
        *to++ = (char)c;
    }
    *to++ = '"';
    sender->length = (size_t)(to - sender->body);
}

static bool is_number(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

/* In the declared type if the text allows it; else as a string, which ingest rejects with the reason. */
static void put_value(struct sender *sender, const struct app_event *event, const struct sender_prop *prop)
{
    double number;
    int index = event == NULL ? -1 : definition_find_prop(event, prop->name);
    const struct app_prop *declared = index < 0 ? NULL : &event->props[index];
    if (declared != NULL && declared->type == APP_PROP_NUMBER && is_number(prop->text, &number)) {
        put(sender, "%.15g", number);
        return;
    }
    if (declared != NULL && declared->type == APP_PROP_BOOLEAN) {
        bool on = strcmp(prop->text, "true") == 0 || strcmp(prop->text, "1") == 0;
        if (on || strcmp(prop->text, "false") == 0 || strcmp(prop->text, "0") == 0) {
            put(sender, on ? "true" : "false");
            return;
        }
    }
    put_text(sender, prop->text);
}

static void put_props(struct sender *sender, const struct sender_event *event)
{
    int index = definition_find_event(sender->app, event->name);
    const struct app_event *declared = index < 0 ? NULL : &sender->app->events[index];
    put(sender, ",\"props\":{");
    for (size_t i = 0; i < event->prop_count; i++) {
        if (i > 0)
            put(sender, ",");
        put_text(sender, event->props[i].name);
        put(sender, ":");
        put_value(sender, declared, &event->props[i]);
    }
    put(sender, "}");
}

static void put_event(struct sender *sender, const struct sender_event *event)
{
    put(sender, "%s{\"seq\":%" PRIu64 ",\"ts\":%" PRId64 ",\"name\":", sender->ticket->count == 0 ? "" : ",", event->seq,
        event->ts_ms);
    put_text(sender, event->name);
    put(sender, ",\"user\":");
    put_text(sender, event->user);
    if (event->session != NULL) {
        put(sender, ",\"session\":");
        put_text(sender, event->session);
    }
    if (event->engaged_ms >= 0)
        put(sender, ",\"engaged_ms\":%" PRId64, event->engaged_ms);
    if (event->prop_count > 0)
        put_props(sender, event);
    put(sender, "}");
}

/* --- requests and answers ------------------------------------------------------------------------------------------ */

static enum result flush(struct sender *sender, struct failure *why)
{
    if (sender->ticket == NULL)
        return RESULT_OK;
    put(sender, "]}");
    char *body = sender->body;
    size_t length = sender->length;
    struct ticket *ticket = sender->ticket;
    sender->body = NULL;
    sender->ticket = NULL;
    sender->length = sender->capacity = 0;
    sender->tally.sent += ticket->count;
    ticket->next = sender->flying;
    sender->flying = ticket;
    return poster_submit(sender->poster, body, length, ticket, why);
}

static void open_request(struct sender *sender, const char *source)
{
    sender->ticket = calloc(1, sizeof *sender->ticket);
    assert(sender->ticket != NULL);
    snprintf(sender->source, sizeof sender->source, "%s", source);
    put(sender, "{\"source\":\"%s\",\"events\":[", sender->source);
}

enum result sender_add(struct sender *sender, const char *source, const struct sender_event *event, struct failure *why)
{
    struct ticket *ticket = sender->ticket;
    if (ticket != NULL
        && (ticket->count == REQUEST_EVENTS_MAX || sender->length > BODY_BYTES || strcmp(source, sender->source) != 0)) {
        enum result result = flush(sender, why);
        if (result != RESULT_OK)
            return result;
    }
    if (sender->ticket == NULL)
        open_request(sender, source);
    put_event(sender, event);
    sender->ticket->seqs[sender->ticket->count++] = event->seq;
    return RESULT_OK;
}

enum result sender_finish(struct sender *sender, struct failure *why)
{
    enum result result = flush(sender, why);
    return result != RESULT_OK ? result : poster_finish(sender->poster, why);
}

static void count_reason(struct sender_tally *tally, const char *reason)
{
    for (size_t i = 0; i < PACKET_REASONS; i++) {
        if (strcmp(reason_names[i], reason) == 0) {
            tally->reasons[i]++;
            return;
        }
    }
    tally->other++;
}

/* Keep the rejections with the smallest seqs, in order: answers come in any. */
static void show_rejected(struct sender_tally *tally, uint64_t seq, const char *reason, const char *field)
{
    size_t at = tally->shown_count;
    while (at > 0 && tally->shown[at - 1].seq > seq)
        at--;
    if (at == SENDER_SHOWN)
        return;
    if (tally->shown_count < SENDER_SHOWN)
        tally->shown_count++;
    memmove(&tally->shown[at + 1], &tally->shown[at], (tally->shown_count - at - 1) * sizeof tally->shown[0]);
    tally->shown[at].seq = seq;
    snprintf(tally->shown[at].reason, sizeof tally->shown[at].reason, "%s", reason);
    snprintf(tally->shown[at].field, sizeof tally->shown[at].field, "%s", field);
}

static void count_rejected(struct sender_tally *tally, const struct ticket *ticket, const json_t *row)
{
    const char *reason = json_string_value(json_object_get(row, "type"));
    const char *field = json_string_value(json_object_get(row, "field"));
    json_int_t index = json_integer_value(json_object_get(row, "index"));
    tally->rejected++;
    count_reason(tally, reason == NULL ? "" : reason);
    if (index >= 0 && (size_t)index < ticket->count)
        show_rejected(tally, ticket->seqs[index], reason == NULL ? "unknown" : reason, field == NULL ? "" : field);
}

/* Ingest's problem document says it better than we can. */
static enum result refused(long status, const json_t *document, struct failure *why)
{
    const char *detail = json_string_value(json_object_get(document, "detail"));
    const char *field = json_string_value(json_object_get(document, "field"));
    failure_set(why, field, "ingest answered %ld: %s", status, detail == NULL ? "without an explanation" : detail);
    return status == 400 ? RESULT_INVALID : RESULT_DENIED;
}

static void land(struct sender *sender, struct ticket *ticket)
{
    struct ticket **at = &sender->flying;
    while (*at != ticket)
        at = &(*at)->next;
    *at = ticket->next;
    free(ticket);
}

static enum result answered(void *context, const struct poster_answer *answer, struct failure *why)
{
    struct sender *sender = context;
    struct ticket *ticket = answer->ticket;
    enum result result = RESULT_OK;
    size_t index;
    json_t *row;
    json_t *document = json_loadb(answer->body, answer->length, 0, NULL);
    if (answer->status != 202) {
        result = refused(answer->status, document, why);
        goto out;
    }
    sender->tally.accepted += (uint64_t)json_integer_value(json_object_get(document, "accepted"));
    sender->tally.dropped += (uint64_t)json_integer_value(json_object_get(document, "dropped"));
    json_array_foreach(json_object_get(document, "rejected"), index, row)
        count_rejected(&sender->tally, ticket, row);
out:
    json_decref(document);
    land(sender, ticket);
    return result;
}

enum result sender_new(const char *target, const struct app *app, size_t parallel, struct sender **out,
    struct failure *why)
{
    char path[NAME_MAX_BYTES + 64];
    struct sender *sender = calloc(1, sizeof *sender);
    if (sender == NULL)
        return RESULT_FAILED;
    sender->app = app;
    snprintf(path, sizeof path, "/v1/apps/%s/events?mode=import", app->name);
    struct poster_listener listener = {.answered = answered, .context = sender};
    enum result result = poster_new(target, path, parallel, &listener, &sender->poster, why);
    if (result != RESULT_OK) {
        free(sender);
        return result;
    }
    *out = sender;
    return RESULT_OK;
}

void sender_free(struct sender *sender)
{
    if (sender == NULL)
        return;
    poster_free(sender->poster);
    if (sender->body != NULL)
        sodium_memzero(sender->body, sender->length);
    free(sender->body);
    free(sender->ticket);
    while (sender->flying != NULL)
        land(sender, sender->flying);
    free(sender);
}

const struct sender_tally *sender_tally(const struct sender *sender)
{
    return &sender->tally;
}
