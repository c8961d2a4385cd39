#include "service/paper/chart.h"

#include <math.h>
#include <string.h>

#include "service/paper/markup.h"

#define LINES 4          /* of the grid, above the axis */
#define LEFT 46.0        /* room for what stands at the axis */
#define TOP 16.0
#define BOTTOM 20.0
#define LABEL_ROOM 44.0  /* that a label below the axis needs */
#define CELL_HEIGHT 22.0
#define HEAT_NAMES 74.0
#define HEAT_SIZES 54.0

/* A line chart's geometry. */
struct frame {
    double width, height, right;
    double most; /* the scale's end */
    size_t count;
    enum numeral_kind kind;
};

double chart_round_up(double value)
{
    static const double steps[] = {1, 2, 2.5, 5, 10};
    if (!(value > 0))
        return 1;
    double unit = pow(10, floor(log10(value)));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (value <= steps[i] * unit * (1 + 1e-9))
            return steps[i] * unit;
    }
    return 10 * unit;
}

/* The end of a scale of LINES steps that are round numbers. */
static double scale_end(double most, enum numeral_kind kind)
{
    double step = chart_round_up(most / LINES);
    if (kind == NUMERAL_COUNT && step < 1)
        step = 1;
    if (kind == NUMERAL_PERCENT && most <= 1 && step * LINES > 1)
        step = 1.0 / LINES;
    return step * LINES;
}

static double at_x(const struct frame *frame, size_t index)
{
    double room = frame->width - LEFT - frame->right;
    return LEFT + room * ((double)index + 0.5) / (double)frame->count;
}

static double at_y(const struct frame *frame, double value)
{
    double room = frame->height - TOP - BOTTOM;
    return TOP + room * (1 - fmin(fmax(value, 0), frame->most) / frame->most);
}

static void draw_grid(FILE *out, const struct frame *frame)
{
    char text[NUMERAL_BYTES];
    for (int i = 0; i <= LINES; i++) {
        double value = frame->most * i / LINES, y = at_y(frame, value);
        enum numeral_kind kind = frame->kind;
        (void)fprintf(out, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", i == 0 ? "axis" : "gridline", LEFT,
            frame->width - frame->right, y, y);
        if (kind == NUMERAL_PERCENT)
            (void)snprintf(text, sizeof text, "%.3g %%", 100 * value);
        else if (kind == NUMERAL_SECONDS)
            (void)snprintf(text, sizeof text, "%.3g %s", frame->most > 240 ? value / 60 : value, frame->most > 240 ? "min" : "s");
        else
            (void)numeral_write(value, kind, text);
        (void)fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT - 7, y + 3.6, text);
    }
}

/* The newest label always stands, the others as far as there is room. */
static void draw_labels(FILE *out, const struct frame *frame, const struct chart_point *points)
{
    double room = (frame->width - LEFT - frame->right) / (double)frame->count;
    size_t every = (size_t)fmax(1, ceil(LABEL_ROOM / room));
    for (size_t i = 0; i < frame->count; i++) {
        if (points[i].label == NULL || (frame->count - 1 - i) % every != 0)
            continue;
        (void)fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", at_x(frame, i), frame->height - 4);
        markup_text(out, points[i].label);
        (void)fputs("</text>", out);
    }
}

static void draw_gaps(FILE *out, const struct frame *frame, const struct chart_point *points)
{
    double room = (frame->width - LEFT - frame->right) / (double)frame->count;
    for (size_t i = 0; i < frame->count; i++) {
        if (!points[i].known && !points[i].missing)
            (void)fprintf(out, "<rect class=\"gap\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>suppressed</title></rect>",
                at_x(frame, i) - room / 2, TOP, room, frame->height - TOP - BOTTOM);
    }
}

static void draw_markers(FILE *out, const struct frame *frame, const struct chart_point *points)
{
    for (size_t i = 0; i < frame->count; i++) {
        if (points[i].marker == 0)
            continue;
        (void)fprintf(out, "<line class=\"marker\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", at_x(frame, i), at_x(frame, i), TOP,
            frame->height - BOTTOM);
        (void)fprintf(out, "<text class=\"marked\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%c</text>", at_x(frame, i), TOP - 5,
            points[i].marker);
    }
}

/* The last of those from first on that are known without a gap; bounded: and have an interval. */
static size_t run_end(const struct chart_point *points, size_t count, size_t first, bool bounded)
{
    size_t end = first;
    while (end < count && points[end].known && (!bounded || points[end].bounded))
        end++;
    return end;
}

static void draw_bands(FILE *out, const struct frame *frame, const struct chart_point *points)
{
    for (size_t first = 0, end; first < frame->count; first = end + 1) {
        end = run_end(points, frame->count, first, true);
        if (end == first)
            continue;
        (void)fputs("<path class=\"band\" d=\"", out);
        for (size_t i = first; i < end; i++)
            (void)fprintf(out, "%s%.1f %.1f", i == first ? "M" : "L", at_x(frame, i) - (end - first == 1 ? 3 : 0), at_y(frame, points[i].high));
        for (size_t i = end; i-- > first;)
            (void)fprintf(out, "L%.1f %.1f", at_x(frame, i) + (end - first == 1 ? 3 : 0), at_y(frame, points[i].low));
        (void)fputs("Z\"/>", out);
    }
}

