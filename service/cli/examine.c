#include "service/cli/examine.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/cli/embedded.h"
#include "service/cli/poster.h"
#include "service/cli/probe.h"
#include "service/cli/trial.h"

#define CLOCK_SLACK_MS 1000
#define TRAIL_SLACK_S 60
#define PROGRAM_MAX_BYTES (64L * 1024 * 1024)

__attribute__((format(printf, 4, 5))) static void find(
    struct examine *examine, const char *name, enum examine_verdict verdict, const char *format, ...)
{
    va_list arguments;
    if (examine->count == examine->room) {
        size_t room = examine->room * 2 + 16;
        struct examine_finding *found = realloc(examine->found, room * sizeof *found);
        if (found == NULL)
            return;
        examine->found = found;
        examine->room = room;
    }
    struct examine_finding *finding = &examine->found[examine->count++];
    finding->name = name;
    finding->verdict = verdict;
    va_start(arguments, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
}

/* Say once that name is well, unless something was found of it. */
static void settle(struct examine *examine, const char *name, const char *text)
{
    for (size_t i = 0; i < examine->count; i++)
        if (strcmp(examine->found[i].name, name) == 0)
            return;
    find(examine, name, EXAMINE_OK, "%s", text);
}

/* Ask the database; NULL if it cannot be, which is a finding. */
static PGresult *ask(struct examine *examine, struct db *db, const char *name, const char *statement, const char *sql)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    if (db == NULL)
        return NULL;
    if (db_run(db, statement, sql, NULL, &rows, &why) == RESULT_OK)
        return rows;
    find(examine, name, EXAMINE_WRONG, "cannot be looked at: %s", why.text);
    return NULL;
}

/* Daemons */

static void look_at_daemons(struct examine *examine)
{
    static const char *const daemons[] = {"audit", "aggregate", "release", "ingest", "api"};
    for (size_t i = 0; i < sizeof daemons / sizeof *daemons; i++) {
        json_t *status = probe_status(examine->context->config.run_directory, daemons[i]);
        if (status == NULL)
            find(examine, "daemons", EXAMINE_WRONG, "throng-%s does not run, or run.directory is another one", daemons[i]);
        else if (!json_is_true(json_object_get(status, "ready")))
            find(examine, "daemons", EXAMINE_WRONG, "throng-%s runs but is not ready: its log says why", daemons[i]);
        json_decref(status);
    }
    settle(examine, "daemons", "all run and are ready");
    if (!examine->context->config.run_sandbox)
        find(examine, "daemons", EXAMINE_DOUBTFUL, "run.sandbox is off: that is for debuggers");
}

/* The database */

static void look_at_schema(struct examine *examine)
{
    size_t count = 0, wanted = 0;
    const struct embedded_file *files = embedded_files(&count);
    for (size_t i = 0; i < count; i++)
        wanted += strncmp(files[i].path, "schema/sql/", strlen("schema/sql/")) == 0;
    PGresult *rows = ask(examine, examine->reader, "schema", "doctor_schema", "SELECT count(*) FROM throng_meta.migration");
    if (rows == NULL)
        return;
    int64_t have = db_get_int8(rows, 0, 0);
    PQclear(rows);
    if (have == (int64_t)wanted)
        find(examine, "schema", EXAMINE_OK, "the database has all %zu migrations", wanted);
    else
        find(examine, "schema", EXAMINE_WRONG, "the database has %" PRId64 " migrations and this program %zu: `throng migrate`%s",
            have, wanted, have > (int64_t)wanted ? ", by the newer program" : "");
}

static void look_at_clock(struct examine *examine)
{
    int64_t before_ms = clock_now_ms();
    PGresult *rows = ask(examine, examine->owner, "clock", "doctor_clock", "SELECT clock_timestamp()");
    int64_t after_ms = clock_now_ms();
    if (rows == NULL)
        return;
    int64_t there_ms = db_get_time(rows, 0, 0);
    PQclear(rows);
    int64_t off_ms = there_ms < before_ms ? before_ms - there_ms : there_ms > after_ms ? there_ms - after_ms : 0;
    if (off_ms > CLOCK_SLACK_MS)
        find(examine, "clock", EXAMINE_WRONG, "PostgreSQL's clock differs from ours by %" PRId64 " ms: set the clocks (NTP)", off_ms);
    else
        find(examine, "clock", EXAMINE_OK, "PostgreSQL's clock is within %d ms of ours", CLOCK_SLACK_MS);
}

