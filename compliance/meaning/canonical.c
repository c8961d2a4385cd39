#include "compliance/meaning/canonical.h"

#include <string.h>

#define INTEGER_MAX INT64_C(9007199254740991)
#define DEPTH_MAX 16 /* more than any leaf has */

static void skip(struct text_view *rest, size_t length)
{
    *rest = (struct text_view){rest->bytes + length, rest->length - length};
}

static bool begins(const struct text_view *rest, char c)
{
    return rest->length > 0 && rest->bytes[0] == c;
}

static bool take(struct text_view *rest, char c)
{
    if (!begins(rest, c))
        return false;
    skip(rest, 1);
    return true;
}

bool canonical_text(struct text_view *rest, struct text_view *text)
{
    size_t length = 0;
    if (!take(rest, '"'))
        return false;
    for (; length < rest->length && rest->bytes[length] != '"'; length++) {
        char c = rest->bytes[length];
        if (c < 0x20 || c > 0x7e || c == '\\')
            return false;
    }
    if (length == rest->length)
        return false;
    *text = (struct text_view){rest->bytes, length};
    skip(rest, length + 1);
    return true;
}

bool canonical_number(struct text_view *rest, int64_t *number)
{
    int64_t value = 0;
    size_t digits = 0;
    bool negative = take(rest, '-');
    for (; digits < rest->length && rest->bytes[digits] >= '0' && rest->bytes[digits] <= '9'; digits++) {
        value = value * 10 + (rest->bytes[digits] - '0');
        if (value > INTEGER_MAX)
            return false;
    }
    /* No needless 0 before others, and no -0. */
    if (digits == 0 || (rest->bytes[0] == '0' && (digits > 1 || negative)))
        return false;
    *number = negative ? -value : value;
    skip(rest, digits);
    return true;
}

static bool take_value(struct text_view *rest, int depth);

/* The key of a member, which must be behind the last one: keys are ASCII, so that their order as bytes is RFC 8785's. */
static bool take_key(struct text_view *rest, struct text_view *last)
{
    struct text_view key;
    if (!canonical_text(rest, &key) || !take(rest, ':'))
        return false;
    if (last->bytes != NULL) {
        size_t length = key.length < last->length ? key.length : last->length;
        int order = memcmp(last->bytes, key.bytes, length);
        if (order > 0 || (order == 0 && last->length >= key.length))
            return false;
    }
    *last = key;
    return true;
}

/* What is in an object or array, up to the bracket that ends it; the one that begins it was taken. */
static bool take_members(struct text_view *rest, bool object, int depth)
{
    const char end = object ? '}' : ']';
    struct text_view last = {NULL, 0};
    if (take(rest, end))
        return true;
    do {
        if ((object && !take_key(rest, &last)) || !take_value(rest, depth))
            return false;
    } while (take(rest, ','));
    return take(rest, end);
}

static bool take_value(struct text_view *rest, int depth)
{
    struct text_view text;
    int64_t number;
    if (depth == DEPTH_MAX)
        return false;
    if (begins(rest, '"'))
        return canonical_text(rest, &text);
    if (take(rest, '{'))
        return take_members(rest, true, depth + 1);
    if (take(rest, '['))
        return take_members(rest, false, depth + 1);
    return begins(rest, 'n') ? text_skip(rest, "null") : canonical_number(rest, &number);
}

bool canonical_object(struct text_view *rest)
{
    return take(rest, '{') && take_members(rest, true, 1);
}
