#include "compliance/audit/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#define DECIMAL_MAX_DIGITS 19
#define CHUNK_BYTES 48 /* whole groups of three, so that chunks join without padding */

bool text_line(struct text_view *rest, struct text_view *line)
{
    const char *end = rest->length == 0 ? NULL : memchr(rest->bytes, '\n', rest->length);
    if (end == NULL)
        return false;
    size_t length = (size_t)(end - rest->bytes);
    *line = (struct text_view){rest->bytes, length};
    *rest = (struct text_view){end + 1, rest->length - length - 1};
    return true;
}

bool text_is(struct text_view view, const char *string)
{
    size_t length = strlen(string);
    return view.length == length && (length == 0 || memcmp(view.bytes, string, length) == 0);
}

bool text_skip(struct text_view *view, const char *prefix)
{
    size_t length = strlen(prefix);
    if (view->length < length || memcmp(view->bytes, prefix, length) != 0)
        return false;
    *view = (struct text_view){view->bytes + length, view->length - length};
    return true;
}

bool text_decimal(struct text_view view, uint64_t *value)
{
    if (view.length == 0 || view.length > DECIMAL_MAX_DIGITS || (view.length > 1 && view.bytes[0] == '0'))
        return false;
    uint64_t sum = 0; /* 19 digits stay below 2^64 */
    for (size_t i = 0; i < view.length; i++) {
        if (view.bytes[i] < '0' || view.bytes[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(view.bytes[i] - '0');
    }
    if (sum > INT64_MAX)
        return false;
    *value = sum;
    return true;
}

/* How many bytes the UTF-8 sequence at the start of view has, and its code point; 0 if it is not well formed. */
static size_t utf8(struct text_view view, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)view.bytes;
    if (s[0] < 0x80) {
        *point = s[0];
        return 1;
    }
    size_t length = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc0 && s[0] < 0xe0 ? 2 : 0;
    if (length == 0 || length > view.length)
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

bool text_plain(struct text_view view)
{
    while (view.length > 0) {
        uint32_t point = 0;
        size_t length = utf8(view, &point);
        if (length == 0 || (point < 0x20 && point != '\n'))
            return false;
        view = (struct text_view){view.bytes + length, view.length - length};
    }
    return true;
}

/* The Unicode property White_Space. */
static bool is_space(uint32_t point)
{
    return point == 0x20 || (point >= 0x09 && point <= 0x0d) || point == 0x85 || point == 0xa0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 || point == 0x202f ||
           point == 0x205f || point == 0x3000;
}

bool text_name(struct text_view view)
{
    if (view.length == 0)
        return false;
    while (view.length > 0) {
        uint32_t point = 0;
        size_t length = utf8(view, &point);
        if (length == 0 || point < 0x20 || point == '+' || is_space(point))
            return false;
        view = (struct text_view){view.bytes + length, view.length - length};
    }
    return true;
}

/* The six bits of a base64 character, or 64. */
static unsigned sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool text_base64_length(struct text_view view, size_t *length)
{
    size_t digits = view.length;
    while (digits > 0 && view.length - digits < 2 && view.bytes[digits - 1] == '=')
        digits--;
    if (view.length % 4 != 0)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (sextet(view.bytes[i]) == 64)
            return false;
    size_t padding = view.length - digits;
    unsigned unused = padding == 2 ? 15 : padding == 1 ? 3 : 0;
    if (digits > 0 && (sextet(view.bytes[digits - 1]) & unused) != 0)
        return false;
    *length = view.length / 4 * 3 - padding;
    return true;
}

bool text_base64_read(struct text_view view, uint8_t *out, size_t length)
{
    size_t decoded = 0, written = 0;
    if (!text_base64_length(view, &decoded) || decoded != length)
        return false;
    return length == 0 || (sodium_base642bin(out, length, view.bytes, view.length, NULL, &written, NULL,
                               sodium_base64_VARIANT_ORIGINAL) == 0 &&
                              written == length);
}

void text_put(struct text_writer *writer, const char *bytes, size_t length)
{
    if (writer->full || length > writer->room - writer->length) {
        writer->full = true;
        return;
    }
    if (length > 0)
        memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void text_puts(struct text_writer *writer, const char *string)
{
    text_put(writer, string, strlen(string));
}

void text_put_decimal(struct text_writer *writer, uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    text_put(writer, digits, (size_t)length);
}

void text_put_base64(struct text_writer *writer, const uint8_t *bytes, size_t length)
{
    char encoded[TEXT_BASE64_BYTES(CHUNK_BYTES) + 1];
    for (size_t at = 0; at < length; at += CHUNK_BYTES) {
        size_t part = length - at < CHUNK_BYTES ? length - at : CHUNK_BYTES;
        (void)sodium_bin2base64(encoded, sizeof encoded, bytes + at, part, sodium_base64_VARIANT_ORIGINAL);
        text_puts(writer, encoded);
    }
    sodium_memzero(encoded, sizeof encoded);
}