/* What a role can do and must not, a line each. */
static const char grants_sql[] =
    "WITH place AS (SELECT c.oid, n.nspname AS schema, c.relname AS name,"
    "  EXISTS (SELECT FROM pg_attribute AS a JOIN pg_constraint AS k ON k.conrelid = c.oid AND a.attnum = ANY (k.conkey)"
    "    WHERE a.attrelid = c.oid AND a.atttypid = 'bytea'::regtype AND k.contype = 'c' AND n.nspname = 'state') AS personal"
    "  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    "  WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname IN ('audit', 'config', 'live', 'release', 'state', 'subject')),"
    " role AS (SELECT unnest(ARRAY['throng_state', 'throng_release', 'throng_read', 'throng_audit']) AS name)"
    " SELECT r.name || ' may read ' || p.schema || '.' || p.name FROM role AS r, place AS p"
    "  WHERE has_table_privilege(r.name, p.oid, 'SELECT') AND ((p.schema = 'state' AND (p.personal OR r.name <> 'throng_release'))"
    "   AND r.name <> 'throng_state' OR p.schema = 'subject' AND r.name IN ('throng_release', 'throng_audit')"
    "   OR p.schema <> 'audit' AND r.name = 'throng_audit' OR p.schema = 'live' AND r.name = 'throng_release')"
    " UNION ALL SELECT r.name || ' may change ' || p.schema || '.' || p.name FROM role AS r, place AS p"
    "  WHERE (has_table_privilege(r.name, p.oid, 'INSERT') OR has_table_privilege(r.name, p.oid, 'UPDATE')"
    "    OR has_table_privilege(r.name, p.oid, 'DELETE') OR has_table_privilege(r.name, p.oid, 'TRUNCATE'))"
    "   AND NOT (p.schema IN ('state', 'live', 'subject') AND r.name = 'throng_state' OR p.schema = 'release' AND r.name = 'throng_release'"
    "    OR p.schema = 'audit' AND p.name = 'witness' AND r.name = 'throng_audit')"
    " UNION ALL SELECT rolname || ' is a superuser' FROM pg_roles WHERE (rolsuper OR rolbypassrls)"
    "  AND rolname IN (SELECT name FROM role UNION SELECT unnest(ARRAY['throng_owner', 'throng_audit_owner']))"
    " UNION ALL SELECT m.member::regrole || ' is a member of ' || m.roleid::regrole FROM pg_auth_members AS m"
    "  JOIN pg_roles AS r ON r.oid = m.member WHERE r.rolname IN (SELECT name FROM role)"
    " UNION ALL SELECT 'throng_audit_owner can log in' FROM pg_roles WHERE rolname = 'throng_audit_owner' AND rolcanlogin"
    " UNION ALL SELECT 'the trigger ' || t.tgname || ' of ' || t.tgrelid::regclass || ' is not enabled always' FROM pg_trigger AS t"
    "  JOIN place AS p ON p.oid = t.tgrelid WHERE p.schema = 'audit' AND NOT t.tgisinternal AND t.tgenabled <> 'A'"
    " UNION ALL SELECT 'nothing keeps audit.' || name || ' from being changed' FROM place AS p"
    "  WHERE p.schema = 'audit' AND p.name IN ('outbox', 'entry', 'checkpoint', 'tile')"
    "  AND (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = p.oid AND NOT t.tgisinternal) < 2 ORDER BY 1";

static void look_at_grants(struct examine *examine)
{
    PGresult *rows = ask(examine, examine->owner, "grants", "doctor_grants", grants_sql);
    if (rows == NULL)
        return;
    for (int i = 0; i < PQntuples(rows); i++)
        find(examine, "grants", EXAMINE_WRONG, "%s: revoke it, and see who granted it", db_get_text(rows, i, 0));
    PQclear(rows);
    settle(examine, "grants", "no role may do what it must not");
}

/* Redis */

