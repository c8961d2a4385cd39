#include "service/ingest/request.h"

#include <arpa/inet.h>
#include <assert.h>
#include <jansson.h>
#include <malloc.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"
#include "service/catalogue/shape.h"
#include "service/ingest/document.h"

#define VALUES_AT_HAND 512 /* of a document; more take memory. An event has about 15 */
#define SLOTS_AT_HAND 256

_Static_assert(REQUEST_EVENTS_MAX * (2 + EVENT_PROPS_MAX) + 1 < UINT16_MAX, "a slot holds the number of any id");

enum member { KEY, APP, SENT_AT, SOURCE, CONSENT, EVENTS, MEMBERS };
static const char *const member_names[MEMBERS] = {"key", "app", "sent_at", "source", "consent", "events"};

enum field { NAME, TS, USER, SESSION, SEQ, ENGAGED, PROPS, FIELDS };
static const char *const field_names[FIELDS] = {"name", "ts", "user", "session", "seq", "engaged_ms", "props"};

/* What one call of request_parse works on. */
struct parse {
    const struct request_context *context;
    struct request *request;
    struct failure *why;
    const struct document_value *root;
    const struct document_value *members[MEMBERS];
    enum catalogue_key_kind key_kind;
    bool keyless;       /* on the admin socket */
    int64_t offset_ms;  /* added to every ts */
    const char *device; /* class of the User-Agent; NULL: not looked at yet */
    /* Tables of what was seen, open hashing: index into request->ids or events + 1; at most half full. */
    uint16_t *id_slots, *seq_slots;
    size_t id_slot_count, seq_slot_count; /* powers of two */
    /* Of the event being read: by property. */
    const struct document_value *entities[EVENT_PROPS_MAX];
};

/* Why an event is not taken. */
struct fault {
    enum packet_reason reason;
    char field[NAME_MAX_BYTES * 2];
};

/* Wiping */

