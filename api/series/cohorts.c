#include "api/series/cohorts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum result no_memory(struct failure *why)
{
    failure_set(why, "", "memory is short");
    return RESULT_FAILED;
}

/* Room for `more` points behind those that answer has. */
static bool grow(struct answer *answer, size_t more)
{
    struct series_point *points = realloc(answer->points, (answer->count + more + 1) * sizeof *points);
    if (points == NULL)
        return false;
    answer->points = points;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct series_point *left = a, *right = b;
    if (left->period != right->period)
        return left->period < right->period ? -1 : 1;
    return (left->n > right->n) - (left->n < right->n);
}

static void sort(struct answer *answer)
{
    qsort(answer->points, answer->count, sizeof *answer->points, compare);
}

enum result cohorts_returning(const struct cohorts_points *active, const struct cohorts_points *fresh, struct answer *answer,
    struct failure *why)
{
    const size_t released = answer->count;
    if (!grow(answer, active->count))
        return no_memory(why);
    for (size_t i = 0; i < active->count; i++) {
        const struct series_point *all = &active->list[i];
        const struct series_point *new = series_find(fresh->list, fresh->count, all->period, -1);
        if (!all->noisy || new == NULL || series_find(answer->points, released, all->period, -1) != NULL)
            continue;
        struct series_point *point = &answer->points[answer->count++];
        series_difference(all, new, point);
        series_clamp(point, 0, INFINITY);
    }
    sort(answer);
    return RESULT_OK;
}

/* --- shares -------------------------------------------------------------------------------------------------------- */

static bool make_room_for_shares(struct answer *answer)
{
    answer->details = calloc(answer->count * COHORTS_DETAILS + 1, sizeof *answer->details);
    answer->detail_count = COHORTS_DETAILS;
    return answer->details != NULL;
}

static void add_shares(struct answer *answer)
{
    const struct series_point *size = NULL;
    for (size_t i = 0; i < answer->count; i++) {
        const struct series_point *point = &answer->points[i];
        if (point->n == 0)
            size = point;
        if (point->n <= 0 || size == NULL || size->period != point->period)
            continue;
        series_ratio(point, size, 1, false, &answer->details[i * COHORTS_DETAILS]);
        series_clamp(&answer->details[i * COHORTS_DETAILS], 0, 1);
    }
}

enum result cohorts_retention(const struct cohorts_points *fresh, struct answer *answer, struct failure *why)
{
    const size_t released = answer->count;
    if (!grow(answer, fresh->count))
        return no_memory(why);
    for (size_t i = 0; i < fresh->count; i++) {
        if (!fresh->list[i].noisy || series_find(answer->points, released, fresh->list[i].period, 0) != NULL)
            continue;
        answer->points[answer->count] = fresh->list[i];
        answer->points[answer->count++].n = 0;
    }
    sort(answer);
    if (!make_room_for_shares(answer))
        return no_memory(why);
    add_shares(answer);
    return RESULT_OK;
}

/* --- the n-th period or a later one -------------------------------------------------------------------------------- */

/* Points first … next - 1 are one cohort's, by n; its size is that of the new users, where they were released. */
static void add_up(const struct cohorts_points *fresh, struct series_point *points, size_t first, size_t next)
{
    const struct series_point *size = series_find(fresh->list, fresh->count, points[first].period, -1);
    for (size_t i = next - 1; i > first; i--)
        series_sum(&points[i - 1], &points[i], &points[i - 1]);
    if (size == NULL || points[first].n != 0)
        return;
    points[first] = *size;
    points[first].n = 0;
}

enum result cohorts_on_or_after(const struct cohorts_points *fresh, struct answer *answer, struct failure *why)
{
    for (size_t first = 0, next; first < answer->count; first = next) {
        for (next = first + 1; next < answer->count && answer->points[next].period == answer->points[first].period;)
            next++;
        add_up(fresh, answer->points, first, next);
    }
    if (!make_room_for_shares(answer))
        return no_memory(why);
    add_shares(answer);
    return RESULT_OK;
}
