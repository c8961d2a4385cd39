#include "api/series/consistent.h"

#include <math.h>

#define Z 1.959963984540054

int32_t consistent_monday(int32_t day)
{
    /* 1970-01-01 was a Thursday. */
    int32_t weekday = ((day + 3) % CONSISTENT_DAYS + CONSISTENT_DAYS) % CONSISTENT_DAYS;
    return day - weekday;
}

/* Move point by its part of the gap, of all variances together; its interval becomes as wide as the noise that is left. */
static void move(struct series_point *point, double gap, double variances)
{
    double part = variances > 0 ? point->variance / variances : 0;
    point->adjusted = true;
    point->released = point->value;
    point->value += gap * part;
    point->variance *= 1 - part;
}

static void bound(struct series_point *point)
{
    double half = Z * sqrt(point->variance);
    point->low = floor(fmax(point->value - half, 0));
    point->high = ceil(point->value + half);
}

/* Round the days so that they add up to whole: those down that lose least, as many as that takes. */
static void round_days(struct series_point *days, double whole)
{
    double loss[CONSISTENT_DAYS], sum = 0;
    for (size_t i = 0; i < CONSISTENT_DAYS; i++) {
        loss[i] = days[i].value - floor(days[i].value);
        days[i].value = floor(days[i].value);
        sum += days[i].value;
    }
    for (; sum < whole; sum++) {
        size_t most = 0;
        for (size_t i = 1; i < CONSISTENT_DAYS; i++)
            most = loss[i] > loss[most] ? i : most;
        days[most].value++;
        loss[most] -= 1;
    }
}

static void settle(struct series_point *week, struct series_point *days)
{
    double sum = 0, variances = week->variance;
    for (size_t i = 0; i < CONSISTENT_DAYS; i++) {
        sum += days[i].value;
        variances += days[i].variance;
    }
    const double gap = week->value - sum;
    move(week, -gap, variances);
    for (size_t i = 0; i < CONSISTENT_DAYS; i++) {
        move(&days[i], gap, variances);
        bound(&days[i]);
    }
    bound(week);
    week->value = round(week->value);
    round_days(days, week->value);
}

/* Whether days[0 … 6] are the days of week, all of them shown with their noise. */
static bool is_whole(const struct series_point *week, const struct series_point *days)
{
    bool whole = week->known && week->noisy;
    for (int32_t i = 0; i < CONSISTENT_DAYS; i++)
        whole = whole && days[i].known && days[i].noisy && days[i].period == week->period + i;
    return whole;
}

void consistent_weeks(struct series_point *weeks, size_t week_count, struct series_point *days, size_t day_count)
{
    size_t day = 0;
    for (size_t i = 0; i < week_count; i++) {
        while (day < day_count && days[day].period < weeks[i].period)
            day++;
        if (day_count - day >= CONSISTENT_DAYS && is_whole(&weeks[i], &days[day]))
            settle(&weeks[i], &days[day]);
    }
}
