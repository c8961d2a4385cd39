#include "service/base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DAY_MS 86400000LL

static pthread_once_t offset_once = PTHREAD_ONCE_INIT;
static int64_t offset_ms;

static void read_offset(void)
{
    const char *text = getenv("THRONG_TEST_CLOCK_OFFSET_MS");
    if (text != NULL)
        offset_ms = strtoll(text, NULL, 10);
}

int64_t clock_now_ms(void)
{
    (void)pthread_once(&offset_once, read_offset);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + offset_ms;
}

int64_t clock_steady_ms(void)
{
    return clock_steady_us() / 1000;
}

int64_t clock_steady_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

char *clock_format(int64_t ms, char *out, size_t size)
{
    int64_t day = ms >= 0 ? ms / DAY_MS : -((DAY_MS - 1 - ms) / DAY_MS);
    int64_t rest = ms - day * DAY_MS;
    int year;
    unsigned month;
    unsigned of_month;
    clock_civil_from_days((int32_t)day, &year, &month, &of_month);
    (void)snprintf(out, size, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", year, month, of_month, (int)(rest / 3600000),
        (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000));
    return out;
}

/* Years are counted from March, so that the leap day is the last of its year; an era is 400 years. */
int32_t clock_days_from_civil(int year, unsigned month, unsigned day)
{
    int from_march = year - (month <= 2 ? 1 : 0);
    int era = (from_march >= 0 ? from_march : from_march - 399) / 400;
    unsigned of_era = (unsigned)(from_march - era * 400);
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return era * 146097 + (int32_t)day_of_era - 719468;
}

void clock_civil_from_days(int32_t days, int *year, unsigned *month, unsigned *day)
{
    int64_t shifted = (int64_t)days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned from_march = (5 * of_year + 2) / 153;
    *day = of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = (int)(era * 400) + (int)year_of_era + (*month <= 2 ? 1 : 0);
}

char *clock_format_date(int32_t days, char out[CLOCK_DATE_BYTES])
{
    int year;
    unsigned month, day;
    clock_civil_from_days(days, &year, &month, &day);
    (void)snprintf(out, CLOCK_DATE_BYTES, "%04u-%02u-%02u", (unsigned)year % 10000u, month % 100u, day % 100u);
    return out;
}

bool clock_parse_date(const char *text, int32_t *days)
{
    static const char form[] = "0000-00-00";
    unsigned parts[3] = {0}, part = 0;
    for (size_t i = 0; i < sizeof form; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == '0' ? !digit : text[i] != form[i])
            return false;
        if (digit)
            parts[part] = parts[part] * 10 + (unsigned)(text[i] - '0');
        else
            part++;
    }
    char again[CLOCK_DATE_BYTES];
    if (parts[0] < 1900 || parts[0] > 2199 || parts[1] < 1 || parts[1] > 12 || parts[2] < 1)
        return false;
    /* A day that no month has comes back as another one. */
    int32_t found = clock_days_from_civil((int)parts[0], parts[1], parts[2]);
    for (size_t i = 0; i < sizeof form; i++) {
        if (clock_format_date(found, again)[i] != text[i])
            return false;
    }
    *days = found;
    return true;
}
