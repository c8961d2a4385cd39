#include <inttypes.h>
#include <stdio.h>

#include "compliance/report/html.h"
#include "compliance/report/pages.h"
#include "compliance/report/plain.h"

static uint64_t open_incidents(const struct gathered *all)
{
    uint64_t count = 0;
    for (size_t i = 0; i < all->incidents.count; i++)
        count += ((const struct gathered_incident *)hashed_at(&all->incidents, i))->closed_ms == 0;
    return count;
}

static void incident_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Incident", false}, {"Kind", false}, {"App", false}, {"Recorded", false},
        {"Closed", false}, {"72 hours ended", false}};
    struct html_table table = html_table_begin(out, "Incidents", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->incidents.count; i++) {
        const struct gathered_incident *incident = hashed_at(&all->incidents, i);
        html_cell_code(&table, incident->id, 8);
        html_cell(&table, incident->kind);
        html_cell(&table, incident->app[0] == '\0' ? "(all)" : incident->app);
        html_cell_time(&table, incident->opened_ms);
        if (incident->closed_ms != 0)
            html_cell_time(&table, incident->closed_ms);
        else
            html_cell_mark(&table, HTML_OPEN, "open");
        html_cell_time(&table, incident->opened_ms == 0 ? 0 : incident->opened_ms + 3 * CIVIL_DAY_MS);
    }
    html_table_end(&table, "The trail records no incident.");
}

static void notable_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"When", false}, {"App", false}, {"What", false}, {"Entry", true}};
    struct html_table table = html_table_begin(out, "Out of the ordinary", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->notables.count; i++) {
        const struct gathered_notable *notable = hashed_at(&all->notables, i);
        html_cell_time(&table, notable->at_ms);
        html_cell(&table, notable->app[0] == '\0' ? "(all)" : notable->app);
        html_cell(&table, notable->detail);
        html_cell_number(&table, notable->entry - 1);
    }
    html_table_end(&table, "The trail records nothing of the kind.");
}

static void daemon_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Program", false}, {"Version", false}, {"Binary", false}, {"Configuration", false},
        {"First start", false}, {"Last start", false}, {"Starts", true}};
    struct html_table table = html_table_begin(out, "What ran: by program, binary and configuration", columns,
        sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->daemons.count; i++) {
        const struct gathered_daemon *daemon = hashed_at(&all->daemons, i);
        html_cell(&table, daemon->name);
        html_cell(&table, daemon->version);
        html_cell_code(&table, daemon->binary, 12);
        html_cell_code(&table, daemon->configuration, 12);
        html_cell_time(&table, daemon->first_ms);
        html_cell_time(&table, daemon->last_ms);
        html_cell_number(&table, daemon->starts);
    }
    html_table_end(&table, "The trail records no start of a program.");
}

void page_incidents_html(const struct gathered *all, struct outfile *out)
{
    char text[40];
    html_begin(out, all, "incidents.html", "Incidents",
        "What an operator recorded as an incident, and what the service itself noticed.");
    html_figures_begin(out);
    html_figure(out, HTML_PLAIN, html_number(all->incidents.count, text), "incidents recorded");
    html_figure(out, open_incidents(all) > 0 ? HTML_OPEN : HTML_PLAIN, html_number(open_incidents(all), text), "of them open");
    html_figure(out, gathered_count(all, "self_test_failed") > 0 ? HTML_BAD : HTML_PLAIN,
        html_number(gathered_count(all, "self_test_failed"), text), "failures of the self-test");
    html_figures_end(out);
    html_paragraph(out, "If an incident is a breach of personal data, the authority is to be told within 72 hours of becoming aware of it "
                        "(GDPR Art. 33). Whether it was one, when somebody became aware, and who was told is not in the trail: the column "
                        "counts from the moment the incident was recorded.");
    incident_table(all, out);
    notable_table(all, out);
    daemon_table(all, out);
    html_end(out, all);
}

void page_incidents_csv(const struct gathered *all, struct outfile *out)
{
    static const char *const head[] = {"what", "id", "kind", "app", "at", "closed_at", "detail", "entry", NULL};
    outfile_csv_line(out, head);
    for (size_t i = 0; i < all->incidents.count; i++) {
        const struct gathered_incident *incident = hashed_at(&all->incidents, i);
        outfile_csv(out, "incident");
        outfile_csv(out, incident->id);
        outfile_csv(out, incident->kind);
        outfile_csv(out, incident->app);
        outfile_csv_time(out, incident->opened_ms);
        outfile_csv_time(out, incident->closed_ms);
        outfile_csv(out, NULL);
        if (incident->entry == 0)
            outfile_csv(out, NULL);
        else
            outfile_csv_number(out, incident->entry - 1);
        outfile_csv_end(out);
    }
    for (size_t i = 0; i < all->notables.count; i++) {
        const struct gathered_notable *notable = hashed_at(&all->notables, i);
        outfile_csv(out, notable->act);
        outfile_csv(out, NULL);
        outfile_csv(out, NULL);
        outfile_csv(out, notable->app);
        outfile_csv_time(out, notable->at_ms);
        outfile_csv(out, NULL);
        outfile_csv(out, notable->detail);
        outfile_csv_number(out, notable->entry - 1);
        outfile_csv_end(out);
    }
}
