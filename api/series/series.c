#include "api/series/series.h"

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
    *out = (struct series_point){.period = above->period, .item = above->item, .n = above->n};
    memcpy(out->leaf, above->leaf, sizeof out->leaf);
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
    *out = (struct series_point){.item = -1, .n = -1, .known = days > 0 && count == (size_t)days, .bounded = true};
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

/* The bin in which the quantile of some masses lies, which add up to more than nothing; *before: the mass of the bins before. */
static size_t bin_of(const double *mass, size_t count, double quantile, double *before)
{
    double all = 0, sum = 0;
    for (size_t i = 0; i < count; i++)
        all += mass[i];
    size_t bin = 0;
    while (bin + 1 < count && sum + mass[bin] < quantile * all)
        sum += mass[bin++];
    *before = sum;
    return bin;
}

/* Where the bins of a histogram begin and end. */
struct scale {
    bool whole;   /* of whole numbers */
    double open;  /* where the last bin, which is open, begins; whole: the largest number */
};

static double begin_of(const struct scale *scale, int32_t bin)
{
    double edge = bin <= 0 ? 0 : (double)(1LL << (bin - 1));
    return scale->whole && edge > scale->open ? scale->open : edge;
}

static double end_of(const struct scale *scale, int32_t bin)
{
    double edge = (double)(1LL << bin);
    if (!scale->whole)
        return edge;
    return edge - 1 > scale->open ? scale->open : edge - 1;
}

/* The outermost bins that the quantile may lie in: the bins before as full as they may be and those after as empty, and the
 * other way round. */
static void find_bounds(const struct series_point *bins, size_t count, const struct scale *scale, double quantile,
    struct series_point *out)
{
    double mass[SERIES_BINS_MAX], before;
    size_t low = count, high = 0;
    for (size_t split = 0; split <= count; split++) {
        double early = 0, late = 0;
        for (size_t i = 0; i < count; i++)
            early += mass[i] = i < split ? bins[i].high : bins[i].low;
        if (early > 0 && bin_of(mass, count, quantile, &before) < low)
            low = bin_of(mass, count, quantile, &before);
        for (size_t i = 0; i < count; i++)
            late += mass[i] = i < split ? bins[i].low : bins[i].high;
        if (late > 0 && bin_of(mass, count, quantile, &before) > high)
            high = bin_of(mass, count, quantile, &before);
    }
    if (low == count)
        low = 0;
    out->low = begin_of(scale, bins[low].n);
    out->high = end_of(scale, bins[high].n);
}

static void find_quantile(const struct series_point *bins, size_t count, const struct scale *scale, double quantile,
    struct series_point *out)
{
    double mass[SERIES_BINS_MAX], all = 0, before = 0;
    bool bounded = true, whole = true;
    *out = (struct series_point){.item = -1, .n = -1};
    set_reliability(out, "suppressed");
    if (count == 0 || count > SERIES_BINS_MAX)
        return;
    out->period = bins[0].period;
    out->item = bins[0].item;
    memcpy(out->leaf, bins[0].leaf, sizeof out->leaf);
    for (size_t i = 0; i < count; i++) {
        mass[i] = bins[i].known && bins[i].value > 0 ? bins[i].value : 0;
        all += mass[i];
        whole = whole && bins[i].known;
        bounded = bounded && bins[i].bounded;
    }
    if (all <= 0)
        return;
    size_t bin = bin_of(mass, count, quantile, &before);
    double inside = mass[bin] > 0 ? (quantile * all - before) / mass[bin] : 0;
    double from = begin_of(scale, bins[bin].n);
    double to = !scale->whole && from >= scale->open ? from : end_of(scale, bins[bin].n);
    out->known = true;
    out->value = from + (to - from) * inside;
    set_reliability(out, whole ? bins[bin].reliability : "low");
    if (bounded && whole)
        find_bounds(bins, count, scale, quantile, out);
    out->bounded = bounded && whole && out->high <= scale->open;
}

void series_quantile(const struct series_point *bins, size_t count, int32_t last, double quantile, struct series_point *out)
{
    const struct scale scale = {false, (double)(1LL << (last - 1))};
    find_quantile(bins, count, &scale, quantile, out);
}

void series_quantile_whole(const struct series_point *bins, size_t count, double most, double quantile, struct series_point *out)
{
    const struct scale scale = {true, most};
    find_quantile(bins, count, &scale, quantile, out);
}

/* Sums */

static void combine(const struct series_point *a, const struct series_point *b, struct series_point *out)
{
    struct series_point made = {.period = a->period, .item = a->item, .n = a->n, .known = a->known && b->known};
    memcpy(made.leaf, a->leaf, sizeof made.leaf);
    made.bounded = made.known && a->bounded && b->bounded;
    set_reliability(&made, !made.known ? "suppressed" : rank(a->reliability) > rank(b->reliability) ? a->reliability : b->reliability);
    *out = made;
}

void series_sum(const struct series_point *a, const struct series_point *b, struct series_point *out)
{
    double value = a->value + b->value, low = a->low + b->low, high = a->high + b->high;
    combine(a, b, out);
    out->value = out->known ? value : 0;
    out->low = out->bounded ? low : 0;
    out->high = out->bounded ? high : 0;
}

void series_difference(const struct series_point *a, const struct series_point *b, struct series_point *out)
{
    double value = a->value - b->value, low = a->low - b->high, high = a->high - b->low;
    combine(a, b, out);
    out->value = out->known ? value : 0;
    out->low = out->bounded ? low : 0;
    out->high = out->bounded ? high : 0;
}

void series_scale(struct series_point *point, double scale, double offset)
{
    if (!point->known)
        return;
    point->value = scale * point->value + offset;
    if (!point->bounded)
        return;
    point->low = scale * point->low + offset;
    point->high = scale * point->high + offset;
}