static void look_at_acls(struct examine *examine)
{
    char text[256];
    if (examine->context->data == NULL) {
        find(examine, "acls", EXAMINE_DOUBTFUL, "not looked at: this Redis is not one of `throng up` (--data DIR says which)");
        return;
    }
    switch (trial_of_acls(examine->context->data, text, sizeof text)) {
    case TRIAL_HELD:
        find(examine, "acls", EXAMINE_OK, "Redis refuses what the programs do not need");
        break;
    case TRIAL_BROKEN:
        find(examine, "acls", EXAMINE_WRONG, "%s: restart `throng up`, which writes the users anew", text);
        break;
    case TRIAL_IMPOSSIBLE:
        find(examine, "acls", EXAMINE_DOUBTFUL, "cannot be tried: %s", text);
        break;
    }
}

/* Programs */

static const struct forbidden {
    const char *program, *soname;
} forbidden[] = {
    {"throng-ingest", "libpq.so"},
    {"throng-aggregate", "libmicrohttpd.so"},
    {"throng-release", "libmicrohttpd.so"},
    {"throng-release", "libhiredis.so"},
    {"throng-api", "libhiredis.so"},
    {"throng-audit", "libhiredis.so"},
    {"throng-verify", "libpq.so"},
    {"throng-verify", "libcurl"},
};

/* Whether the file has the bytes of text; < 0: it cannot be read. */
static int contains(const char *path, const char *text)
{
    struct stat status;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return -1;
    int has = -1;
    char *bytes = NULL;
    if (fstat(fileno(file), &status) == 0 && status.st_size > 0 && status.st_size <= PROGRAM_MAX_BYTES)
        bytes = malloc((size_t)status.st_size);
    if (bytes != NULL && fread(bytes, 1, (size_t)status.st_size, file) == (size_t)status.st_size)
        has = memmem(bytes, (size_t)status.st_size, text, strlen(text)) != NULL;
    free(bytes);
    (void)fclose(file);
    return has;
}

static void look_at_linkage(struct examine *examine)
{
    char self[4096], path[4200];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return;
    *slash = '\0';
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", self, forbidden[i].program);
        int has = contains(path, forbidden[i].soname);
        if (has < 0)
            find(examine, "linkage", EXAMINE_DOUBTFUL, "%s is not beside this program", forbidden[i].program);
        else if (has > 0)
            find(examine, "linkage", EXAMINE_WRONG, "%s is linked with %s: it is not the program that was built here",
                forbidden[i].program, forbidden[i].soname);
    }
    settle(examine, "linkage", "no program is linked with what it must not use");
}

/* Keys */

static void look_at_key(struct examine *examine, const json_t *key)
{
    const char *app = json_string_value(json_object_get(key, "app"));
    json_int_t next_ms = json_integer_value(json_object_get(key, "next_ratchet_ms"));
    if (next_ms > 0 && next_ms + 3600000 < clock_now_ms())
        find(examine, "keys", EXAMINE_WRONG, "the key of %s should have been ratcheted: do the clocks agree? (`throng keys status`)",
            app == NULL ? "an app" : app);
}

static void look_at_keys(struct examine *examine)
{
    struct failure why = {0};
    long status = 0;
    char *answer = NULL;
    enum result result =
        poster_send(command_admin_socket(examine->context), "GET", "/v1/keys", NULL, &status, &answer, &why);
    json_t *root = result == RESULT_OK && status == 200 ? json_loads(answer, 0, NULL) : NULL;
    const json_t *keys = json_object_get(root, "keys");
    free(answer);
    if (!json_is_array(keys)) {
        find(examine, "keys", EXAMINE_DOUBTFUL, "ingest's admin socket does not tell: on another machine, ask there");
        return;
    }
    for (size_t i = 0; i < json_array_size(keys); i++)
        look_at_key(examine, json_array_get(keys, i));
    char text[80];
    (void)snprintf(text, sizeof text, "ingest holds the keys of %zu apps, none overdue", json_array_size(keys));
    settle(examine, "keys", text);
    json_decref(root);
}

/* The trail */

