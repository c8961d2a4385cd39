#include <inttypes.h>
#include <string.h>

#include "compliance/report/html.h"
#include "compliance/report/pages.h"

static uint64_t sum(const struct gathered *all, bool denied)
{
    uint64_t count = 0;
    for (size_t i = 0; i < all->access.count; i++) {
        const struct gathered_access *access = hashed_at(&all->access, i);
        count += access->denied == denied ? access->count : 0;
    }
    return count;
}

static const char *reason(const char *name)
{
    static const char *const reasons[][2] = {{"no_key", "no key was shown"}, {"unknown_key", "the key is not known or revoked"},
        {"scope", "the key is for something else"}, {"app", "the key is for another app"}, {"*", "all apps"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i][0], name) == 0)
            return reasons[i][1];
    return name;
}

static void access_table(const struct gathered *all, struct outfile *out, bool denied)
{
    static const struct html_column reads[] = {{"Month", false}, {"Reader", false}, {"Handle", false}, {"What was read", false},
        {"Times", true}};
    static const struct html_column denials[] = {{"Month", false}, {"Reader", false}, {"Handle", false}, {"Why", false},
        {"Times", true}};
    struct html_table table = html_table_begin(out, denied ? "Denied, by month" : "Read, by month", denied ? denials : reads, 5);
    for (size_t i = 0; i < all->access.count; i++) {
        const struct gathered_access *access = hashed_at(&all->access, i);
        if (access->denied != denied)
            continue;
        html_cell(&table, access->month);
        html_cell(&table, access->type);
        html_cell_code(&table, access->actor, 13);
        html_cell(&table, reason(access->what));
        html_cell_number(&table, access->count);
    }
    html_table_end(&table, denied ? "The trail records no denial." : "The trail records no reading.");
}

static void credential_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Key", false}, {"Begins with", false}, {"May", false}, {"App", false},
        {"Made", false}, {"Revoked", false}};
    struct html_table table = html_table_begin(out, "Keys to the service", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->credentials.count; i++) {
        const struct gathered_credential *credential = hashed_at(&all->credentials, i);
        html_cell_code(&table, credential->id, 8);
        html_cell_code(&table, credential->hint, 0);
        html_cell(&table, strcmp(credential->scope, "write") == 0 ? "send events" : credential->scope);
        html_cell(&table, credential->app[0] == '\0' ? "all" : credential->app);
        html_cell_time(&table, credential->made_ms);
        html_cell_time(&table, credential->revoked_ms);
    }
    html_table_end(&table, "The trail records no key to the service.");
}

void page_access_html(const struct gathered *all, struct outfile *out)
{
    char text[40];
    html_begin(out, all, "access.html", "Access",
        "Who read released numbers or this trail, who was turned away, and which keys were given out.");
    html_figures_begin(out);
    html_figure(out, HTML_PLAIN, html_number(sum(all, false), text), "readings recorded");
    html_figure(out, HTML_PLAIN, html_number(sum(all, true), text), "denials recorded");
    html_figure(out, HTML_PLAIN, html_number(all->credentials.count, text), "keys to the service, ever");
    html_figures_end(out);
    html_paragraph(out, "Readers appear by their handle, the identifier of a key or a role, never by name. Who holds which key is for the "
                        "operator to know. Readings are counted by reader and hour. What is read through this service are released, "
                        "anonymized numbers; the state they are made of has no reader.");
    access_table(all, out, false);
    access_table(all, out, true);
    credential_table(all, out);
    html_end(out, all);
}

void page_access_csv(const struct gathered *all, struct outfile *out)
{
    static const char *const head[] = {"month", "outcome", "reader_type", "reader", "what", "times", "entries", NULL};
    outfile_csv_line(out, head);
    for (size_t i = 0; i < all->access.count; i++) {
        const struct gathered_access *access = hashed_at(&all->access, i);
        outfile_csv(out, access->month);
        outfile_csv(out, access->denied ? "denied" : "read");
        outfile_csv(out, access->type);
        outfile_csv(out, access->actor);
        outfile_csv(out, access->what);
        outfile_csv_number(out, access->count);
        outfile_csv_number(out, access->entries);
        outfile_csv_end(out);
    }
}
