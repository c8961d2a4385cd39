#include "service/ingest/request.h"

#include <arpa/inet.h>
#include <assert.h>
#include <jansson.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"
#include "service/catalogue/shape.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

#define NESTING_MAX 16
#define CONTAINERS_MAX 4096 /* objects and lists: 2 an event are enough */
#define COMMAS_MAX 65536    /* 39 an event are enough */
#define KEY_MAX_BYTES 256
#define ID_SLOTS 4096 /* a power of two, at least twice the ids of a request */
#define SEQ_SLOTS 2048

_Static_assert(ID_SLOTS >= 2 * (2 * REQUEST_EVENTS_MAX + 2), "an id table is at most half full");
_Static_assert(SEQ_SLOTS >= 2 * REQUEST_EVENTS_MAX, "a seq table is at most half full");

enum member { KEY, APP, SENT_AT, SOURCE, CONSENT, EVENTS, MEMBERS };
static const char *const member_names[MEMBERS] = {"key", "app", "sent_at", "source", "consent", "events"};

enum field { NAME, TS, USER, SESSION, SEQ, ENGAGED, PROPS, FIELDS };
static const char *const field_names[FIELDS] = {"name", "ts", "user", "session", "seq", "engaged_ms", "props"};

/* What one call of request_parse works on. */
struct parse {
    const struct request_context *context;
    struct request *request;
    struct failure *why;
    const json_t *members[MEMBERS];
    enum catalogue_key_kind key_kind;
    bool keyless;         /* on the admin socket */
    int64_t offset_ms;    /* added to every ts */
    const char *device;   /* class of the User-Agent */
    uint16_t id_slots[ID_SLOTS]; /* index into request->ids + 1 */
    uint16_t seq_slots[SEQ_SLOTS]; /* index into request->events + 1 */
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
    free(request->ids);
    free(request->events);
    free(request->rejected);
    explicit_bzero(request, sizeof *request);
}

/* Bounds before parsing: jansson takes about a hundred bytes a value, and one call of a function a level. */

static enum result check_bounds(const char *body, size_t length, struct failure *why)
{
    size_t depth = 0, containers = 0, commas = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        char c = body[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == ',')
            commas++;
        else if (c == '{' || c == '[') {
            depth++;
            containers++;
        } else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > NESTING_MAX) {
            failure_set(why, NULL, "nested more than %d levels deep", NESTING_MAX);
            return RESULT_INVALID;
        }
    }
    if (containers <= CONTAINERS_MAX && commas <= COMMAS_MAX)
        return RESULT_OK;
    failure_set(why, "events", "more values than %d events can have", REQUEST_EVENTS_MAX);
    return RESULT_FULL;
}

/* jansson's own message quotes the text, which may hold an id: say the place only. */
static enum result parse_document(const char *body, size_t length, struct request *request, struct failure *why)
{
    json_error_t error;
    enum result result = check_bounds(body, length, why);
    if (result != RESULT_OK)
        return result;
    request->document = json_loadb(body, length, JSON_REJECT_DUPLICATES, &error);
    if (request->document == NULL) {
        bool twice = json_error_code(&error) == json_error_duplicate_key;
        failure_set(why, NULL, "not JSON%s: stopped at byte %d", twice ? " (a member is there twice)" : "",
            error.position);
        return RESULT_INVALID;
    }
    if (json_is_object((const json_t *)request->document))
        return RESULT_OK;
    failure_set(why, NULL, "the body must be an object with a member events");
    return RESULT_INVALID;
}

/* Sort the members of object into out by names[0..count-1]. The first one that has no name there is returned, else
 * NULL. */
static const char *sort_members(json_t *object, const char *const *names, size_t count, const json_t **out)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        size_t i = 0;
        while (i < count && strcmp(names[i], key) != 0)
            i++;
        if (i == count)
            return key;
        out[i] = value;
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
    const json_t *named = json_object_get(parse->request->document, member_names[APP]);
    const struct app *app = covered == 0 ? context->admin_app : catalogue_app(context->catalogue, covered);
    if (named != NULL && !json_is_string(named))
        return deny(parse, RESULT_INVALID, "app", "must be the name of an app");
    if (named == NULL && app == NULL)
        return deny(parse, RESULT_INVALID, "app", "is required: this key covers every app");
    if (named != NULL && app != NULL && strcmp(app->name, json_string_value(named)) != 0)
        return deny(parse, RESULT_DENIED, "app", "is not the app of this key");
    if (app == NULL)
        app = catalogue_app_named(context->catalogue, json_string_value(named));
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

