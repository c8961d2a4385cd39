#include "service/paper/paper.h"

#include <stdlib.h>
#include <string.h>

#include "service/paper/breakdown.h"
#include "service/paper/headline.h"
#include "service/paper/journey.h"
#include "service/paper/markup.h"
#include "service/paper/promise.h"
#include "service/paper/remark.h"
#include "service/paper/telling.h"

#define TITLE_BYTES 512

int32_t paper_first_day(const struct span *span)
{
    return span_step(span->interval, span->first, 1 - READING_PERIODS);
}

static struct paper begin(const struct paper_order *order, FILE *out)
{
    return (struct paper){.out = out, .desk = {.db = order->db, .app = order->app, .span = order->span}, .notes = order->notes,
        .anchor = order->anchor, .files = order->files};
}

static const char *name_of(const struct app *app)
{
    return app->title == NULL ? app->name : app->title;
}

static void write_head(struct paper *paper, const char *kind)
{
    char title[TITLE_BYTES], name[SPAN_LABEL_BYTES], days[SPAN_LABEL_BYTES];
    const struct app *app = paper->desk.app;
    const struct span *span = &paper->desk.span;
    (void)snprintf(title, sizeof title, "%s · %s", name_of(app), span_title(span, name));
    markup_begin(paper->out, title, paper->files == NULL ? "report" : "public");
    (void)fprintf(paper->out, "<header>\n<p class=\"kicker\">%s</p>\n<h1>", kind);
    markup_text(paper->out, name_of(app));
    name[0] = name[0] == 'w' ? 'W' : name[0];
    (void)fprintf(paper->out, " <small>%s", name);
    if (span->interval == SPAN_WEEK)
        (void)fprintf(paper->out, ", %s", span_days(span, days));
    (void)fputs("</small></h1>\n</header>\n<main>\n", paper->out);
}

/* --- parts --------------------------------------------------------------------------------------------------------- */

/* A part that may turn out to be empty: its heading is written only if body writes something. */
static enum result part(struct paper *paper, const char *heading, bool paired, enum result (*body)(struct paper *, struct failure *),
    struct failure *why)
{
    FILE *page = paper->out;
    char *text = NULL;
    size_t size = 0;
    paper->out = open_memstream(&text, &size);
    if (paper->out == NULL) {
        paper->out = page;
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    enum result result = body(paper, why);
    (void)fclose(paper->out);
    paper->out = page;
    if (result == RESULT_OK && strstr(text, "<table") != NULL)
        (void)fprintf(page, "<h2>%s</h2>\n%s%s%s", heading, paired ? "<div class=\"pair\">\n" : "", text, paired ? "</div>\n" : "");
    free(text);
    return result;
}

static enum result write_numbers(struct paper *paper, struct failure *why)
{
    enum result result = headline_trends(paper, why);
    if (result == RESULT_OK)
        result = part(paper, "Where and what", true, breakdown_dimensions, why);
    if (result == RESULT_OK)
        result = part(paper, "Features and goals", true, breakdown_declared, why);
    if (result == RESULT_OK)
        result = part(paper, "Funnels", false, journey_funnels, why);
    if (result == RESULT_OK)
        result = journey_retention(paper, why);
    return result == RESULT_OK ? part(paper, "Measures and outcomes", false, journey_outcomes, why) : result;
}

static enum result nothing(struct failure *why)
{
    failure_set(why, "--period", "nothing of it is released yet: a period is released when it is closed, see `throng status`");
    return RESULT_NOT_FOUND;
}

static enum result finish(struct paper *paper, struct failure *why)
{
    remark_notes(paper);
    remark_suppressed(paper);
    promise_write(paper);
    return ferror(paper->out) == 0 ? RESULT_OK : (failure_set(why, "", "the page cannot be written"), RESULT_FAILED);
}

/* --- pages --------------------------------------------------------------------------------------------------------- */

enum result paper_report(const struct paper_order *order, FILE *out, struct failure *why)
{
    struct paper paper = begin(order, out);
    bool any;
    write_head(&paper, "Engagement report");
    enum result result = headline_cards(&paper, &any, why);
    if (result == RESULT_OK && !any)
        result = nothing(why);
    if (result == RESULT_OK)
        result = remark_insights(&paper, why);
    if (result == RESULT_OK)
        result = write_numbers(&paper, why);
    if (result == RESULT_OK)
        result = finish(&paper, why);
    (void)fputs("</main>\n", out);
    promise_foot(&paper);
    markup_end(out);
    return result;
}

static void write_files(struct paper *paper)
{
    (void)fputs("<section><h2>Data</h2>\n<p class=\"lead\">All released rows, as JSON, one file a metric; <a href=\"embed.html\">a small page to embed"
                "</a>; <a href=\"checkpoint.txt\">the checkpoint</a> as it was signed.</p>\n<ul class=\"files\">\n",
        paper->out);
    for (const char *const *file = paper->files; *file != NULL; file++) {
        (void)fputs("<li><a href=\"data/", paper->out);
        markup_text(paper->out, *file);
        (void)fputs("\">", paper->out);
        markup_text(paper->out, *file);
        (void)fputs("</a></li>\n", paper->out);
    }
    (void)fputs("</ul></section>\n", paper->out);
}

enum result paper_public(const struct paper_order *order, FILE *out, struct failure *why)
{
    struct paper paper = begin(order, out);
    bool any;
    write_head(&paper, "Public numbers");
    enum result result = headline_cards(&paper, &any, why);
    if (result == RESULT_OK && !any)
        result = nothing(why);
    if (result == RESULT_OK)
        result = write_numbers(&paper, why);
    if (result == RESULT_OK)
        result = finish(&paper, why);
    write_files(&paper);
    (void)fputs("</main>\n", out);
    promise_foot(&paper);
    markup_end(out);
    return result;
}

enum result paper_embed(const struct paper_order *order, FILE *out, struct failure *why)
{
    struct paper paper = begin(order, out);
    bool any = false, drawn;
    markup_begin(out, name_of(order->app), "embed");
    (void)fputs("<main>\n<p class=\"kicker\">", out);
    markup_text(out, name_of(order->app));
    (void)fputs("</p>\n", out);
    enum result result = headline_card(&paper, "active_users", &any, why);
    if (result == RESULT_OK)
        result = headline_trend(&paper, "active_users", true, &drawn, why);
    (void)fputs("</main>\n", out);
    promise_small_foot(&paper);
    markup_end(out);
    return result;
}
