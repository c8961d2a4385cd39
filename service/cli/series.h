/*
 * Numbers by period, and what may be computed from released ones: ratios with the bounds that follow from the bounds of
 * their parts. Nothing else than released values goes in.
 *
 * Sees:     released numbers.
 * Uses:     libc, service/base/clock.
 * Threads:  pure functions.
 */
#ifndef THRONG_CLI_SERIES_H
#define THRONG_CLI_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One number. known is false if it is suppressed, or cannot be computed. bounded: low and high are meaningful. */
struct series_point {
    int32_t period; /* days since 1970 */
    int32_t n;
    bool known, bounded;
    double value, low, high;
    char reliability[16];
};

/* Write scale × above / below to *out (complement: 1 − that), for above's period. Unknown unless both are known and below
 * is positive. Its bounds are the widest that the parts' bounds allow; its reliability is the worse of both. */
void series_ratio(const struct series_point *above, const struct series_point *below, double scale, bool complement,
    struct series_point *out);

/* Write the mean of points[0..count-1] (days of one month, some perhaps missing) over `days` days to *out. Unknown unless
 * every day is there and known. */
void series_mean(const struct series_point *points, size_t count, int32_t days, struct series_point *out);

/* The point of period (and n) in points[0..count-1], NULL if there is none. */
const struct series_point *series_find(const struct series_point *points, size_t count, int32_t period, int32_t n);

/* The first day of the month after (months = 1) or before (-1) the one that begins on first. */
int32_t series_month(int32_t first, int months);

#endif
