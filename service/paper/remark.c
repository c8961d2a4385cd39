#include "service/paper/remark.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/policy.h"
#include "api/series/explain.h"
#include "api/series/insight.h"
#include "api/series/items.h"
#include "service/paper/markup.h"
#include "service/paper/telling.h"

#define HISTORY_DAYS 400
#define ALARMS_MAX 5
#define STEADY 0.003 /* of the level, by period: less is no trend that anybody would notice */

static const char *const metrics[] = {"active_users", "new_users", "sessions"};

/* A metric's history up to the end of the page's period, without gaps. */
struct history {
    enum span_interval interval;
    int32_t first;
    size_t count;
    struct insight_value values[HISTORY_DAYS];
    struct insight_step steps[HISTORY_DAYS];
    struct insight_end end;
    bool told;
};

/* --- insights ------------------------------------------------------------------------------------------------------ */

static void lay_out(struct history *history, const struct answer *answer, int32_t days)
{
    int32_t last = answer->points[answer->count - 1].period;
    history->first = answer->points[0].period;
    if ((last - history->first) / days >= HISTORY_DAYS)
        history->first = last - (HISTORY_DAYS - 1) * days;
    history->count = (size_t)((last - history->first) / days) + 1;
    for (size_t i = 0; i < answer->count; i++) {
        const struct series_point *point = &answer->points[i];
        if (point->period >= history->first)
            history->values[(point->period - history->first) / days] =
                (struct insight_value){point->known, point->value, point->variance};
    }
}

/* By day, or by week where the metric is not released by day. */
static enum result read_history(const struct reading_desk *desk, const char *metric, struct history *history, struct failure *why)
{
    static const enum span_interval intervals[] = {SPAN_DAY, SPAN_WEEK};
    enum result result = RESULT_OK;
    *history = (struct history){.count = 0};
    for (size_t i = 0; result == RESULT_OK && i < 2 && history->count == 0; i++) {
        struct answer answer;
        int32_t days = intervals[i] == SPAN_DAY ? 1 : 7;
        const struct answer_question question = {.app = (int32_t)desk->app->id, .declared = desk->app, .metric = metric_named(metric),
            .interval = span_name(intervals[i]), .from = desk->span.last - HISTORY_DAYS * days, .to = desk->span.last - days + 1};
        result = answer_read(desk->db, &question, &answer, why);
        if (result != RESULT_OK)
            return result;
        history->interval = intervals[i];
        if (answer.count > 0)
            lay_out(history, &answer, days);
        answer_free(&answer);
    }
    if (history->count > 0)
        history->told = insight_read(history->values, history->count, history->interval == SPAN_DAY ? 7 : 1, history->steps,
            &history->end);
    return RESULT_OK;
}

static struct span period_of(const struct history *history, size_t index)
{
    return span_of(history->interval, span_step(history->interval, history->first, (int)index));
}

/* Returns how many alarms there were. */
static size_t write_alarms(struct paper *paper, const struct history *history, const char *name)
{
    char when[SPAN_LABEL_BYTES], was[NUMERAL_BYTES], expected[NUMERAL_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct insight_step *step = &history->steps[i];
        struct span period = period_of(history, i);
        if (period.last < paper->desk.span.first || !step->scored || fabs(step->score) < INSIGHT_ALARM)
            continue;
        if (count++ >= ALARMS_MAX)
            continue;
        (void)fprintf(paper->out, "<li class=\"alarm\"><b>%s, %s: %s</b> where about %s were expected (%.1f standard deviations %s).</li>\n", name,
            span_title(&period, when), numeral_write(history->values[i].value, NUMERAL_COUNT, was),
            numeral_write(fmax(step->expected, 0), NUMERAL_COUNT, expected), fabs(step->score), step->score > 0 ? "above" : "below");
    }
    return count;
}

static void write_outlook(struct paper *paper, const struct history *history, const char *name)
{
    char level[NUMERAL_BYTES], low_text[NUMERAL_BYTES], high_text[NUMERAL_BYTES], when[SPAN_LABEL_BYTES];
    const struct insight_end *end = &history->end;
    struct span next = period_of(history, history->count);
    double value, low, high, share = end->level > 0 ? end->slope / end->level : 0;
    insight_forecast(end, 1, &value, &low, &high);
    (void)fprintf(paper->out, "<li><b>%s</b> by %s: ", name, span_name(history->interval));
    if (fabs(share) < STEADY)
        (void)fprintf(paper->out, "steady at about %s", numeral_write(end->level, NUMERAL_COUNT, level));
    else
        (void)fprintf(paper->out, "about %s, %s by %.1f %% a %s", numeral_write(end->level, NUMERAL_COUNT, level),
            share > 0 ? "rising" : "falling", fabs(100 * share), span_name(history->interval));
    (void)fprintf(paper->out, "; %s to %s are expected for %s.</li>\n", numeral_write(low, NUMERAL_COUNT, low_text),
        numeral_write(high, NUMERAL_COUNT, high_text), span_title(&next, when));
}

