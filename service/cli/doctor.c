/*
 * throng doctor: whether an installation is as it must be (examine.h), what authorities' checklists say of its apps (checklist.h),
 * and whether an identifier lies anywhere in its files (storescan.h).
 *
 * Sees:     counts and times; with --scan an identifier from standard input, or a canary, in memory that is wiped.
 * Uses:     service/cli/examine, checklist, storescan, apps, ask; jansson, libsodium.
 * Threads:  one.
 * Failure:  exit status 1 if something is wrong.
 */
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service/base/clock.h"
#include "service/cli/apps.h"
#include "service/cli/ask.h"
#include "service/cli/checklist.h"
#include "service/cli/command.h"
#include "service/cli/examine.h"
#include "service/cli/flags.h"
#include "service/cli/progress.h"
#include "service/cli/storescan.h"

#define NAME "doctor"
#define WATCH_S 10
#define SETTLE_S 15 /* a canary is on its way into the database: longer than a flush */
#define ID_BYTES 300

/* --- the examination ----------------------------------------------------------------------------------------------- */

static struct db *connect_if_possible(const char *conninfo)
{
    if (conninfo[0] == '\0')
        return NULL;
    struct db *db = db_new(conninfo, "throng doctor");
    if (db_connect(db, NULL) == RESULT_OK)
        return db;
    db_free(db);
    return NULL;
}

static json_t *findings_json(const struct examine *examine)
{
    json_t *list = json_array();
    for (size_t i = 0; i < examine->count; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "check", examine->found[i].name, "verdict",
            examine_verdict_name(examine->found[i].verdict), "text", examine->found[i].text));
    return list;
}

static void print_json(json_t *document)
{
    (void)json_dumpf(document, stdout, JSON_INDENT(2));
    (void)puts("");
    json_decref(document);
}

/* Look at everything; close_examination afterwards. */
static void open_examination(struct command_context *context, struct examine *examination)
{
    *examination = (struct examine){.context = context, .owner = connect_if_possible(context->config.postgres_conninfo),
        .reader = connect_if_possible(context->config.postgres_read_conninfo)};
    examine_all(examination);
}

static void close_examination(struct examine *examination)
{
    db_free(examination->owner);
    db_free(examination->reader);
    examine_free(examination);
}

static int examine(struct command_context *context)
{
    struct examine examination;
    bool wrong = false;
    open_examination(context, &examination);
    for (size_t i = 0; i < examination.count; i++) {
        const struct examine_finding *finding = &examination.found[i];
        wrong = wrong || finding->verdict == EXAMINE_WRONG;
        if (!context->json)
            (void)printf("%-9s %-10s %s\n", examine_verdict_name(finding->verdict), finding->name, finding->text);
    }
    if (context->json)
        print_json(findings_json(&examination));
    close_examination(&examination);
    return wrong ? 1 : 0;
}

/* --- watching ------------------------------------------------------------------------------------------------------ */

/* What is not well, a line each, as one text to compare with the last; owned by the caller. */
static char *conditions(struct command_context *context)
{
    struct examine examination;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    open_examination(context, &examination);
    for (size_t i = 0; i < examination.count && out != NULL; i++)
        if (examination.found[i].verdict == EXAMINE_WRONG)
            (void)fprintf(out, "%s: %s\n", examination.found[i].name, examination.found[i].text);
    if (out != NULL)
        (void)fclose(out);
    close_examination(&examination);
    return text;
}