static void wipe_and_free(void *memory)
{
    if (memory != NULL)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void request_wipe_parser(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

/* Zero every string in value. jansson lends its bytes as const, but they are ours: the document is about to be freed.
 * The document's nesting is bounded, and so is this recursion. */
static void wipe_strings(json_t *value)
{
    const char *key;
    json_t *item;
    size_t index;
    if (json_is_string(value)) {
        explicit_bzero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, item)
            wipe_strings(item);
    } else if (json_is_object(value)) {
        json_object_foreach(value, key, item)
            wipe_strings(item);
    }
}

void request_free(struct request *request)
{
    if (request->document != NULL)
        wipe_strings(request->document);
    json_decref(request->document);
    free(request->events);
    free(request->rejected);
    explicit_bzero(request, sizeof *request);
}

/* Values */

static bool is_kind(const struct document_value *value, enum document_kind kind)
{
    return value != NULL && value->kind == kind;
}

static bool is_text(const struct document_value *value)
{
    return is_kind(value, DOCUMENT_TEXT);
}

static bool is_boolean(const struct document_value *value)
{
    return is_kind(value, DOCUMENT_TRUE) || is_kind(value, DOCUMENT_FALSE);
}

/* Sort the members of object into out by names[0..count-1]. The first one that has no name there is returned, else
 * NULL. */
static const char *sort_members(const struct document_value *object, const char *const *names, size_t count,
    const struct document_value **out)
{
    const struct document_value *name = object + 1;
    for (uint32_t m = 0; m < object->count; m++, name = document_next(name + 1)) {
        size_t i = 0;
        while (i < count && (names[i][0] != name->text[0] || strcmp(names[i], name->text) != 0))
            i++;
        if (i == count)
            return name->text;
        out[i] = name + 1;
    }
    return NULL;
}

static const struct document_value *find_member(const struct document_value *object, const char *wanted)
{
    const struct document_value *name = object + 1;
    for (uint32_t m = 0; m < object->count; m++, name = document_next(name + 1)) {
        if (strcmp(name->text, wanted) == 0)
            return name + 1;
    }
    return NULL;
}

/* Who writes, and to which app */

static enum result deny(struct parse *parse, enum result result, const char *field, const char *text)
{
    failure_set(parse->why, field, "%s", text);
    return result;
}

/* Set the app that `app` in the body names, which must be the one that the key covers (0: any). */
static enum result choose_app(struct parse *parse, uint32_t covered)
{
    const struct request_context *context = parse->context;
    const struct document_value *named = find_member(parse->root, member_names[APP]);
    const struct app *app = covered == 0 ? context->admin_app : catalogue_app(context->catalogue, covered);
    if (named != NULL && !is_text(named))
        return deny(parse, RESULT_INVALID, "app", "must be the name of an app");
    if (named == NULL && app == NULL)
        return deny(parse, RESULT_INVALID, "app", "is required: this key covers every app");
    if (named != NULL && app != NULL && strcmp(app->name, named->text) != 0)
        return deny(parse, RESULT_DENIED, "app", "is not the app of this key");
    if (app == NULL)
        app = catalogue_app_named(context->catalogue, named->text);
    if (app == NULL)
        return deny(parse, RESULT_INVALID, "app", "there is no app of that name");
    parse->request->app = app;
    return RESULT_OK;
}

static enum result check_write_key(struct parse *parse)
{
    const struct app *app = parse->request->app;
    if (app->preset == APP_PRESET_THRESHOLD)
        return deny(parse, RESULT_DENIED, "key",
            "this app's preset is threshold-only, which takes events only from servers: use an ingest key");
    if (parse->context->origin != NULL && !catalogue_app_allows_origin(app, parse->context->origin))
        return deny(parse, RESULT_DENIED, "origin", "is not among the app's origins");
    return RESULT_OK;
}

/* What the catalogue says of the bearer token may be known from before the body was read. */
static enum result find_key(struct parse *parse, const struct document_value *key, uint32_t *covered)
{
    const struct request_context *context = parse->context;
    const char *text = key != NULL ? key->text : context->bearer;
    if (text == NULL)
        return deny(parse, RESULT_NOT_FOUND, "key", "is required, in the body or as a bearer token");
    if (key == NULL && context->grant != NULL) {
        parse->key_kind = context->grant->kind;
        *covered = context->grant->app;
        return RESULT_OK;
    }
    size_t length = strlen(text);
    if (length <= REQUEST_KEY_MAX_BYTES &&
        catalogue_find_key(context->catalogue, text, length, &parse->key_kind, covered) == RESULT_OK)
        return RESULT_OK;
    return deny(parse, RESULT_NOT_FOUND, "key", "is not a key of this installation, or was revoked");
}

static enum result authenticate(struct parse *parse)
{
    uint32_t covered = 0;
    const struct document_value *key = find_member(parse->root, member_names[KEY]);
    if (key != NULL && !is_text(key))
        return deny(parse, RESULT_INVALID, "key", "must be a text");
    if (parse->context->admin_app != NULL) {
        parse->keyless = true;
        return choose_app(parse, 0);
    }
    enum result result = find_key(parse, key, &covered);
    if (result == RESULT_OK)
        result = choose_app(parse, covered);
    if (result != RESULT_OK || parse->key_kind != CATALOGUE_WRITE_KEY)
        return result;
    return check_write_key(parse);
}

/* The envelope */

static enum result check_unknown_member(struct parse *parse, const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
    bool shown = name[length] == '\0' && length >= 1 && length <= NAME_MAX_BYTES;
    return deny(parse, RESULT_INVALID, shown ? name : "", "unknown member");
}

static enum result read_sent_at(struct parse *parse)
{
    int64_t sent_at, received_at = parse->context->received_at_ms;
    if (parse->members[SENT_AT] == NULL)
        return RESULT_OK;
    if (!document_is_whole(parse->members[SENT_AT], &sent_at) || sent_at < TS_MIN_MS || sent_at >= TS_MAX_MS)
        return deny(parse, RESULT_INVALID, "sent_at", "must be an integer: milliseconds since 1970");
    int64_t offset = received_at - sent_at;
    bool wrong = offset > CLOCK_OFFSET_MIN_MS || offset < -CLOCK_OFFSET_MIN_MS;
    if (wrong && !parse->context->import) /* history is not sent when it happens */
        parse->offset_ms = offset;
    return RESULT_OK;
}

static bool is_source(const char *text)
{
    for (; *text != '\0'; text++) {
        char c = *text;
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!fits)
            return false;
    }
    return true;
}

