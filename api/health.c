#include "api/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "api/daemons.h"
#include "api/standing.h"
#include "service/base/clock.h"

#define LAG_WARN 100000 /* entries: minutes of work */
#define WHOLE 5         /* daemons that an installation has: aggregate, api, audit, ingest, release */

#define PENDING_S 60    /* a leaf has its index within seconds */
#define SLACK_S 60      /* that a heartbeat of the log may come late */
#define DEADLINE_WARN_MS (7 * 86400000LL)
#define EPOCH_LATE_S 86400 /* a key is ratcheted within a day of its epoch's end */

/* From good to bad. */
enum state { PASS, WARN, FAIL };

static const char *const states[] = {"pass", "warn", "fail"};

/* A health document under way. */
struct report {
    json_t *checks;
    enum state worst;
};

/* Add a check; response_ms < 0: none was measured. */
__attribute__((format(printf, 5, 6))) static void check(struct report *report, const char *name, enum state state,
    int64_t response_ms, const char *format, ...)
{
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_object_set_new(report->checks, name,
        json_pack("{s:s,s:o,s:s}", "status", states[state], "response_time_ms",
            response_ms < 0 ? json_null() : json_integer(response_ms), "message", text));
    if (state > report->worst)
        report->worst = state;
}

/* A socket that is there must be answered at. One that is not may be another machine's business. */
static void check_daemons(struct report *report, const struct daemons *daemons)
{
    size_t ready = 0;
    int64_t longest_ms = 0;
    for (size_t i = 0; i < daemons->count; i++) {
        ready += json_is_true(json_object_get(daemons->list[i].status, "ready"));
        if (daemons->list[i].answer_ms > longest_ms)
            longest_ms = daemons->list[i].answer_ms;
    }
    enum state state = ready < daemons->count ? FAIL : ready < WHOLE ? WARN : PASS;
    check(report, "daemons", state, longest_ms, "%zu of %zu daemons on this machine do their work; %d are a whole installation",
        ready, daemons->count, WHOLE);
}

/* What the daemons that use it say; each knows by itself. */
static void check_redis(struct report *report, const struct daemons *daemons)
{
    int64_t users = 0, up = 0;
    for (size_t i = 0; i < daemons->count; i++) {
        bool any;
        const struct daemons one = {.list = {daemons->list[i]}, .count = 1};
        up += daemons_metric(&one, "throng_dependency_up", "redis", &any) > 0;
        users += any;
    }
    check(report, "redis", up < users ? FAIL : users == 0 ? WARN : PASS, -1, "answers %lld of the %lld daemons here that use it",
        (long long)up, (long long)users);
}

static void check_postgres(struct report *report, struct call *call, const struct daemons *daemons)
{
    struct failure why = {0};
    bool any;
    int64_t before_ms = clock_steady_ms();
    struct db *db = call_db(call, &why);
    bool here = db != NULL && db_run(db, "health_ping", "SELECT 1", NULL, NULL, &why) == RESULT_OK;
    int64_t took_ms = clock_steady_ms() - before_ms;
    int64_t up = daemons_metric(daemons, "throng_dependency_up", "postgres", &any);
    check(report, "postgres", here ? PASS : FAIL, took_ms, "%s; up for %lld daemons", here ? "answers" : "does not answer",
        (long long)up);
}

static void check_stream(struct report *report, const struct daemons *daemons)
{
    bool any;
    int64_t lag = daemons_metric(daemons, "throng_stream_lag_entries", "", &any);
    check(report, "stream_lag", !any || lag > LAG_WARN ? WARN : PASS, -1,
        any ? "%lld entries are not applied yet" : "%lld: no aggregator here has a shard", (long long)lag);
}

static void check_spool(struct report *report, const struct daemons *daemons)
{
    bool any, known;
    int64_t bytes = daemons_metric(daemons, "throng_spool_bytes", "", &known);
    int64_t capacity = daemons_metric(daemons, "throng_spool_capacity_bytes", "", &any);
    enum state state = bytes > 0 || !any ? WARN : PASS;
    if (any && bytes > capacity / 5 * 4)
        state = FAIL;
    check(report, "spool", state, -1, "%lld of %lld bytes", (long long)bytes, (long long)capacity);
}

static void check_keys(struct report *report, const struct daemons *daemons)
{
    bool any, ingest, told;
    int64_t disagree = daemons_metric(daemons, "throng_key_clocks_disagree", "", &any);
    int64_t end_s = daemons_metric(daemons, "throng_key_epoch_end_timestamp_seconds", "", &told);
    (void)daemons_metric(daemons, "throng_spool_capacity_bytes", "", &ingest);
    if (told && end_s > 0 && end_s + EPOCH_LATE_S < clock_now_ms() / 1000)
        check(report, "keys", FAIL, -1, "a key is used beyond the end of its epoch");
    else
        check(report, "keys", !ingest || disagree > 0 ? WARN : PASS, -1, "%s",
            !ingest ? "no ingest node answers here" : disagree > 0 ? "not ratcheted: clocks disagree" : "ratcheted by the calendar");
}

/* The log of the trail: leaves get their index, and checkpoints are signed. */
static void check_audit(struct report *report, const struct config *config, const struct daemons *daemons,
    const struct standing *standing)
{
    bool any;
    int64_t refused = daemons_metric(daemons, "throng_audit_refused", "", &any);
    int64_t ahead = daemons_metric(daemons, "throng_audit_witnesses", "ahead", &any);
    int64_t age_s = (clock_now_ms() - standing->signed_at_ms) / 1000;
    if (refused > 0)
        check(report, "audit", FAIL, -1, "the signer refuses: the log in the database does not continue the one it signed last");
    else if (ahead > 0)
        check(report, "audit", FAIL, -1, "a witness has seen a larger log than this one: leaves were lost");
    else if (standing->pending_s > PENDING_S)
        check(report, "audit", FAIL, -1, "%lld leaves wait for their place in the log, the first for %lld s",
            (long long)standing->pending, (long long)standing->pending_s);
    else if (standing->size == 0)
        check(report, "audit", WARN, -1, "no checkpoint was signed yet");
    else
        check(report, "audit", age_s > config->audit_heartbeat_s + SLACK_S ? FAIL : PASS, -1,
            "checkpoint of %lld leaves signed %lld s ago", (long long)standing->size, (long long)age_s);
}

