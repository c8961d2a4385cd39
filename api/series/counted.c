#include "api/series/counted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/series/items.h"

static enum result no_memory(struct failure *why)
{
    failure_set(why, "", "memory is short");
    return RESULT_FAILED;
}

/* Room for points, each with details, instead of those that answer has. */
static bool make_room(struct answer *answer, size_t count, size_t details)
{
    free(answer->points);
    free(answer->details);
    answer->points = calloc(count + 1, sizeof *answer->points);
    answer->details = calloc(count * details + 1, sizeof *answer->details);
    answer->count = 0;
    answer->detail_count = details;
    return answer->points != NULL && answer->details != NULL;
}

/* How many points from `first` on are of one period. */
static size_t period_length(const struct counted_points *points, size_t first)
{
    size_t next = first;
    while (next < points->count && points->list[next].period == points->list[first].period)
        next++;
    return next - first;
}

static size_t count_periods(const struct counted_points *points)
{
    size_t periods = 0;
    for (size_t i = 0; i < points->count; i += period_length(points, i))
        periods++;
    return periods;
}

/* The points of one period. */
static struct counted_points of_period(const struct counted_points *points, int32_t period)
{
    size_t first = 0;
    while (first < points->count && points->list[first].period != period)
        first++;
    return (struct counted_points){points->list + first, first < points->count ? period_length(points, first) : 0};
}

/* The point of period and n, or one that is unknown. */
static struct series_point find_or_unknown(const struct counted_points *points, int32_t period, int32_t n)
{
    const struct series_point *found = series_find(points->list, points->count, period, n);
    struct series_point unknown = {.period = period, .item = -1, .n = n, .reliability = "suppressed"};
    return found == NULL ? unknown : *found;
}

/* Add bins by their n modulo SERIES_BINS_MAX to into[0..SERIES_BINS_MAX-1], whose n are set here; returns how many are used. */
static size_t add_bins(const struct counted_points *bins, struct series_point *into)
{
    size_t used = 0;
    for (size_t i = 0; i < bins->count; i++) {
        size_t n = (size_t)bins->list[i].n % SERIES_BINS_MAX;
        if (bins->list[i].n < 0)
            continue;
        series_sum(&into[n], &bins->list[i], &into[n]);
        if (n >= used)
            used = n + 1;
    }
    return used;
}

static void clear_bins(struct series_point *bins)
{
    for (size_t i = 0; i < SERIES_BINS_MAX; i++)
        bins[i] = (struct series_point){.item = -1, .n = (int32_t)i, .known = true, .bounded = true, .reliability = "exact"};
}

/* --- measures ------------------------------------------------------------------------------------------------------ */

double counted_bin_from(const struct app_measure *measure, size_t n)
{
    double most = items_most(measure), steps = n == 0 ? 0 : (double)(1ULL << (n - 1));
    return measure->min + measure->step * (steps > most ? most : steps);
}

double counted_bin_to(const struct app_measure *measure, size_t n)
{
    double most = items_most(measure), steps = (double)(1ULL << n) - 1;
    return measure->min + measure->step * (steps > most ? most : steps);
}

/* Their sum in the unit: each of them is min more than its steps. */
static void add_least(const struct app_measure *measure, const struct series_point *count, struct series_point *sum)
{
    struct series_point least = *count;
    if (measure->min < 0) {
        series_scale(&least, -measure->min, 0);
        series_difference(sum, &least, sum);
    } else {
        series_scale(&least, measure->min, 0);
        series_sum(sum, &least, sum);
    }
}

