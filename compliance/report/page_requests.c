#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compliance/report/html.h"
#include "compliance/report/pages.h"

#define FIRST_DAYS 30
#define LAST_DAYS 45

/* When it was answered: carried out or refused; 0: not yet. */
static int64_t answered(const struct gathered_request *request)
{
    return request->applied_ms != 0 ? request->applied_ms : request->refused_ms;
}

static int64_t deadline(const struct gathered_request *request, int64_t days)
{
    return request->received_ms == 0 ? 0 : request->received_ms + days * CIVIL_DAY_MS;
}

enum page_requests_state page_requests_state(const struct gathered *all, const struct gathered_request *request)
{
    int64_t due = deadline(request, FIRST_DAYS);
    if (answered(request) == 0)
        return due != 0 && all->newest_ms > due ? PAGE_REQUEST_OVERDUE : PAGE_REQUEST_OPEN;
    if (request->refused_ms != 0 && request->applied_ms == 0)
        return PAGE_REQUEST_REFUSED;
    return due != 0 && answered(request) > due ? PAGE_REQUEST_LATE : PAGE_REQUEST_DONE;
}

/* Whether a deadline was met: "yes", "no", "open", or "unknown" where the trail does not say when it began. */
static const char *met(const struct gathered *all, const struct gathered_request *request, int64_t days)
{
    int64_t due = deadline(request, days);
    if (due == 0)
        return "unknown";
    if (answered(request) != 0)
        return answered(request) <= due ? "yes" : "no";
    return all->newest_ms > due ? "no" : "open";
}

static enum html_mark mark_of(const char *word)
{
    if (strcmp(word, "yes") == 0)
        return HTML_GOOD;
    return strcmp(word, "no") == 0 ? HTML_BAD : HTML_OPEN;
}

/* What has become of the last copy: of erasures and objections only. */
static void copies_cell(struct html_table *table, const struct gathered *all, const struct gathered_request *request)
{
    char text[64], day[CIVIL_DATE_BYTES];
    if (request->purge_due_ms == 0 && request->purged_ms == 0) {
        html_cell(table, NULL);
        return;
    }
    if (request->purged_ms != 0) {
        (void)snprintf(text, sizeof text, "gone %s", civil_format((int32_t)(request->purged_ms / CIVIL_DAY_MS), day));
        html_cell_mark(table, request->purged_ms <= request->purge_due_ms ? HTML_GOOD : HTML_BAD, text);
        return;
    }
    (void)snprintf(text, sizeof text, "due %s", civil_format((int32_t)(request->purge_due_ms / CIVIL_DAY_MS), day));
    html_cell_mark(table, all->newest_ms > request->purge_due_ms ? HTML_BAD : HTML_OPEN, text);
}

static void figures(const struct gathered *all, struct outfile *out)
{
    uint64_t counts[PAGE_REQUEST_REFUSED + 1] = {0};
    char text[40];
    for (size_t i = 0; i < all->requests.count; i++)
        counts[page_requests_state(all, hashed_at(&all->requests, i))]++;
    html_figures_begin(out);
    html_figure(out, HTML_PLAIN, html_number(all->requests.count, text), "requests in all");
    html_figure(out, HTML_GOOD, html_number(counts[PAGE_REQUEST_DONE], text), "carried out within 30 days");
    html_figure(out, counts[PAGE_REQUEST_LATE] > 0 ? HTML_BAD : HTML_PLAIN, html_number(counts[PAGE_REQUEST_LATE], text),
        "carried out after 30 days");
    html_figure(out, HTML_PLAIN, html_number(counts[PAGE_REQUEST_OPEN], text), "open, within their time");
    html_figure(out, counts[PAGE_REQUEST_OVERDUE] > 0 ? HTML_BAD : HTML_PLAIN, html_number(counts[PAGE_REQUEST_OVERDUE], text),
        "open after 30 days");
    html_figure(out, HTML_PLAIN, html_number(counts[PAGE_REQUEST_REFUSED], text), "refused");
    html_figures_end(out);
}

void page_requests_html(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Request", false}, {"Kind", false}, {"App", false}, {"Received", false},
        {"Carried out", false}, {"Within 30 days", false}, {"Within 45 days", false}, {"Last copy", false}};
    html_begin(out, all, "requests.html", "People\xe2\x80\x99s requests",
        "Erasures, objections and requests for access, with the time the law gives for them.");
    figures(all, out);
    html_paragraph(out, "30 days stand for the month of GDPR Art. 12(3), 45 days for Cal. Civ. Code \xc2\xa7 1798.130(a)(2). "
                        "\xe2\x80\x9c" "Carried out\xe2\x80\x9d means: no row, no open session and no waiting packet of that person was left in the service. "
                        "The last copy is gone when database files, stream files and backups cannot hold it any more either.");
    html_paragraph(out, "A request bears a random number, never a name. Whether anything was found about the person is not "
                        "recorded: the trail must not tell who was a user.");
    struct html_table table
        = html_table_begin(out, "Requests, in the order in which they were received", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->requests.count; i++) {
        const struct gathered_request *request = hashed_at(&all->requests, i);
        const char *first = met(all, request, FIRST_DAYS), *last = met(all, request, LAST_DAYS);
        html_cell_code(&table, request->id, 8);
        html_cell(&table, request->kind);
        html_cell(&table, request->app);
        html_cell_time(&table, request->received_ms);
        if (request->refused_ms != 0 && request->applied_ms == 0)
            html_cell_mark(&table, HTML_OPEN, "refused");
        else
            html_cell_time(&table, request->applied_ms);
        html_cell_mark(&table, mark_of(first), first);
        html_cell_mark(&table, mark_of(last), last);
        copies_cell(&table, all, request);
    }
    html_table_end(&table, "The trail records no request.");
    html_end(out, all);
}

void page_requests_csv(const struct gathered *all, struct outfile *out)
{
    static const char *const head[] = {"request", "kind", "app", "received_at", "due_30_days", "due_45_days", "applied_at",
        "refused_at", "met_30_days", "met_45_days", "purge_due_at", "purged_at", "received_entry", "applied_entry",
        "purged_entry", NULL};
    outfile_csv_line(out, head);
    for (size_t i = 0; i < all->requests.count; i++) {
        const struct gathered_request *request = hashed_at(&all->requests, i);
        const uint64_t entries[] = {request->received, request->applied, request->purged};
        outfile_csv(out, request->id);
        outfile_csv(out, request->kind);
        outfile_csv(out, request->app);
        outfile_csv_time(out, request->received_ms);
        outfile_csv_time(out, deadline(request, FIRST_DAYS));
        outfile_csv_time(out, deadline(request, LAST_DAYS));
        outfile_csv_time(out, request->applied_ms);
        outfile_csv_time(out, request->refused_ms);
        outfile_csv(out, met(all, request, FIRST_DAYS));
        outfile_csv(out, met(all, request, LAST_DAYS));
        outfile_csv_time(out, request->purge_due_ms);
        outfile_csv_time(out, request->purged_ms);
        for (size_t n = 0; n < sizeof entries / sizeof *entries; n++) {
            if (entries[n] == 0)
                outfile_csv(out, NULL);
            else
                outfile_csv_number(out, entries[n] - 1);
        }
        outfile_csv_end(out);
    }
}
