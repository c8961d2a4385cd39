/*
 * throng report: one page about a period for people, as HTML, PDF (by Chromium) or mail (by sendmail).
 *
 * Sees:     released numbers, an operator's notes.
 * Uses:     service/paper, service/cli/apps, courier.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/courier.h"
#include "service/cli/flags.h"
#include "service/paper/paper.h"

#define NAME "report"

struct report {
    const char *app, *period, *out, *pdf, *mail;
    struct span span;
    char *page; /* owned */
    size_t length;
};

/* A page under way, within its transaction. */
struct making {
    struct report *report;
    FILE *out;
};

static enum result write_page(struct db *db, const struct making *making, const struct apps_row *row, struct failure *why)
{
    struct annotation_list notes = {NULL, 0};
    struct anchor anchor = {.any = false};
    const struct span *span = &making->report->span;
    enum result result = annotation_list_read(db, row->id, paper_first_day(span), span->last, &notes, why);
    if (result == RESULT_OK)
        result = anchor_read(db, -1, &anchor, why);
    const struct paper_order order = {.db = db, .app = &row->app, .span = *span, .notes = &notes, .anchor = &anchor};
    if (result == RESULT_OK)
        result = paper_report(&order, making->out, why);
    anchor_free(&anchor);
    annotation_list_free(&notes);
    return result;
}

static enum result make_in_transaction(struct db *db, void *context, struct failure *why)
{
    const struct making *making = context;
    struct apps_row row;
    enum result result = db_script(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", why);
    if (result == RESULT_OK)
        result = apps_find(db, making->report->app, &row, why);
    if (result != RESULT_OK)
        return result;
    result = write_page(db, making, &row, why);
    apps_row_free(&row);
    return result;
}

static enum result make(struct report *report, struct db *db, struct failure *why)
{
    struct making making = {report, open_memstream(&report->page, &report->length)};
    if (making.out == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    enum result result = db_transaction(db, make_in_transaction, &making, why);
    if (fclose(making.out) == 0 || result != RESULT_OK)
        return result;
    failure_set(why, "", "memory is short");
    return RESULT_FAILED;
}

static enum result deliver(const struct report *report, struct failure *why)
{
    enum result result = RESULT_OK;
    bool elsewhere = report->pdf != NULL || report->mail != NULL;
    if (report->out != NULL || !elsewhere)
        result = courier_write(report->out == NULL ? "-" : report->out, report->page, report->length, why);
    if (result == RESULT_OK && report->pdf != NULL)
        result = courier_print(report->pdf, report->page, report->length, why);
    const struct courier_letter letter = {.to = report->mail, .app = report->app, .period = report->period, .page = report->page,
        .length = report->length};
    return result == RESULT_OK && report->mail != NULL ? courier_mail(&letter, why) : result;
}

static int read_options(struct command_context *context, struct report *report, int argc, char **argv)
{
    const struct flag flags[] = {
        {.name = "app", .text = &report->app},
        {.name = "period", .text = &report->period},
        {.name = "out", .text = &report->out},
        {.name = "pdf", .text = &report->pdf},
        {.name = "mail", .text = &report->mail},
    };
    int operands = flags_parse(context, argc, argv, flags, sizeof flags / sizeof flags[0], NULL, 0);
    if (operands < 0)
        return 2;
    if (report->app == NULL || report->period == NULL)
        return command_usage(NAME, "--app APP and --period are needed");
    if (!span_parse(report->period, &report->span))
        return command_usage(NAME, "--period is an ISO week (2026-W14), a month (2026-04) or a day (2026-04-01)");
    if (report->mail != NULL && !courier_is_address(report->mail))
        return command_usage(NAME, "--mail is one address: name@host, in ASCII and without blanks");
    return 0;
}

int report_command(struct command_context *context, int argc, char **argv)
{
    struct report report = {.page = NULL};
    struct failure why = {0};
    int status = read_options(context, &report, argc, argv);
    if (status != 0)
        return status;
    struct db *db = command_db(context, NAME, false);
    if (db == NULL)
        return 1;
    enum result result = make(&report, db, &why);
    db_free(db);
    if (result == RESULT_OK)
        result = deliver(&report, &why);
    free(report.page);
    return result == RESULT_OK ? 0 : command_fail(NAME, &why);
}
