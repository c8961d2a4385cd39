#include "compliance/meaning/civil.h"

#include <stdio.h>
#include <string.h>

struct date {
    int32_t year, month, day;
};

/* Days since 1970-01-01, by years that begin in March (H. Hinnant, chrono-Compatible Low-Level Date Algorithms). */
static int32_t days_of(struct date date)
{
    int32_t year = date.month <= 2 ? date.year - 1 : date.year;
    int32_t era = year / 400, of_era = year % 400;
    int32_t of_year = (153 * (date.month > 2 ? date.month - 3 : date.month + 9) + 2) / 5 + date.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct date date_of(int32_t day)
{
    int32_t z = day + 719468;
    int32_t era = z / 146097, of_era = z % 146097;
    int32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int32_t shifted = (5 * of_year + 2) / 153;
    int32_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    return (struct date){year + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1};
}

static bool number(const char *text, int digits, int32_t *out)
{
    int32_t value = 0;
    for (int i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return true;
}

bool civil_parse(const char *text, int32_t *day)
{
    struct date date;
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' || !number(text, 4, &date.year)
        || !number(text + 5, 2, &date.month) || !number(text + 8, 2, &date.day))
        return false;
    if (date.year < 1970 || date.month < 1 || date.month > 12 || date.day < 1 || date.day > 31)
        return false;
    int32_t days = days_of(date);
    struct date again = date_of(days);
    if (again.month != date.month || again.day != date.day)
        return false;
    *day = days;
    return true;
}

const char *civil_format(int32_t day, char out[CIVIL_DATE_BYTES])
{
    struct date date = date_of(day);
    (void)snprintf(out, CIVIL_DATE_BYTES, "%04d-%02d-%02d", (int)date.year % 10000, (int)date.month % 100, (int)date.day % 100);
    return out;
}

int32_t civil_month(int32_t day)
{
    return day - date_of(day).day + 1;
}

const char *civil_time(int64_t at_ms, char out[CIVIL_TIME_BYTES])
{
    char date[CIVIL_DATE_BYTES];
    int ms = (int)(at_ms % CIVIL_DAY_MS);
    civil_format((int32_t)(at_ms / CIVIL_DAY_MS), date);
    (void)snprintf(out, CIVIL_TIME_BYTES, "%.10sT%02d:%02d:%02d.%03dZ", date, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
        ms % 1000);
    return out;
}

const char *civil_minute(int64_t at_ms, char out[CIVIL_TIME_BYTES])
{
    char time[CIVIL_TIME_BYTES];
    civil_time(at_ms, time);
    (void)snprintf(out, CIVIL_TIME_BYTES, "%.10s %.5s", time, time + 11);
    return out;
}
