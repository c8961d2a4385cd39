#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/probe.h"

#define NAME "status"

static const char *const daemons[] = {"audit", "ingest", "aggregate", "release", "api"};
#define DAEMONS (sizeof daemons / sizeof *daemons)

/* Metrics that are shown, of which daemon, and for those that mean trouble the condition's name and what to do. */
static const struct shown {
    const char *daemon, *metric, *title, *condition, *advice;
} shown[] = {
    {"aggregate", "throng_stream_lag_entries", "lag_entries", NULL, NULL},
    {"ingest", "throng_spool_bytes", "spool_bytes", "spool_in_use",
        "Redis was away; what was acknowledged meanwhile waits in the spool and is being replayed"},
    {"ingest", "throng_spool_damaged_total", "spool_damaged", "spool_damaged",
        "spool records could not be read back: acknowledged events are lost; check the disk"},
    {"ingest", "throng_key_clocks_disagree", "clocks_disagree", "clocks_disagree",
        "keys are kept because the machine's clock and Redis's differ by over an hour; set the clocks"},
    {"aggregate", "throng_silent_nodes", "silent_nodes", "silent_nodes",
        "an ingest node is silent and holds back sealing; start it, or `throng node retire NODE`"},
    {"aggregate", "throng_dead_letters_total", "dead_letters", "dead_letters",
        "entries could not be decoded (throng:dead says which); are all daemons of one version?"},
    {"aggregate", "throng_stream_rollbacks_total", "rollbacks", "rollback",
        "Redis lost entries that were there before: it was restored or its disk failed"},
    {"aggregate", "throng_entries_lost", "entries_lost", "lost_entries",
        "entries that ingest acknowledged never came: events are lost"},
    {"audit", "throng_audit_outbox_entries", "unsequenced_leaves", NULL, NULL},
    {"audit", "throng_audit_contradicted", "log_contradicted", "log_contradicted",
        "a witness has seen a log that this one does not go on from: database and audit state were set back together, or somebody "
        "else signs with the log's key"},
    {"audit", "throng_audit_refused", "log_refused", "log_refused",
        "the audit log in the database does not go on from what was signed: nothing is signed; see audit.log for why"},
};
#define SHOWN (sizeof shown / sizeof *shown)

static void fire(json_t *conditions, const char *name, json_int_t value, const char *advice)
{
    (void)json_array_append_new(conditions,
        json_pack("{s:s, s:I, s:s}", "condition", name, "value", value, "advice", advice));
}

/* The daemons' own documents, and whether all are ready. */
static bool look_at_daemons(const struct config *config, json_t *report, json_t *conditions)
{
    bool well = true;
    json_t *list = json_object();
    for (size_t i = 0; i < DAEMONS; i++) {
        json_t *status = probe_status(config->run_directory, daemons[i]);
        bool ready = json_is_true(json_object_get(status, "ready"));
        well = well && ready;
        if (status == NULL)
            fire(conditions, "daemon_missing", (json_int_t)i, daemons[i]);
        else if (!ready)
            fire(conditions, "daemon_not_ready", (json_int_t)i, daemons[i]);
        (void)json_object_set_new(list, daemons[i], status == NULL ? json_null() : status);
    }
    (void)json_object_set_new(report, "daemons", list);
    return well;
}

static void look_at_metrics(json_t *report, json_t *conditions)
{
    json_t *list = json_object();
    const json_t *documents = json_object_get(report, "daemons");
    for (size_t i = 0; i < SHOWN; i++) {
        const json_t *status = json_object_get(documents, shown[i].daemon);
        if (!json_is_object(status))
            continue;
        json_int_t value = probe_metric(status, shown[i].metric);
        (void)json_object_set_new(list, shown[i].title, json_integer(value));
        if (shown[i].condition != NULL && value > 0)
            fire(conditions, shown[i].condition, value, shown[i].advice);
    }
    (void)json_object_set_new(report, "numbers", list);
}

/* Each app: mode, preset, how far it is released, when last. */
static enum result look_at_apps(struct db *db, json_t *report, json_t *conditions, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "status_apps",
        "SELECT a.name, a.mode, coalesce(d.body->'privacy'->>'preset', 'standard'),"
        " coalesce(p.activity_through::text, ''), coalesce(p.sessions_through::text, ''),"
        " (SELECT count(*) FROM release.release r WHERE r.app = a.app),"
        " coalesce((SELECT to_char(max(r.sealed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        "   FROM release.release r WHERE r.app = a.app), '')"
        " FROM config.app a JOIN config.definition d USING (app, version) LEFT JOIN release.progress p USING (app)"
        " WHERE a.twin_of IS NULL ORDER BY a.name",
        NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    json_t *list = json_array();
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *name = db_get_text(rows, i, 0), *mode = db_get_text(rows, i, 1), *preset = db_get_text(rows, i, 2);
        (void)json_array_append_new(list,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "app", name, "mode", mode, "preset", preset,
                "activity_through", db_get_text(rows, i, 3), "sessions_through", db_get_text(rows, i, 4), "releases",
                (json_int_t)db_get_int8(rows, i, 5), "last_sealed_at", db_get_text(rows, i, 6)));
        if (strcmp(mode, "importing") == 0)
            fire(conditions, "app_importing", i, name);
        if (strcmp(preset, "exact") == 0 || strcmp(preset, "threshold-only") == 0)
            fire(conditions, "app_unprotected", i, name);
    }
    PQclear(rows);
    (void)json_object_set_new(report, "apps", list);
    return RESULT_OK;
}

