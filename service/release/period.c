#include "service/release/period.h"

#include <stdio.h>

#include "service/base/clock.h"

/* 1970-01-01 was a Thursday; the Monday of its week lies three days before. */
static int32_t week_start(int32_t day)
{
    int32_t since_monday = (day + 3) % 7;
    return day - (since_monday < 0 ? since_monday + 7 : since_monday);
}

static int32_t month_number(int32_t day)
{
    int year = 0;
    unsigned month = 0, of_month = 0;
    clock_civil_from_days(day, &year, &month, &of_month);
    return year * 12 + (int32_t)month - 1;
}

static int32_t month_start(int32_t number)
{
    int32_t year = number >= 0 ? number / 12 : (number - 11) / 12;
    return clock_days_from_civil(year, (unsigned)(number - year * 12) + 1, 1);
}

int32_t period_of(enum family_interval interval, int32_t day)
{
    if (interval == INTERVAL_WEEK)
        return week_start(day);
    return interval == INTERVAL_MONTH ? month_start(month_number(day)) : day;
}

int32_t period_add(enum family_interval interval, int32_t period, int32_t n)
{
    if (interval == INTERVAL_WEEK)
        return period + 7 * n;
    return interval == INTERVAL_MONTH ? month_start(month_number(period) + n) : period + n;
}

int32_t period_distance(enum family_interval interval, int32_t from, int32_t to)
{
    if (interval == INTERVAL_WEEK)
        return (to - from) / 7;
    return interval == INTERVAL_MONTH ? month_number(to) - month_number(from) : to - from;
}

bool period_ends_on(enum family_interval interval, int32_t day)
{
    if (interval != INTERVAL_WEEK && interval != INTERVAL_MONTH)
        return true;
    return period_of(interval, day + 1) == day + 1;
}

char *period_format(int32_t day, char out[PERIOD_TEXT_BYTES])
{
    int year = 0;
    unsigned month = 0, of_month = 0;
    clock_civil_from_days(day, &year, &month, &of_month);
    (void)snprintf(out, PERIOD_TEXT_BYTES, "%04d-%02u-%02u", year % 10000, month % 100, of_month % 100);
    return out;
}
