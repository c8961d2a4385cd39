#include "service/ingest/document.h"

#include <endian.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/limits.h"

#define NESTING_MAX 16
#define CONTAINERS_MAX 4096 /* objects and lists: 2 an event are enough */
#define COMMAS_MAX 65536    /* 39 an event are enough */

#define SCAN_NESTING_MAX 8
#define SCAN_MEMBERS_MAX 64 /* names are compared with each other */
#define SCAN_DIGITS_MAX 18  /* fit int64_t */
#define EXACT_DIGITS_MAX 15 /* a double holds the number of these digits exactly, and so do powers of ten to 10^22 */
#define WHOLE_MAX 9007199254740992.0

void document_begin(struct document *document, struct document_value *first, size_t capacity)
{
    *document = (struct document){.values = first, .capacity = capacity};
}

void document_free(struct document *document)
{
    if (document->grown)
        free(document->values);
    json_decref(document->owner);
    *document = (struct document){0};
}

static bool grow(struct document *document)
{
    size_t capacity = document->capacity * 2 + 64;
    struct document_value *values =
        reallocarray(document->grown ? document->values : NULL, capacity, sizeof *values);
    if (values == NULL)
        return false;
    if (!document->grown && document->count > 0)
        memcpy(values, document->values, document->count * sizeof *values);
    document->values = values;
    document->capacity = capacity;
    document->grown = true;
    return true;
}

/* A new value at the end, of which kind, count and length are set; NULL if memory is short. */
static struct document_value *append(struct document *document, enum document_kind kind)
{
    if (document->count == document->capacity && !grow(document))
        return NULL;
    struct document_value *value = &document->values[document->count++];
    value->kind = kind;
    value->count = 0;
    value->length = 1;
    value->whole = 0;
    return value;
}

/* Scanning. Each function is true if what it is to read is at `at`, and leaves `at` behind it. */

struct scan {
    struct document *document;
    const char *at, *end;
    size_t containers, commas;
};

static bool scan_value(struct scan *scan, unsigned depth);

static bool is_at(const struct scan *scan, char c)
{
    return scan->at < scan->end && *scan->at == c;
}

