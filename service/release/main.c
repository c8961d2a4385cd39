/*
 * throng-release: publishes what is closed, and nothing else does. It looks for due days, releases them app by app in
 * order, and waits. While PostgreSQL is away it tries again; what was missed is released late.
 *
 * Sees:     closed sums; no raw id, key or pseudonym: its role has no grant on a column of one.
 * Uses:     service/base, db, catalogue, release; PostgreSQL by role throng_release.
 * Threads:  one, and the status socket's.
 * Failure:  ends with 2 on a configuration error, 1 if the status socket, the sandbox or the state directory cannot be had.
 *           While the database lacks releases that were made (head.h) and the trail does not give them back (replay.h),
 *           nothing is released.
 */
#include <sodium.h>

#include "anonymizer/release/policy.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/sandbox.h"
#include "service/base/status.h"
#include "service/catalogue/definition.h"
#include "service/catalogue/fingerprint.h"
#include "service/db/trail.h"
#include "service/release/publish.h"
#include "service/release/replay.h"
#include "service/release/schedule.h"

#define RETRY_MAX_MS 5000 /* between looks that fail, unless they are further apart anyway */

/* Logged once for each version of a definition: the schedule leaves it out afterwards. Without memory for that, it is told
 * again at the next look. */
static void refuse(struct schedule *schedule, const struct schedule_due *due, enum result result, const struct failure *why)
{
    log_event(LOG_LEVEL_WARN, "release.refused", LOG_UINT("app", due->app), LOG_UINT("version", due->version),
        LOG_FAILURE(result, why));
    (void)schedule_refuse(schedule, due, NULL);
}

static void report(const struct app *app, const struct schedule_due *due, const struct publish_count *count)
{
    if (count->transactions == 0)
        return;
    metrics_add(METRIC_RELEASES, count->transactions);
    metrics_add(METRIC_RELEASE_ROWS, count->rows);
    metrics_set(METRIC_RELEASE_LAST_SUCCESS, clock_now_ms() / 1000);
    log_event(LOG_LEVEL_INFO, "release.done", LOG_NAME("name", app->name), LOG_UINT("app", due->app),
        LOG_UINT("transactions", count->transactions), LOG_UINT("rows", count->rows));
    if (count->refused > 0)
        log_event(LOG_LEVEL_WARN, "release.not_reserved", LOG_NAME("name", app->name), LOG_UINT("app", due->app),
            LOG_UINT("releases", count->refused));
}

/* RESULT_OK also when the app's definition lets nothing leave. */
static enum result release_app(struct db *db, struct schedule *schedule, const struct schedule_due *due,
    struct publish_head *head, struct failure *why)
{
    struct app app = {0};
    enum result code = schedule_definition(db, due, &app, why);
    if (code == RESULT_INVALID || code == RESULT_NOT_FOUND) {
        refuse(schedule, due, code, why);
        return RESULT_OK;
    }
    if (code != RESULT_OK)
        return code;
    struct policy policy;
    struct publish_count count = {0};
    code = policy_make(app.preset, app.allow_unprotected, app.k, &policy, why);
    if (code == RESULT_OK) {
        code = publish_app(db, &app, due, head, &count, why);
        report(&app, due, &count);
    } else {
        refuse(schedule, due, code, why);
        code = RESULT_OK;
    }
    definition_free(&app);
    return code;
}

/* One look at the schedule. An app that fails does not hold up the others, unless the database is away. */
static enum result look(struct db *db, struct schedule *schedule, struct publish_head *head)
{
    struct failure why = {0};
    enum result first = schedule_read(db, schedule, &why);
    if (first != RESULT_OK) {
        log_event(LOG_LEVEL_WARN, "release.schedule_failed", LOG_FAILURE(first, &why));
        return first;
    }
    for (size_t i = 0; i < schedule->count && !lifecycle_ending(); i++) {
        why = (struct failure){0};
        enum result code = release_app(db, schedule, &schedule->due[i], head, &why);
        if (code == RESULT_OK)
            continue;
        log_event(LOG_LEVEL_WARN, "release.failed", LOG_UINT("app", schedule->due[i].app), LOG_FAILURE(code, &why));
        first = first == RESULT_OK ? code : first;
        if (code == RESULT_UNAVAILABLE)
            break;
    }
    return first;
}

