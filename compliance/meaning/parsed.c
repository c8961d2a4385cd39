#include "compliance/meaning/parsed.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/meaning/canonical.h"
#include "compliance/meaning/members.h"

#define NAME_MAX_BYTES 63
#define ACTOR_MAX_BYTES 200
#define INTEGER_MAX INT64_C(9007199254740991)

static enum result corrupt(struct failure *why, const char *field, const char *text)
{
    failure_set(why, field, "%s", text);
    return RESULT_CORRUPT;
}

/* The canonical form of what was parsed must be what was there: so no blank, no other order, no number in another form. */
static enum result check_canonical(const json_t *root, struct text_view bytes, struct failure *why)
{
    char room[4096];
    const size_t flags = JSON_COMPACT | JSON_SORT_KEYS;
    size_t length = json_dumpb(root, room, sizeof room, flags);
    if (length != bytes.length)
        return corrupt(why, "", "is not in canonical form (RFC 8785)");
    if (length <= sizeof room)
        return memcmp(room, bytes.bytes, length) == 0 ? RESULT_OK : corrupt(why, "", "is not in canonical form (RFC 8785)");
    char *text = malloc(length);
    if (text == NULL) {
        failure_set(why, "", "no memory for a leaf");
        return RESULT_FULL;
    }
    bool same = json_dumpb(root, text, length, flags) == length && memcmp(text, bytes.bytes, length) == 0;
    free(text);
    return same ? RESULT_OK : corrupt(why, "", "is not in canonical form (RFC 8785)");
}

/* Past the text that begins at at, whose quotation mark it is; 0 if it has what no text of a leaf has: control characters, and
 * so escapes but of quotation mark and backslash. jansson has checked that it is UTF-8. */
static size_t text_end(struct text_view bytes, size_t at)
{
    for (at++; at + 1 < bytes.length && bytes.bytes[at] != '"'; at++) {
        unsigned char c = (unsigned char)bytes.bytes[at], next = (unsigned char)bytes.bytes[at + 1];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
            return 0;
        if (c != '\\')
            continue;
        if (next != '"' && next != '\\')
            return 0;
        at++;
    }
    return at + 1;
}

/* Past the number that begins at at; 0 if it is no integer below 2^53. */
static size_t number_end(struct text_view bytes, size_t at)
{
    int64_t value = 0;
    for (at += bytes.bytes[at] == '-'; at < bytes.length && bytes.bytes[at] >= '0' && bytes.bytes[at] <= '9'; at++) {
        value = value * 10 + (bytes.bytes[at] - '0');
        if (value > INTEGER_MAX)
            return 0;
    }
    return at;
}

/* Whether there is nothing in it but what leaf.h writes: no fraction, no boolean, no control character. */
static bool has_leaf_tokens(struct text_view bytes)
{
    for (size_t at = 0; at < bytes.length;) {
        char c = bytes.bytes[at];
        if (c == '"')
            at = text_end(bytes, at);
        else if (c == '-' || (c >= '0' && c <= '9'))
            at = number_end(bytes, at);
        else if (strchr("{}[],:nul", c) != NULL)
            at++;
        else
            return false;
        if (at == 0)
            return false;
    }
    return true;
}

static const char *text_member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Data as they are written: between at and id. A text cannot have these marks in it, its quotation marks being escaped; data
 * might have the second one, so the last counts. */
static struct text_view find_data(struct text_view bytes)
{
    static const char before[] = ",\"data\":", after[] = ",\"id\":\"";
    const char *begin = memmem(bytes.bytes, bytes.length, before, sizeof before - 1);
    if (begin == NULL)
        return (struct text_view){bytes.bytes, 0};
    begin += sizeof before - 1;
    const char *end = begin, *all = bytes.bytes + bytes.length;
    for (const char *at = begin; (at = memmem(at, (size_t)(all - at), after, sizeof after - 1)) != NULL; at++)
        end = at;
    return (struct text_view){begin, (size_t)(end - begin)};
}

