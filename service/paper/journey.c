#include "service/paper/journey.h"

#include <math.h>
#include <string.h>

#include "api/series/items.h"
#include "api/series/layout.h"
#include "api/series/rows.h"
#include "service/paper/chart.h"
#include "service/paper/markup.h"
#include "service/paper/telling.h"

/* --- cells --------------------------------------------------------------------------------------------------------- */

static void number_cells(FILE *out, const struct series_point *point, enum numeral_kind kind)
{
    char value[NUMERAL_BYTES], range[2 * NUMERAL_BYTES + 8];
    if (point->reliability[0] == '\0')
        (void)fputs("<td class=\"n\"></td><td></td>", out);
    else if (point->known)
        (void)fprintf(out, "<td class=\"n\">%s</td><td class=\"n when\">%s</td>", numeral_write(point->value, kind, value),
            numeral_range(point, kind, range));
    else
        (void)fputs("<td class=\"n none\" colspan=\"2\">suppressed</td>", out);
}

static const struct series_point *detail_of(const struct reading *reading, size_t index, size_t which)
{
    return &reading->answer.details[index * reading->answer.detail_count + which];
}

static void begin_block(struct paper *paper, const struct reading *reading, const char *title)
{
    char when[SPAN_LABEL_BYTES];
    (void)fprintf(paper->out, "<div class=\"block\" data-metric=\"%s\"", reading->question.metric->name);
    if (reading->question.item != NULL)
        (void)fprintf(paper->out, " data-item=\"%s\"", reading->question.item);
    (void)fputs("><h3>", paper->out);
    markup_text(paper->out, title);
    (void)fprintf(paper->out, " <span class=\"when\">%s</span></h3>\n", span_title(&reading->at, when));
}

/* --- funnels ------------------------------------------------------------------------------------------------------- */

static void write_step(struct paper *paper, const struct reading *reading, size_t index, const char *label, double most)
{
    const struct series_point *point = &reading->answer.points[index];
    const struct chart_point bar = {.known = point->known, .bounded = point->bounded, .value = point->value, .low = point->low,
        .high = point->high};
    (void)fputs("<tr><td class=\"name-cell\">", paper->out);
    markup_text(paper->out, label);
    (void)fputs("</td><td class=\"draw\">", paper->out);
    chart_bar(paper->out, &bar, most);
    (void)fputs("</td>", paper->out);
    number_cells(paper->out, point, NUMERAL_COUNT);
    for (size_t i = 0; i < reading->answer.detail_count; i++)
        number_cells(paper->out, detail_of(reading, index, i), NUMERAL_PERCENT);
    (void)fputs("</tr>\n", paper->out);
}

static void write_funnel(struct paper *paper, const struct reading *reading, const struct app_funnel *funnel)
{
    double most = 0;
    for (size_t i = 0; i < reading->answer.count; i++) {
        const struct series_point *point = &reading->answer.points[i];
        if (point->period == reading->at.first && point->known)
            most = fmax(most, point->bounded ? point->high : point->value);
    }
    begin_block(paper, reading, telling_item(&funnel->item));
    (void)fprintf(paper->out, "<table><thead><tr><th>within %u days</th><th></th><th class=\"n\" colspan=\"2\">came so far</th><th class=\"n\""
                              " colspan=\"2\">of the step before</th><th class=\"n\" colspan=\"2\">of the first step</th></tr></thead><tbody>\n",
        (unsigned)funnel->window_days);
    for (size_t i = 0, step = 0; i < reading->answer.count; i++) {
        if (reading->answer.points[i].period == reading->at.first && step < funnel->steps)
            write_step(paper, reading, i, funnel->labels[step++], most > 0 ? most : 1);
    }
    (void)fputs("</tbody></table></div>\n", paper->out);
}