static bool write_history(struct paper *paper, const struct history *history, const char *metric)
{
    char name[TELLING_BYTES];
    (void)telling_metric(metric, name);
    if (history->count == 0)
        return false;
    if (!history->told) {
        (void)fprintf(paper->out, "<li><b>%s</b>: too few %ss are released, or shown, to say what is ordinary.</li>\n", name,
            span_name(history->interval));
        return false;
    }
    bool any = write_alarms(paper, history, name) > 0;
    write_outlook(paper, history, name);
    return any;
}

enum result remark_insights(struct paper *paper, struct failure *why)
{
    enum result result = RESULT_OK;
    bool any = false;
    struct history *history = malloc(sizeof *history);
    if (history == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    (void)fputs("<h2>Out of the ordinary</h2>\n<ul class=\"words\">\n", paper->out);
    for (size_t i = 0; result == RESULT_OK && i < sizeof metrics / sizeof metrics[0]; i++) {
        result = read_history(&paper->desk, metrics[i], history, why);
        if (result == RESULT_OK)
            any |= write_history(paper, history, metrics[i]);
    }
    if (!any)
        (void)fputs("<li>Nothing of the period lies three standard deviations or more from what was expected.</li>\n", paper->out);
    (void)fputs("</ul>\n", paper->out);
    free(history);
    return result;
}

/* --- notes --------------------------------------------------------------------------------------------------------- */

void remark_notes(struct paper *paper)
{
    const struct annotation_list *notes = paper->notes;
    size_t first = notes->count > PAPER_LETTERS ? notes->count - PAPER_LETTERS : 0;
    char when[SPAN_LABEL_BYTES];
    if (notes->count == 0)
        return;
    (void)fputs("<section class=\"notes\"><h2>Notes</h2>\n<ul class=\"words\">\n", paper->out);
    for (size_t i = first; i < notes->count; i++) {
        struct span day = span_of(SPAN_DAY, notes->items[i].day);
        (void)fprintf(paper->out, "<li><span class=\"letter\">%c</span><span class=\"when\">%s</span> ", (char)('A' + (int)(i - first)),
            span_title(&day, when));
        markup_text(paper->out, notes->items[i].text);
        (void)fputs("</li>\n", paper->out);
    }
    (void)fputs("</ul></section>\n", paper->out);
}

/* --- what is suppressed -------------------------------------------------------------------------------------------- */

static void write_tally(struct paper *paper, const struct reading_tally *tally)
{
    char name[TELLING_BYTES];
    const struct metric *metric = metric_named(tally->metric);
    int32_t position = tally->item == NULL ? -1 : items_find(paper->desk.app, metric->list, tally->item);
    (void)fprintf(paper->out, "<li data-suppressed=\"%s\"><b>%s", tally->metric, telling_metric(tally->metric, name));
    if (position >= 0) {
        (void)fputs(", ", paper->out);
        markup_text(paper->out, telling_item(items_at(paper->desk.app, metric->list, (size_t)position)));
    }
    (void)fprintf(paper->out, "</b> by %s: %zu of %zu numbers.</li>\n", span_name(tally->interval), tally->suppressed,
        tally->shown + tally->suppressed);
}

void remark_suppressed(struct paper *paper)
{
    const struct reading_desk *desk = &paper->desk;
    size_t count = 0;
    for (size_t i = 0; i < desk->tally_count; i++)
        count += desk->tallies[i].suppressed;
    (void)fputs("<section class=\"suppressed\"><h2>What is suppressed</h2>\n", paper->out);
    if (count == 0) {
        (void)fputs("<p class=\"plain\">Nothing of what this page shows.</p></section>\n", paper->out);
        return;
    }
    (void)fputs("<p class=\"lead\">A number that may be of too few people is not shown. It is not 0.</p>\n<ul class=\"words\">\n", paper->out);
    for (size_t i = 0; i < desk->tally_count; i++) {
        if (desk->tallies[i].suppressed > 0)
            write_tally(paper, &desk->tallies[i]);
    }
    (void)fputs("</ul>\n", paper->out);
    if (paper->files == NULL)
        (void)fprintf(paper->out, "<p class=\"plain\">%s</p>\n", explain_help(policy_preset_name(desk->app->preset)));
    (void)fputs("</section>\n", paper->out);
}