static void measure_period(const struct app_measure *measure, const struct series_point *sum,
    const struct counted_points *counts, const struct counted_points *bins, struct answer *answer)
{
    static const double quantiles[] = {0.5, 0.9, 0.99};
    size_t index = answer->count++;
    struct series_point *point = &answer->points[index], *details = &answer->details[index * COUNTED_MEASURE_DETAILS];
    struct series_point count = find_or_unknown(counts, sum->period, -1);
    struct counted_points own = of_period(bins, sum->period);
    series_ratio(sum, &count, measure->step, false, point);
    series_scale(point, 1, measure->min);
    details[0] = count;
    details[1] = *sum;
    series_scale(&details[1], measure->step, 0);
    add_least(measure, &count, &details[1]);
    for (size_t i = 0; i < 3; i++) {
        series_quantile_whole(own.list, own.count, items_most(measure), quantiles[i], &details[2 + i]);
        series_scale(&details[2 + i], measure->step, measure->min);
    }
}

enum result counted_measure(const struct app_measure *measure, const struct counted_points *sums,
    const struct counted_points *counts, const struct counted_points *bins, struct answer *answer, struct failure *why)
{
    if (!make_room(answer, sums->count, COUNTED_MEASURE_DETAILS))
        return no_memory(why);
    for (size_t i = 0; i < sums->count; i++)
        measure_period(measure, &sums->list[i], counts, bins, answer);
    clear_bins(answer->bins);
    answer->bin_count = add_bins(bins, answer->bins);
    return RESULT_OK;
}

/* --- funnels ------------------------------------------------------------------------------------------------------- */

/* The conversion to step from the one before, and from the first. Those who came to a step are some of those who came to the
 * one before: their noise counts once. */
static void convert(const struct counted_points *furthest, const struct series_point *points, size_t step,
    struct series_point out[COUNTED_FUNNEL_DETAILS])
{
    int32_t period = points[step].period;
    struct series_point left = find_or_unknown(furthest, period, (int32_t)step - 1);
    if (!points[step].noisy) {
        series_ratio(&points[step], &points[step - 1], 1, false, &out[0]);
        series_ratio(&points[step], &points[0], 1, false, &out[1]);
        return;
    }
    series_part(&points[step], &left, &out[0]);
    for (size_t before = 0; before + 1 < step; before++) {
        struct series_point more = find_or_unknown(furthest, period, (int32_t)before);
        series_sum(&left, &more, &left);
    }
    series_part(&points[step], &left, &out[1]);
    series_clamp(&out[0], 0, 1);
    series_clamp(&out[1], 0, 1);
}

static void funnel_period(const struct app_funnel *funnel, const struct counted_points *furthest, struct answer *answer)
{
    struct series_point *points = &answer->points[answer->count];
    struct series_point *details = &answer->details[answer->count * COUNTED_FUNNEL_DETAILS];
    int32_t period = furthest->list[0].period;
    for (size_t step = funnel->steps; step-- > 0;) {
        points[step] = find_or_unknown(furthest, period, (int32_t)step);
        points[step].item = furthest->list[0].item;
        points[step].release = furthest->list[0].release;
        if (step + 1 < funnel->steps)
            series_sum(&points[step], &points[step + 1], &points[step]);
    }
    for (size_t step = 1; step < funnel->steps; step++)
        convert(furthest, points, step, &details[step * COUNTED_FUNNEL_DETAILS]);
    answer->count += funnel->steps;
}

enum result counted_funnel(const struct app_funnel *funnel, const struct counted_points *furthest, struct answer *answer,
    struct failure *why)
{
    if (!make_room(answer, count_periods(furthest) * funnel->steps, COUNTED_FUNNEL_DETAILS))
        return no_memory(why);
    for (size_t i = 0; i < furthest->count; i += period_length(furthest, i)) {
        struct counted_points own = {furthest->list + i, period_length(furthest, i)};
        funnel_period(funnel, &own, answer);
    }
    return RESULT_OK;
}

/* --- outcomes ------------------------------------------------------------------------------------------------------ */

/* The released cells of an outcome's month. */
struct month {
    const struct app_outcome *outcome;
    double scale, offset; /* from a mean in thousandths of steps to the unit */
    double most;          /* no user's value is above this; the least is offset */
    struct counted_points sums, users, bins;
};

static size_t tier_cells(const struct app_outcome *outcome)
{
    return outcome->tier_count == 0 ? 1 : outcome->tier_count;
}