static enum result check_source(struct parse *parse)
{
    const struct document_value *source = parse->members[SOURCE];
    if (source == NULL)
        return RESULT_OK;
    if (is_text(source) && source->count >= SOURCE_MIN_BYTES && source->count <= SOURCE_MAX_BYTES &&
        is_source(source->text))
        return RESULT_OK;
    failure_set(parse->why, "source", "must be %d to %d characters, each a letter, a digit, _ or -", SOURCE_MIN_BYTES,
        SOURCE_MAX_BYTES);
    return RESULT_INVALID;
}

static enum result read_envelope(struct parse *parse)
{
    const char *unknown = sort_members(parse->root, member_names, MEMBERS, parse->members);
    if (unknown != NULL)
        return check_unknown_member(parse, unknown);
    const struct document_value *events = parse->members[EVENTS], *consent = parse->members[CONSENT];
    if (!is_kind(events, DOCUMENT_LIST) || events->count == 0)
        return deny(parse, RESULT_INVALID, "events", "must be a list of at least one event");
    if (consent != NULL && !is_boolean(consent))
        return deny(parse, RESULT_INVALID, "consent", "must be true or false");
    enum result result = read_sent_at(parse);
    if (result == RESULT_OK)
        result = check_source(parse);
    if (result != RESULT_OK || events->count <= REQUEST_EVENTS_MAX)
        return result;
    failure_set(parse->why, "events", "at most %d events a request", REQUEST_EVENTS_MAX);
    return RESULT_FULL;
}

/* Whether the whole request is to be dropped, and why. */
static bool find_drop(const struct parse *parse, enum packet_reason *reason)
{
    const struct request_context *context = parse->context;
    const struct app *app = parse->request->app;
    const struct document_value *consent = parse->members[CONSENT];
    bool owed = app->consent_required && !parse->keyless;
    if (context->gpc && app->respect_gpc)
        *reason = PACKET_REASON_GPC;
    else if (context->dnt && app->respect_dnt)
        *reason = PACKET_REASON_DNT;
    else if (is_kind(consent, DOCUMENT_FALSE) || (owed && !is_kind(consent, DOCUMENT_TRUE)))
        *reason = PACKET_REASON_CONSENT;
    else if (context->bot)
        *reason = PACKET_REASON_BOT;
    else
        return false;
    return true;
}

/* Identifiers, each distinct one kept once */

static uint64_t hash_id(enum pseudonym_kind kind, const struct raw_id *id)
{
    const uint64_t prime = 0x9e3779b97f4a7c15u;
    uint64_t hash = (uint64_t)kind * prime ^ id->length;
    size_t i = 0;
    for (; i < id->length; i += 8) {
        uint64_t word = 0;
        memcpy(&word, id->bytes + i, id->length - i < 8 ? id->length - i : 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 32;
    }
    return hash;
}

static size_t intern(struct parse *parse, enum pseudonym_kind kind, const char *bytes, size_t length)
{
    struct request *request = parse->request;
    struct raw_id id = {.bytes = bytes, .length = length};
    size_t mask = parse->id_slot_count - 1, at = hash_id(kind, &id) & mask;
    for (; parse->id_slots[at] != 0; at = (at + 1) & mask) {
        const struct request_id *known = &request->ids[parse->id_slots[at] - 1];
        if (known->kind == kind && known->id.length == length && memcmp(known->id.bytes, bytes, length) == 0)
            return parse->id_slots[at] - 1u;
    }
    request->ids[request->id_count++] = (struct request_id){.kind = kind, .id = id};
    parse->id_slots[at] = (uint16_t)request->id_count;
    return request->id_count - 1;
}

static size_t intern_text(struct parse *parse, enum pseudonym_kind kind, const struct document_value *text)
{
    return intern(parse, kind, text->text, text->count);
}

/* An address in one form: without leading zeros, and an IPv4 address as such even where a socket maps it into
 * IPv6. */
static void canonical_address(const char *text, char out[INET6_ADDRSTRLEN])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t bytes[16];
    if (inet_pton(AF_INET6, text, bytes) != 1)
        (void)snprintf(out, INET6_ADDRSTRLEN, "%s", text);
    else if (memcmp(bytes, mapped, sizeof mapped) == 0)
        (void)inet_ntop(AF_INET, bytes + sizeof mapped, out, INET6_ADDRSTRLEN);
    else
        (void)inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN);
}

