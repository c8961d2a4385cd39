#include "service/paper/numeral.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum numeral_kind numeral_of(const struct answer_question *question)
{
    const struct metric *metric = question->metric;
    if (metric_is_whole(metric))
        return NUMERAL_COUNT;
    if (metric_is_share(metric) || metric->kind == METRIC_KIND_GROWTH || metric->list == METRIC_LIST_COMPLETION)
        return NUMERAL_PERCENT;
    return strcmp(metric->unit, "seconds") == 0 ? NUMERAL_SECONDS : NUMERAL_DECIMAL;
}

/* Digits from the right, a comma before every third. */
static char *write_count(double value, char out[NUMERAL_BYTES])
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%.0f", fmin(fabs(round(value)), 1e18)), used = 0;
    if (round(value) < 0)
        used = snprintf(out, NUMERAL_BYTES, "−");
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

static char *write_seconds(double value, char out[NUMERAL_BYTES])
{
    long long seconds = llround(fmin(fmax(value, 0), 1e15));
    if (value < 10)
        (void)snprintf(out, NUMERAL_BYTES, "%.1f s", value);
    else if (seconds < 60)
        (void)snprintf(out, NUMERAL_BYTES, "%lld s", seconds);
    else if (seconds < 3600)
        (void)snprintf(out, NUMERAL_BYTES, "%lld min %lld s", seconds / 60, seconds % 60);
    else
        (void)snprintf(out, NUMERAL_BYTES, "%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
    return out;
}

char *numeral_write(double value, enum numeral_kind kind, char out[NUMERAL_BYTES])
{
    if (kind == NUMERAL_COUNT)
        return write_count(value, out);
    if (kind == NUMERAL_SECONDS)
        return write_seconds(value, out);
    if (kind == NUMERAL_PERCENT)
        (void)snprintf(out, NUMERAL_BYTES, "%s%.1f %%", value < 0 ? "−" : "", fabs(100 * value));
    else
        (void)snprintf(out, NUMERAL_BYTES, "%s%.3g", value < 0 ? "−" : "", fabs(value));
    return out;
}

char *numeral_range(const struct series_point *point, enum numeral_kind kind, char out[2 * NUMERAL_BYTES + 8])
{
    char low[NUMERAL_BYTES], high[NUMERAL_BYTES];
    out[0] = '\0';
    if (!point->known || !point->bounded || point->low >= point->high)
        return out;
    (void)numeral_write(point->low, kind, low);
    if (kind == NUMERAL_PERCENT)
        low[strlen(low) - 2] = '\0'; /* the sign stands behind the other end */
    (void)snprintf(out, 2 * NUMERAL_BYTES + 8, "%s – %s", low, numeral_write(point->high, kind, high));
    return out;
}
