#include "service/paper/breakdown.h"

#include <math.h>
#include <string.h>

#include "api/series/items.h"
#include "api/series/layout.h"
#include "service/paper/chart.h"
#include "service/paper/markup.h"
#include "service/paper/telling.h"

#define ROWS_MAX 8
#define NAME_BYTES 320

/* What a row is of: a declared thing's title, or the words that tell it apart. */
static void name_row(const struct reading *reading, const struct series_point *point, char out[NAME_BYTES])
{
    struct layout_key keys[LAYOUT_KEYS_MAX];
    const struct answer_question *question = &reading->question;
    size_t count = layout_keys(question, point, keys), used = 0;
    out[0] = '\0';
    if (question->item == NULL && point->item >= 0) {
        (void)snprintf(out, NAME_BYTES, "%s", telling_item(items_at(question->declared, question->metric->list, (size_t)point->item)));
        return;
    }
    for (size_t i = 0; i < count && used < NAME_BYTES; i++) {
        if (keys[i].text != NULL && strcmp(keys[i].name, "item") != 0)
            used += (size_t)snprintf(out + used, NAME_BYTES - used, "%s%s", used == 0 ? "" : " → ", keys[i].text);
    }
}

static void write_row(struct paper *paper, const struct reading *reading, const struct series_point *point, double most)
{
    char name[NAME_BYTES], value[NUMERAL_BYTES], range[2 * NUMERAL_BYTES + 8];
    enum numeral_kind kind = numeral_of(&reading->question);
    const struct chart_point bar = {.known = point->known, .bounded = point->bounded, .value = point->value, .low = point->low,
        .high = point->high};
    name_row(reading, point, name);
    (void)fputs("<tr><td class=\"name-cell\">", paper->out);
    markup_text(paper->out, name);
    (void)fputs("</td><td class=\"draw\">", paper->out);
    chart_bar(paper->out, &bar, most);
    (void)fprintf(paper->out, "</td><td class=\"n\">%s</td><td class=\"n when\">%s</td></tr>\n", numeral_write(point->value, kind, value),
        numeral_range(point, kind, range));
}

/* All that is suppressed in one row: its names are all that there is to say. */
static void write_suppressed(struct paper *paper, const struct reading *reading, const size_t *ranked, size_t count)
{
    char name[NAME_BYTES];
    (void)fputs("<tr class=\"hidden\"><td class=\"name-cell none\" colspan=\"2\">", paper->out);
    for (size_t i = 0; i < count; i++) {
        name_row(reading, &reading->answer.points[ranked[i]], name);
        (void)fputs(i == 0 ? "" : " · ", paper->out);
        markup_text(paper->out, name);
    }
    (void)fputs("</td><td class=\"n none\" colspan=\"2\">suppressed</td></tr>\n", paper->out);
}

/* The end of the bars' scale. */
static double scale(const struct reading *reading, const size_t *ranked, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        const struct series_point *point = &reading->answer.points[ranked[i]];
        if (point->known)
            most = fmax(most, point->bounded ? point->high : point->value);
    }
    return most > 0 ? most : 1;
}

static void write_table(struct paper *paper, const struct reading *reading, const char *title)
{
    size_t ranked[ROWS_MAX], all = reading_ranked(reading, ranked, ROWS_MAX), count = all < ROWS_MAX ? all : ROWS_MAX;
    char when[SPAN_LABEL_BYTES], metric[TELLING_BYTES];
    double most = scale(reading, ranked, count);
    (void)fprintf(paper->out, "<div class=\"block\" data-metric=\"%s\"", reading->question.metric->name);
    if (reading->question.item != NULL)
        (void)fprintf(paper->out, " data-item=\"%s\"", reading->question.item);
    (void)fputs("><h3>", paper->out);
    markup_text(paper->out, title);
    (void)fprintf(paper->out, " <span class=\"when\">%s</span></h3>\n<table><thead><tr><th></th><th></th><th class=\"n\" colspan=\"2\">%s</th></tr>"
                              "</thead><tbody>\n",
        span_title(&reading->at, when), telling_metric(reading->question.metric->name, metric));
    size_t shown = 0;
    while (shown < count && reading->answer.points[ranked[shown]].known)
        write_row(paper, reading, &reading->answer.points[ranked[shown++]], most);
    if (shown < count)
        write_suppressed(paper, reading, ranked + shown, count - shown);
    (void)fputs("</tbody></table>\n", paper->out);
    if (all > count)
        (void)fprintf(paper->out, "<p class=\"legend\">and %zu more</p>\n", all - count);
    (void)fputs("</div>\n", paper->out);
}

static enum result table(struct paper *paper, const char *metric, const char *item, bool by, const char *title, struct failure *why)
{
    struct reading reading;
    enum result result = reading_take(&paper->desk, metric, item, by, &reading, why);
    if (result != RESULT_OK)
        return result;
    if (reading.answer.count > 0)
        write_table(paper, &reading, title);
    reading_free(&reading);
    return RESULT_OK;
}

enum result breakdown_dimensions(struct paper *paper, struct failure *why)
{
    const struct app *app = paper->desk.app;
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < app->dimension_count; i++) {
        const struct app_dimension *dimension = &app->dimensions[i];
        char title[TELLING_BYTES];
        const char *metric = dimension->scope == APP_SCOPE_EVENTS ? "dimension_users" : "session_dimension_users";
        result = table(paper, metric, dimension->item.name, true,
            dimension->item.title != NULL ? dimension->item.title : telling_metric(dimension->item.name, title), why);
    }
    return result;
}

enum result breakdown_declared(struct paper *paper, struct failure *why)
{
    static const struct kind {
        const char *metric, *title;
    } kinds[] = {{"feature_users", "Features"}, {"feature_adoption", "Features, adoption"}, {"goal_sessions", "Goals"},
        {"goal_rate", "Goals, rate"}, {"segment_users", "Segments"}, {"entity_count", "Entities"}};
    const struct app *app = paper->desk.app;
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (items_any(app, metric_named(kinds[i].metric)->list))
            result = table(paper, kinds[i].metric, NULL, false, kinds[i].title, why);
    }
    for (size_t i = 0; result == RESULT_OK && i < app->path_count; i++)
        result = table(paper, "paths", app->paths[i].item.name, false, "Most common steps", why);
    return result;
}
