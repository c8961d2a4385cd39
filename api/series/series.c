#include "api/series/series.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/series/interval.h"
#include "service/base/clock.h"

#define Z 1.959963984540054 /* the two-sided 5 % point of the standard normal distribution */

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

/* By the relative half-width, as the release job rates what it releases. */
static void rate(struct series_point *out)
{
    double half = (out->high - out->low) / 2, size = fabs(out->value);
    set_reliability(out, !out->bounded ? "low" : half <= size / 20 ? "high" : half <= size / 5 ? "medium" : "low");
}

/* A point at above's place that is computed of both. */
static void begin_pair(const struct series_point *above, const struct series_point *other, struct series_point *out)
{
    struct series_point made = {.period = above->period, .item = above->item, .n = above->n,
        .known = above->known && other->known, .noisy = above->noisy || other->noisy};
    made.release = above->release;
    const struct series_point *worse = rank(above->reliability) > rank(other->reliability) ? above : other;
    set_reliability(&made, made.known ? worse->reliability : "suppressed");
    *out = made;
}

static void bound_ratio(const struct series_point *above, const struct series_point *below, double scale,
    struct series_point *out)
{
    const struct interval_value a = {above->value, above->variance}, b = {below->value, below->variance};
    if (out->noisy) {
        out->bounded = interval_of_ratio(a, b, &out->low, &out->high);
        out->low *= scale;
        out->high *= scale;
        return;
    }
    out->bounded = above->bounded && below->bounded && below->low > 0;
    if (!out->bounded)
        return;
    out->low = scale * above->low / (above->low < 0 ? below->low : below->high);
    out->high = scale * above->high / below->low;
}

void series_ratio(const struct series_point *above, const struct series_point *below, double scale, bool complement,
    struct series_point *out)
{
    struct series_point made;
    begin_pair(above, below, &made);
    if (!made.known || below->value <= 0) {
        made.known = false;
        set_reliability(&made, "suppressed");
        *out = made;
        return;
    }
    made.value = scale * above->value / below->value;
    bound_ratio(above, below, scale, &made);
    if (complement) {
        double low = 1 - made.high;
        made.value = 1 - made.value;
        made.high = 1 - made.low;
        made.low = low;
    }
    if (made.noisy)
        rate(&made);
    *out = made;
}

void series_part(const struct series_point *part, const struct series_point *rest, struct series_point *out)
{
    struct series_point whole;
    const struct interval_value a = {part->value, part->variance}, b = {rest->value, rest->variance};
    series_sum(part, rest, &whole);
    series_ratio(part, &whole, 1, false, out);
    if (!out->known || !out->noisy)
        return;
    out->bounded = interval_of_part(a, b, &out->low, &out->high);
    rate(out);
}

static double between(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

void series_clamp(struct series_point *point, double least, double most)
{
    if (!point->known || !point->noisy)
        return;
    double value = between(point->value, least, most);
    point->clamped = point->clamped || value != point->value;
    point->value = value;
    point->low = between(point->low, least, most);
    point->high = between(point->high, least, most);
}

void series_mean(const struct series_point *points, size_t count, int32_t days, struct series_point *out)
{
    double below = 0, above = 0;
    *out = (struct series_point){.item = -1, .n = -1, .known = days > 0 && count == (size_t)days, .bounded = true};
    set_reliability(out, "exact");
    for (size_t i = 0; i < count; i++) {
        out->known = out->known && points[i].known;
        out->bounded = out->bounded && points[i].bounded;
        out->noisy = out->noisy || points[i].noisy;
        out->value += points[i].value / days;
        out->low += points[i].low / days;
        out->high += points[i].high / days;
        out->variance += points[i].variance / days / days;
        below += pow((points[i].value - points[i].low) / days, 2);
        above += pow((points[i].high - points[i].value) / days, 2);
        if (rank(points[i].reliability) > rank(out->reliability))
            set_reliability(out, points[i].reliability);
    }
    if (out->noisy) {
        out->low = out->value - sqrt(below);
        out->high = out->value + sqrt(above);
        rate(out);
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

/* By how much more than its share lies in bins[0 … bin], in standard deviations of the noise of that. */
static double surplus(const struct series_point *bins, size_t count, size_t bin, double quantile)
{
    double mass = 0, variance = 0;
    for (size_t i = 0; i < count; i++) {
        double weight = i <= bin ? 1 - quantile : -quantile;
        mass += weight * bins[i].value;
        variance += weight * weight * bins[i].variance;
    }
    return variance > 0 ? mass / sqrt(variance) : mass > 0 ? INFINITY : -INFINITY;
}

/* The outermost bins that the noise lets the quantile lie in. */
static void find_noisy_bounds(const struct series_point *bins, size_t count, const struct scale *scale, double quantile,
    struct series_point *out)
{
    size_t low = 0, high = count - 1;
    while (low + 1 < count && surplus(bins, count, low, quantile) < -Z)
        low++;
    while (high > low && surplus(bins, count, high - 1, quantile) > Z)
        high--;
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
    out->release = bins[0].release;
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
    out->noisy = bins[0].noisy;
    if (bounded && whole && out->noisy)
        find_noisy_bounds(bins, count, scale, quantile, out);
    else if (bounded && whole)
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

static void combine(const struct series_point *a, const struct series_point *b, double sign, struct series_point *out)
{
    struct series_point made;
    /* How far either end lies from the value; a difference turns b around. */
    double down = sign > 0 ? b->value - b->low : b->high - b->value, up = sign > 0 ? b->high - b->value : b->value - b->low;
    begin_pair(a, b, &made);
    made.bounded = made.known && a->bounded && b->bounded;
    made.value = made.known ? a->value + sign * b->value : 0;
    made.variance = made.known ? a->variance + b->variance : 0;
    if (made.bounded && made.noisy) {
        made.low = made.value - hypot(a->value - a->low, down);
        made.high = made.value + hypot(a->high - a->value, up);
    } else if (made.bounded) {
        made.low = a->low + (sign > 0 ? b->low : -b->high);
        made.high = a->high + (sign > 0 ? b->high : -b->low);
    }
    if (made.known && made.noisy)
        rate(&made);
    *out = made;
}

void series_sum(const struct series_point *a, const struct series_point *b, struct series_point *out)
{
    combine(a, b, 1, out);
}

void series_difference(const struct series_point *a, const struct series_point *b, struct series_point *out)
{
    combine(a, b, -1, out);
}

void series_scale(struct series_point *point, double scale, double offset)
{
    if (!point->known)
        return;
    point->value = scale * point->value + offset;
    point->variance *= scale * scale;
    if (!point->bounded)
        return;
    point->low = scale * point->low + offset;
    point->high = scale * point->high + offset;
}
