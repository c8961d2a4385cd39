#include "compliance/meaning/decimal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHOLE_DIGITS_MAX 7

bool decimal_parse(const char *text, size_t length, decimal_units *out)
{
    size_t whole = 0;
    decimal_units value = 0, place = DECIMAL_ONE;
    for (; whole < length && text[whole] >= '0' && text[whole] <= '9'; whole++) {
        if (whole == WHOLE_DIGITS_MAX)
            return false;
        value = value * 10 + (decimal_units)(text[whole] - '0');
    }
    if (whole == 0 || (text[0] == '0' && whole > 1))
        return false;
    value *= DECIMAL_ONE;
    if (whole < length && (text[whole] != '.' || length - whole - 1 > DECIMAL_PLACES || length - whole == 1))
        return false;
    for (size_t at = whole + 1; at < length; at++) {
        if (text[at] < '0' || text[at] > '9')
            return false;
        place /= 10;
        value += place * (decimal_units)(text[at] - '0');
    }
    *out = value;
    return true;
}

bool decimal_add(decimal_units *sum, decimal_units more)
{
    if (more > UINT64_MAX - *sum)
        return false;
    *sum += more;
    return true;
}

const char *decimal_format(decimal_units units, char out[DECIMAL_TEXT_BYTES])
{
    int length = snprintf(out, DECIMAL_TEXT_BYTES, "%" PRIu64 ".%012" PRIu64, units / DECIMAL_ONE, units % DECIMAL_ONE);
    while (out[length - 1] == '0')
        out[--length] = '\0';
    if (out[length - 1] == '.')
        out[length - 1] = '\0';
    return out;
}