static void check_requests(struct report *report, const struct standing *standing)
{
    int64_t left_ms = standing->first_deadline_ms - clock_now_ms();
    if (standing->open_requests == 0)
        check(report, "subject_requests", PASS, -1, "none waits for its last copies to be removed");
    else
        check(report, "subject_requests", left_ms < 0 ? FAIL : standing->stalled && left_ms < DEADLINE_WARN_MS ? WARN : PASS, -1,
            "%lld wait for their last copies to be removed; the first deadline %s %.1f days%s", (long long)standing->open_requests,
            left_ms < 0 ? "passed by" : "is in", (double)(left_ms < 0 ? -left_ms : left_ms) / 86400000.0,
            standing->stalled ? "; its copies should be gone by now: does `throng retain` run?" : "");
}

/* What the database says of the trail and of requests. */
static void check_standing(struct report *report, struct call *call, const struct daemons *daemons)
{
    struct failure why = {0};
    struct standing standing = {0};
    struct db *db = call_db(call, &why);
    if (db != NULL && standing_read(db, &standing, &why) == RESULT_OK) {
        check_audit(report, call->service->config, daemons, &standing);
        check_requests(report, &standing);
        return;
    }
    check(report, "audit", FAIL, -1, "the database does not answer");
    check(report, "subject_requests", FAIL, -1, "the database does not answer");
}

/* Each daemon that looks for canaries says what it found. */
static void check_self_test(struct report *report, const struct daemons *daemons)
{
    int64_t lookers = 0, good = 0;
    for (size_t i = 0; i < daemons->count; i++) {
        bool any;
        const struct daemons one = {.list = {daemons->list[i]}, .count = 1};
        good += daemons_metric(&one, "throng_selftest_ok", "", &any) > 0;
        lookers += any;
    }
    check(report, "self_test", lookers == 0 ? WARN : good < lookers ? FAIL : PASS, -1, "%s",
        lookers == 0      ? "none has run here yet"
        : good < lookers ? "a canary was found where it must not be"
                         : "no canary was found where none may be");
}

/* A line of /proc/meminfo, in KiB. */
static double memory_line(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line == NULL ? 0 : strtod(line + strlen(name), NULL);
}

static enum state by_share(double left)
{
    return left < 0.03 ? FAIL : left < 0.1 ? WARN : PASS;
}

static void check_memory(struct report *report)
{
    char text[4096] = "";
    FILE *file = fopen("/proc/meminfo", "re");
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        (void)fclose(file);
    }
    double total = memory_line(text, "MemTotal:"), left = memory_line(text, "MemAvailable:");
    check(report, "memory", total > 0 ? by_share(left / total) : FAIL, -1, "%.0f of %.0f MiB are available", left / 1024,
        total / 1024);
}

static void check_cpu(struct report *report)
{
    double loads[1] = {0};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    bool known = getloadavg(loads, 1) == 1 && processors > 0;
    check(report, "cpu", !known || loads[0] > 4.0 * (double)processors ? WARN : PASS, -1, "load %.2f on %ld processors", loads[0],
        processors);
}

static void check_disk(struct report *report, const char *directory)
{
    struct statvfs disk;
    if (statvfs(directory, &disk) != 0 || disk.f_blocks == 0) {
        check(report, "disk", FAIL, -1, "the file system cannot be asked");
        return;
    }
    double left = (double)disk.f_bavail / (double)disk.f_blocks;
    check(report, "disk", by_share(left), -1, "%.1f %% of the file system are free", left * 100);
}

enum MHD_Result health_all(struct call *call)
{
    static const char *const words[] = {"healthy", "degraded", "unhealthy"};
    const struct config *config = call->service->config;
    char now[32];
    struct report report = {.checks = json_object()};
    struct daemons daemons;
    daemons_read(config->run_directory, &daemons);
    check_daemons(&report, &daemons);
    check_redis(&report, &daemons);
    check_postgres(&report, call, &daemons);
    check_stream(&report, &daemons);
    check_spool(&report, &daemons);
    check_keys(&report, &daemons);
    check_standing(&report, call, &daemons);
    check_self_test(&report, &daemons);
    check_memory(&report);
    check_cpu(&report);
    check_disk(&report, config->run_directory);
    daemons_free(&daemons);
    json_t *root = json_pack("{s:s,s:I,s:s,s:s,s:o}", "status", words[report.worst], "uptime_ms",
        (json_int_t)(clock_steady_ms() - call->service->started_ms), "timestamp", clock_format(clock_now_ms(), now, sizeof now),
        "version", THRONG_VERSION, "checks", report.checks);
    struct reply reply = {.status = report.worst == FAIL ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK};
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return call_send(call, &reply, REPLY_JSON, text);
}

static enum MHD_Result say(struct call *call, bool good)
{
    struct reply reply = {.status = good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE};
    return call_send(call, &reply, REPLY_JSON, strdup(good ? "{\"status\":\"pass\"}" : "{\"status\":\"fail\"}"));
}

enum MHD_Result health_live(struct call *call)
{
    return say(call, true);
}

enum MHD_Result health_ready(struct call *call)
{
    return say(call, journal_database_up(call->service->journal));
}