/* The day visitor: "address User-Agent". An address has no space, so two visitors never share a form; of a
 * User-Agent, what exceeds an identifier's length is cut off. */
static size_t intern_visitor(struct parse *parse)
{
    struct request *request = parse->request;
    _Static_assert(sizeof request->visitor > RAW_ID_MAX_BYTES, "an identifier fits");
    if (request->visitor[0] == '\0') {
        char address[INET6_ADDRSTRLEN];
        const char *agent = parse->context->user_agent;
        canonical_address(parse->context->address, address);
        (void)snprintf(request->visitor, RAW_ID_MAX_BYTES + 1, "%s %s", address, agent == NULL ? "" : agent);
        explicit_bzero(address, sizeof address);
    }
    return intern(parse, PSEUDONYM_VISITOR, request->visitor, strlen(request->visitor));
}

/* Events. Each check returns whether the event may pass, or says why not in *fault. */

static bool blame(struct fault *fault, enum packet_reason reason, const char *field)
{
    fault->reason = reason;
    (void)snprintf(fault->field, sizeof fault->field, "%s", field);
    return false;
}

static bool blame_prop(struct fault *fault, enum packet_reason reason, const char *name)
{
    fault->reason = reason;
    (void)snprintf(fault->field, sizeof fault->field, "%s%s", shape_is_name(name, false) ? "props." : "props",
        shape_is_name(name, false) ? name : "");
    return false;
}

/* Why text cannot be an identifier: false if it can. */
static bool is_no_id(const struct document_value *value, enum packet_reason *reason)
{
    if (!is_text(value))
        *reason = PACKET_REASON_WRONG_TYPE;
    else if (value->count == 0)
        *reason = PACKET_REASON_MISSING;
    else if (value->count > RAW_ID_MAX_BYTES)
        *reason = PACKET_REASON_TOO_LONG;
    else
        return false;
    return true;
}

static bool check_id(const struct document_value *value, const char *field, struct fault *fault)
{
    enum packet_reason reason;
    return !is_no_id(value, &reason) || blame(fault, reason, field);
}

static bool read_name(const struct parse *parse, const struct document_value *value, struct packet_event *record,
    struct fault *fault)
{
    if (value == NULL)
        return blame(fault, PACKET_REASON_MISSING, "name");
    if (!is_text(value))
        return blame(fault, PACKET_REASON_WRONG_TYPE, "name");
    int index = definition_find_event(parse->request->app, value->text);
    if (index < 0)
        return blame(fault, PACKET_REASON_UNKNOWN_EVENT, "name");
    record->name = (uint16_t)index;
    return true;
}

static bool read_time(const struct parse *parse, const struct document_value *value, struct packet_event *record,
    struct fault *fault)
{
    int64_t ts;
    if (value == NULL)
        return blame(fault, PACKET_REASON_MISSING, "ts");
    if (!document_is_whole(value, &ts))
        return blame(fault, PACKET_REASON_WRONG_TYPE, "ts");
    if (ts < TS_MIN_MS || ts >= TS_MAX_MS)
        return blame(fault, PACKET_REASON_OUT_OF_RANGE, "ts");
    ts += parse->offset_ms;
    if (ts > parse->context->received_at_ms + FUTURE_MAX_MS)
        return blame(fault, PACKET_REASON_FUTURE, "ts");
    if (ts < TS_MIN_MS || ts >= TS_MAX_MS)
        return blame(fault, PACKET_REASON_OUT_OF_RANGE, "ts");
    record->ts_ms = ts;
    return true;
}

