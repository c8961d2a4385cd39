#include "anonymizer/release/rational.h"

#include <stdbool.h>

static rational_wide common_divisor(rational_wide a, rational_wide b)
{
    while (b != 0) {
        rational_wide rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static enum result too_large(struct failure *why)
{
    failure_set(why, "rational", "a fraction does not fit 64 bits");
    return RESULT_FULL;
}

enum result rational_make(rational_wide numerator, rational_wide denominator, struct rational *out, struct failure *why)
{
    if (denominator == 0) {
        failure_set(why, "rational", "a denominator is 0");
        return RESULT_INVALID;
    }
    rational_wide divisor = common_divisor(numerator, denominator);
    numerator /= divisor;
    denominator /= divisor;
    if (numerator > UINT64_MAX || denominator > UINT64_MAX)
        return too_large(why);
    *out = (struct rational){(uint64_t)numerator, (uint64_t)denominator};
    return RESULT_OK;
}

enum result rational_add(struct rational a, struct rational b, struct rational *out, struct failure *why)
{
    uint64_t divisor = (uint64_t)common_divisor(a.denominator, b.denominator);
    if (divisor == 0)
        return rational_make(0, 0, out, why);
    rational_wide left = (rational_wide)a.numerator * (b.denominator / divisor);
    rational_wide right = (rational_wide)b.numerator * (a.denominator / divisor);
    rational_wide sum;
    if (__builtin_add_overflow(left, right, &sum))
        return too_large(why);
    return rational_make(sum, (rational_wide)a.denominator / divisor * b.denominator, out, why);
}

enum result rational_multiply(struct rational a, struct rational b, struct rational *out, struct failure *why)
{
    return rational_make((rational_wide)a.numerator * b.numerator, (rational_wide)a.denominator * b.denominator, out, why);
}

enum result rational_divide(struct rational a, struct rational b, struct rational *out, struct failure *why)
{
    return rational_make((rational_wide)a.numerator * b.denominator, (rational_wide)a.denominator * b.numerator, out, why);
}

int rational_compare(struct rational a, struct rational b)
{
    rational_wide left = (rational_wide)a.numerator * b.denominator;
    rational_wide right = (rational_wide)b.numerator * a.denominator;
    return (left > right) - (left < right);
}

/* a × unit, rounded: less than 2^128, as both are 64-bit. */
static rational_wide scaled(struct rational a, uint64_t unit, enum rational_rounding rounding)
{
    rational_wide product = (rational_wide)a.numerator * unit;
    bool more = rounding == RATIONAL_UP && product % a.denominator != 0;
    return product / a.denominator + (more ? 1 : 0);
}

enum result rational_round(struct rational a, uint64_t unit, enum rational_rounding rounding, struct rational *out,
    struct failure *why)
{
    if (a.denominator == 0 || unit == 0)
        return rational_make(0, 0, out, why);
    rational_wide count = scaled(a, unit, rounding);
    return count > UINT64_MAX ? too_large(why) : rational_make(count, unit, out, why);
}

static uint64_t power_of_ten(unsigned places)
{
    uint64_t power = 1;
    while (places-- > 0)
        power *= 10;
    return power;
}

static enum result no_number(struct failure *why)
{
    failure_set(why, "rational", "a text is no decimal number of at most %d decimals", RATIONAL_PLACES_MAX);
    return RESULT_INVALID;
}

enum result rational_parse(const char *text, struct rational *out, struct failure *why)
{
    rational_wide value = 0;
    size_t digits = 0;
    size_t point = SIZE_MAX;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '.' && point == SIZE_MAX) {
            point = digits;
            continue;
        }
        /* 38 digits are below 2^128. */
        if (*at < '0' || *at > '9' || ++digits > 38)
            return no_number(why);
        value = value * 10 + (unsigned)(*at - '0');
    }
    size_t places = point == SIZE_MAX ? 0 : digits - point;
    if (digits == 0 || point == 0 || point == digits || places > RATIONAL_PLACES_MAX)
        return no_number(why);
    return rational_make(value, power_of_ten((unsigned)places), out, why);
}

/* Append value in decimal, with leading zeros up to width, and return the new end. */
static char *put_digits(char *end, rational_wide value, size_t width)
{
    char reversed[40];
    size_t n = 0;
    for (; value != 0 || n < width; value /= 10)
        reversed[n++] = (char)('0' + (int)(value % 10));
    while (n > 0)
        *end++ = reversed[--n];
    *end = '\0';
    return end;
}

void rational_decimal(struct rational a, unsigned places, enum rational_rounding rounding, char out[RATIONAL_TEXT_MAX])
{
    if (places > RATIONAL_PLACES_MAX)
        places = RATIONAL_PLACES_MAX;
    uint64_t unit = power_of_ten(places);
    rational_wide value = scaled(a, unit, rounding);
    char *end = put_digits(out, value / unit, 1);
    if (value % unit == 0)
        return;
    *end++ = '.';
    end = put_digits(end, value % unit, places);
    while (end[-1] == '0')
        *--end = '\0';
}

void rational_fraction(struct rational a, char out[RATIONAL_TEXT_MAX])
{
    char *end = put_digits(out, a.numerator, 1);
    if (a.denominator == 1)
        return;
    *end++ = '/';
    put_digits(end, a.denominator, 1);
}