/* Put back what a restored database lacks, from the trail. */
static enum result put_back(struct db *db, struct failure *why)
{
    struct replay_count count = {0};
    enum result code = replay_missing(db, &count, why);
    if (count.plans + count.releases + count.refused > 0)
        log_event(LOG_LEVEL_WARN, "release.put_back", LOG_UINT("plans", count.plans), LOG_UINT("releases", count.releases),
            LOG_UINT("refused", count.refused));
    return code;
}

/* Whether the database has every release that is known to have been made: by the head's copy, and by the trail. Nothing is
 * released before. */
static enum result make_whole(struct db *db, const struct publish_head *head)
{
    static enum result last = RESULT_OK;
    struct failure why = {0};
    enum result code = put_back(db, &why);
    if (code == RESULT_OK)
        code = head_check(db, &head->known, &why);
    bool blocked = code != RESULT_OK && code != RESULT_UNAVAILABLE;
    if (code == RESULT_UNAVAILABLE && code != last)
        log_event(LOG_LEVEL_WARN, "release.database_away", LOG_FAILURE(code, &why));
    if (blocked && code != last)
        log_event(LOG_LEVEL_ERROR, "release.blocked", LOG_FAILURE(code, &why));
    last = code;
    metrics_set(METRIC_RELEASE_BLOCKED, blocked);
    return code;
}

/* One round. *whole: nothing that was released is missing, as far as the last look told. */
static enum result turn(struct db *db, struct schedule *schedule, struct publish_head *head, bool *whole)
{
    struct failure why = {0};
    enum result code = *whole ? head_check(db, &head->known, &why) : RESULT_CORRUPT;
    if (code == RESULT_CORRUPT)
        code = make_whole(db, head);
    *whole = code == RESULT_OK || (*whole && code == RESULT_UNAVAILABLE);
    return code == RESULT_OK ? look(db, schedule, head) : code;
}

/* What daemon_started says, until the trail has it. */
struct start {
    uint8_t binary[FINGERPRINT_BYTES], configuration[FINGERPRINT_BYTES];
    bool told;
};

static void tell_start(struct db *db, struct start *start)
{
    struct failure why = {0};
    if (!start->told)
        start->told = trail_started(db, "release", start->binary, start->configuration, &why) == RESULT_OK;
}

static void loop(struct db *db, struct publish_head *head, struct start *start, int64_t poll_ms)
{
    struct schedule schedule = {0};
    int64_t wait_ms = poll_ms;
    bool whole = false;
    while (!lifecycle_ending()) {
        tell_start(db, start);
        enum result code = turn(db, &schedule, head, &whole);
        metrics_set(METRIC_POSTGRES_UP, code != RESULT_UNAVAILABLE);
        status_ready(code != RESULT_UNAVAILABLE);
        /* A failure that lasts is told at growing distances, not at every look. */
        if (code == RESULT_OK)
            wait_ms = poll_ms;
        else if (wait_ms < RETRY_MAX_MS)
            wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
        (void)lifecycle_sleep_ms(wait_ms);
    }
    schedule_free(&schedule);
}

int main(int argc, char **argv)
{
    static struct config config;
    struct failure why = {0};
    config_from_arguments(argc, argv, "publishes the numbers of closed periods", &config);
    enum log_level level = LOG_LEVEL_INFO;
    (void)log_level_named(config.run_log_level, &level);
    log_init("release", level);
    lifecycle_begin(true);
    struct publish_head head = {.state = config.release_state};
    static struct start start;
    enum result code = sodium_init() < 0 ? RESULT_FAILED : head_load(head.state, &head.known, &why);
    if (code == RESULT_OK)
        code = fingerprint_binary(start.binary, &why);
    fingerprint_config(&config, start.configuration);
    if (code == RESULT_OK)
        code = status_start(config.run_directory, "release", &why);
    if (code == RESULT_OK && config.run_sandbox)
        code = sandbox_enter(SANDBOX_RELEASE, &why);
    if (code != RESULT_OK) {
        log_event(LOG_LEVEL_ERROR, "release.start_failed", LOG_FAILURE(code, &why));
        return 1;
    }
    struct db *db = db_new(config.postgres_conninfo, "throng-release");
    log_event(LOG_LEVEL_INFO, "release.started");
    loop(db, &head, &start, config.release_poll_ms);
    if (start.told)
        (void)trail_stopped(db, "release", &why);
    db_free(db);
    status_stop();
    log_event(LOG_LEVEL_INFO, "release.stopped");
    return 0;
}