/* Read an integer of 0 to most; absent: fallback. */
static bool read_count(const struct document_value *value, const char *field, int64_t most, int64_t fallback,
    int64_t *out, struct fault *fault)
{
    if (value == NULL) {
        *out = fallback;
        return true;
    }
    bool whole = document_is_whole(value, out);
    if (!whole && value->kind == DOCUMENT_REAL && fabs(value->real) > (double)SEQ_MAX)
        return blame(fault, PACKET_REASON_OUT_OF_RANGE, field);
    if (!whole)
        return blame(fault, PACKET_REASON_WRONG_TYPE, field);
    if (*out < 0 || *out > most)
        return blame(fault, PACKET_REASON_OUT_OF_RANGE, field);
    return true;
}

static bool read_number(const struct app_prop *prop, const struct document_value *value, int64_t *out,
    struct fault *fault)
{
    if (value->kind != DOCUMENT_WHOLE && value->kind != DOCUMENT_REAL)
        return blame_prop(fault, PACKET_REASON_WRONG_TYPE, prop->name);
    double number = value->kind == DOCUMENT_WHOLE ? (double)value->whole : value->real;
    if (number < prop->min || number > prop->max)
        return blame_prop(fault, PACKET_REASON_OUT_OF_RANGE, prop->name);
    *out = llround((number - prop->min) / prop->step);
    return true;
}

/* Values of entities are the index of their id, once the event is taken: intern_entities. */
static bool read_entity(struct parse *parse, const struct app_prop *prop, size_t index,
    const struct document_value *value, struct fault *fault)
{
    enum packet_reason reason;
    if (is_no_id(value, &reason))
        return blame_prop(fault, reason, prop->name);
    parse->entities[index] = value;
    return true;
}

static bool read_prop(struct parse *parse, const struct app_event *event, size_t index,
    const struct document_value *value, int64_t *out, struct fault *fault)
{
    const struct app_prop *prop = &event->props[index];
    *out = 0;
    if (prop->type == APP_PROP_NUMBER)
        return read_number(prop, value, out, fault);
    if (prop->type == APP_PROP_ENTITY)
        return read_entity(parse, prop, index, value, fault);
    if (prop->type == APP_PROP_BOOLEAN ? !is_boolean(value) : !is_text(value))
        return blame_prop(fault, PACKET_REASON_WRONG_TYPE, prop->name);
    if (prop->type == APP_PROP_BOOLEAN)
        *out = value->kind == DOCUMENT_TRUE;
    else if (prop->type == APP_PROP_ROUTE)
        *out = definition_find_route(parse->request->app, value->text);
    else
        *out = definition_find_value(prop, value->text);
    if (prop->type == APP_PROP_ENUM && *out < 0)
        return blame_prop(fault, PACKET_REASON_UNDECLARED_VALUE, prop->name);
    return true;
}

/* What the User-Agent gives for prop: its class, else "other", else nothing. */
static bool read_device(struct parse *parse, const struct app_prop *prop, int64_t *out)
{
    if (parse->device == NULL)
        parse->device = device_name(device_classify(parse->context->user_agent));
    *out = definition_find_value(prop, parse->device);
    if (*out < 0)
        *out = definition_find_value(prop, device_name(DEVICE_OTHER));
    return *out >= 0;
}

/* Check what the client sent and note which properties it sent, and their values. */
static bool read_sent_props(struct parse *parse, const struct app_event *event, const struct document_value *props,
    int64_t *values, bool *sent, struct fault *fault)
{
    const struct document_value *name = props + 1;
    for (uint32_t m = 0; m < props->count; m++, name = document_next(name + 1)) {
        int index = definition_find_prop(event, name->text);
        if (index < 0 || event->props[index].from_user_agent)
            return blame_prop(fault, PACKET_REASON_UNKNOWN_PROPERTY, name->text);
        if (!read_prop(parse, event, (size_t)index, name + 1, &values[index], fault))
            return false;
        sent[index] = true;
    }
    return true;
}

