#include "service/paper/promise.h"

#include "anonymizer/release/plan.h"
#include "api/series/explain.h"
#include "service/base/clock.h"
#include "service/paper/markup.h"

#define MOMENT_BYTES 32

static double number_of(struct rational value)
{
    return (double)value.numerator / (double)value.denominator;
}

static void write_private(FILE *out, const struct plan *plan)
{
    char text[EXPLAIN_BYTES];
    const struct accounting_statement *statement = &plan->statement;
    const struct explain_promise promise = {number_of(statement->day.epsilon), number_of(statement->month.epsilon),
        number_of(statement->months.epsilon), number_of(statement->month.delta)};
    (void)fprintf(out, "<div class=\"promise\"><h3>Differentially private: preset %s, ε = %.2f a user's month (%.2f a day, %.2f thirteen months; δ ="
                       " %.0e), k = %d</h3>\n<p class=\"plain\">Every number on this page was released once, or is computed of such, with random noise that"
                       " hides whether any one user was there; intervals say how much. A number that may be of fewer than %d people is suppressed. ",
        policy_preset_name(plan->preset), promise.month, promise.day, promise.months, promise.delta, (int)plan->k, (int)plan->k);
    markup_text(out, explain_promise(&promise, text));
    (void)fputs("</p></div>\n", out);
}

static void write_unprotected(FILE *out, const struct app *app)
{
    (void)fprintf(out, "<div class=\"promise open\"><h3>Not differentially private: preset %s</h3>\n<p class=\"plain\">",
        policy_preset_name(app->preset));
    if (app->preset == APP_PRESET_THRESHOLD)
        (void)fprintf(out, "Numbers of fewer than k = %u people are suppressed, the others rounded to 5. There is no noise and no ε: nothing bounds"
                           " what several numbers together tell about a person.",
            (unsigned)app->k);
    else
        (void)fputs("Numbers are exact, and none is suppressed: this is for tests, and for data that is public anyway. There is no noise and no"
                    " ε: nothing protects the people in these numbers.",
            out);
    (void)fputs("</p></div>\n", out);
}

void promise_write(struct paper *paper)
{
    const struct app *app = paper->desk.app;
    struct plan plan;
    struct failure why = {0};
    (void)fputs("<section class=\"protection\"><h2>How people are protected</h2>\n", paper->out);
    if (plan_make(app, app->preset, app->k, &plan, &why) == RESULT_OK)
        write_private(paper->out, &plan);
    else
        write_unprotected(paper->out, app);
    (void)fputs("</section>\n", paper->out);
}

static void write_anchor(struct paper *paper)
{
    char moment[MOMENT_BYTES];
    const struct anchor *anchor = paper->anchor;
    if (!anchor->any) {
        (void)fputs("<p>The audit log has no signed checkpoint yet.</p>\n", paper->out);
        return;
    }
    (void)fputs("<p>A checkpoint of the audit log, in which every release is entered. Keep this page: with it anybody can tell later whether"
                " the log was changed.</p>\n<dl class=\"checkpoint\"><dt>log</dt><dd><code>",
        paper->out);
    markup_text(paper->out, anchor->origin);
    (void)fprintf(paper->out, "</code></dd><dt>entries</dt><dd><code>%llu</code></dd><dt>root hash</dt><dd><code>%s</code></dd><dt>signed</dt>"
                              "<dd><code>%s</code></dd></dl>\n",
        (unsigned long long)anchor->size, anchor->root, clock_format(anchor->signed_at_ms, moment, sizeof moment));
}

void promise_foot(struct paper *paper)
{
    (void)fputs("<footer>\n", paper->out);
    write_anchor(paper);
    (void)fputs("<p>Made by Throng of released numbers alone. Days, ISO weeks and months are those of the time zone ", paper->out);
    markup_text(paper->out, paper->desk.app->time_zone);
    (void)fputs(".</p>\n</footer>\n", paper->out);
}

void promise_small_foot(struct paper *paper)
{
    const struct app *app = paper->desk.app;
    (void)fputs("<footer>", paper->out);
    if (policy_is_private(app->preset))
        (void)fprintf(paper->out, "Differentially private (ε = %.0f a user's month at most). ", number_of(plan_epsilon(app->preset)));
    else
        (void)fputs("Not differentially private. ", paper->out);
    (void)fputs("<a href=\"index.html\" target=\"_top\">More</a></footer>\n", paper->out);
}
