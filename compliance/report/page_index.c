#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compliance/report/cost.h"
#include "compliance/report/html.h"
#include "compliance/report/pages.h"
#include "compliance/report/plain.h"

static uint64_t real_apps(const struct gathered *all)
{
    uint64_t count = 0;
    for (size_t i = 0; i < all->apps.count; i++)
        count += !((const struct gathered_app *)hashed_at(&all->apps, i))->twin;
    return count;
}

/* The largest cost of an app's month; *unbounded: one was released without noise, of an app that is no test. */
static decimal_units dearest(const struct gathered *all, bool *unbounded)
{
    decimal_units most = 0;
    *unbounded = false;
    for (size_t i = 0; i < all->months.count; i++) {
        const struct gathered_month *month = hashed_at(&all->months, i);
        most = month->reserved > most ? month->reserved : most;
        *unbounded = *unbounded || !month->noise;
    }
    return most;
}

static void figures(const struct gathered *all, struct outfile *out)
{
    char text[COST_TEXT_BYTES];
    bool unbounded;
    uint64_t overdue = 0, open = 0;
    decimal_units most = dearest(all, &unbounded);
    for (size_t i = 0; i < all->requests.count; i++)
        overdue += page_requests_state(all, hashed_at(&all->requests, i)) == PAGE_REQUEST_OVERDUE;
    for (size_t i = 0; i < all->incidents.count; i++)
        open += ((const struct gathered_incident *)hashed_at(&all->incidents, i))->closed_ms == 0;
    html_figures_begin(out);
    html_figure(out, HTML_PLAIN, html_number(all->source->checkpoint.size, text), "entries in the log");
    html_figure(out, HTML_PLAIN, html_number(real_apps(all), text), "apps");
    html_figure(out, HTML_PLAIN, html_number(all->requests.count, text), "requests of people");
    html_figure(out, overdue > 0 ? HTML_BAD : HTML_GOOD, html_number(overdue, text), "of them open after 30 days");
    html_figure(out, unbounded ? HTML_BAD : HTML_PLAIN, unbounded ? "unbounded" : cost_epsilon(most, text),
        "largest \xce\xb5 charged for an app\xe2\x80\x99s month");
    html_figure(out, open > 0 ? HTML_OPEN : HTML_GOOD, html_number(open, text), "open incidents");
    html_figure(out, gathered_count(all, "self_test_failed") > 0 ? HTML_BAD : HTML_GOOD,
        html_number(gathered_count(all, "self_test_failed"), text), "failures of the self-test");
    html_figures_end(out);
}

static void contents(struct outfile *out)
{
    static const char *const pages[][3] = {
        {"processing.html", "Record of processing", "what is processed, why, for whom and how long (GDPR Art. 30)"},
        {"assessment.html", "Annex to an impact assessment", "what protects people, measured"},
        {"requests.html", "People\xe2\x80\x99s requests", "erasure, objection, access, and whether deadlines were met"},
        {"keys.html", "Pseudonymization keys", "from birth to destruction"},
        {"budget.html", "Privacy budget", "what was allowed, charged and refused"},
        {"access.html", "Access", "who read, who was denied, which keys exist"},
        {"retention.html", "Retention", "what was removed, and when"},
        {"incidents.html", "Incidents", "what went wrong or was out of the ordinary"}};
    html_heading(out, "What is in this report");
    outfile_text(out, "<ul>\n");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        outfile_format(out, "<li><a href=\"%s\">", pages[i][0]);
        html_text(out, pages[i][1]);
        outfile_text(out, "</a>: ");
        html_text(out, pages[i][2]);
        outfile_text(out, "</li>\n");
    }
    outfile_text(out, "</ul>\n");
}

static void limits(const struct gathered *all, struct outfile *out)
{
    html_heading(out, "How far it can be trusted");
    html_paragraph(out, "Every figure here is computed from the entries of a signed, append-only log, and by nothing else: whoever has the "
                        "bundle can compute all of it again and must get the same bytes. The bundle\xe2\x80\x99s README says how to check it.");
    html_paragraph(out, "The log shows what the service recorded. It cannot show what somebody did around it, or what a superuser of the "
                        "database did before an entry was signed. Whoever kept no earlier checkpoint of this log cannot notice if an older "
                        "past was replaced. Actors are handles of roles and keys, not names.");
    if (all->source->pruned_below > 0)
        html_note(out, "Entries below %" PRIu64 " have no body any more. What only they said is not in this report.",
            all->source->pruned_below);
    if (all->unknown > 0)
        html_note(out, "%" PRIu64 " entries are of an act, or in a form, that this version does not know. They are counted below and "
                       "not understood.", all->unknown);
}

static void act_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"What happened", false}, {"Name in the log", false}, {"Done", true},
        {"Denied", true}, {"Failed", true}, {"First", false}, {"Last", false}};
    struct html_table table = html_table_begin(out, "Everything in the log, by kind", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->acts.count; i++) {
        const struct gathered_act *act = hashed_at(&all->acts, i);
        const char *words = plain_act(act->name);
        html_cell(&table, words == NULL ? "(not known to this version)" : words);
        html_cell_code(&table, act->name, 0);
        html_cell_number(&table, act->ok);
        html_cell_number(&table, act->denied);
        html_cell_number(&table, act->failed);
        html_cell_day(&table, act->first_ms);
        html_cell_day(&table, act->last_ms);
    }
    html_table_end(&table, "The log has no entry with a body.");
}

void page_index_html(const struct gathered *all, struct outfile *out)
{
    html_begin(out, all, "index.html", "Privacy report",
        "What an engagement analytics service did with people\xe2\x80\x99s data, as its audit trail tells it.");
    figures(all, out);
    contents(out);
    limits(all, out);
    act_table(all, out);
    html_end(out, all);
}
