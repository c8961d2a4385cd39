#include "service/paper/reading.h"

#include <stdlib.h>
#include <string.h>

/* Which interval is tried when: the page's own first. */
static const enum span_interval choices[SPAN_INTERVALS][SPAN_INTERVALS] = {
    [SPAN_DAY] = {SPAN_DAY, SPAN_WEEK, SPAN_MONTH},
    [SPAN_WEEK] = {SPAN_WEEK, SPAN_MONTH, SPAN_DAY},
    [SPAN_MONTH] = {SPAN_MONTH, SPAN_WEEK, SPAN_DAY},
};

/* The newest period of an interval that a page about span can tell of: its own, the one it lies in, or the last whole one in it. */
static struct span newest(const struct span *span, enum span_interval interval)
{
    struct span last = span_of(interval, interval >= span->interval ? span->first : span->last);
    return interval < span->interval && last.last > span->last ? span_of(interval, last.first - 1) : last;
}

/* The newest period at or before *at of which something was read. */
static void settle(struct reading *reading, const struct span *newest_one)
{
    reading->at = *newest_one;
    if (reading->answer.count > 0)
        reading->at = span_of(newest_one->interval, reading->answer.points[reading->answer.count - 1].period);
    reading->own = reading->answer.count > 0 && reading->at.first == newest_one->first;
}

static void tally(struct reading_desk *desk, const struct reading *reading)
{
    struct reading_tally made = {reading->question.metric->name, reading->question.item, reading->at.interval, 0, 0};
    for (size_t i = 0; i < reading->answer.count; i++) {
        const struct series_point *point = &reading->answer.points[i];
        made.shown += point->period == reading->at.first && point->known;
        made.suppressed += point->period == reading->at.first && !point->known;
    }
    for (size_t i = 0; i < desk->tally_count; i++) {
        if (desk->tallies[i].metric == made.metric && desk->tallies[i].item == made.item)
            return;
    }
    if (desk->tally_count < READING_TALLIES_MAX && reading->answer.count > 0)
        desk->tallies[desk->tally_count++] = made;
}

enum result reading_take(struct reading_desk *desk, const char *metric, const char *item, bool by, struct reading *out,
    struct failure *why)
{
    *out = (struct reading){.question = {.app = (int32_t)desk->app->id, .declared = desk->app, .metric = metric_named(metric),
                                .item = item, .by = by}};
    for (size_t i = 0; i < SPAN_INTERVALS && out->answer.count == 0; i++) {
        struct span last = newest(&desk->span, choices[desk->span.interval][i]);
        if (metric_is_monthly(out->question.metric) && last.interval != SPAN_MONTH)
            continue;
        out->question.interval = span_name(last.interval);
        out->question.from = span_step(last.interval, last.first, 1 - READING_PERIODS);
        out->question.to = last.first;
        answer_free(&out->answer);
        enum result result = answer_read(desk->db, &out->question, &out->answer, why);
        if (result != RESULT_OK)
            return result;
        settle(out, &last);
    }
    tally(desk, out);
    return RESULT_OK;
}

void reading_free(struct reading *reading)
{
    answer_free(&reading->answer);
}

const struct series_point *reading_point(const struct reading *reading, int back)
{
    int32_t period = span_step(reading->at.interval, reading->at.first, -back);
    for (size_t i = 0; i < reading->answer.count; i++) {
        if (reading->answer.points[i].period == period)
            return &reading->answer.points[i];
    }
    return NULL;
}

/* Whether a goes before b; ties stay in the order of the declaration. */
static bool is_before(const struct series_point *a, const struct series_point *b)
{
    return a->known && (!b->known || a->value > b->value);
}

size_t reading_ranked(const struct reading *reading, size_t *out, size_t most)
{
    size_t count = 0, kept = 0;
    const struct series_point *points = reading->answer.points;
    for (size_t i = 0; i < reading->answer.count; i++) {
        if (points[i].period != reading->at.first)
            continue;
        count++;
        size_t place = kept;
        while (place > 0 && is_before(&points[i], &points[out[place - 1]]))
            place--;
        if (place == most)
            continue;
        kept = kept < most ? kept + 1 : most;
        memmove(out + place + 1, out + place, (kept - 1 - place) * sizeof *out);
        out[place] = i;
    }
    return count;
}