static void draw_lines(FILE *out, const struct frame *frame, const struct chart_point *points)
{
    for (size_t first = 0, end; first < frame->count; first = end + 1) {
        end = run_end(points, frame->count, first, false);
        if (end - first < 2)
            continue;
        (void)fputs("<path class=\"line\" d=\"", out);
        for (size_t i = first; i < end; i++)
            (void)fprintf(out, "%s%.1f %.1f", i == first ? "M" : "L", at_x(frame, i), at_y(frame, points[i].value));
        (void)fputs("\"/>", out);
    }
    for (size_t i = 0; i < frame->count; i++) {
        if (points[i].known)
            (void)fprintf(out, "<circle class=\"dot%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/>", i + 1 == frame->count ? " now" : "", at_x(frame, i),
                at_y(frame, points[i].value), i + 1 == frame->count ? "4.5" : "1.9");
    }
}

static void draw_newest(FILE *out, const struct frame *frame, const struct chart_point *point)
{
    char text[NUMERAL_BYTES];
    if (point->known)
        (void)fprintf(out, "<text class=\"value\" x=\"%.1f\" y=\"%.1f\">%s</text>", at_x(frame, frame->count - 1) + 9,
            at_y(frame, point->value) + 4, numeral_write(point->value, frame->kind, text));
}

static void open_svg(FILE *out, double width, double height, const char *class, const char *alt)
{
    (void)fprintf(out, "<svg class=\"%s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", class, width, height);
    markup_text(out, alt);
    (void)fputs("\">", out);
}

void chart_line(FILE *out, const struct chart_point *points, size_t count, enum numeral_kind kind, const char *alt, bool half)
{
    struct frame frame = {.width = half ? 330 : 686, .height = half ? 150 : 176, .right = half ? 46 : 54, .count = count, .kind = kind};
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        if (points[i].known)
            most = fmax(most, points[i].bounded ? points[i].high : points[i].value);
    }
    if (count == 0)
        return;
    frame.most = scale_end(most, kind);
    open_svg(out, frame.width, frame.height, "trend", alt);
    draw_grid(out, &frame);
    draw_gaps(out, &frame, points);
    draw_markers(out, &frame, points);
    draw_bands(out, &frame, points);
    draw_lines(out, &frame, points);
    draw_labels(out, &frame, points);
    draw_newest(out, &frame, &points[count - 1]);
    (void)fputs("</svg>\n", out);
}

void chart_bar(FILE *out, const struct chart_point *point, double most)
{
    const double width = 130, height = 14;
    (void)fprintf(out, "<svg class=\"bars\" viewBox=\"0 0 %.0f %.0f\" aria-hidden=\"true\">", width, height);
    if (!point->known) {
        (void)fprintf(out, "<rect class=\"gap\" x=\"0\" y=\"3\" width=\"%.0f\" height=\"8\" rx=\"2\"/></svg>", width);
        return;
    }
    (void)fprintf(out, "<rect class=\"track\" x=\"0\" y=\"3\" width=\"%.0f\" height=\"8\" rx=\"2\"/>", width);
    (void)fprintf(out, "<rect class=\"bar\" x=\"0\" y=\"3\" width=\"%.1f\" height=\"8\" rx=\"2\"/>",
        width * fmin(fmax(point->value / most, 0), 1));
    if (point->bounded && point->high > point->low) {
        double low = width * fmin(fmax(point->low / most, 0), 1), high = width * fmin(fmax(point->high / most, 0), 1);
        (void)fprintf(out, "<path class=\"whisker\" d=\"M%.1f 7H%.1fM%.1f 4V10M%.1f 4V10\"/>", low, high, low, high);
    }
    (void)fputs("</svg>", out);
}

/* --- heat maps ----------------------------------------------------------------------------------------------------- */

static void draw_cell(FILE *out, const struct chart_cell *cell, double x, double y, double width)
{
    if (cell->blank)
        return;
    double share = fmin(fmax(cell->share, 0), 1);
    int shade = (int)fmin(9, floor(10 * sqrt(share)));
    if (!cell->known) {
        (void)fprintf(out, "<rect class=\"gap\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"><title>suppressed</title></rect>", x, y,
            width - 2, CELL_HEIGHT - 2);
        return;
    }
    (void)fprintf(out, "<rect class=\"h%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>", shade, x, y, width - 2,
        CELL_HEIGHT - 2);
    (void)fprintf(out, "<text%s x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.*f</text>", shade >= 6 ? " class=\"deep\"" : "",
        x + (width - 2) / 2, y + 13.8, share > 0 && share < 0.0995 ? 1 : 0, 100 * share);
}

static void draw_head(FILE *out, const char *text, double x, double y, const char *anchor)
{
    (void)fprintf(out, "<text class=\"head\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    markup_text(out, text);
    (void)fputs("</text>", out);
}

void chart_heat(FILE *out, const struct chart_heat *heat, const char *alt)
{
    const double width = 686, room = fmin(56, (width - HEAT_NAMES - HEAT_SIZES) / (double)heat->columns);
    open_svg(out, width, CELL_HEIGHT * (double)(heat->rows + 1), "heat", alt);
    draw_head(out, "cohort", 0, 14, "start");
    draw_head(out, "people", HEAT_NAMES + HEAT_SIZES - 12, 14, "end");
    for (size_t column = 0; column < heat->columns; column++)
        draw_head(out, heat->column_names[column], HEAT_NAMES + HEAT_SIZES + room * (double)column + (room - 2) / 2, 14, "middle");
    for (size_t row = 0; row < heat->rows; row++) {
        double y = CELL_HEIGHT * (double)(row + 1);
        draw_head(out, heat->row_names[row], 0, y + 13.8, "start");
        draw_head(out, heat->row_sizes[row], HEAT_NAMES + HEAT_SIZES - 12, y + 13.8, "end");
        for (size_t column = 0; column < heat->columns; column++)
            draw_cell(out, &heat->cells[row][column], HEAT_NAMES + HEAT_SIZES + room * (double)column, y, room);
    }
    (void)fputs("</svg>\n", out);
}