static bool read_props(struct parse *parse, const struct document_value *props, struct packet_event *record,
    struct fault *fault)
{
    const struct app_event *event = &parse->request->app->events[record->name];
    int64_t values[EVENT_PROPS_MAX];
    bool sent[EVENT_PROPS_MAX] = {false};
    if (props != NULL && props->kind != DOCUMENT_OBJECT)
        return blame(fault, PACKET_REASON_WRONG_TYPE, "props");
    if (props != NULL && !read_sent_props(parse, event, props, values, sent, fault))
        return false;
    for (size_t i = 0; i < event->prop_count; i++) {
        if (event->props[i].from_user_agent)
            sent[i] = read_device(parse, &event->props[i], &values[i]);
        else if (event->props[i].required && !sent[i])
            return blame_prop(fault, PACKET_REASON_MISSING, event->props[i].name);
        if (sent[i])
            record->prop[record->props++] = (struct packet_prop){.index = (uint8_t)i, .value = values[i]};
    }
    return true;
}

static bool reaches_goal(const struct app_event *event, const struct packet_event *record)
{
    for (size_t i = 0; i < event->goal_count; i++) {
        const struct app_goal *goal = &event->goals[i];
        if (goal->prop < 0)
            return true;
        for (size_t j = 0; j < record->props; j++) {
            if (record->prop[j].index == goal->prop && record->prop[j].value == goal->value)
                return true;
        }
    }
    return false;
}

static bool read_who(const struct parse *parse, const struct document_value *const *fields, struct fault *fault)
{
    bool visitor = parse->request->app->anonymous_visitors && !parse->keyless &&
        parse->key_kind == CATALOGUE_WRITE_KEY && parse->context->address != NULL;
    if (fields[USER] == NULL && !visitor)
        return blame(fault, PACKET_REASON_MISSING, "user");
    if (fields[USER] != NULL && !check_id(fields[USER], "user", fault))
        return false;
    return fields[SESSION] == NULL || check_id(fields[SESSION], "session", fault);
}

static bool read_record(struct parse *parse, const struct document_value *const *fields, size_t index,
    struct packet_event *record, struct fault *fault)
{
    int64_t seq, engaged_ms;
    if (!read_name(parse, fields[NAME], record, fault) || !read_time(parse, fields[TS], record, fault) ||
        !read_who(parse, fields, fault) ||
        !read_count(fields[SEQ], "seq", SEQ_MAX, (int64_t)index, &seq, fault) ||
        !read_count(fields[ENGAGED], "engaged_ms", ENGAGED_MAX_MS, 0, &engaged_ms, fault) ||
        !read_props(parse, fields[PROPS], record, fault))
        return false;
    const struct app_event *event = &parse->request->app->events[record->name];
    record->seq = (uint64_t)seq;
    record->engaged_ms = (uint32_t)engaged_ms;
    record->flags = (uint8_t)((fields[SESSION] != NULL ? EVENT_SESSION : 0) |
        (fields[ENGAGED] != NULL ? EVENT_ENGAGED : 0) | (event->view ? EVENT_VIEW : 0) |
        (reaches_goal(event, record) ? EVENT_GOAL : 0));
    return true;
}

/* Note seq as used by the next event; false if an event of this request has it. Only a source makes seq mean
 * anything. */
static bool claim_seq(struct parse *parse, uint64_t seq, struct fault *fault)
{
    struct request *request = parse->request;
    size_t mask = parse->seq_slot_count - 1, at = (size_t)(seq * 11400714819323198485u >> 32) & mask;
    if (!request->has_source)
        return true;
    for (; parse->seq_slots[at] != 0; at = (at + 1) & mask) {
        if (request->events[parse->seq_slots[at] - 1].record.seq == seq)
            return blame(fault, PACKET_REASON_DUPLICATE_SEQ, "seq");
    }
    parse->seq_slots[at] = (uint16_t)(request->event_count + 1);
    return true;
}

