#include "service/cli/series.h"

#include <stdio.h>
#include <string.h>

#include "service/base/clock.h"

/* Worse comes later. */
static int rank(const char *reliability)
{
    static const char *const ranks[] = {"exact", "high", "medium", "low", "suppressed"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(reliability, ranks[i]) == 0)
            return i;
    }
    return 4;
}

static void set_reliability(struct series_point *out, const char *reliability)
{
    snprintf(out->reliability, sizeof out->reliability, "%s", reliability);
}

void series_ratio(const struct series_point *above, const struct series_point *below, double scale, bool complement,
    struct series_point *out)
{
    *out = (struct series_point){.period = above->period, .n = above->n};
    if (!above->known || !below->known || below->value <= 0) {
        set_reliability(out, "suppressed");
        return;
    }
    out->known = true;
    out->value = scale * above->value / below->value;
    out->bounded = above->bounded && below->bounded && below->low > 0;
    if (out->bounded) {
        out->low = scale * above->low / (above->low < 0 ? below->low : below->high);
        out->high = scale * above->high / below->low;
    }
    if (complement) {
        double low = 1 - out->high;
        out->value = 1 - out->value;
        out->high = 1 - out->low;
        out->low = low;
    }
    set_reliability(out, rank(above->reliability) > rank(below->reliability) ? above->reliability : below->reliability);
}

void series_mean(const struct series_point *points, size_t count, int32_t days, struct series_point *out)
{
    *out = (struct series_point){.n = -1, .known = days > 0 && count == (size_t)days, .bounded = true};
    set_reliability(out, "exact");
    for (size_t i = 0; i < count; i++) {
        out->known = out->known && points[i].known;
        out->bounded = out->bounded && points[i].bounded;
        out->value += points[i].value / days;
        out->low += points[i].low / days;
        out->high += points[i].high / days;
        if (rank(points[i].reliability) > rank(out->reliability))
            set_reliability(out, points[i].reliability);
    }
    if (!out->known)
        set_reliability(out, "suppressed");
}

const struct series_point *series_find(const struct series_point *points, size_t count, int32_t period, int32_t n)
{
    for (size_t i = 0; i < count; i++) {
        if (points[i].period == period && points[i].n == n)
            return &points[i];
    }
    return NULL;
}

int32_t series_month(int32_t first, int months)
{
    int year;
    unsigned month, day;
    clock_civil_from_days(first, &year, &month, &day);
    int place = year * 12 + (int)month - 1 + months;
    return clock_days_from_civil(place / 12, (unsigned)(place % 12) + 1, 1);
}