/* The bins of one tier, as the first of which n mod SERIES_BINS_MAX is 0. */
static struct counted_points bins_of_tier(const struct counted_points *bins, size_t tier)
{
    size_t first = 0, next;
    while (first < bins->count && bins->list[first].n < (int32_t)(tier * SERIES_BINS_MAX))
        first++;
    for (next = first; next < bins->count && bins->list[next].n < (int32_t)((tier + 1) * SERIES_BINS_MAX);)
        next++;
    return (struct counted_points){bins->list + first, next - first};
}

/* Fill the answer's next point and its details from the sum and users of a tier (-1: all). */
static void add_tier(const struct month *month, int32_t tier, const struct series_point *sum, const struct series_point *users,
    struct answer *answer)
{
    size_t index = answer->count++;
    struct series_point *point = &answer->points[index], *spread = &answer->spread[index * SERIES_BINS_MAX];
    struct counted_points bins = tier < 0 ? month->bins : bins_of_tier(&month->bins, (size_t)tier);
    series_ratio(sum, users, month->scale, false, point);
    series_scale(point, 1, month->offset);
    series_clamp(point, month->offset, month->most);
    point->n = tier;
    answer->details[index * COUNTED_OUTCOME_DETAILS] = *users;
    clear_bins(spread);
    size_t used = add_bins(&bins, spread);
    if (used > answer->spread_bins)
        answer->spread_bins = used;
}

static void outcome_month(const struct month *month, struct answer *answer)
{
    size_t cells = tier_cells(month->outcome), first = answer->count;
    int32_t period = month->sums.list[0].period;
    struct series_point sum = find_or_unknown(&month->sums, period, 0), users = find_or_unknown(&month->users, period, 0);
    sum.item = month->sums.list[0].item;
    for (size_t tier = 1; tier < cells; tier++) {
        struct series_point more = find_or_unknown(&month->sums, period, (int32_t)tier);
        struct series_point others = find_or_unknown(&month->users, period, (int32_t)tier);
        series_sum(&sum, &more, &sum);
        series_sum(&users, &others, &users);
    }
    sum.release = month->sums.list[0].release;
    add_tier(month, -1, &sum, &users, answer);
    for (size_t tier = 0; tier < month->outcome->tier_count; tier++) {
        sum = find_or_unknown(&month->sums, period, (int32_t)tier);
        users = find_or_unknown(&month->users, period, (int32_t)tier);
        sum.item = month->sums.list[0].item;
        add_tier(month, (int32_t)tier, &sum, &users, answer);
        size_t index = answer->count - 1;
        if (tier > 0)
            series_difference(&answer->points[index], &answer->points[first + 1],
                &answer->details[index * COUNTED_OUTCOME_DETAILS + 1]);
    }
}

enum result counted_outcome(const struct app_outcome *outcome, const struct app_measure *measure,
    const struct counted_points *sums, const struct counted_points *users, const struct counted_points *bins,
    struct answer *answer, struct failure *why)
{
    size_t rows = count_periods(sums) * (1 + outcome->tier_count);
    struct month month = {.outcome = outcome, .scale = measure->step / 1000};
    /* how many values a person's sum is of is not known: it stays above the least one */
    month.offset = outcome->aggregate == APP_AGGREGATE_SUM ? 0 : measure->min;
    month.most = month.offset + measure->step * items_most(measure);
    answer->spread = calloc(rows * SERIES_BINS_MAX + 1, sizeof *answer->spread);
    if (answer->spread == NULL || !make_room(answer, rows, COUNTED_OUTCOME_DETAILS))
        return no_memory(why);
    for (size_t i = 0; i < sums->count; i += period_length(sums, i)) {
        month.sums = (struct counted_points){sums->list + i, period_length(sums, i)};
        month.users = of_period(users, sums->list[i].period);
        month.bins = of_period(bins, sums->list[i].period);
        outcome_month(&month, answer);
    }
    return RESULT_OK;
}
