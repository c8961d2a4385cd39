/*
 * throng purge: the emergency exit. An app's keys are destroyed, its collection stops, its state, streams and spool are deleted.
 *
 * Sees:     an operator's words (the reason).
 * Uses:     service/cli/purging, orders.
 * Threads:  one.
 * Failure:  exit status 1 when it is not done (yet): the order stays and is finished by `throng up` or --resume.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/cli/ask.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/orders.h"
#include "service/cli/progress.h"
#include "service/cli/purging.h"

#define NAME "purge"
#define POLL_MS 500

static void print_outcome(const struct orders_purge *order, const struct purging_progress *progress, bool json)
{
    char id[UUID_TEXT_BYTES];
    (void)uuid_format(order->id, id);
    if (json) {
        (void)printf("{\"purge\":\"%s\",\"app\":\"%s\",\"recorded\":%s,\"told\":%s,\"shards\":%" PRId64 ",\"purged\":%" PRId64
                     ",\"other_nodes\":%" PRId64 ",\"done\":%s}\n",
            id, order->app, order->recorded ? "true" : "false", order->told ? "true" : "false", progress->shards, progress->purged,
            progress->others, progress->done ? "true" : "false");
        return;
    }
    (void)printf("purge    %s of %s\nintent   %s\ningest   %s\n", id, order->app,
        order->recorded ? "in the audit trail" : "not in the audit trail yet: PostgreSQL is away",
        order->told ? "this machine's: its keys are destroyed, nothing is collected" : "not told yet");
    if (progress->shards > 0)
        (void)printf("shards   %" PRId64 " of %" PRId64 " deleted\n", progress->purged, progress->shards);
    if (progress->others > 0)
        (void)printf("others   ingest nodes that go on beside this machine's: %" PRId64 " (`throng node list`); give the order there too\n",
            progress->others);
    (void)puts(progress->done ? "done" : "not done yet: `throng up` goes on by itself, or `throng purge --resume`");
}

/* Go on until it is done, or timeout_s is over, or a store is away. */
static enum result follow(struct command_context *context, struct orders_purge *order, int64_t timeout_s,
    struct purging_progress *at, struct failure *why)
{
    char note[64];
    struct progress bar;
    int64_t until_ms = clock_steady_ms() + timeout_s * 1000;
    progress_begin(&bar, context->terminal && !context->json, "purge");
    enum result result = purging_advance(context, order, at, why);
    while (result == RESULT_OK && !at->done && clock_steady_ms() < until_ms) {
        (void)snprintf(note, sizeof note, "%" PRId64 " of %" PRId64 " shards", at->purged, at->shards);
        progress_update(&bar, at->shards == 0 ? -1 : (double)at->purged / (double)at->shards, note);
        (void)usleep(POLL_MS * 1000);
        result = purging_advance(context, order, at, why);
    }
    progress_end(&bar);
    return result;
}

static int finish(struct command_context *context, struct orders_purge *order, int64_t timeout_s)
{
    struct failure why = {0};
    struct purging_progress at = {0};
    enum result result = follow(context, order, timeout_s, &at, &why);
    if (result == RESULT_NOT_FOUND)
        return command_fail(NAME, &why);
    print_outcome(order, &at, context->json);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    return at.done ? 0 : 1;
}

static int resume(struct command_context *context, int64_t timeout_s)
{
    static struct orders_purge orders[ORDERS_MAX];
    struct failure why = {0};
    size_t count = 0;
    int status = 0;
    if (orders_read(context->config.ingest_state, orders, &count, &why) != RESULT_OK)
        status = command_fail(NAME, &why);
    if (count == 0 && status == 0 && !context->json)
        (void)puts("no purge is open");
    for (size_t i = 0; i < count; i++)
        status |= finish(context, &orders[i], timeout_s);
    return status;
}

static int order_new(struct command_context *context, const char *app, const char *reason, int64_t timeout_s)
{
    struct failure why = {0};
    struct orders_purge order = {.ordered_ms = clock_now_ms()};
    if (strlen(app) > NAME_MAX_BYTES || strspn(app, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(app))
        return command_usage(NAME, "--app is an app's name, as `throng app list` shows it");
    if (reason[0] == '\0' || strlen(reason) >= ORDERS_REASON_BYTES)
        return command_usage(NAME, "--reason has 1 to %d bytes", ORDERS_REASON_BYTES - 1);
    uuid_make(order.id);
    (void)snprintf(order.app, sizeof order.app, "%s", app);
    (void)snprintf(order.reason, sizeof order.reason, "%s", reason);
    if (orders_write(context->config.ingest_state, &order, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    return finish(context, &order, timeout_s);
}

/* Whether every purge of app is done: what is sent under a new key before that could be deleted by one that still is on its way. */
static enum result check_done(struct command_context *context, const char *app, struct failure *why)
{
    static struct orders_purge orders[ORDERS_MAX];
    size_t count = 0;
    bool open = false;
    enum result result = orders_read(context->config.ingest_state, orders, &count, why);
    for (size_t i = 0; i < count; i++)
        open = open || strcmp(orders[i].app, app) == 0;
    if (result == RESULT_OK && !open)
        result = purging_is_open(context, app, &open, why);
    if (result != RESULT_OK || !open)
        return result;
    failure_set(why, "app", "its purge is not done yet: `throng up` goes on with it by itself, or `throng purge --resume`");
    return RESULT_UNAVAILABLE;
}

/* Collect again, under a new key. */
static int restart(struct command_context *context, const char *app)
{
    char path[NAME_MAX_BYTES + 64];
    struct failure why = {0};
    json_t *document = NULL;
    if (check_done(context, app, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    (void)snprintf(path, sizeof path, "/v1/apps/%.*s/resume", NAME_MAX_BYTES, app);
    if (ask_ingest(context, "POST", path, NULL, &document, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    json_decref(document);
    (void)printf(context->json ? "{\"app\":\"%s\",\"collected\":true}\n" : "%s is collected again, under a new key\n", app);
    return 0;
}

int purge_command(struct command_context *context, int argc, char **argv)
{
    const char *app = NULL, *reason = NULL;
    bool yes = false, resumes = false, restarts = false;
    int64_t timeout_s = 60;
    const struct flag flags[] = {{.name = "app", .text = &app}, {.name = "reason", .text = &reason}, {.name = "yes", .on = &yes},
        {.name = "resume", .on = &resumes}, {.name = "restart", .on = &restarts},
        {.name = "timeout", .number = &timeout_s, .least = 0, .most = 86400}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    if (resumes)
        return app != NULL || reason != NULL ? command_usage(NAME, "--resume finishes what was ordered and takes no --app or --reason")
                                             : resume(context, timeout_s);
    if (restarts && app != NULL && reason == NULL)
        return restart(context, app);
    if (app == NULL || reason == NULL || restarts)
        return command_usage(NAME, "--app APP and --reason TEXT are needed, or --resume, or --app APP --restart");
    if (!yes)
        return command_usage(NAME,
            "a purge of %s destroys its keys, stops its collection and deletes its whole state, streams and spool; released numbers "
            "stay. It cannot be undone: repeat it with --yes",
            app);
    return order_new(context, app, reason, timeout_s);
}