/* Put the ids of event's entities in the place of their values. */
static void intern_entities(struct parse *parse, struct request_event *event)
{
    const struct app_event *declared = &parse->request->app->events[event->record.name];
    for (size_t i = 0; i < event->record.props; i++) {
        struct packet_prop *prop = &event->record.prop[i];
        if (declared->props[prop->index].type != APP_PROP_ENTITY)
            continue;
        prop->value = (int64_t)intern_text(parse, PSEUDONYM_ENTITY, parse->entities[prop->index]);
        event->entities = true;
    }
}

/* An event is built where it will lie; it counts from when it is taken. */
static bool read_event(struct parse *parse, const struct document_value *object, size_t index, struct fault *fault)
{
    const struct document_value *fields[FIELDS] = {NULL};
    struct request_event *event = &parse->request->events[parse->request->event_count];
    memset(event, 0, offsetof(struct request_event, record.prop));
    if (object->kind != DOCUMENT_OBJECT)
        return blame(fault, PACKET_REASON_NOT_AN_OBJECT, "");
    const char *unknown = sort_members(object, field_names, FIELDS, fields);
    if (unknown != NULL)
        return blame(fault, PACKET_REASON_UNKNOWN_FIELD, shape_is_name(unknown, false) ? unknown : "");
    if (!read_record(parse, fields, index, &event->record, fault) || !claim_seq(parse, event->record.seq, fault))
        return false;
    event->user = fields[USER] == NULL ? intern_visitor(parse) : intern_text(parse, PSEUDONYM_USER, fields[USER]);
    event->session = fields[SESSION] == NULL ? REQUEST_NO_ID : intern_text(parse, PSEUDONYM_SESSION, fields[SESSION]);
    intern_entities(parse, event);
    parse->request->event_count++;
    return true;
}

static enum result out_of_memory(struct failure *why)
{
    failure_set(why, NULL, "out of memory");
    return RESULT_UNAVAILABLE;
}

static bool reject(struct request *request, size_t most, size_t index, const struct fault *fault)
{
    if (request->rejected == NULL)
        request->rejected = calloc(most, sizeof *request->rejected);
    if (request->rejected == NULL)
        return false;
    struct request_rejection *rejection = &request->rejected[request->rejected_count++];
    rejection->index = index;
    rejection->reason = fault->reason;
    memcpy(rejection->field, fault->field, sizeof rejection->field);
    request->reasons[fault->reason]++;
    return true;
}

/* How many ids an event of app can have. */
static size_t ids_of_an_event(const struct app *app)
{
    size_t most = 0;
    for (size_t i = 0; i < app->event_count; i++) {
        size_t entities = 0;
        for (size_t p = 0; p < app->events[i].prop_count; p++)
            entities += app->events[i].props[p].type == APP_PROP_ENTITY;
        if (entities > most)
            most = entities;
    }
    return 2 + most;
}

/* Room for `events` events and their ids, in one piece. */
static bool reserve(struct request *request, size_t events, size_t ids)
{
    request->events = malloc(events * sizeof *request->events + ids * sizeof *request->ids);
    request->ids = (struct request_id *)(void *)(request->events + events);
    if (request->events == NULL)
        request->ids = NULL;
    return request->events != NULL;
}

static enum result read_list(struct parse *parse)
{
    struct request *request = parse->request;
    const struct document_value *events = parse->members[EVENTS], *source = parse->members[SOURCE];
    const struct document_value *event = events + 1;
    request->has_source = source != NULL;
    if (request->has_source)
        request->source = intern_text(parse, PSEUDONYM_SOURCE, source);
    for (uint32_t i = 0; i < events->count; i++, event = document_next(event)) {
        struct fault fault;
        if (!read_event(parse, event, i, &fault) && !reject(request, events->count, i, &fault))
            return out_of_memory(parse->why);
    }
    return RESULT_OK;
}

/* The least power of two that is at least twice count. */
static size_t count_slots(size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    return slots;
}