static enum result authenticate(struct parse *parse)
{
    uint32_t covered = 0;
    const json_t *key = json_object_get(parse->request->document, member_names[KEY]);
    if (key != NULL && !json_is_string(key))
        return deny(parse, RESULT_INVALID, "key", "must be a text");
    if (parse->context->admin_app != NULL) {
        parse->keyless = true;
        return choose_app(parse, 0);
    }
    const char *text = key != NULL ? json_string_value(key) : parse->context->bearer;
    if (text == NULL)
        return deny(parse, RESULT_NOT_FOUND, "key", "is required, in the body or as a bearer token");
    size_t length = strlen(text);
    if (length > KEY_MAX_BYTES ||
        catalogue_find_key(parse->context->catalogue, text, length, &parse->key_kind, &covered) != RESULT_OK)
        return deny(parse, RESULT_NOT_FOUND, "key", "is not a key of this installation, or was revoked");
    enum result result = choose_app(parse, covered);
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
    if (!shape_is_whole(parse->members[SENT_AT], &sent_at) || sent_at < TS_MIN_MS || sent_at >= TS_MAX_MS)
        return deny(parse, RESULT_INVALID, "sent_at", "must be an integer: milliseconds since 1970");
    int64_t offset = received_at - sent_at;
    bool wrong = offset > CLOCK_OFFSET_MIN_MS || offset < -CLOCK_OFFSET_MIN_MS;
    if (wrong && !parse->context->import) /* history is not sent when it happens */
        parse->offset_ms = offset;
    return RESULT_OK;
}