/* The newest signed checkpoint of the audit trail. */
static enum result look_at_log(struct db *db, json_t *report, json_t *conditions, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "status_log",
        "SELECT size, signed_at FROM audit.checkpoint ORDER BY size DESC, signed_at DESC LIMIT 1", NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 0) {
        fire(conditions, "log_unsigned", 0, "the audit trail has no signed checkpoint yet");
    } else {
        int64_t age_s = (clock_now_ms() - db_get_time(rows, 0, 1)) / 1000;
        (void)json_object_set_new(report, "log",
            json_pack("{s:I, s:I}", "size", (json_int_t)db_get_int8(rows, 0, 0), "age_s", (json_int_t)age_s));
    }
    PQclear(rows);
    return RESULT_OK;
}

static bool look_at_database(struct command_context *context, json_t *report, json_t *conditions)
{
    struct failure why = {0};
    const char *conninfo = context->config.postgres_read_conninfo;
    enum result result = RESULT_INVALID;
    if (conninfo[0] == '\0') {
        failure_set(&why, "postgres.read_conninfo", "not set");
    } else {
        struct db *db = db_new(conninfo, "throng status");
        result = look_at_apps(db, report, conditions, &why);
        if (result == RESULT_OK)
            result = look_at_log(db, report, conditions, &why);
        db_free(db);
    }
    if (result != RESULT_OK)
        fire(conditions, "database_unavailable", 0, why.text);
    return result == RESULT_OK;
}

static void print_daemons(const json_t *documents)
{
    const char *name;
    json_t *status;
    (void)printf("%-10s %8s %12s  %s\n", "daemon", "pid", "uptime", "state");
    /* iteration only reads, jansson's iterators take no const */
    for (size_t i = 0; i < DAEMONS; i++) {
        name = daemons[i];
        status = json_object_get(documents, name);
        if (!json_is_object(status)) {
            (void)printf("%-10s %8s %12s  missing\n", name, "-", "-");
            continue;
        }
        json_int_t seconds = json_integer_value(json_object_get(status, "uptime_ms")) / 1000;
        (void)printf("%-10s %8" JSON_INTEGER_FORMAT " %5" JSON_INTEGER_FORMAT " h %02d min  %s\n", name,
            json_integer_value(json_object_get(status, "pid")), seconds / 3600, (int)(seconds / 60 % 60),
            json_is_true(json_object_get(status, "ready")) ? "ready" : "not ready");
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL || text[0] == '\0' ? "-" : text;
}

static void print_report(const json_t *report)
{
    size_t i;
    json_t *item;
    print_daemons(json_object_get(report, "daemons"));
    const json_t *numbers = json_object_get(report, "numbers");
    (void)printf("\nlag %" JSON_INTEGER_FORMAT " entries, spool %" JSON_INTEGER_FORMAT " bytes\n",
        json_integer_value(json_object_get(numbers, "lag_entries")),
        json_integer_value(json_object_get(numbers, "spool_bytes")));
    const json_t *log = json_object_get(report, "log");
    if (log != NULL)
        (void)printf("audit log: %" JSON_INTEGER_FORMAT " entries under the newest checkpoint, signed %" JSON_INTEGER_FORMAT
                     " s ago\n", json_integer_value(json_object_get(log, "size")),
            json_integer_value(json_object_get(log, "age_s")));
    if (json_array_size(json_object_get(report, "apps")) > 0)
        (void)printf("\n%-20s %-10s %-14s %-14s %-14s %s\n", "app", "mode", "preset", "activity to", "sessions to",
            "releases");
    json_array_foreach(json_object_get(report, "apps"), i, item)
    {
        (void)printf("%-20s %-10s %-14s %-14s %-14s %" JSON_INTEGER_FORMAT "\n", text_of(item, "app"), text_of(item, "mode"),
            text_of(item, "preset"), text_of(item, "activity_through"), text_of(item, "sessions_through"),
            json_integer_value(json_object_get(item, "releases")));
    }
    (void)printf("\n%s\n", json_array_size(json_object_get(report, "conditions")) == 0 ? "no condition fires" : "firing:");
    json_array_foreach(json_object_get(report, "conditions"), i, item)
    {
        (void)printf("  %s: %s\n", text_of(item, "condition"), text_of(item, "advice"));
    }
}

int status_command(struct command_context *context, int argc, char **argv)
{
    if (flags_parse(context, argc, argv, NULL, 0, NULL, 0) < 0)
        return 2;
    json_t *report = json_object(), *conditions = json_array();
    bool well = look_at_daemons(&context->config, report, conditions);
    look_at_metrics(report, conditions);
    well = look_at_database(context, report, conditions) && well;
    (void)json_object_set_new(report, "at_ms", json_integer(clock_now_ms()));
    (void)json_object_set_new(report, "conditions", conditions);
    if (context->json) {
        (void)json_dumpf(report, stdout, JSON_INDENT(2));
        (void)puts("");
    } else {
        print_report(report);
    }
    json_decref(report);
    return well ? 0 : 1;
}