/* Until Ctrl-C: say what is wrong whenever that changes. */
static int watch(struct command_context *context)
{
    char *last = NULL;
    for (;;) {
        char *now = conditions(context);
        if (now == NULL)
            return 1;
        if (last == NULL || strcmp(last, now) != 0) {
            char at[32];
            time_t seconds = (time_t)(clock_now_ms() / 1000);
            struct tm utc;
            (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
            (void)printf("%s %s\n%s", at, now[0] == '\0' ? "all is well" : "firing:", now);
            (void)fflush(stdout);
        }
        free(last);
        last = now;
        (void)nanosleep(&(struct timespec){.tv_sec = WATCH_S}, NULL);
    }
}

/* --- checklists ---------------------------------------------------------------------------------------------------- */

static json_t *judge(const struct checklist_facts *facts, bool print, bool *unmet)
{
    json_t *list = json_array();
    for (size_t at = 0; at < checklist_count(); at++) {
        struct checklist_item item = checklist_judge(facts, at);
        *unmet = *unmet || item.verdict == CHECKLIST_NOT_MET;
        if (print)
            (void)printf("  %-20s %s: %s\n  %-20s   %s (%s %s)\n", checklist_verdict_name(item.verdict), item.id, item.text, "",
                item.why, item.list, item.source);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "list", item.list, "id", item.id, "source",
            item.source, "text", item.text, "verdict", checklist_verdict_name(item.verdict), "why", item.why));
    }
    return list;
}

static enum result judge_app(struct command_context *context, struct db *db, const char *name, json_t *report, bool *unmet,
    struct failure *why)
{
    struct apps_row row;
    enum result result = apps_find(db, name, &row, why);
    if (result != RESULT_OK)
        return result;
    json_t *definition = json_loads(row.body, 0, NULL);
    const struct checklist_facts facts = {.app = &row.app, .definition = definition, .config = &context->config};
    if (!context->json)
        (void)printf("%s\n", name);
    (void)json_object_set_new(report, name, judge(&facts, !context->json, unmet));
    json_decref(definition);
    apps_row_free(&row);
    return RESULT_OK;
}

static int judge_all(struct command_context *context)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    bool unmet = false;
    struct db *db = command_db(context, NAME, true);
    if (db == NULL)
        return 1;
    json_t *report = json_object();
    enum result result =
        db_run(db, "doctor_apps", "SELECT name FROM config.app WHERE twin_of IS NULL ORDER BY name", NULL, &rows, &why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++)
        result = judge_app(context, db, db_get_text(rows, i, 0), report, &unmet, &why);
    PQclear(rows);
    db_free(db);
    if (result == RESULT_OK && context->json)
        print_json(json_incref(report));
    else if (result == RESULT_OK)
        (void)puts("\nThis is no certificate: a person has to look at the whole of the processing.");
    json_decref(report);
    return result != RESULT_OK ? command_fail(NAME, &why) : unmet ? 1 : 0;
}

/* --- the scan ------------------------------------------------------------------------------------------------------ */

struct scanning {
    struct progress progress;
    bool json;
    json_t *found;
};

static void tell_found(void *context, const char *path, const char *form)
{
    struct scanning *scanning = context;
    if (!scanning->json)
        (void)printf("found %s in %s\n", form, path);
    (void)json_array_append_new(scanning->found, json_pack("{s:s, s:s}", "path", path, "form", form));
}

static void tell_progress(void *context, const struct storescan_count *count)
{
    struct scanning *scanning = context;
    char note[64];
    (void)snprintf(note, sizeof note, "%" PRIu64 " files, %" PRIu64 " MiB", count->files, count->bytes >> 20);
    progress_update(&scanning->progress, -1, note);
}

/* Send an id that nobody has through the whole installation, by asking for access in its name, and write it to id. */
static enum result send_canary(struct command_context *context, struct db *db, char id[ID_BYTES], struct failure *why)
{
    unsigned char random[16], public_key[crypto_box_PUBLICKEYBYTES], secret_key[crypto_box_SECRETKEYBYTES];
    char hex[2 * sizeof random + 1], path[128], seal_to[sodium_base64_ENCODED_LEN(sizeof public_key, 1)];
    PGresult *rows = NULL;
    enum result result =
        db_run(db, "doctor_app", "SELECT name FROM config.app WHERE twin_of IS NULL ORDER BY app LIMIT 1", NULL, &rows, why);
    if (result == RESULT_OK && PQntuples(rows) == 0) {
        failure_set(why, "scan", "there is no app to send a canary to: --id - reads an identifier instead");
        result = RESULT_NOT_FOUND;
    }
    if (result == RESULT_OK) {
        (void)snprintf(path, sizeof path, "/v1/apps/%s/access-requests", db_get_text(rows, 0, 0));
        randombytes_buf(random, sizeof random);
        (void)snprintf(id, ID_BYTES, "canary-%s", sodium_bin2hex(hex, sizeof hex, random, sizeof random));
        (void)crypto_box_keypair(public_key, secret_key);
        (void)sodium_bin2base64(seal_to, sizeof seal_to, public_key, sizeof public_key, sodium_base64_VARIANT_ORIGINAL);
        json_t *body = json_pack("{s:s, s:s}", "user", id, "seal_to", seal_to);
        json_t *answer = NULL;
        result = ask_ingest(context, "POST", path, body, &answer, why);
        json_decref(answer);
        json_decref(body);
        sodium_memzero(secret_key, sizeof secret_key);
    }
    PQclear(rows);
    return result;
}

