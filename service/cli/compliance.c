/*
 * throng compliance: the bundle that an auditor takes away, and its verification by the program beside this one.
 *
 * Sees:     audit leaves, on their way into a file.
 * Uses:     compliance/export; throng-verify by exec.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compliance/audit/tile.h"
#include "compliance/bundle/manifest.h"
#include "compliance/export/export.h"
#include "service/cli/act.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/inventory.h"
#include "service/cli/moment.h"
#include "service/cli/notice.h"
#include "service/cli/progress.h"

#define NAME "compliance"
#define PATH_BYTES 1024
#define INDEX_WAIT_S 30 /* throng-audit gives a leaf its place within ten seconds */

static void show_progress(void *context, double fraction, const char *what)
{
    progress_update(context, fraction, what);
}

/* The leaf that tells of the bundle: in the log after it, never in it. */
static enum result write_leaf(struct db *db, void *context, struct failure *why)
{
    const struct export_made *made = context;
    char hex[MANIFEST_HEX_BYTES];
    struct act act;
    enum result result = act_begin(db, "export_made", "", &act, why);
    if (result == RESULT_OK) {
        manifest_hex(made->hash, hex);
        leaf_text(act.leaf, "hash", hex);
        leaf_int(act.leaf, "size", (int64_t)made->size);
        result = act_append(db, &act, why);
    }
    act_free(&act);
    return result;
}

static void print_made(const struct command_context *context, const struct export_made *made, const char *path)
{
    char hex[MANIFEST_HEX_BYTES];
    manifest_hex(made->hash, hex);
    if (context->json) {
        json_t *document = json_pack("{s:s, s:I, s:s, s:I, s:s}", "out", path, "bytes", (json_int_t)made->bytes, "origin",
            made->origin, "size", (json_int_t)made->size, "sha256", hex);
        json_dumpf(document, stdout, JSON_COMPACT);
        (void)putchar('\n');
        json_decref(document);
        return;
    }
    (void)printf("%s: %" PRIu64 " entries of %s, %" PRIu64 " bytes\nSHA-256 %s\nthrong compliance verify %s\n", path, made->size,
        made->origin, made->bytes, hex, path);
}

static int export(struct command_context *context, const char *path, int64_t size)
{
    char signer[PATH_BYTES];
    struct failure why = {0};
    struct progress progress;
    struct export_made made;
    struct db *db = command_db(context, NAME, false);
    struct db *owner = db == NULL ? NULL : command_db(context, NAME, true);
    if (owner == NULL) {
        db_free(db);
        return 1;
    }
    (void)snprintf(signer, sizeof signer, "%s/audit.sign", context->config.run_directory);
    const struct export_request request = {.db = db,
        .path = path,
        .size = (uint64_t)size,
        .signer = signer,
        .witnesses = context->config.audit_witnesses,
        .progress = show_progress,
        .context = &progress};
    progress_begin(&progress, context->terminal, "export");
    enum result result = export_make(&request, &made, &why);
    progress_end(&progress);
    if (result == RESULT_OK)
        result = db_transaction(owner, write_leaf, &made, &why);
    db_free(db);
    db_free(owner);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    print_made(context, &made, path);
    return 0;
}

/* throng-verify, which lies beside this program, in its place; the options are its own. */
static int verify(const struct command_context *context, int argc, char **argv)
{
    char path[PATH_BYTES], json[] = "--json";
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof "throng-verify");
    char *slash = length > 0 ? memrchr(path, '/', (size_t)length) : NULL;
    char **arguments = calloc((size_t)argc + 2, sizeof *arguments);
    if (slash == NULL || arguments == NULL) {
        free(arguments);
        return command_fail(NAME, &(struct failure){.text = "the verifier beside this program cannot be named"});
    }
    memcpy(slash + 1, "throng-verify", sizeof "throng-verify");
    arguments[0] = path;
    size_t count = 1;
    for (int i = 2; i < argc; i++)
        arguments[count++] = argv[i];
    if (context->json)
        arguments[count] = json;
    (void)execv(path, arguments);
    free(arguments);
    return command_fail(NAME, &(struct failure){.field = "throng-verify", .text = "is not beside this program"});
}

/* The first entry that is not older than day: below it all may go, in whole bundles of entries, as the log is read by. */
static enum result find_below(struct db *reader, int32_t day, int64_t *below, struct failure *why)
{
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_date(params, day);
    enum result result = db_run(reader, "prune_below",
        "SELECT coalesce((SELECT min(index) FROM audit.entry WHERE at >= $1::date), 0), (SELECT below FROM audit.pruned)", params,
        &rows, why);
    db_params_free(params);
    if (result == RESULT_OK) {
        *below = db_get_int8(rows, 0, 0) / TILE_WIDTH * TILE_WIDTH;
        if (*below <= db_get_int8(rows, 0, 1)) {
            failure_set(why, "--before", "no whole bundle of %d entries that have their bodies is older", TILE_WIDTH);
            result = RESULT_NOT_FOUND;
        }
    }
    PQclear(rows);
    return result;
}