static bool is_digit_at(const struct scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* In each byte of word that a text may not hold as it is, the highest bit; bytes above the lowest such one may be wrong.
 * (Bit Twiddling Hacks, "Determine if a word has a byte less than n".) */
static uint64_t find_special(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    uint64_t below = (word - ones * 0x20) & ~word;
    return (below | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | word) & tops;
}

/* The first byte from at on that is a quote, a backslash, a control character or beyond ASCII; or end. */
static const char *skip_plain(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t special = find_special(le64toh(word));
        if (special != 0)
            return at + __builtin_ctzll(special) / 8;
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static bool scan_text(struct scan *scan)
{
    if (!is_at(scan, '"'))
        return false;
    const char *text = scan->at + 1;
    scan->at = skip_plain(text, scan->end);
    struct document_value *value = append(scan->document, DOCUMENT_TEXT);
    if (!is_at(scan, '"') || value == NULL)
        return false;
    value->text = text;
    value->count = (uint32_t)(scan->at++ - text);
    return true;
}

/* Read digits behind the `before` that *number has, up to one more than may be; returns how many. */
static unsigned scan_digits(struct scan *scan, uint64_t *number, unsigned before)
{
    unsigned digits = 0;
    for (; is_digit_at(scan) && before + digits <= SCAN_DIGITS_MAX; digits++)
        *number = *number * 10 + (uint64_t)(*scan->at++ - '0');
    return digits;
}

static bool scan_number(struct scan *scan)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t number = 0;
    bool negative = is_at(scan, '-');
    scan->at += negative;
    bool zero = is_at(scan, '0');
    unsigned digits = scan_digits(scan, &number, 0);
    if (digits == 0 || digits > SCAN_DIGITS_MAX || (zero && digits > 1) || is_at(scan, 'e') || is_at(scan, 'E'))
        return false;
    struct document_value *value = append(scan->document, DOCUMENT_WHOLE);
    if (value == NULL)
        return false;
    value->whole = negative ? -(int64_t)number : (int64_t)number;
    if (!is_at(scan, '.'))
        return true;
    scan->at++;
    unsigned decimals = scan_digits(scan, &number, digits);
    if (decimals == 0 || digits + decimals > EXACT_DIGITS_MAX || is_at(scan, 'e') || is_at(scan, 'E'))
        return false;
    double real = (double)number / powers[decimals];
    value->kind = DOCUMENT_REAL;
    value->real = negative ? -real : real;
    return true;
}

static bool scan_word(struct scan *scan, const char *word, enum document_kind kind)
{
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    scan->at += length;
    return append(scan->document, kind) != NULL;
}

/* A comma, or close. */
static bool scan_end(struct scan *scan, char close, bool *ended)
{
    skip_space(scan);
    *ended = is_at(scan, close);
    if (!*ended && !is_at(scan, ','))
        return false;
    scan->commas += !*ended;
    scan->at++;
    if (!*ended)
        skip_space(scan);
    return true;
}

static bool scan_list(struct scan *scan, unsigned depth)
{
    size_t self = scan->document->count;
    bool ended = false;
    if (append(scan->document, DOCUMENT_LIST) == NULL)
        return false;
    scan->at++;
    skip_space(scan);
    if (is_at(scan, ']')) {
        scan->at++;
        return true;
    }
    uint32_t count = 0;
    for (; !ended; count++) {
        if (!scan_value(scan, depth + 1) || !scan_end(scan, ']', &ended))
            return false;
    }
    scan->document->values[self].count = count;
    scan->document->values[self].length = (uint32_t)(scan->document->count - self);
    return true;
}

/* Whether a member before the one whose name is the last value has its name. seen: a bit for each hash of theirs. */
static bool is_twin(const struct document *document, size_t first, uint64_t *seen)
{
    const struct document_value *name = &document->values[document->count - 1];
    unsigned hash = name->count;
    if (name->count > 0)
        hash += 7u * (unsigned char)name->text[0] + 13u * (unsigned char)name->text[name->count - 1];
    uint64_t bit = 1ull << hash % 64;
    bool maybe = (*seen & bit) != 0;
    *seen |= bit;
    if (!maybe)
        return false;
    for (const struct document_value *other = &document->values[first]; other < name; other = document_next(other + 1)) {
        if (other->count == name->count && memcmp(other->text, name->text, name->count) == 0)
            return true;
    }
    return false;
}

static bool scan_member(struct scan *scan, size_t first, unsigned depth, uint64_t *seen)
{
    if (!scan_text(scan) || is_twin(scan->document, first, seen))
        return false;
    skip_space(scan);
    if (!is_at(scan, ':'))
        return false;
    scan->at++;
    skip_space(scan);
    return scan_value(scan, depth + 1);
}

static bool scan_object(struct scan *scan, unsigned depth)
{
    size_t self = scan->document->count;
    uint64_t seen = 0;
    bool ended = false;
    if (append(scan->document, DOCUMENT_OBJECT) == NULL)
        return false;
    scan->at++;
    skip_space(scan);
    if (is_at(scan, '}')) {
        scan->at++;
        return true;
    }
    uint32_t count = 0;
    for (; !ended; count++) {
        if (count == SCAN_MEMBERS_MAX || !scan_member(scan, self + 1, depth, &seen) || !scan_end(scan, '}', &ended))
            return false;
    }
    scan->document->values[self].count = count;
    scan->document->values[self].length = (uint32_t)(scan->document->count - self);
    return true;
}

static bool scan_value(struct scan *scan, unsigned depth)
{
    if (scan->at == scan->end)
        return false;
    switch (*scan->at) {
    case '"':
        return scan_text(scan);
    case '{':
    case '[':
        if (depth == SCAN_NESTING_MAX || ++scan->containers > CONTAINERS_MAX || scan->commas > COMMAS_MAX)
            return false;
        return *scan->at == '{' ? scan_object(scan, depth) : scan_list(scan, depth);
    case 't':
        return scan_word(scan, "true", DOCUMENT_TRUE);
    case 'f':
        return scan_word(scan, "false", DOCUMENT_FALSE);
    case 'n':
        return scan_word(scan, "null", DOCUMENT_NULL);
    default:
        return scan_number(scan);
    }
}

bool document_scan(struct document *document, char *body, size_t length)
{
    struct scan scan = {.document = document, .at = body, .end = body + length};
    skip_space(&scan);
    bool taken = length <= BODY_TRUSTED_MAX_BYTES && is_at(&scan, '{') && scan_value(&scan, 0);
    skip_space(&scan);
    if (!taken || scan.at != scan.end || scan.commas > COMMAS_MAX) {
        document->count = 0;
        return false;
    }
    for (size_t i = 0; i < document->count; i++) {
        const struct document_value *value = &document->values[i];
        if (value->kind == DOCUMENT_TEXT)
            body[value->text - body + value->count] = '\0';
    }
    return true;
}

/* Loading. Bounds before parsing: jansson takes about a hundred bytes a value, and one call of a function a level. */

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

static bool copy_value(struct document *document, json_t *from);

static bool copy_text(struct document *document, const char *text, size_t length)
{
    struct document_value *value = append(document, DOCUMENT_TEXT);
    if (value == NULL)
        return false;
    value->text = text;
    value->count = (uint32_t)length;
    return true;
}

static bool copy_number(struct document *document, const json_t *from)
{
    struct document_value *value = append(document, json_is_integer(from) ? DOCUMENT_WHOLE : DOCUMENT_REAL);
    if (value == NULL)
        return false;
    if (json_is_integer(from))
        value->whole = json_integer_value(from);
    else
        value->real = json_real_value(from);
    return true;
}

static bool copy_object(struct document *document, json_t *from)
{
    const char *name;
    json_t *member;
    json_object_foreach(from, name, member) {
        if (!copy_text(document, name, strlen(name)) || !copy_value(document, member))
            return false;
    }
    return true;
}

static bool copy_list(struct document *document, json_t *from)
{
    for (size_t i = 0; i < json_array_size(from); i++) {
        if (!copy_value(document, json_array_get(from, i)))
            return false;
    }
    return true;
}

static bool copy_container(struct document *document, json_t *from)
{
    size_t self = document->count;
    bool object = json_is_object(from);
    struct document_value *value = append(document, object ? DOCUMENT_OBJECT : DOCUMENT_LIST);
    if (value == NULL)
        return false;
    value->count = (uint32_t)(object ? json_object_size(from) : json_array_size(from));
    if (object ? !copy_object(document, from) : !copy_list(document, from))
        return false;
    document->values[self].length = (uint32_t)(document->count - self);
    return true;
}

/* The document's nesting is bounded, and so is this recursion. */
static bool copy_value(struct document *document, json_t *from)
{
    switch (json_typeof(from)) {
    case JSON_STRING:
        return copy_text(document, json_string_value(from), json_string_length(from));
    case JSON_INTEGER:
    case JSON_REAL:
        return copy_number(document, from);
    case JSON_TRUE:
        return append(document, DOCUMENT_TRUE) != NULL;
    case JSON_FALSE:
        return append(document, DOCUMENT_FALSE) != NULL;
    case JSON_NULL:
        return append(document, DOCUMENT_NULL) != NULL;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return copy_container(document, from);
}

/* jansson's own message quotes the text, which may hold an id: say the place only. */
static enum result load_json(const char *body, size_t length, json_t **out, struct failure *why)
{
    json_error_t error;
    *out = json_loadb(body, length, JSON_REJECT_DUPLICATES, &error);
    if (*out == NULL) {
        bool twice = json_error_code(&error) == json_error_duplicate_key;
        failure_set(why, NULL, "not JSON%s: stopped at byte %d", twice ? " (a member is there twice)" : "",
            error.position);
        return RESULT_INVALID;
    }
    if (json_is_object(*out))
        return RESULT_OK;
    failure_set(why, NULL, "the body must be an object with a member events");
    json_decref(*out);
    return RESULT_INVALID;
}

enum result document_load(struct document *document, const char *body, size_t length, struct failure *why)
{
    json_t *json;
    enum result result = check_bounds(body, length, why);
    if (result == RESULT_OK)
        result = load_json(body, length, &json, why);
    if (result != RESULT_OK)
        return result;
    document->owner = json;
    if (copy_value(document, json))
        return RESULT_OK;
    document->owner = NULL;
    json_decref(json);
    document->count = 0;
    failure_set(why, NULL, "out of memory");
    return RESULT_UNAVAILABLE;
}

bool document_is_whole(const struct document_value *value, int64_t *out)
{
    if (value->kind == DOCUMENT_WHOLE) {
        *out = value->whole;
        return true;
    }
    if (value->kind != DOCUMENT_REAL || !(fabs(value->real) <= WHOLE_MAX) || floor(value->real) < value->real)
        return false;
    *out = (int64_t)value->real;
    return true;
}
