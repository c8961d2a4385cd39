/*
 * throng retain: what must be done from time to time so that what was deleted is gone: tables and log written anew after people's
 * requests, expired answers and backups deleted, emergency purges finished that a store held up.
 *
 * Sees:     no row about a person.
 * Uses:     service/cli/retention, purging, orders.
 * Threads:  one.
 * Failure:  exit status 1; without --once it goes on and tries again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/orders.h"
#include "service/cli/purging.h"
#include "service/cli/retention.h"

#define NAME "retain"
#define TURN_MS 5000
#define HOUR_MS (3600LL * 1000)
#define RETRY_MS (5LL * 60 * 1000)

static void print_report(const struct retention_report *report, bool json)
{
    char text[32];
    if (json) {
        (void)printf("{\"clean_through_ms\":%" PRId64 ",\"rewritten\":%s,\"tables\":%" PRId64 ",\"backups_gone\":%" PRId64
                     ",\"backups_kept\":%" PRId64 ",\"backups_unknown\":%" PRId64 ",\"answers\":%" PRId64 "}\n",
            report->clean_through_ms, report->rewritten ? "true" : "false", report->tables, report->backups_gone,
            report->backups_kept, report->backups_unknown, report->answers);
        return;
    }
    (void)printf("what requests deleted before %s is in no file of PostgreSQL%s\n",
        clock_format(report->clean_through_ms, text, sizeof text), report->rewritten ? ": its tables and log were written anew" : "");
    (void)printf("backups: %" PRId64 " kept, %" PRId64 " expired and deleted; %" PRId64 " expired answers deleted\n",
        report->backups_kept, report->backups_gone, report->answers);
    if (report->backups_unknown > 0)
        (void)printf("%" PRId64 " backups are expired, and cannot be deleted from here: delete them and say so with `throng backup "
                     "gone ID` (`throng backup list` shows them)\n", report->backups_unknown);
}

static enum result run(struct command_context *context, bool now, struct retention_report *report, struct failure *why)
{
    *report = (struct retention_report){0};
    struct db *db = db_new(context->config.postgres_conninfo, "throng retain");
    enum result result = db_connect(db, why);
    if (result == RESULT_OK)
        result = retention_expire(context, db, report, why);
    if (result == RESULT_OK)
        result = retention_postgres(db, now, report, why);
    db_free(db);
    return result;
}

static int run_once(struct command_context *context)
{
    struct failure why = {0};
    struct retention_report report;
    if (run(context, true, &report, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    print_report(&report, context->json);
    return 0;
}

/* Finish what purges were ordered; quiet while a store is away. */
static void finish_purges(struct command_context *context)
{
    static struct orders_purge orders[ORDERS_MAX];
    struct failure why = {0};
    size_t count = 0;
    enum result read = orders_read(context->config.ingest_state, orders, &count, &why);
    if (read != RESULT_OK)
        log_event(LOG_LEVEL_ERROR, "retain.order_unreadable", LOG_FAILURE(read, &why));
    for (size_t i = 0; i < count; i++) {
        struct failure reason = {0};
        struct purging_progress at;
        enum result result = purging_advance(context, &orders[i], &at, &reason);
        if (result == RESULT_OK && at.done)
            log_event(LOG_LEVEL_WARN, "retain.purged", LOG_INT("shards", at.purged));
        else if (result != RESULT_OK && result != RESULT_UNAVAILABLE)
            log_event(LOG_LEVEL_ERROR, "retain.purge_failed", LOG_FAILURE(result, &reason));
    }
}

/* One pass; when the next one is due is returned. */
static int64_t pass(struct command_context *context)
{
    struct failure why = {0};
    struct retention_report report;
    enum result result = run(context, false, &report, &why);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_WARN, "retain.failed", LOG_FAILURE(result, &why));
        return clock_steady_ms() + RETRY_MS;
    }
    log_event(LOG_LEVEL_INFO, "retain.done", LOG_INT("tables", report.tables), LOG_INT("backups_gone", report.backups_gone),
        LOG_INT("backups_kept", report.backups_kept), LOG_INT("answers", report.answers));
    if (report.backups_unknown > 0)
        log_event(LOG_LEVEL_ERROR, "retain.backup_expired", LOG_INT("count", report.backups_unknown));
    return clock_steady_ms() + HOUR_MS;
}

int retain_command(struct command_context *context, int argc, char **argv)
{
    bool once = false;
    const struct flag flags[] = {{.name = "once", .on = &once}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    if (context->config.postgres_conninfo[0] == '\0')
        return command_usage(NAME, "postgres.conninfo is not set: no throng.conf was found (--data DIR or --config FILE says where)");
    if (once)
        return run_once(context);
    log_init(NAME, LOG_LEVEL_INFO);
    for (int64_t due_ms = 0;; (void)usleep(TURN_MS * 1000)) {
        finish_purges(context);
        if (clock_steady_ms() >= due_ms)
            due_ms = pass(context);
    }
}