/* The act that tells of it, in the log before it is done: its id to id. */
static enum result announce_pruning(struct db *owner, struct db *reader, int64_t below, uint8_t id[16], struct failure *why)
{
    struct act act;
    enum result result = act_begin(owner, "trail_pruned", "", &act, why);
    if (result == RESULT_OK) {
        leaf_int(act.leaf, "below", below);
        memcpy(id, act.head.id, 16);
        result = act_append(owner, &act, why);
    }
    act_free(&act);
    bool there = false;
    struct db_params *params = db_params_new();
    db_uuid(params, id);
    for (int tries = 0; result == RESULT_OK && !there && tries < INDEX_WAIT_S; tries++) {
        PGresult *rows = NULL;
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        result = db_run(reader, "prune_indexed", "SELECT 1 FROM audit.entry WHERE id = $1", params, &rows, why);
        there = result == RESULT_OK && PQntuples(rows) == 1;
        PQclear(rows);
    }
    db_params_free(params);
    if (result == RESULT_OK && !there) {
        failure_set(why, "audit", "the act has no place in the log yet: does throng-audit run? Nothing was pruned");
        result = RESULT_UNAVAILABLE;
    }
    return result;
}

static enum result drop_bodies(struct db *owner, int64_t below, const uint8_t id[16], int64_t *dropped, struct failure *why)
{
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_int8(params, below);
    db_uuid(params, id);
    enum result result = db_run(owner, "prune", "SELECT audit.prune($1, $2)", params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK)
        *dropped = db_get_int8(rows, 0, 0);
    PQclear(rows);
    return result;
}

static int prune(struct command_context *context, const char *before)
{
    struct failure why = {0};
    int32_t day = 0;
    int64_t below = 0, dropped = 0;
    uint8_t id[16];
    if (!moment_parse_date(before, &day))
        return command_usage(NAME, "--before takes a date, YYYY-MM-DD");
    struct db *reader = command_db(context, NAME, false);
    struct db *owner = reader == NULL ? NULL : command_db(context, NAME, true);
    if (owner == NULL) {
        db_free(reader);
        return 1;
    }
    enum result result = find_below(reader, day, &below, &why);
    if (result == RESULT_OK)
        result = announce_pruning(owner, reader, below, id, &why);
    if (result == RESULT_OK)
        result = drop_bodies(owner, below, id, &dropped, &why);
    db_free(reader);
    db_free(owner);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    (void)printf("the bodies of %" PRId64 " entries below %" PRId64 " are gone; their hashes stay, and proofs still verify\n", dropped,
        below);
    return 0;
}

static int inventory(const struct command_context *context)
{
    if (!context->json) {
        inventory_print(stdout);
        return 0;
    }
    json_t *list = inventory_json();
    (void)json_dumpf(list, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(list);
    return 0;
}

/* The text goes to standard output, what a person has to add to standard error. */
static int notice(struct command_context *context, const char *app)
{
    struct failure why = {0};
    struct apps_row row;
    struct db *db = command_db(context, NAME, false);
    if (db == NULL)
        return 1;
    enum result result = apps_find(db, app, &row, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    json_t *definition = json_loads(row.body, 0, NULL);
    notice_print(&row.app, definition, stdout);
    (void)fflush(stdout);
    (void)fprintf(stderr, "\nadd yourself:\n");
    (void)notice_print_open(&row.app, definition, stderr);
    json_decref(definition);
    apps_row_free(&row);
    return 0;
}

int compliance_command(struct command_context *context, int argc, char **argv)
{
    const char *out = NULL, *verb = NULL, *app = NULL, *before = NULL;
    int64_t size = 0;
    bool yes = false;
    const struct flag flags[] = {{.name = "out", .text = &out}, {.name = "app", .text = &app},
        {.name = "before", .text = &before}, {.name = "yes", .on = &yes},
        {.name = "checkpoint", .number = &size, .least = 1, .most = INT64_MAX}};
    if (argc > 1 && strcmp(argv[1], "verify") == 0)
        return verify(context, argc, argv);
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, &verb, 1);
    if (count < 0)
        return 2;
    if (count == 1 && strcmp(verb, "export") == 0 && out != NULL)
        return export(context, out, size);
    if (count == 1 && strcmp(verb, "inventory") == 0)
        return inventory(context);
    if (count == 1 && strcmp(verb, "notice") == 0 && app != NULL)
        return notice(context, app);
    if (count == 1 && strcmp(verb, "prune") == 0 && before != NULL)
        return yes ? prune(context, before) : command_usage(NAME, "bodies that are pruned never come back: say --yes");
    return command_usage(NAME, "export --out FILE, verify FILE, inventory, notice --app APP, or prune --before DATE is needed");
}