/* The identifier to look for: the first line of standard input, or a canary's. */
static enum result get_id(struct command_context *context, const char *from, char id[ID_BYTES], struct failure *why)
{
    if (from != NULL) {
        if (strcmp(from, "-") != 0 || fgets(id, ID_BYTES, stdin) == NULL) {
            failure_set(why, "id", "give - and one line on standard input: an identifier belongs on no command line");
            return RESULT_INVALID;
        }
        id[strcspn(id, "\r\n")] = '\0';
        return RESULT_OK;
    }
    struct db *db = connect_if_possible(context->config.postgres_conninfo);
    if (db == NULL) {
        failure_set(why, "postgres.conninfo", "the database is away, and a canary has to go through it");
        return RESULT_UNAVAILABLE;
    }
    enum result result = send_canary(context, db, id, why);
    db_free(db);
    if (result == RESULT_OK)
        (void)nanosleep(&(struct timespec){.tv_sec = SETTLE_S}, NULL);
    return result;
}

static int report_scan(const struct scanning *scanning, const struct storescan_count *count)
{
    if (scanning->json)
        print_json(json_pack("{s:I, s:I, s:I, s:O}", "files", (json_int_t)count->files, "bytes", (json_int_t)count->bytes,
            "unreadable", (json_int_t)count->unreadable, "found", scanning->found));
    else
        (void)printf("%s: %" PRIu64 " files, %" PRIu64 " MiB%s\n", count->found == 0 ? "found nowhere" : "found", count->files,
            count->bytes >> 20, count->unreadable == 0 ? "" : "; some could not be read: scan as the user that owns them");
    return count->found == 0 && count->unreadable == 0 ? 0 : 1;
}

static int scan(struct command_context *context, const char *from)
{
    struct failure why = {0};
    char id[ID_BYTES] = "";
    struct storescan *patterns = NULL;
    struct storescan_count count = {0};
    struct scanning scanning = {.json = context->json, .found = json_array()};
    if (context->data == NULL) {
        json_decref(scanning.found);
        return command_usage(NAME, "--scan looks through a directory of `throng up`: say which with --data");
    }
    enum result result = get_id(context, from, id, &why);
    if (result == RESULT_OK)
        result = storescan_new(id, strlen(id), &patterns, &why);
    sodium_memzero(id, sizeof id);
    progress_begin(&scanning.progress, context->terminal, "scan");
    if (result == RESULT_OK)
        result = storescan_run(patterns, context->data, tell_found, tell_progress, &scanning, &count, &why);
    progress_end(&scanning.progress);
    storescan_free(patterns);
    int status = result == RESULT_OK ? report_scan(&scanning, &count) : command_fail(NAME, &why);
    json_decref(scanning.found);
    return status;
}

int doctor_command(struct command_context *context, int argc, char **argv)
{
    bool compliance = false, watching = false, scanning = false;
    const char *from = NULL;
    const struct flag flags[] = {{.name = "compliance", .on = &compliance}, {.name = "watch", .on = &watching},
        {.name = "scan", .on = &scanning}, {.name = "id", .text = &from}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    if (compliance + watching + scanning > 1)
        return command_usage(NAME, "one of --compliance, --watch and --scan");
    if (from != NULL && !scanning)
        return command_usage(NAME, "--id belongs to --scan");
    if (compliance)
        return judge_all(context);
    if (watching)
        return watch(context);
    return scanning ? scan(context, from) : examine(context);
}
