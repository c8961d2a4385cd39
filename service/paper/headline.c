#include "service/paper/headline.h"

#include <string.h>

#include "api/series/items.h"
#include "service/paper/chart.h"
#include "service/paper/markup.h"
#include "service/paper/telling.h"

static const char *const cards[] = {"active_users", "new_users", "returning_users", "sessions", "engagement_rate", "bounce_rate",
    "engaged_time", "session_duration", "page_views", "events", "interaction_frequency", "completion_rate",
    "stickiness", "growth_rate"};

static const char *const halves[] = {"new_users", "returning_users", "sessions", "engaged_sessions", "bounce_rate", "engaged_time",
    "stickiness"};

/* --- cards --------------------------------------------------------------------------------------------------------- */

static void write_value(struct paper *paper, const struct reading *reading, const struct series_point *now)
{
    char text[NUMERAL_BYTES], range[2 * NUMERAL_BYTES + 8];
    enum numeral_kind kind = numeral_of(&reading->question);
    if (!now->known) {
        (void)fputs("<b class=\"none\">suppressed</b>", paper->out);
        return;
    }
    (void)fprintf(paper->out, "<b>%s</b>", numeral_write(now->value, kind, text));
    if (numeral_range(now, kind, range)[0] != '\0')
        (void)fprintf(paper->out, "<span class=\"range\">%s</span>", range);
}

static void write_change(struct paper *paper, const struct reading *reading)
{
    static const char *const classes[] = {[TELLING_NONE] = "", [TELLING_NOISE] = "", [TELLING_UP] = " up", [TELLING_DOWN] = " down"};
    char text[TELLING_BYTES];
    enum telling_change change = telling_change(reading_point(reading, 0), reading_point(reading, 1), numeral_of(&reading->question),
        reading->at.interval, text);
    /* whether fewer bounces are good is not a matter of direction */
    const char *metric = reading->question.metric->name;
    bool neutral = strcmp(metric, "bounce_rate") == 0;
    if (text[0] != '\0')
        (void)fprintf(paper->out, "<span class=\"change%s\">%s</span>", neutral ? "" : classes[change], text);
}

static void write_card(struct paper *paper, const struct reading *reading)
{
    char title[TELLING_BYTES], when[SPAN_LABEL_BYTES];
    const char *metric = reading->question.metric->name;
    (void)fprintf(paper->out, "<div class=\"card\" data-metric=\"%s\"><span class=\"name\">%s</span>", metric, telling_metric(metric, title));
    if (!reading->own || reading->at.interval != paper->desk.span.interval)
        (void)fprintf(paper->out, " <span class=\"when\">%s</span>", span_title(&reading->at, when));
    write_value(paper, reading, reading_point(reading, 0));
    write_change(paper, reading);
    (void)fputs("</div>\n", paper->out);
}

enum result headline_card(struct paper *paper, const char *metric, bool *any, struct failure *why)
{
    struct reading reading;
    enum result result = reading_take(&paper->desk, metric, NULL, false, &reading, why);
    if (result != RESULT_OK)
        return result;
    *any |= reading.own;
    if (reading.answer.count > 0)
        write_card(paper, &reading);
    reading_free(&reading);
    return RESULT_OK;
}

enum result headline_cards(struct paper *paper, bool *any, struct failure *why)
{
    enum result result = RESULT_OK;
    *any = false;
    (void)fputs("<section class=\"cards\">\n", paper->out);
    for (size_t i = 0; result == RESULT_OK && i < sizeof cards / sizeof cards[0]; i++) {
        if (items_any(paper->desk.app, metric_named(cards[i])->list))
            result = headline_card(paper, cards[i], any, why);
    }
    (void)fputs("</section>\n", paper->out);
    return result;
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

/* The letter of the newest note that lies in the period; 0: none. */
static char letter_of(const struct paper *paper, const struct span *period)
{
    size_t count = paper->notes->count, first = count > PAPER_LETTERS ? count - PAPER_LETTERS : 0;
    for (size_t i = count; i-- > first;) {
        if (paper->notes->items[i].day >= period->first && paper->notes->items[i].day <= period->last)
            return (char)('A' + (int)(i - first));
    }
    return 0;
}

static void lay_out(const struct paper *paper, const struct reading *reading, struct chart_point *points,
    char labels[][SPAN_LABEL_BYTES])
{
    for (int i = 0; i < READING_PERIODS; i++) {
        int back = READING_PERIODS - 1 - i;
        const struct series_point *point = reading_point(reading, back);
        struct span period = span_of(reading->at.interval, span_step(reading->at.interval, reading->at.first, -back));
        points[i] = (struct chart_point){.label = span_tick(period.interval, period.first, labels[i]), .missing = point == NULL,
            .marker = letter_of(paper, &period)};
        if (point == NULL)
            continue;
        points[i].known = point->known;
        points[i].bounded = point->bounded && point->high > point->low;
        points[i].value = point->value;
        points[i].low = point->low;
        points[i].high = point->high;
    }
}

enum result headline_trend(struct paper *paper, const char *metric, bool half, bool *drawn, struct failure *why)
{
    struct reading reading;
    struct chart_point points[READING_PERIODS];
    char labels[READING_PERIODS][SPAN_LABEL_BYTES], title[TELLING_BYTES];
    enum result result = reading_take(&paper->desk, metric, NULL, false, &reading, why);
    *drawn = result == RESULT_OK && reading.answer.count > 0;
    if (result != RESULT_OK)
        return result;
    if (*drawn) {
        lay_out(paper, &reading, points, labels);
        size_t first = 0;
        while (first + 1 < READING_PERIODS && points[first].missing)
            first++;
        (void)fprintf(paper->out, "<figure><h3>%s <span class=\"when\">by %s</span></h3>\n", telling_metric(metric, title),
            span_name(reading.at.interval));
        chart_line(paper->out, points + first, READING_PERIODS - first, numeral_of(&reading.question), title, half);
        (void)fputs("</figure>\n", paper->out);
    }
    reading_free(&reading);
    return RESULT_OK;
}

enum result headline_trends(struct paper *paper, struct failure *why)
{
    bool drawn;
    (void)fputs("<h2>The last thirteen periods</h2>\n<p class=\"lead\">Bands and whiskers are 95 % intervals of the noise that protects"
                " people, where there is any. Hatched: suppressed. A blank: not released.</p>\n",
        paper->out);
    enum result result = headline_trend(paper, "active_users", false, &drawn, why);
    (void)fputs("<div class=\"pair\">\n", paper->out);
    for (size_t i = 0; result == RESULT_OK && i < sizeof halves / sizeof halves[0]; i++)
        result = headline_trend(paper, halves[i], true, &drawn, why);
    (void)fputs("</div>\n", paper->out);
    return result;
}
