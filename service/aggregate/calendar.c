#include "service/aggregate/calendar.h"

#include <assert.h>

#define DAY_MS 86400000LL

int64_t calendar_start_ms(const struct calendar *calendar, int32_t day)
{
    assert(day >= CALENDAR_FIRST_DAY && day <= CALENDAR_LAST_DAY);
    return calendar->start_ms[day - CALENDAR_FIRST_DAY];
}

int64_t calendar_end_ms(const struct calendar *calendar, int32_t day)
{
    return calendar_start_ms(calendar, day + 1);
}

int32_t calendar_day(const struct calendar *calendar, int64_t ms)
{
    /* No zone is more than a day from UTC, so the answer is a step or two from this guess. */
    int32_t day = (int32_t)(ms / DAY_MS);
    while (day > CALENDAR_FIRST_DAY && calendar_start_ms(calendar, day) > ms)
        day--;
    while (day < CALENDAR_LAST_DAY - 1 && calendar_start_ms(calendar, day + 1) <= ms)
        day++;
    return day;
}
