#include "service/cli/moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schema/limits.h"
#include "service/base/clock.h"

#define DAY_MS 86400000LL
#define EPOCH_LEAST_MS 100000000000LL /* 1973-03-03: ten digits and fewer are seconds */
#define CACHE_SIZE 4096

/* Local minutes already looked up: mktime is slow for a log of millions of lines. */
struct cached_minute {
    int64_t minute; /* since 1970, as if local time were UTC */
    int64_t ms;
    bool known;
};

static struct cached_minute cache[CACHE_SIZE];

struct civil {
    int year;
    unsigned month, day, hour, minute, second, ms;
};

enum result moment_set_zone(const char *zone, struct failure *why)
{
    char path[256];
    const char *directory = getenv("TZDIR");
    if (zone[0] == '\0' || zone[0] == '/' || zone[0] == ':' || strstr(zone, "..") != NULL) {
        failure_set(why, "time-zone", "is not the name of a time zone, such as Europe/Vienna");
        return RESULT_NOT_FOUND;
    }
    int length = snprintf(path, sizeof path, "%s/%s", directory != NULL ? directory : "/usr/share/zoneinfo", zone);
    if (strcmp(zone, "UTC") != 0 && (length >= (int)sizeof path || access(path, R_OK) != 0)) {
        failure_set(why, "time-zone", "is not known on this machine (package tzdata)");
        return RESULT_NOT_FOUND;
    }
    if (setenv("TZ", zone, 1) != 0)
        return RESULT_FAILED;
    tzset();
    memset(cache, 0, sizeof cache);
    return RESULT_OK;
}

/* Read exactly count digits. */
static bool digits(const char **text, unsigned count, unsigned *value)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < count; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9')
            return false;
        sum = sum * 10 + (unsigned)(c - '0');
    }
    *text += count;
    *value = sum;
    return true;
}

static bool literal(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

static bool read_date(const char **text, struct civil *out)
{
    unsigned year;
    if (!digits(text, 4, &year) || !literal(text, '-') || !digits(text, 2, &out->month) || !literal(text, '-')
        || !digits(text, 2, &out->day))
        return false;
    out->year = (int)year;
    return true;
}

/* "HH:MM", ":SS" and a fraction, of which milliseconds are kept. */
static bool read_time(const char **text, struct civil *out)
{
    if (!digits(text, 2, &out->hour) || !literal(text, ':') || !digits(text, 2, &out->minute))
        return false;
    if (!literal(text, ':'))
        return true;
    if (!digits(text, 2, &out->second))
        return false;
    if (!literal(text, '.'))
        return true;
    unsigned scale = 100;
    if (**text < '0' || **text > '9')
        return false;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        out->ms += (unsigned)(**text - '0') * scale;
        scale /= 10;
    }
    return true;
}

/* "Z" or "+02:00" (a log's "+0200" too), in minutes east. */
static bool read_offset(const char **text, int *minutes)
{
    unsigned hours, rest;
    if (literal(text, 'Z') || literal(text, 'z')) {
        *minutes = 0;
        return true;
    }
    int sign = **text == '-' ? -1 : 1;
    if (!literal(text, '+') && !literal(text, '-'))
        return false;
    if (!digits(text, 2, &hours))
        return false;
    literal(text, ':');
    if (!digits(text, 2, &rest) || hours > 23 || rest > 59)
        return false;
    *minutes = sign * (int)(hours * 60 + rest);
    return true;
}

bool moment_from_utc(int year, unsigned month, unsigned day, unsigned hour, unsigned minute, unsigned second,
    int64_t *ms)
{
    if (year < 1969 || year > 2100 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59
        || second > 60)
        return false;
    int32_t days = clock_days_from_civil(year, month, day);
    int back_year;
    unsigned back_month, back_day;
    clock_civil_from_days(days, &back_year, &back_month, &back_day);
    if (back_month != month || back_day != day)
        return false;
    *ms = days * DAY_MS + ((int64_t)hour * 3600 + minute * 60 + second) * 1000;
    return true;
}

/* Local minutes since 1970 as UTC ms. */
static int64_t from_local(int64_t minute, const struct civil *civil)
{
    struct cached_minute *slot = &cache[(uint64_t)minute % CACHE_SIZE];
    if (slot->known && slot->minute == minute)
        return slot->ms;
    struct tm tm = {.tm_year = civil->year - 1900,
        .tm_mon = (int)civil->month - 1,
        .tm_mday = (int)civil->day,
        .tm_hour = (int)civil->hour,
        .tm_min = (int)civil->minute,
        .tm_isdst = -1};
    *slot = (struct cached_minute){.minute = minute, .ms = (int64_t)mktime(&tm) * 1000, .known = true};
    return slot->ms;
}

static bool parse_epoch(const char *text, int64_t *ms)
{
    size_t length = strspn(text, "0123456789");
    if (length == 0 || length > 15 || text[length] != '\0')
        return false;
    int64_t value = strtoll(text, NULL, 10);
    if (value < EPOCH_LEAST_MS || value >= TS_MAX_MS)
        return false;
    *ms = value;
    return true;
}

bool moment_parse(const char *text, int64_t *ms)
{
    struct civil civil = {0};
    const char *at = text;
    int64_t utc, result;
    int offset_minutes = 0;
    if (parse_epoch(text, ms))
        return true;
    if (!read_date(&at, &civil))
        return false;
    if (literal(&at, 'T') || literal(&at, 't') || literal(&at, ' ')) {
        if (!read_time(&at, &civil))
            return false;
    }
    if (!moment_from_utc(civil.year, civil.month, civil.day, civil.hour, civil.minute, 0, &utc) || civil.second > 60)
        return false;
    if (*at == '\0')
        result = from_local(utc / 60000, &civil);
    else if (read_offset(&at, &offset_minutes) && *at == '\0')
        result = utc - offset_minutes * 60000LL;
    else
        return false;
    result += civil.second * 1000LL + civil.ms;
    if (result < TS_MIN_MS || result >= TS_MAX_MS)
        return false;
    *ms = result;
    return true;
}

bool moment_parse_date(const char *text, int32_t *days)
{
    return clock_parse_date(text, days);
}

char *moment_format_date(int32_t days, char out[MOMENT_DATE_BYTES])
{
    return clock_format_date(days, out);
}
