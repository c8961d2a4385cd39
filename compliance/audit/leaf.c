#include "compliance/audit/leaf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/fields.h"

#define KEY_MAX_BYTES 63
#define INTEGER_MAX 9007199254740991LL

/* A growing text that never exceeds LEAF_MAX_BYTES. */
struct text {
    char *bytes;
    size_t length, room;
};

/* An open array or object; key is the last member written, for the canonical order. */
struct level {
    bool object;
    bool filled;
    char key[KEY_MAX_BYTES + 1];
};

struct leaf {
    struct text body; /* up to and into data */
    struct text tail; /* what follows data */
    struct level levels[FIELDS_DEPTH_MAX];
    size_t depth; /* levels[0] is data; 0 once it is closed */
    struct fields fields;
    char act[KEY_MAX_BYTES + 1];
    enum result result;
    struct failure why;
};

static void fail(struct leaf *leaf, enum result result, const char *field, const char *text)
{
    if (leaf->result != RESULT_OK)
        return;
    char path[sizeof leaf->why.field];
    bool within = field != NULL && field[0] != '\0' && leaf->act[0] != '\0';
    (void)snprintf(path, sizeof path, "%s%s%.60s", leaf->act, within ? "." : "", field == NULL ? "" : field);
    leaf->result = result;
    failure_set(&leaf->why, path, "%s", text);
}

/* wrong: what compliance/audit/fields.h found; NULL: nothing. */
static bool agrees(struct leaf *leaf, const char *wrong)
{
    if (wrong != NULL)
        fail(leaf, RESULT_INVALID, leaf->fields.member, wrong);
    return wrong == NULL;
}