static void look_at_trail(struct examine *examine)
{
    PGresult *rows = ask(examine, examine->reader, "trail", "doctor_trail",
        "SELECT (SELECT count(*) FROM audit.entry),"
        " coalesce((SELECT extract(epoch FROM clock_timestamp() - min(written_at)) FROM audit.pending), 0)::bigint,"
        " coalesce((SELECT extract(epoch FROM clock_timestamp() - max(signed_at)) FROM audit.checkpoint), -1)::bigint,"
        " (SELECT count(*) FROM audit.witness WHERE seen_at > clock_timestamp() - interval '1 day')");
    if (rows == NULL)
        return;
    int64_t entries = db_get_int8(rows, 0, 0), waiting_s = db_get_int8(rows, 0, 1), age_s = db_get_int8(rows, 0, 2);
    int64_t witnesses = db_get_int8(rows, 0, 3);
    PQclear(rows);
    if (waiting_s > TRAIL_SLACK_S)
        find(examine, "trail", EXAMINE_WRONG, "a leaf has waited for its place in the log for %" PRId64 " s: throng-audit's log says why",
            waiting_s);
    if (age_s < 0)
        find(examine, "trail", EXAMINE_WRONG, "no checkpoint was ever signed: throng-audit's log says why");
    else if (age_s > examine->context->config.audit_heartbeat_s + TRAIL_SLACK_S)
        find(examine, "trail", EXAMINE_WRONG, "the newest checkpoint is %" PRId64 " s old: throng-audit's log says why", age_s);
    if (witnesses == 0)
        find(examine, "trail", EXAMINE_DOUBTFUL,
            "no witness outside this machine has seen the log since yesterday: whoever owns the machine could rewrite it, unless you keep "
            "checkpoints elsewhere (audit.witnesses, `throng-witness`)");
    char text[120];
    (void)snprintf(text, sizeof text, "%" PRId64 " entries; the newest checkpoint is %" PRId64 " s old", entries, age_s);
    settle(examine, "trail", text);
}

/* People's requests, and the self-test */

static void look_at_requests(struct examine *examine)
{
    PGresult *rows = ask(examine, examine->reader, "requests", "doctor_requests",
        "SELECT count(*), count(*) FILTER (WHERE purged_at IS NULL AND purge_due_at < clock_timestamp()),"
        " count(*) FILTER (WHERE purged_at IS NULL AND purge_due_at IS NOT NULL) FROM subject.request");
    if (rows == NULL)
        return;
    int64_t all = db_get_int8(rows, 0, 0), late = db_get_int8(rows, 0, 1), open = db_get_int8(rows, 0, 2);
    PQclear(rows);
    if (late > 0)
        find(examine, "requests", EXAMINE_WRONG,
            "%" PRId64 " erasures are past the day that their receipts name, and not physically done: `throng retain`", late);
    else
        find(examine, "requests", EXAMINE_OK, "%" PRId64 " so far; of %" PRId64 " a copy may still be in a file or backup", all, open);
}

static void look_at_self_test(struct examine *examine)
{
    json_t *status = probe_status(examine->context->config.run_directory, "ingest");
    bool told = false;
    size_t i;
    json_t *metric;
    json_array_foreach(json_object_get(status, "metrics"), i, metric)
    {
        const char *name = json_string_value(json_object_get(metric, "name"));
        if (name == NULL || strcmp(name, "throng_selftest_ok") != 0)
            continue;
        told = true;
        if (json_integer_value(json_object_get(metric, "value")) != 1)
            find(examine, "self_test", EXAMINE_WRONG,
                "a canary was found where no id may be: collection is stopped; see the newest self_test_failed in the trail");
    }
    json_decref(status);
    if (told)
        settle(examine, "self_test", "the last canary was found nowhere");
    else
        find(examine, "self_test", EXAMINE_DOUBTFUL, "none was made since ingest started");
}

void examine_all(struct examine *examine)
{
    look_at_daemons(examine);
    if (examine->owner == NULL)
        find(examine, "database", EXAMINE_WRONG, "is away, or postgres.conninfo is not that of throng_owner");
    if (examine->reader == NULL)
        find(examine, "database", EXAMINE_WRONG, "is away, or postgres.read_conninfo is not that of throng_read");
    look_at_schema(examine);
    look_at_clock(examine);
    look_at_grants(examine);
    look_at_acls(examine);
    look_at_linkage(examine);
    look_at_keys(examine);
    look_at_trail(examine);
    look_at_requests(examine);
    look_at_self_test(examine);
}

void examine_free(struct examine *examine)
{
    free(examine->found);
    examine->found = NULL;
    examine->count = examine->room = 0;
}

const char *examine_verdict_name(enum examine_verdict verdict)
{
    static const char *const names[] = {[EXAMINE_OK] = "ok", [EXAMINE_DOUBTFUL] = "doubtful", [EXAMINE_WRONG] = "wrong"};
    return names[verdict];
}
