#include "compliance/bundle/strict.h"

#include <stdio.h>
#include <string.h>

static const char letters[] = "btnfr\"\\";
static const char meanings[] = "\b\t\n\f\r\"\\";

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A \u00xx, which only a control character without a letter of its own has. */
static bool take_code(struct text_view *rest, char *c)
{
    if (!text_skip(rest, "u00") || rest->length < 2)
        return false;
    int high = hex_of(rest->bytes[0]), low = hex_of(rest->bytes[1]);
    if (high < 0 || high > 1 || low < 0)
        return false;
    *c = (char)(high << 4 | low);
    rest->bytes += 2;
    rest->length -= 2;
    return *c != '\0' && strchr(meanings, *c) == NULL;
}

static bool take_escape(struct text_view *rest, char *c)
{
    if (rest->length == 0)
        return false;
    const char *letter = memchr(letters, rest->bytes[0], sizeof letters - 1);
    if (letter == NULL)
        return take_code(rest, c);
    *c = meanings[letter - letters];
    rest->bytes++;
    rest->length--;
    return true;
}

bool strict_string(struct text_view *rest, char *out, size_t room)
{
    size_t length = 0;
    if (!text_skip(rest, "\""))
        return false;
    while (rest->length > 0 && length + 1 < room) {
        char c = rest->bytes[0];
        if ((unsigned char)c < 0x20)
            return false;
        rest->bytes++;
        rest->length--;
        if (c == '"') {
            out[length] = '\0';
            return true;
        }
        if (c == '\\' && !take_escape(rest, &c))
            return false;
        out[length++] = c;
    }
    if (length + 1 != room || !text_skip(rest, "\""))
        return false;
    out[length] = '\0';
    return true;
}

bool strict_number(struct text_view *rest, uint64_t *value)
{
    size_t digits = 0;
    while (digits < rest->length && rest->bytes[digits] >= '0' && rest->bytes[digits] <= '9')
        digits++;
    if (!text_decimal((struct text_view){rest->bytes, digits}, value) || *value > STRICT_NUMBER_MAX)
        return false;
    rest->bytes += digits;
    rest->length -= digits;
    return true;
}

void strict_put_string(struct text_writer *writer, const char *string)
{
    text_puts(writer, "\"");
    for (const char *c = string; *c != '\0'; c++) {
        const char *meaning = strchr(meanings, *c);
        char escaped[8] = {*c, '\0'};
        if (meaning != NULL)
            (void)snprintf(escaped, sizeof escaped, "\\%c", letters[meaning - meanings]);
        else if ((unsigned char)*c < 0x20)
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*c);
        text_puts(writer, escaped);
    }
    text_puts(writer, "\"");
}