static bool grow(struct leaf *leaf, struct text *text, size_t more)
{
    size_t need = text->length + more;
    if (need <= text->room)
        return true;
    size_t room = text->room == 0 ? 512 : text->room;
    while (room < need)
        room *= 2;
    char *bytes = realloc(text->bytes, room);
    if (bytes == NULL) {
        fail(leaf, RESULT_FULL, "", "no memory for the leaf");
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

static void put(struct leaf *leaf, struct text *text, const char *bytes, size_t length)
{
    if (leaf->result != RESULT_OK)
        return;
    if (length > LEAF_MAX_BYTES || text->length + length > LEAF_MAX_BYTES) {
        fail(leaf, RESULT_FULL, "", "the leaf is longer than 1 MiB");
        return;
    }
    if (!grow(leaf, text, length))
        return;
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

static void put_text(struct leaf *leaf, struct text *text, const char *string)
{
    put(leaf, text, string, strlen(string));
}

/* How many bytes the UTF-8 sequence at s has, and its code point; 0 if it is not well formed (RFC 3629: no overlong form,
 * no surrogate, nothing above U+10FFFF). The terminating NUL ends a sequence that is cut short. */
static size_t utf8(const unsigned char *s, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) {
        *point = s[0];
        return 1;
    }
    size_t length = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc0 && s[0] < 0xe0 ? 2 : 0;
    if (length == 0)
        return 0;
    uint32_t value = s[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (s[i] & 0x3fu);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return length;
}

/* RFC 8785 section 3.2.2.2: only the quotation mark and the backslash need an escape, control characters being refused. */
static void put_quoted(struct leaf *leaf, struct text *text, const char *field, const char *string)
{
    if (string == NULL) {
        fail(leaf, RESULT_INVALID, field, "a text is missing");
        return;
    }
    put_text(leaf, text, "\"");
    for (const unsigned char *s = (const unsigned char *)string; *s != '\0';) {
        uint32_t point = 0;
        size_t length = utf8(s, &point);
        if (length == 0) {
            fail(leaf, RESULT_INVALID, field, "a text is not well-formed UTF-8");
            return;
        }
        if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            fail(leaf, RESULT_INVALID, field, "a text has a control character");
            return;
        }
        if (point == '"' || point == '\\')
            put_text(leaf, text, "\\");
        put(leaf, text, (const char *)s, length);
        s += length;
    }
    put_text(leaf, text, "\"");
}

static void put_hex(struct leaf *leaf, struct text *text, const uint8_t bytes[16], bool uuid)
{
    static const char digits[] = "0123456789abcdef";
    char out[40];
    size_t length = 0;
    for (size_t i = 0; i < 16; i++) {
        if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
            out[length++] = '-';
        out[length++] = digits[bytes[i] >> 4];
        out[length++] = digits[bytes[i] & 15];
    }
    put_text(leaf, text, "\"");
    put(leaf, text, out, length);
    put_text(leaf, text, "\"");
}

static void put_int(struct leaf *leaf, const char *field, int64_t value)
{
    if (value > INTEGER_MAX || value < -INTEGER_MAX) {
        fail(leaf, RESULT_INVALID, field, "an integer is not below 2^53");
        return;
    }
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, value);
    put(leaf, &leaf->body, digits, (size_t)length);
}

static void write_tail(struct leaf *leaf, const struct leaf_head *head)
{
    static const char *const outs[] = {[LEAF_OK] = "\"ok\"", [LEAF_DENIED] = "\"denied\"", [LEAF_FAILED] = "\"failed\""};
    struct text *tail = &leaf->tail;
    put_text(leaf, tail, ",\"id\":");
    put_hex(leaf, tail, head->id, true);
    put_text(leaf, tail, ",\"nonce\":");
    put_hex(leaf, tail, head->nonce, false);
    put_text(leaf, tail, ",\"out\":");
    put_text(leaf, tail, outs[head->out]);
    if (head->ref != NULL) {
        put_text(leaf, tail, ",\"ref\":");
        put_hex(leaf, tail, head->ref, true);
    }
    put_text(leaf, tail, ",\"tenant\":");
    put_quoted(leaf, tail, "tenant", head->tenant);
    put_text(leaf, tail, ",\"v\":1}");
}

struct leaf *leaf_begin(struct leaf_head *head)
{
    head->id[6] = (uint8_t)((head->id[6] & 0x0f) | 0x40); /* RFC 9562 section 5.4: version 4, variant 10 */
    head->id[8] = (uint8_t)((head->id[8] & 0x3f) | 0x80);
    struct leaf *leaf = calloc(1, sizeof *leaf);
    if (leaf == NULL)
        return NULL;
    (void)snprintf(leaf->act, sizeof leaf->act, "%s", head->act == NULL ? "" : head->act);
    (void)agrees(leaf, fields_begin(&leaf->fields, head));
    put_text(leaf, &leaf->body, "{\"act\":");
    put_quoted(leaf, &leaf->body, "act", head->act);
    put_text(leaf, &leaf->body, ",\"actor\":{\"id\":");
    put_quoted(leaf, &leaf->body, "actor.id", head->actor_id);
    put_text(leaf, &leaf->body, ",\"type\":");
    put_quoted(leaf, &leaf->body, "actor.type", head->actor_type);
    put_text(leaf, &leaf->body, "},\"at\":");
    put_int(leaf, "at", head->at_ms);
    put_text(leaf, &leaf->body, ",\"data\":{");
    write_tail(leaf, head);
    leaf->levels[0].object = true;
    leaf->depth = 1;
    return leaf;
}

void leaf_free(struct leaf *leaf)
{
    if (leaf == NULL)
        return;
    free(leaf->body.bytes);
    free(leaf->tail.bytes);
    free(leaf);
}

static bool key_valid(const char *key)
{
    size_t length = strspn(key, "abcdefghijklmnopqrstuvwxyz_");
    return length > 0 && key[length] == '\0' && length <= KEY_MAX_BYTES;
}

/* Write the comma and the key of the next value. Keys being ASCII, their order as bytes is RFC 8785's as UTF-16. */
static bool member(struct leaf *leaf, const char *key, const struct fields_value *value)
{
    if (leaf == NULL || leaf->result != RESULT_OK)
        return false;
    struct level *level = &leaf->levels[leaf->depth - 1];
    if (level->object != (key != NULL)) {
        fail(leaf, RESULT_INVALID, key, level->object ? "a member of an object has no key" : "an element has a key");
        return false;
    }
    if (key != NULL && !key_valid(key)) {
        fail(leaf, RESULT_INVALID, "data", "a key is not 1 to 63 of [a-z_]");
        return false;
    }
    if (key != NULL && level->filled && strcmp(level->key, key) >= 0) {
        fail(leaf, RESULT_INVALID, key, "a key does not come after the one before");
        return false;
    }
    if (!agrees(leaf, fields_take(&leaf->fields, key, value)))
        return false;
    if (level->filled)
        put_text(leaf, &leaf->body, ",");
    level->filled = true;
    if (key != NULL) {
        memcpy(level->key, key, strlen(key) + 1);
        put_quoted(leaf, &leaf->body, key, key);
        put_text(leaf, &leaf->body, ":");
    }
    return true;
}

void leaf_int(struct leaf *leaf, const char *key, int64_t value)
{
    const struct fields_value wanted = {.kind = FIELDS_INT, .number = value};
    if (member(leaf, key, &wanted))
        put_int(leaf, key, value);
}

void leaf_text(struct leaf *leaf, const char *key, const char *value)
{
    const struct fields_value wanted = {.kind = FIELDS_TEXT, .text = value};
    if (member(leaf, key, &wanted))
        put_quoted(leaf, &leaf->body, key, value);
}

void leaf_null(struct leaf *leaf, const char *key)
{
    const struct fields_value wanted = {.kind = FIELDS_NULL};
    if (member(leaf, key, &wanted))
        put_text(leaf, &leaf->body, "null");
}

static void open_level(struct leaf *leaf, const char *key, bool object)
{
    const struct fields_value wanted = {.kind = object ? FIELDS_OBJECT : FIELDS_ARRAY};
    if (!member(leaf, key, &wanted))
        return;
    assert(leaf->depth < FIELDS_DEPTH_MAX); /* of no act in fields.def are data deeper */
    put_text(leaf, &leaf->body, object ? "{" : "[");
    leaf->levels[leaf->depth++] = (struct level){.object = object};
}

void leaf_array(struct leaf *leaf, const char *key)
{
    open_level(leaf, key, false);
}

void leaf_object(struct leaf *leaf, const char *key)
{
    open_level(leaf, key, true);
}

void leaf_close(struct leaf *leaf)
{
    if (leaf == NULL || leaf->result != RESULT_OK)
        return;
    if (leaf->depth < 2) {
        fail(leaf, RESULT_INVALID, "data", "nothing is open");
        return;
    }
    if (agrees(leaf, fields_close(&leaf->fields)))
        put_text(leaf, &leaf->body, leaf->levels[--leaf->depth].object ? "}" : "]");
}

enum result leaf_finish(struct leaf *leaf, const char **bytes, size_t *length, struct failure *why)
{
    if (leaf == NULL) {
        failure_set(why, "", "no memory for the leaf");
        return RESULT_FULL;
    }
    if (leaf->depth > 1)
        fail(leaf, RESULT_INVALID, "data", "an array or object is still open");
    else if (leaf->depth == 1 && leaf->result == RESULT_OK && agrees(leaf, fields_end(&leaf->fields))) {
        put_text(leaf, &leaf->body, "}");
        put(leaf, &leaf->body, leaf->tail.bytes, leaf->tail.length);
        leaf->depth = 0;
    }
    if (leaf->result != RESULT_OK) {
        failure_set(why, leaf->why.field, "%s", leaf->why.text);
        return leaf->result;
    }
    *bytes = leaf->body.bytes;
    *length = leaf->body.length;
    return RESULT_OK;
}