static enum result check_source(struct parse *parse)
{
    const json_t *source = parse->members[SOURCE];
    if (source == NULL)
        return RESULT_OK;
    size_t length = json_string_length(source);
    if (json_is_string(source) && length >= SOURCE_MIN_BYTES && length <= SOURCE_MAX_BYTES &&
        strspn(json_string_value(source), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == length)
        return RESULT_OK;
    failure_set(parse->why, "source", "must be %d to %d characters, each a letter, a digit, _ or -", SOURCE_MIN_BYTES,
        SOURCE_MAX_BYTES);
    return RESULT_INVALID;
}

static enum result read_envelope(struct parse *parse)
{
    const char *unknown = sort_members(parse->request->document, member_names, MEMBERS, parse->members);
    if (unknown != NULL)
        return check_unknown_member(parse, unknown);
    const json_t *events = parse->members[EVENTS], *consent = parse->members[CONSENT];
    if (!json_is_array(events) || json_array_size(events) == 0)
        return deny(parse, RESULT_INVALID, "events", "must be a list of at least one event");
    if (consent != NULL && !json_is_boolean(consent))
        return deny(parse, RESULT_INVALID, "consent", "must be true or false");
    enum result result = read_sent_at(parse);
    if (result == RESULT_OK)
        result = check_source(parse);
    if (result != RESULT_OK || json_array_size(events) <= REQUEST_EVENTS_MAX)
        return result;
    failure_set(parse->why, "events", "at most %d events a request", REQUEST_EVENTS_MAX);
    return RESULT_FULL;
}

/* Whether the whole request is to be dropped, and why. */
static bool find_drop(const struct parse *parse, enum packet_reason *reason)
{
    const struct request_context *context = parse->context;
    const struct app *app = parse->request->app;
    const json_t *consent = parse->members[CONSENT];
    bool owed = app->consent_required && !parse->keyless;
    if (context->gpc && app->respect_gpc)
        *reason = PACKET_REASON_GPC;
    else if (context->dnt && app->respect_dnt)
        *reason = PACKET_REASON_DNT;
    else if (json_is_false(consent) || (owed && !json_is_true(consent)))
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
    uint64_t hash = 14695981039346656037u ^ (uint64_t)kind;
    for (size_t i = 0; i < id->length; i++)
        hash = (hash ^ (uint8_t)id->bytes[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

static size_t intern(struct parse *parse, enum pseudonym_kind kind, const char *bytes, size_t length)
{
    struct request *request = parse->request;
    struct raw_id id = {.bytes = bytes, .length = length};
    size_t at = hash_id(kind, &id) % ID_SLOTS;
    for (; parse->id_slots[at] != 0; at = (at + 1) % ID_SLOTS) {
        const struct request_id *known = &request->ids[parse->id_slots[at] - 1];
        if (known->kind == kind && known->id.length == length && memcmp(known->id.bytes, bytes, length) == 0)
            return parse->id_slots[at] - 1u;
    }
    request->ids[request->id_count++] = (struct request_id){.kind = kind, .id = id};
    parse->id_slots[at] = (uint16_t)request->id_count;
    return request->id_count - 1;
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

static bool check_id(const json_t *value, const char *field, struct fault *fault)
{
    if (!json_is_string(value))
        return blame(fault, PACKET_REASON_WRONG_TYPE, field);
    if (json_string_length(value) == 0)
        return blame(fault, PACKET_REASON_MISSING, field);
    if (json_string_length(value) > RAW_ID_MAX_BYTES)
        return blame(fault, PACKET_REASON_TOO_LONG, field);
    return true;
}

static bool read_name(const struct parse *parse, const json_t *value, struct packet_event *record, struct fault *fault)
{
    if (value == NULL)
        return blame(fault, PACKET_REASON_MISSING, "name");
    if (!json_is_string(value))
        return blame(fault, PACKET_REASON_WRONG_TYPE, "name");
    int index = definition_find_event(parse->request->app, json_string_value(value));
    if (index < 0)
        return blame(fault, PACKET_REASON_UNKNOWN_EVENT, "name");
    record->name = (uint16_t)index;
    return true;
}

static bool read_time(const struct parse *parse, const json_t *value, struct packet_event *record, struct fault *fault)
{
    int64_t ts;
    if (value == NULL)
        return blame(fault, PACKET_REASON_MISSING, "ts");
    if (!shape_is_whole(value, &ts))
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
static bool read_count(const json_t *value, const char *field, int64_t most, int64_t fallback, int64_t *out,
    struct fault *fault)
{
    if (value == NULL) {
        *out = fallback;
        return true;
    }
    if (json_is_real(value) && !shape_is_whole(value, out) && fabs(json_real_value(value)) > (double)SEQ_MAX)
        return blame(fault, PACKET_REASON_OUT_OF_RANGE, field);
    if (!shape_is_whole(value, out))
        return blame(fault, PACKET_REASON_WRONG_TYPE, field);
    if (*out < 0 || *out > most)
        return blame(fault, PACKET_REASON_OUT_OF_RANGE, field);
    return true;
}

static bool read_number(const struct app_prop *prop, const json_t *value, int64_t *out, struct fault *fault)
{
    if (!json_is_number(value))
        return blame_prop(fault, PACKET_REASON_WRONG_TYPE, prop->name);
    double number = json_number_value(value);
    if (number < prop->min || number > prop->max)
        return blame_prop(fault, PACKET_REASON_OUT_OF_RANGE, prop->name);
    *out = llround((number - prop->min) / prop->step);
    return true;
}

static bool read_prop(const struct app *app, const struct app_prop *prop, const json_t *value, int64_t *out,
    struct fault *fault)
{
    if (prop->type == APP_PROP_NUMBER)
        return read_number(prop, value, out, fault);
    if (prop->type == APP_PROP_BOOLEAN ? !json_is_boolean(value) : !json_is_string(value))
        return blame_prop(fault, PACKET_REASON_WRONG_TYPE, prop->name);
    if (prop->type == APP_PROP_BOOLEAN)
        *out = json_is_true(value);
    else if (prop->type == APP_PROP_ROUTE)
        *out = definition_find_route(app, json_string_value(value));
    else
        *out = definition_find_value(prop, json_string_value(value));
    if (prop->type == APP_PROP_ENUM && *out < 0)
        return blame_prop(fault, PACKET_REASON_UNDECLARED_VALUE, prop->name);
    return true;
}

/* What the User-Agent gives for prop: its class, else "other", else nothing. */
static bool read_device(const struct parse *parse, const struct app_prop *prop, int64_t *out)
{
    *out = definition_find_value(prop, parse->device);
    if (*out < 0)
        *out = definition_find_value(prop, device_name(DEVICE_OTHER));
    return *out >= 0;
}

/* Check what the client sent and note which properties it sent, and their values. */
static bool read_sent_props(const struct parse *parse, const struct app_event *event, const json_t *props,
    int64_t *values, bool *sent, struct fault *fault)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)props, key, value) {
        int index = definition_find_prop(event, key);
        if (index < 0 || event->props[index].from_user_agent)
            return blame_prop(fault, PACKET_REASON_UNKNOWN_PROPERTY, key);
        if (!read_prop(parse->request->app, &event->props[index], value, &values[index], fault))
            return false;
        sent[index] = true;
    }
    return true;
}

static bool read_props(const struct parse *parse, const json_t *props, struct packet_event *record,
    struct fault *fault)
{
    const struct app_event *event = &parse->request->app->events[record->name];
    int64_t values[EVENT_PROPS_MAX];
    bool sent[EVENT_PROPS_MAX] = {false};
    if (props != NULL && !json_is_object(props))
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

static bool read_who(const struct parse *parse, const json_t *const *fields, struct fault *fault)
{
    bool visitor = parse->request->app->anonymous_visitors && !parse->keyless &&
        parse->key_kind == CATALOGUE_WRITE_KEY && parse->context->address != NULL;
    if (fields[USER] == NULL && !visitor)
        return blame(fault, PACKET_REASON_MISSING, "user");
    if (fields[USER] != NULL && !check_id(fields[USER], "user", fault))
        return false;
    return fields[SESSION] == NULL || check_id(fields[SESSION], "session", fault);
}

static bool read_record(const struct parse *parse, const json_t *const *fields, size_t index,
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
    size_t at = (size_t)(seq * 11400714819323198485u >> 32) % SEQ_SLOTS;
    if (!request->has_source)
        return true;
    for (; parse->seq_slots[at] != 0; at = (at + 1) % SEQ_SLOTS) {
        if (request->events[parse->seq_slots[at] - 1].record.seq == seq)
            return blame(fault, PACKET_REASON_DUPLICATE_SEQ, "seq");
    }
    parse->seq_slots[at] = (uint16_t)(request->event_count + 1);
    return true;
}

static bool read_event(struct parse *parse, json_t *object, size_t index, struct fault *fault)
{
    const json_t *fields[FIELDS] = {NULL};
    struct request_event event = {.session = REQUEST_NO_ID};
    if (!json_is_object(object))
        return blame(fault, PACKET_REASON_NOT_AN_OBJECT, "");
    const char *unknown = sort_members(object, field_names, FIELDS, fields);
    if (unknown != NULL)
        return blame(fault, PACKET_REASON_UNKNOWN_FIELD, shape_is_name(unknown, false) ? unknown : "");
    if (!read_record(parse, fields, index, &event.record, fault) || !claim_seq(parse, event.record.seq, fault))
        return false;
    if (fields[USER] == NULL)
        event.user = intern_visitor(parse);
    else
        event.user = intern(parse, PSEUDONYM_USER, json_string_value(fields[USER]), json_string_length(fields[USER]));
    if (fields[SESSION] != NULL)
        event.session = intern(parse, PSEUDONYM_SESSION, json_string_value(fields[SESSION]),
            json_string_length(fields[SESSION]));
    parse->request->events[parse->request->event_count++] = event;
    return true;
}

static void reject(struct request *request, size_t index, const struct fault *fault)
{
    struct request_rejection *rejection = &request->rejected[request->rejected_count++];
    rejection->index = index;
    rejection->reason = fault->reason;
    memcpy(rejection->field, fault->field, sizeof rejection->field);
    request->reasons[fault->reason]++;
}

static enum result allocate(struct request *request, size_t events, struct failure *why)
{
    request->ids = calloc(2 * events + 2, sizeof *request->ids);
    request->events = calloc(events, sizeof *request->events);
    request->rejected = calloc(events, sizeof *request->rejected);
    if (request->ids != NULL && request->events != NULL && request->rejected != NULL)
        return RESULT_OK;
    failure_set(why, NULL, "out of memory");
    return RESULT_UNAVAILABLE;
}

static enum result read_events(struct parse *parse)
{
    struct request *request = parse->request;
    const json_t *events = parse->members[EVENTS], *source = parse->members[SOURCE];
    enum result result = allocate(request, json_array_size(events), parse->why);
    if (result != RESULT_OK)
        return result;
    request->has_source = source != NULL;
    if (request->has_source)
        request->source = intern(parse, PSEUDONYM_SOURCE, json_string_value(source), json_string_length(source));
    for (size_t i = 0; i < json_array_size(events); i++) {
        struct fault fault;
        if (!read_event(parse, json_array_get(events, i), i, &fault))
            reject(request, i, &fault);
    }
    return RESULT_OK;
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
        request->dropped = (uint32_t)json_array_size(parse->members[EVENTS]);
        request->reasons[reason] = request->dropped;
        return RESULT_OK;
    }
    result = read_events(parse);
    return result == RESULT_OK ? check_seals(parse) : result;
}

enum result request_parse(const struct request_context *context, const char *body, size_t length, struct request *out,
    struct failure *why)
{
    assert(context->catalogue != NULL);
    struct parse parse = {
        .context = context,
        .request = out,
        .why = why,
        .device = device_name(device_classify(context->user_agent)),
    };
    *out = (struct request){.received_at_ms = context->received_at_ms, .import = context->import};
    enum result result = parse_document(body, length, out, why);
    if (result == RESULT_OK)
        result = parse_body(&parse);
    if (result != RESULT_OK)
        request_free(out);
    return result;
}

/* Answers */

char *request_answer(const struct request *request)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return NULL;
    fprintf(file, "{\"accepted\":%zu,\"rejected\":[", request->event_count);
    for (size_t i = 0; i < request->rejected_count; i++) {
        const struct request_rejection *rejection = &request->rejected[i];
        fprintf(file, "%s{\"index\":%zu,\"type\":\"%s\"", i == 0 ? "" : ",", rejection->index,
            packet_reason_name(rejection->reason));
        if (rejection->field[0] != '\0')
            fprintf(file, ",\"field\":\"%s\"", rejection->field); /* names and dots: nothing to escape */
        fputc('}', file);
    }
    fprintf(file, "],\"dropped\":%u}", request->dropped);
    fclose(file);
    return text;
}
