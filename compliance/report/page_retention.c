#include <inttypes.h>
#include <stdio.h>

#include "compliance/report/html.h"
#include "compliance/report/pages.h"

static void flow_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Month", false}, {"App", false}, {"Days on which state ended", true},
        {"People whose state ended, at least", true}, {"Tombstones ended", true}};
    struct html_table table = html_table_begin(out, "State that ended with its time", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->flows.count; i++) {
        const struct gathered_flow *flow = hashed_at(&all->flows, i);
        if (flow->expired_days == 0 && flow->marks == 0)
            continue;
        html_cell_month(&table, flow->month);
        html_cell(&table, flow->app[0] == '\0' ? "(all)" : flow->app);
        html_cell_number(&table, flow->expired_days);
        html_cell_number(&table, flow->expired_people);
        html_cell_number(&table, flow->marks);
    }
    html_table_end(&table, "The trail records no state that ended.");
}

static void backup_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"Backup", false}, {"Made", false}, {"To be destroyed by", false},
        {"Destroyed", false}};
    struct html_table table = html_table_begin(out, "Backups", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->backups.count; i++) {
        const struct gathered_backup *backup = hashed_at(&all->backups, i);
        bool late = backup->gone_ms == 0 && backup->expires_ms != 0 && all->newest_ms > backup->expires_ms;
        html_cell_code(&table, backup->id, 8);
        html_cell_time(&table, backup->made_ms);
        html_cell_time(&table, backup->expires_ms);
        if (backup->gone_ms != 0)
            html_cell_time(&table, backup->gone_ms);
        else
            html_cell_mark(&table, late ? HTML_BAD : HTML_OPEN, late ? "no, and it is past its time" : "not yet");
    }
    html_table_end(&table, "The trail records no backup.");
}

static void purge_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"App", false}, {"Ordered", false}, {"Finished", false}, {"Shards", true}};
    struct html_table table = html_table_begin(out, "Emergency purges", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->purges.count; i++) {
        const struct gathered_purge *purge = hashed_at(&all->purges, i);
        html_cell(&table, purge->app);
        html_cell_time(&table, purge->ordered_ms);
        if (purge->done_ms != 0)
            html_cell_time(&table, purge->done_ms);
        else
            html_cell_mark(&table, HTML_OPEN, "no entry says so");
        html_cell_number(&table, (uint64_t)purge->shards);
    }
    html_table_end(&table, "The trail records no emergency purge.");
}

static void horizon_table(const struct gathered *all, struct outfile *out)
{
    static const struct html_column columns[] = {{"App", false}, {"State is kept for, days", true}, {"A key lives, days", true},
        {"Returning people are recognised over, epochs", true}};
    struct html_table table = html_table_begin(out, "What the definitions in force allow", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < all->apps.count; i++) {
        const struct gathered_app *app = hashed_at(&all->apps, i);
        const json_t *days = json_object_get(app->definition, "horizon_days");
        const json_t *epoch = json_object_get(app->definition, "epoch_days"), *link = json_object_get(app->definition, "link_epochs");
        if (app->definition == NULL || app->twin)
            continue;
        html_cell(&table, app->name);
        html_cell_number(&table, days == NULL ? 400 : (uint64_t)json_integer_value(days));
        html_cell_number(&table, epoch == NULL ? 92 : (uint64_t)json_integer_value(epoch));
        html_cell_number(&table, link == NULL ? 1 : (uint64_t)json_integer_value(link));
    }
    html_table_end(&table, "No definition is at hand.");
}

void page_retention_html(const struct gathered *all, struct outfile *out)
{
    html_begin(out, all, "retention.html", "Retention", "How long things are kept, and what was removed when.");
    horizon_table(all, out);
    html_paragraph(out, "State about a person is pseudonymous. It ends when the person was not seen for the time that the definition says. "
                        "Of how many people it ended is recorded as a power of two each day, rounded down: so the sum is a lower bound, "
                        "and the true number is less than twice as much.");
    flow_table(all, out);
    html_paragraph(out, "A tombstone makes sure that an erased person does not come back with a late packet or an old backup. It ends when "
                        "neither can exist any more.");
    backup_table(all, out);
    purge_table(all, out);
    html_paragraph(out, "Released numbers are kept: they are anonymized, and what was once published cannot be taken back.");
    html_end(out, all);
}

static void csv_row(struct outfile *out, const char *what, const char *app, const char *subject, int64_t from_ms, int64_t due_ms,
    int64_t done_ms)
{
    outfile_csv(out, what);
    outfile_csv(out, app);
    outfile_csv(out, subject);
    outfile_csv_time(out, from_ms);
    outfile_csv_time(out, due_ms);
    outfile_csv_time(out, done_ms);
    outfile_csv(out, NULL);
    outfile_csv_end(out);
}

void page_retention_csv(const struct gathered *all, struct outfile *out)
{
    static const char *const head[] = {"what", "app", "subject", "began_at", "due_at", "done_at", "count_at_least", NULL};
    outfile_csv_line(out, head);
    for (size_t i = 0; i < all->flows.count; i++) {
        const struct gathered_flow *flow = hashed_at(&all->flows, i);
        for (int part = 0; part < 2; part++) {
            if ((part == 0 ? flow->expired_days : flow->marks) == 0)
                continue;
            outfile_csv(out, part == 0 ? "state_expired" : "mark_expired");
            outfile_csv(out, flow->app);
            outfile_csv(out, flow->month);
            for (int blank = 0; blank < 3; blank++)
                outfile_csv(out, NULL);
            outfile_csv_number(out, part == 0 ? flow->expired_people : flow->marks);
            outfile_csv_end(out);
        }
    }
    for (size_t i = 0; i < all->backups.count; i++) {
        const struct gathered_backup *backup = hashed_at(&all->backups, i);
        csv_row(out, "backup", NULL, backup->id, backup->made_ms, backup->expires_ms, backup->gone_ms);
    }
    for (size_t i = 0; i < all->purges.count; i++) {
        const struct gathered_purge *purge = hashed_at(&all->purges, i);
        csv_row(out, "emergency_purge", purge->app, NULL, purge->ordered_ms, 0, purge->done_ms);
    }
}