enum result journey_funnels(struct paper *paper, struct failure *why)
{
    const struct app *app = paper->desk.app;
    for (size_t i = 0; i < app->funnel_count; i++) {
        struct reading reading;
        enum result result = reading_take(&paper->desk, "funnel", app->funnels[i].item.name, false, &reading, why);
        if (result != RESULT_OK)
            return result;
        if (reading.answer.count > 0)
            write_funnel(paper, &reading, &app->funnels[i]);
        reading_free(&reading);
    }
    return RESULT_OK;
}

/* --- retention ----------------------------------------------------------------------------------------------------- */

/* Which n have a column, ascending, at most CHART_HEAT_COLUMNS_MAX. */
static size_t choose_columns(const struct reading *reading, int32_t columns[CHART_HEAT_COLUMNS_MAX])
{
    size_t count = 0;
    for (int32_t n = 1; n < 400 && count < CHART_HEAT_COLUMNS_MAX; n++) {
        for (size_t i = 0; i < reading->answer.count; i++) {
            if (reading->answer.points[i].n != n)
                continue;
            columns[count++] = n;
            break;
        }
    }
    return count;
}

static struct chart_cell cell_of(const struct series_point *cell, const struct series_point *size)
{
    struct series_point share;
    if (cell == NULL)
        return (struct chart_cell){.blank = true};
    series_ratio(cell, size, 1, false, &share);
    if (size->known && size->value <= 0)
        return (struct chart_cell){.blank = true};
    return (struct chart_cell){.known = share.known, .share = share.value};
}

static void fill_row(const struct reading *reading, const struct series_point *size, const int32_t *columns, struct chart_heat *heat)
{
    char label[SPAN_LABEL_BYTES], people[NUMERAL_BYTES];
    size_t row = heat->rows++;
    (void)snprintf(heat->row_names[row], sizeof heat->row_names[row], "%.20s", span_tick(reading->at.interval, size->period, label));
    (void)snprintf(heat->row_sizes[row], sizeof heat->row_sizes[row], "%.20s",
        size->known ? numeral_write(size->value, NUMERAL_COUNT, people) : "–");
    for (size_t i = 0; i < heat->columns; i++)
        heat->cells[row][i] = cell_of(series_find(reading->answer.points, reading->answer.count, size->period, columns[i]), size);
}

static void write_heat(struct paper *paper, const struct reading *reading)
{
    int32_t columns[CHART_HEAT_COLUMNS_MAX];
    struct chart_heat heat = {.rows = 0};
    heat.columns = choose_columns(reading, columns);
    for (size_t i = 0; i < heat.columns; i++)
        (void)snprintf(heat.column_names[i], sizeof heat.column_names[i], "+%d", (int)columns[i]);
    for (size_t i = 0; i < reading->answer.count && heat.rows < CHART_HEAT_ROWS_MAX; i++) {
        if (reading->answer.points[i].n == 0)
            fill_row(reading, &reading->answer.points[i], columns, &heat);
    }
    if (heat.rows == 0 || heat.columns == 0)
        return;
    (void)fprintf(paper->out, "<section class=\"retention\"><h2>Who comes back</h2>\n<p class=\"lead\">Per cent of those who came first in a %s and are"
                              " active exactly so many %ss later. Hatched: suppressed. A blank: not over yet, or not released.</p>\n<div class=\"wide\">",
        span_name(reading->at.interval), span_name(reading->at.interval));
    chart_heat(paper->out, &heat, "Retention by cohort, per cent");
    (void)fputs("</div></section>\n", paper->out);
}

enum result journey_retention(struct paper *paper, struct failure *why)
{
    struct reading reading;
    enum result result = reading_take(&paper->desk, "retention", NULL, false, &reading, why);
    if (result != RESULT_OK)
        return result;
    if (reading.answer.count > 0)
        write_heat(paper, &reading);
    reading_free(&reading);
    return RESULT_OK;
}

/* --- measures and outcomes ----------------------------------------------------------------------------------------- */