static enum result read_events(struct parse *parse)
{
    uint16_t at_hand[SLOTS_AT_HAND], *more = NULL;
    size_t events = parse->members[EVENTS]->count, ids = events * ids_of_an_event(parse->request->app) + 1;
    parse->id_slot_count = count_slots(ids);
    parse->seq_slot_count = count_slots(events);
    size_t slots = parse->id_slot_count + parse->seq_slot_count;
    if (slots > SLOTS_AT_HAND && (more = malloc(slots * sizeof *more)) == NULL)
        return out_of_memory(parse->why);
    parse->id_slots = more == NULL ? at_hand : more;
    parse->seq_slots = parse->id_slots + parse->id_slot_count;
    memset(parse->id_slots, 0, slots * sizeof *parse->id_slots);
    enum result result = RESULT_OK;
    if (reserve(parse->request, events, ids))
        result = read_list(parse);
    else
        result = out_of_memory(parse->why);
    free(more);
    return result;
}

static enum result check_seals(const struct parse *parse)
{
    const struct request *request = parse->request;
    int64_t sealed = catalogue_sealed_until_ms(parse->context->catalogue, request->app->id);
    for (size_t i = 0; request->import && i < request->event_count; i++) {
        if (request->events[i].record.ts_ms < sealed) {
            failure_set(parse->why, "ts", "lies in a day that is sealed: history goes into days that are not");
            return RESULT_DENIED;
        }
    }
    return RESULT_OK;
}

static enum result parse_body(struct parse *parse)
{
    struct request *request = parse->request;
    enum packet_reason reason;
    enum result result = authenticate(parse);
    if (result == RESULT_OK)
        result = read_envelope(parse);
    if (result != RESULT_OK)
        return result;
    if (find_drop(parse, &reason)) {
        request->dropped = parse->members[EVENTS]->count;
        request->reasons[reason] = request->dropped;
        return RESULT_OK;
    }
    result = read_events(parse);
    return result == RESULT_OK ? check_seals(parse) : result;
}

enum result request_parse(const struct request_context *context, char *body, size_t length, struct request *out,
    struct failure *why)
{
    assert(context->catalogue != NULL);
    struct parse parse = {.context = context, .request = out, .why = why};
    struct document document;
    struct document_value first[VALUES_AT_HAND];
    enum result result = RESULT_OK;
    *out = (struct request){.received_at_ms = context->received_at_ms, .import = context->import};
    document_begin(&document, first, VALUES_AT_HAND);
    if (!document_scan(&document, body, length))
        result = document_load(&document, body, length, why);
    out->document = document.owner;
    document.owner = NULL;
    parse.root = document.values;
    if (result == RESULT_OK)
        result = parse_body(&parse);
    if (result != RESULT_OK)
        request_free(out);
    document_free(&document);
    return result;
}

/* Answers */

/* Room for any answer: every rejection is as long as the longest. */
static size_t answer_size(const struct request *request)
{
    return 80 + request->rejected_count * (80 + sizeof request->rejected->field);
}

static size_t print_rejection(char *text, size_t size, const struct request_rejection *rejection, bool first)
{
    bool field = rejection->field[0] != '\0';
    int length = snprintf(text, size, "%s{\"index\":%zu,\"type\":\"%s\"%s%s%s}", first ? "" : ",", rejection->index,
        packet_reason_name(rejection->reason), field ? ",\"field\":\"" : "",
        rejection->field, field ? "\"" : ""); /* names and dots: nothing to escape */
    assert(length > 0 && (size_t)length < size);
    return (size_t)length;
}

char *request_answer(const struct request *request)
{
    size_t size = answer_size(request);
    char *text = malloc(size);
    if (text == NULL)
        return NULL;
    size_t length = (size_t)snprintf(text, size, "{\"accepted\":%zu,\"rejected\":[", request->event_count);
    for (size_t i = 0; i < request->rejected_count; i++)
        length += print_rejection(text + length, size - length, &request->rejected[i], i == 0);
    (void)snprintf(text + length, size - length, "],\"dropped\":%u}", request->dropped);
    return text;
}
