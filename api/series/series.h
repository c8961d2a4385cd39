/*
 * Numbers by period, and what may be computed from released ones: ratios with the bounds that follow from the bounds of
 * their parts. Nothing else than released values goes in.
 *
 * Sees:     released numbers.
 * Uses:     libc, service/base/clock.
 * Threads:  pure functions.
 */
#ifndef THRONG_SERIES_SERIES_H
#define THRONG_SERIES_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIES_BINS_MAX 64

/* The release that a number is, or whose number it is computed from first. */
struct series_release {
    uint8_t leaf[16];     /* its audit leaf */
    bool logged;          /* the leaf has its place in the log: */
    int64_t index;        /* this one */
    int64_t sealed_at_ms; /* when it was due by the schedule */
    int32_t k;
    char sigma2[44], rho[44]; /* as stored; empty: it has no noise */
};

/* One number. known is false if it is suppressed, or cannot be computed. bounded: low and high are meaningful. noisy: it was
 * released with noise, or is computed of what was; low and high are the ends of a 95 % interval then, and what is computed of several
 * has intervals that say so of it, not the widest ones. */
struct series_point {
    int32_t period; /* days since 1970 */
    int32_t item;   /* position in the app's list that it is of; -1: of none */
    int32_t n;
    bool known, bounded;
    bool noisy;
    bool clamped;    /* the value was outside of what can be, by its noise, and was moved to its edge */
    bool adjusted;   /* moved so that totals and parts add up; released: what it was */
    double released;
    double variance; /* of the noise; 0: none, or not known (of ratios) */
    double value, low, high;
    char reliability[16];
    struct series_release release;
};

/* Write scale × above / below to *out (complement: 1 − that), for above's period. Unknown unless both are known and below
 * is positive. Its bounds are the widest that the parts' bounds allow, its reliability is the worse of both; with noise, see
 * interval_of_ratio, and by the width of that. */
void series_ratio(const struct series_point *above, const struct series_point *below, double scale, bool complement,
    struct series_point *out);

/* Write part / (part + rest) to *out, as series_ratio does; part and rest are computed of different released numbers. */
void series_part(const struct series_point *part, const struct series_point *rest, struct series_point *out);

/* Move a value that is known and noisy, and its interval, into least … most, where what it estimates is. */
void series_clamp(struct series_point *point, double least, double most);

/* Write the mean of points[0..count-1] (days of one month, some perhaps missing) over `days` days to *out. Unknown unless
 * every day is there and known. */
void series_mean(const struct series_point *points, size_t count, int32_t days, struct series_point *out);

/* The point of period and n, of whatever item, in points[0..count-1], NULL if there is none. */
const struct series_point *series_find(const struct series_point *points, size_t count, int32_t period, int32_t n);

/* Write an estimate of quantile (0 to 1) of a histogram to *out: bins[0..count-1], all of one period, ascending by n; bin 0
 * reaches from 0 to 1, bin n from 2^(n-1) to 2^n, the bin `last` is open. Within its bin the quantile is interpolated. A
 * suppressed bin counts as empty, and the estimate's reliability is low then. Bounds: the edges of its bin, of all bins that it
 * may lie in; none if that includes the open bin or a bin is suppressed. With noise: of the bins that a test of "the quantile lies
 * below this edge", two-sided at 5 %, does not reject (R. S. Woodruff: Confidence Intervals for Medians and Other Position
 * Measures, 1952, with the noise in place of a sample's). Unknown if no bin is known or all are empty. */
void series_quantile(const struct series_point *bins, size_t count, int32_t last, double quantile, struct series_point *out);

/* As series_quantile, of whole numbers: bin 0 holds 0, bin n what is from 2^(n-1) to 2^n - 1, and none is more than most. */
void series_quantile_whole(const struct series_point *bins, size_t count, double most, double quantile, struct series_point *out);

/* Write a + b, or a - b, to *out, for a's period: unknown unless both are known; bounds are the widest that theirs allow; with
 * noise, which is independent in a and b, those of G. Y. Zou, A. Donner: Construction of Confidence Limits about Effect
 * Measures (2008), which for noisy cells are the exact ones. */
void series_sum(const struct series_point *a, const struct series_point *b, struct series_point *out);
/* See series_sum. */
void series_difference(const struct series_point *a, const struct series_point *b, struct series_point *out);

/* Replace a known point by scale × it + offset; scale > 0. */
void series_scale(struct series_point *point, double scale, double offset);

/* The first day of the month after (months = 1) or before (-1) the one that begins on first. */
int32_t series_month(int32_t first, int months);

#endif