static bool read_nonce(const char *text)
{
    return text != NULL && strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

static bool read_out(const char *text, enum leaf_out *out)
{
    static const enum leaf_out outs[] = {LEAF_OK, LEAF_DENIED, LEAF_FAILED};
    for (size_t i = 0; text != NULL && i < sizeof outs / sizeof *outs; i++) {
        if (strcmp(text, parsed_out_name(outs[i])) == 0) {
            *out = outs[i];
            return true;
        }
    }
    return false;
}

/* Texts of a head that are not kept as they are. */
struct head {
    const char *nonce, *out, *ref; /* ref: NULL if there is none */
};

static bool actor_valid(const struct parsed *leaf)
{
    if (leaf->actor_id == NULL || leaf->actor_type == NULL)
        return false;
    size_t length = strspn(leaf->actor_type, "abcdefghijklmnopqrstuvwxyz_");
    return length > 0 && length <= NAME_MAX_BYTES && leaf->actor_type[length] == '\0' && leaf->actor_id[0] != '\0'
        && strlen(leaf->actor_id) <= ACTOR_MAX_BYTES;
}

/* Everything but data. */
static enum result read_head(struct parsed *out, const struct head *head, struct failure *why)
{
    if (out->act == NULL || strlen(out->act) > NAME_MAX_BYTES)
        return corrupt(why, "act", "is not a name");
    if (!actor_valid(out))
        return corrupt(why, "actor", "is not a type and an id");
    if (out->at_ms < 0 || out->at_ms > MEMBERS_TIME_MAX_MS)
        return corrupt(why, "at", "is not a time");
    if (!json_is_object(out->data))
        return corrupt(why, "data", "is not an object");
    if (out->id_text == NULL || !parsed_uuid(out->id_text, out->id))
        return corrupt(why, "id", "is not a uuid");
    if (!read_nonce(head->nonce))
        return corrupt(why, "nonce", "is not 16 bytes as hexadecimal digits");
    if (!read_out(head->out, &out->out))
        return corrupt(why, "out", "is not ok, denied or failed");
    out->has_ref = head->ref != NULL;
    if (out->has_ref && !parsed_uuid(head->ref, out->ref))
        return corrupt(why, "ref", "is not a uuid");
    if (out->tenant == NULL || strlen(out->tenant) > NAME_MAX_BYTES)
        return corrupt(why, "tenant", "is not the name of an app");
    return RESULT_OK;
}

/* --- plain leaves --------------------------------------------------------------------------------------------------------- */

/* What is left of a plain leaf, and of the room for its texts. */
struct plain {
    struct text_view rest;
    char *room;
    size_t left;
};

/* Take what stands before a text and the text, and keep it as a string; NULL if it is not there, or too long. */
static const char *take_text(struct plain *plain, const char *before)
{
    struct text_view text;
    if (!text_skip(&plain->rest, before) || !canonical_text(&plain->rest, &text) || text.length >= plain->left)
        return NULL;
    char *kept = plain->room;
    memcpy(kept, text.bytes, text.length);
    kept[text.length] = '\0';
    plain->room += text.length + 1;
    plain->left -= text.length + 1;
    return kept;
}

static bool take_data(struct plain *plain, struct parsed *out)
{
    const char *begin = plain->rest.bytes;
    if (!canonical_object(&plain->rest))
        return false;
    out->data_text = (struct text_view){begin, (size_t)(plain->rest.bytes - begin)};
    out->root = out->data = json_loadb(begin, out->data_text.length, JSON_REJECT_DUPLICATES, NULL);
    return out->data != NULL;
}

/* Read a plain leaf. False: it is not plain, or not as a leaf must be; nothing is owned. */
static bool read_plain(struct text_view bytes, struct parsed *out)
{
    struct plain plain = {bytes, out->texts, sizeof out->texts};
    struct head head = {.ref = NULL};
    if ((out->act = take_text(&plain, "{\"act\":")) == NULL || (out->actor_id = take_text(&plain, ",\"actor\":{\"id\":")) == NULL
        || (out->actor_type = take_text(&plain, ",\"type\":")) == NULL || !text_skip(&plain.rest, "},\"at\":")
        || !canonical_number(&plain.rest, &out->at_ms) || !text_skip(&plain.rest, ",\"data\":") || !take_data(&plain, out))
        return false;
    out->id_text = take_text(&plain, ",\"id\":");
    head.nonce = take_text(&plain, ",\"nonce\":");
    head.out = take_text(&plain, ",\"out\":");
    struct plain before = plain;
    head.ref = take_text(&plain, ",\"ref\":");
    if (head.ref == NULL)
        plain = before;
    out->tenant = take_text(&plain, ",\"tenant\":");
    if (out->tenant != NULL && text_is(plain.rest, ",\"v\":1}") && read_head(out, &head, NULL) == RESULT_OK)
        return true;
    parsed_free(out);
    return false;
}

/* --- any leaf ------------------------------------------------------------------------------------------------------------- */

/* Take the head from what was parsed. */
static enum result take_head(struct parsed *out, struct failure *why)
{
    const json_t *root = out->root, *at = json_object_get(root, "at"), *ref = json_object_get(root, "ref");
    const json_t *actor = json_object_get(root, "actor");
    if (json_integer_value(json_object_get(root, "v")) != 1)
        return corrupt(why, "v", "is not 1");
    if (json_object_size(root) != (ref == NULL ? 9u : 10u))
        return corrupt(why, "", "has other members than a leaf has");
    out->act = text_member(root, "act");
    if (json_object_size(actor) == 2) {
        out->actor_id = text_member(actor, "id");
        out->actor_type = text_member(actor, "type");
    }
    out->at_ms = json_is_integer(at) ? json_integer_value(at) : -1;
    out->data = json_object_get(root, "data");
    out->id_text = text_member(root, "id");
    out->tenant = text_member(root, "tenant");
    const struct head head = {.nonce = text_member(root, "nonce"), .out = text_member(root, "out"),
        .ref = ref == NULL || json_is_string(ref) ? json_string_value(ref) : ""};
    return read_head(out, &head, why);
}

static enum result read_any(struct text_view bytes, struct parsed *out, struct failure *why)
{
    json_error_t error;
    *out = (struct parsed){0};
    out->root = json_loadb(bytes.bytes, bytes.length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(out->root)) {
        parsed_free(out);
        return corrupt(why, "", "is not a JSON object");
    }
    enum result result = check_canonical(out->root, bytes, why);
    if (result == RESULT_OK && !has_leaf_tokens(bytes))
        result = corrupt(why, "", "has a control character, or a value that is no integer, text or null");
    if (result == RESULT_OK)
        result = take_head(out, why);
    if (result != RESULT_OK)
        parsed_free(out);
    else
        out->data_text = find_data(bytes);
    return result;
}

enum result parsed_read(struct text_view bytes, struct parsed *out, struct failure *why)
{
    *out = (struct parsed){0};
    if (bytes.length > LEAF_MAX_BYTES)
        return corrupt(why, "", "is longer than a leaf can be");
    enum result result = read_plain(bytes, out) ? RESULT_OK : read_any(bytes, out, why);
    if (result == RESULT_OK)
        out->known = members_check(out, &out->why);
    return result;
}

void parsed_free(struct parsed *leaf)
{
    json_decref(leaf->root);
    leaf->root = NULL;
}

int64_t parsed_int(const struct parsed *leaf, const char *name)
{
    return json_integer_value(json_object_get(leaf->data, name));
}

const char *parsed_text(const struct parsed *leaf, const char *name)
{
    return text_member(leaf->data, name);
}

bool parsed_has(const struct parsed *leaf, const char *name)
{
    const json_t *member = json_object_get(leaf->data, name);
    return member != NULL && !json_is_null(member);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool parsed_uuid(const char *text, uint8_t out[16])
{
    uint8_t bytes[16];
    size_t at = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-')
            return false;
        int high = digit(text[at]);
        int low = high < 0 ? -1 : digit(text[at + 1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high * 16 + low);
        at += 2;
    }
    if (text[at] != '\0')
        return false;
    memcpy(out, bytes, sizeof bytes);
    return true;
}

const char *parsed_format_uuid(const uint8_t uuid[16], char out[PARSED_UUID_BYTES])
{
    char hex[33];
    (void)sodium_bin2hex(hex, sizeof hex, uuid, 16);
    (void)snprintf(out, PARSED_UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return out;
}

const char *parsed_out_name(enum leaf_out out)
{
    static const char *const names[] = {[LEAF_OK] = "ok", [LEAF_DENIED] = "denied", [LEAF_FAILED] = "failed"};
    return names[out];
}
