#include "service/paper/span.h"

#include <stdio.h>
#include <string.h>

#include "service/base/clock.h"

static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December"};

/* From Monday, 0, on. 1970-01-01 was a Thursday. */
static int32_t weekday(int32_t day)
{
    return ((day + 3) % 7 + 7) % 7;
}

/* The Monday of a year's first ISO week: the one with 4 January. */
static int32_t first_monday(int year)
{
    int32_t fourth = clock_days_from_civil(year, 1, 4);
    return fourth - weekday(fourth);
}

static int32_t month_after(int32_t first, int steps)
{
    int year;
    unsigned month, day;
    clock_civil_from_days(first, &year, &month, &day);
    int count = year * 12 + (int)month - 1 + steps;
    return clock_days_from_civil(count / 12, (unsigned)(count % 12) + 1, 1);
}

struct span span_of(enum span_interval interval, int32_t day)
{
    int32_t first = day;
    int year;
    unsigned month, of_month;
    if (interval == SPAN_WEEK)
        first = day - weekday(day);
    if (interval == SPAN_MONTH) {
        clock_civil_from_days(day, &year, &month, &of_month);
        first = day - (int32_t)of_month + 1;
    }
    return (struct span){interval, first, span_step(interval, first, 1) - 1};
}

int32_t span_step(enum span_interval interval, int32_t first, int steps)
{
    return interval == SPAN_DAY ? first + steps : interval == SPAN_WEEK ? first + 7 * steps : month_after(first, steps);
}

/* Whether text has the shape of pattern, where 0 stands for a digit. */
static bool has_shape(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; pattern++, text++) {
        bool good = *pattern == '0' ? *text >= '0' && *text <= '9' : *text == *pattern;
        if (!good)
            return false;
    }
    return *text == '\0';
}

static int number(const char *text, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++)
        value = 10 * value + text[i] - '0';
    return value;
}

static bool parse_week(const char *text, struct span *out)
{
    int year = number(text, 4), week = number(text + 6, 2);
    int32_t first = first_monday(year) + 7 * (week - 1);
    if (year < 1970 || year > 2199 || week < 1 || first >= first_monday(year + 1))
        return false;
    *out = span_of(SPAN_WEEK, first);
    return true;
}

bool span_parse(const char *text, struct span *out)
{
    char date[CLOCK_DATE_BYTES];
    int32_t day;
    if (has_shape(text, "0000-W00"))
        return parse_week(text, out);
    bool month = has_shape(text, "0000-00");
    if (!month && !has_shape(text, "0000-00-00"))
        return false;
    (void)snprintf(date, sizeof date, "%s%s", text, month ? "-01" : "");
    if (!clock_parse_date(date, &day))
        return false;
    *out = span_of(month ? SPAN_MONTH : SPAN_DAY, day);
    return true;
}

const char *span_name(enum span_interval interval)
{
    static const char *const names[] = {"day", "week", "month"};
    return names[interval];
}

char *span_title(const struct span *span, char out[SPAN_LABEL_BYTES])
{
    int year;
    unsigned month, day;
    clock_civil_from_days(span->interval == SPAN_WEEK ? span->first + 3 : span->first, &year, &month, &day);
    if (span->interval == SPAN_WEEK)
        (void)snprintf(out, SPAN_LABEL_BYTES, "week %d of %d", (int)(span->first - first_monday(year)) / 7 + 1, year);
    else if (span->interval == SPAN_MONTH)
        (void)snprintf(out, SPAN_LABEL_BYTES, "%s %d", months[month - 1], year);
    else
        (void)snprintf(out, SPAN_LABEL_BYTES, "%u %s %d", day, months[month - 1], year);
    return out;
}

char *span_days(const struct span *span, char out[SPAN_LABEL_BYTES])
{
    int year, last_year;
    unsigned month, day, last_month, last_day;
    clock_civil_from_days(span->first, &year, &month, &day);
    clock_civil_from_days(span->last, &last_year, &last_month, &last_day);
    if (span->first == span->last)
        (void)snprintf(out, SPAN_LABEL_BYTES, "%u %s %d", day, months[month - 1], year);
    else if (year != last_year)
        (void)snprintf(out, SPAN_LABEL_BYTES, "%u %s %d – %u %s %d", day, months[month - 1], year, last_day, months[last_month - 1],
            last_year);
    else if (month != last_month)
        (void)snprintf(out, SPAN_LABEL_BYTES, "%u %s – %u %s %d", day, months[month - 1], last_day, months[last_month - 1], year);
    else
        (void)snprintf(out, SPAN_LABEL_BYTES, "%u – %u %s %d", day, last_day, months[month - 1], year);
    return out;
}

char *span_tick(enum span_interval interval, int32_t first, char out[SPAN_LABEL_BYTES])
{
    int year;
    unsigned month, day;
    clock_civil_from_days(first, &year, &month, &day);
    if (interval == SPAN_MONTH)
        (void)snprintf(out, SPAN_LABEL_BYTES, "%.3s %02d", months[month - 1], year % 100);
    else
        (void)snprintf(out, SPAN_LABEL_BYTES, "%u %.3s", day, months[month - 1]);
    return out;
}