static void write_measure(struct paper *paper, const struct reading *reading, const struct app_measure *measure)
{
    begin_block(paper, reading, telling_item(&measure->item));
    (void)fputs("<table><thead><tr><th></th><th class=\"n\" colspan=\"2\">", paper->out);
    markup_text(paper->out, measure->unit[0] == '\0' ? "value" : measure->unit);
    (void)fputs("</th></tr></thead><tbody>\n", paper->out);
    for (size_t i = 0; i < reading->answer.count; i++) {
        const struct series_point *point = &reading->answer.points[i];
        if (point->period != reading->at.first)
            continue;
        (void)fputs("<tr><td>mean</td>", paper->out);
        number_cells(paper->out, point, NUMERAL_DECIMAL);
        (void)fputs("</tr>\n", paper->out);
        for (size_t k = 0; k < reading->answer.detail_count; k++) {
            const struct layout_detail *detail = &layout_details(reading->question.metric)[k];
            (void)fprintf(paper->out, "<tr><td>%s</td>", detail->name);
            number_cells(paper->out, detail_of(reading, i, k), detail->whole ? NUMERAL_COUNT : NUMERAL_DECIMAL);
            (void)fputs("</tr>\n", paper->out);
        }
    }
    (void)fputs("</tbody></table></div>\n", paper->out);
}

static const char *tier_name(const struct app_outcome *outcome, int32_t n)
{
    return n < 0 || (uint32_t)n >= outcome->tier_count ? "everybody" : telling_item(&outcome->tiers[n].item);
}

static void write_outcome(struct paper *paper, const struct reading *reading, const struct app_outcome *outcome)
{
    begin_block(paper, reading, telling_item(&outcome->item));
    (void)fputs("<table><thead><tr><th>by how often they come</th><th class=\"n\" colspan=\"2\">mean</th><th class=\"n\" colspan=\"2\">people</th>"
                "<th class=\"n\" colspan=\"2\">difference to the first tier</th></tr></thead><tbody>\n",
        paper->out);
    for (size_t i = 0; i < reading->answer.count; i++) {
        const struct series_point *point = &reading->answer.points[i];
        if (point->period != reading->at.first)
            continue;
        (void)fputs("<tr><td>", paper->out);
        markup_text(paper->out, tier_name(outcome, point->n));
        (void)fputs("</td>", paper->out);
        number_cells(paper->out, point, NUMERAL_DECIMAL);
        number_cells(paper->out, detail_of(reading, i, 0), NUMERAL_COUNT);
        number_cells(paper->out, detail_of(reading, i, 1), NUMERAL_DECIMAL);
        (void)fputs("</tr>\n", paper->out);
    }
    (void)fputs("</tbody></table>\n<p class=\"legend\">" ROWS_CORRELATION "</p></div>\n", paper->out);
}

static enum result outcome(struct paper *paper, const struct app_outcome *declared, struct failure *why)
{
    struct reading reading;
    enum result result = reading_take(&paper->desk, "outcome", declared->item.name, false, &reading, why);
    if (result != RESULT_OK)
        return result;
    if (reading.answer.count > 0)
        write_outcome(paper, &reading, declared);
    reading_free(&reading);
    return RESULT_OK;
}

enum result journey_outcomes(struct paper *paper, struct failure *why)
{
    const struct app *app = paper->desk.app;
    enum result result = RESULT_OK;
    (void)fputs("<div class=\"pair\">\n", paper->out);
    for (size_t i = 0; result == RESULT_OK && i < app->measure_count; i++) {
        struct reading reading;
        result = reading_take(&paper->desk, "measure", app->measures[i].item.name, false, &reading, why);
        if (result == RESULT_OK && reading.answer.count > 0)
            write_measure(paper, &reading, &app->measures[i]);
        if (result == RESULT_OK)
            reading_free(&reading);
    }
    (void)fputs("</div>\n", paper->out);
    for (size_t i = 0; result == RESULT_OK && i < app->outcome_count; i++)
        result = outcome(paper, &app->outcomes[i], why);
    return result;
}
