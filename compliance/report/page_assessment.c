#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compliance/report/cost.h"
#include "compliance/report/html.h"
#include "compliance/report/pages.h"

static void release_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"App", false}, {"Month", false}, {"Releases", true}, {"With noise", true},
        {"With a threshold only", true}, {"Unprotected", true}, {"k, least to most", false}, {"Cells", true},
        {"Suppressed", true}, {"Refused", true}};
    struct html_table table = html_table_begin(out, "Releases, by app and by the month in which their period begins", columns,
        sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->released.count; i++) {
        const struct gathered_released *released = hashed_at(&all->released, i);
        char text[64];
        html_cell(&table, released->app);
        html_cell_month(&table, released->month);
        html_cell_number(&table, released->releases);
        html_cell_number(&table, released->dp);
        html_cell_number(&table, released->threshold);
        html_cell_number(&table, released->unprotected);
        (void)snprintf(text, sizeof text, "%" PRId64 " to %" PRId64, released->k_least, released->k_most);
        html_cell(&table, released->releases == 0 ? NULL : text);
        html_cell_number(&table, released->cells);
        (void)snprintf(text, sizeof text, "%" PRIu64 " (%" PRIu64 " %%)", released->suppressed,
            released->cells == 0 ? 0 : released->suppressed * 100 / released->cells);
        html_cell(&table, text);
        html_cell_number(&table, released->refused);
    }
    html_table_end(&table, "The trail records no release.");
}

static void epsilon_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Month", false}, {"App", false}, {"Preset", false}, {"\xce\xb5 promised, at most", true},
        {"\xce\xb5 charged", true}, {"k planned", true}};
    struct html_table table = html_table_begin(out, "Privacy loss of one person\xe2\x80\x99s month", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->months.count; i++) {
        const struct gathered_month *month = hashed_at(&all->months, i);
        char epsilon[COST_TEXT_BYTES];
        html_cell_month(&table, month->month);
        html_cell(&table, month->app);
        html_cell(&table, month->preset);
        html_cell(&table, month->noise ? cost_promise(month->preset) : NULL);
        if (month->noise)
            html_cell(&table, cost_epsilon(month->reserved, epsilon));
        else
            html_cell_mark(&table, HTML_BAD, "unbounded");
        html_cell_number(&table, (uint64_t)month->k);
    }
    html_table_end(&table, "The trail records no planned month.");
}

static void test_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Month", false}, {"App", false}, {"Runs that passed", true},
        {"Places looked at", true}, {"Failures", true}};
    struct html_table table = html_table_begin(out, "Self-tests", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->flows.count; i++) {
        const struct gathered_flow *flow = hashed_at(&all->flows, i);
        if (flow->tests == 0 && flow->tests_failed == 0)
            continue;
        html_cell_month(&table, flow->month);
        html_cell(&table, flow->app[0] == '\0' ? "(all)" : flow->app);
        html_cell_number(&table, flow->tests);
        html_cell_number(&table, flow->test_places);
        html_cell_number(&table, flow->tests_failed);
    }
    html_table_end(&table, "The trail records no self-test.");
}

static void flow_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Month", false}, {"App", false}, {"Days", true}, {"Accepted", true},
        {"Duplicate", true}, {"Late", true}, {"Rejected", true}, {"Dropped for a person\xe2\x80\x99s wish", true}};
    struct html_table table
        = html_table_begin(out, "Events, at least (the trail has powers of two)", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->flows.count; i++) {
        const struct gathered_flow *flow = hashed_at(&all->flows, i);
        if (flow->days == 0)
            continue;
        html_cell_month(&table, flow->month);
        html_cell(&table, flow->app[0] == '\0' ? "(none told)" : flow->app);
        html_cell_number(&table, flow->days);
        html_cell_number(&table, flow->accepted);
        html_cell_number(&table, flow->duplicate);
        html_cell_number(&table, flow->late);
        html_cell_number(&table, flow->rejected);
        html_cell_number(&table, flow->dropped);
    }
    html_table_end(&table, "The trail records no account of events.");
}

static void figures(const struct gathered *all, struct outfile *out)
{
    uint64_t releases = 0, unprotected = 0, cells = 0, suppressed = 0;
    char text[40];
    for (size_t i = 0; i < all->released.count; i++) {
        const struct gathered_released *released = hashed_at(&all->released, i);
        releases += released->releases;
        unprotected += released->unprotected;
        cells += released->cells;
        suppressed += released->suppressed;
    }
    html_figures_begin(out);
    html_figure(out, HTML_PLAIN, html_number(releases, text), "releases");
    html_figure(out, unprotected > 0 ? HTML_BAD : HTML_GOOD, html_number(unprotected, text), "of them without protection");
    html_figure(out, HTML_PLAIN, html_number(cells, text), "numbers released");
    html_figure(out, HTML_PLAIN, html_number(suppressed, text), "of them suppressed: too few people, or too unsure");
    html_figure(out, gathered_count(all, "self_test_failed") > 0 ? HTML_BAD : HTML_PLAIN,
        html_number(gathered_count(all, "self_test_failed"), text), "failures of the self-test");
    html_figures_end(out);
}

void page_assessment_html(const struct gathered *all, struct outfile *out)
{
    html_begin(out, all, "assessment.html", "Annex to an impact assessment",
        "Figures that were measured, not promised, for a data protection impact assessment (GDPR Art. 35).");
    figures(all, out);
    html_heading(out, "What is promised, and to whom");
    html_paragraph(out, "Towards everyone who reads released numbers, one person\xe2\x80\x99s month is hidden by noise (differential privacy), per "
                        "pseudonym. A number is shown only if it reaches a threshold that stands for at least k people.");
    outfile_text(out, "<p>It does not protect against:</p>\n<ul>\n"
                      "<li>whoever holds both the database and the key file: for known identifiers, within the horizon;</li>\n"
                      "<li>whoever sees the state live and can send events too;</li>\n<li>whoever can compel both;</li>\n"
                      "<li>an observer of the network, who sees addresses and times.</li>\n</ul>\n");
    html_paragraph(out, "A person with several identifiers or devices is several units. Pseudonyms are personal data while their key lives. "
                        "Operational metrics and logs lie outside this promise.");
    html_heading(out, "What was measured");
    epsilon_table(all, out);
    release_table(all, out);
    html_paragraph(out, "Suppressed means that a number was computed but not shown. Under noise that is a statement about how reliable it is; "
                        "the protection is the noise.");
    test_table(all, out);
    html_paragraph(out, "In a self-test an identifier made up for the purpose is sent in, and what the collecting program may read is "
                        "searched for it. A place is one that was looked at.");
    flow_table(all, out);
    html_end(out, all);
}
