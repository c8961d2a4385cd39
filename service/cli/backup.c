/*
 * throng backup: a copy of the private cluster, with what is needed to check it and to let it go in time. What requests deleted
 * before is physically removed first, so that a backup holds nothing that was deleted before it.
 *
 * Sees:     the cluster's files as bytes; the superuser's password.
 * Uses:     pg_basebackup, service/cli/backups, retention, act; service/supervise.
 * Threads:  one.
 * Failure:  exit status; what is half made is removed.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/cli/act.h"
#include "service/cli/backups.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/retention.h"
#include "service/supervise/child.h"
#include "service/supervise/environment.h"
#include "service/supervise/postgres.h"
#include "service/supervise/secrets.h"

#define NAME "backup"
#define DAY_MS (24LL * 3600 * 1000)
#define COLUMNS 5

/* A backup being made. */
struct making {
    struct backups_label label;
    char folder[TREES_PATH_BYTES], partial[TREES_PATH_BYTES];
};

static enum result run_basebackup(const char *data, const char *to, struct failure *why)
{
    char programs[POSTGRES_PATH_BYTES], program[POSTGRES_PATH_BYTES + 16], secrets[PATH_MAX], password[SECRETS_MAX_BYTES];
    enum result result = postgres_find_programs(data, programs, why);
    (void)snprintf(secrets, sizeof secrets, "%s/secrets", data);
    if (result == RESULT_OK)
        result = secrets_read(secrets, "postgres-super", password, why);
    if (result != RESULT_OK)
        return result;
    (void)snprintf(program, sizeof program, "%s/pg_basebackup", programs);
    struct child_plan plan = {.name = "pg_basebackup", .program_fd = -1, .program = program, .output_fd = -1, .keep_fd = -1,
        .death_signal = SIGTERM};
    environment_base(&plan.environment);
    words_add(&plan.environment, "PGPASSWORD=%s", password);
    sodium_memzero(password, sizeof password);
    const char *const words[] = {program, "--checkpoint=fast", "--wal-method=stream", "--no-password", "--port=5432",
        "--username=" POSTGRES_SUPERUSER};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words_add(&plan.arguments, "%s", words[i]);
    words_add(&plan.arguments, "--host=%s/run", data);
    words_add(&plan.arguments, "--pgdata=%s/postgres", to);
    pid_t pid = 0;
    int status = 0;
    result = child_start(&plan, &pid, why);
    if (result == RESULT_OK && (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        failure_set(why, "postgres", "pg_basebackup failed (what it said stands above)");
        result = RESULT_FAILED;
    }
    words_free(&plan.arguments);
    words_free(&plan.environment);
    return result;
}

static enum result record(struct db *db, void *context, struct failure *why)
{
    const struct making *making = context;
    char id[UUID_TEXT_BYTES];
    struct act act;
    enum result result = act_begin(db, "backup_made", "", &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "backup", uuid_format(making->label.id, id));
        leaf_int(act.leaf, "expires_at", making->label.expires_ms);
        leaf_text(act.leaf, "hash", making->label.manifest);
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK) {
        struct db_params *params = db_params_new();
        db_uuid(params, making->label.id);
        db_time(params, making->label.made_ms);
        db_time(params, making->label.expires_ms);
        db_uuid(params, act.head.id);
        result = db_run(db, "backup_insert",
            /* What was called clean while it was being made may be in it. */
            "WITH b AS (INSERT INTO subject.backup (id, made_at, expires_at, leaf) VALUES ($1, $2, $3, $4) RETURNING made_at)"
            " UPDATE subject.retention SET clean_through = least(clean_through, b.made_at) FROM b WHERE store = 'backup'",
            params, NULL, why);
        db_params_free(params);
    }
    act_free(&act);
    return result;
}

/* Choose the names and make the folder that is being filled. */
static enum result prepare(struct making *making, const char *out, struct failure *why)
{
    char place[PATH_MAX], time[32], id[UUID_TEXT_BYTES], stamp[24];
    if ((mkdir(out, 0700) != 0 && errno != EEXIST) || realpath(out, place) == NULL) {
        failure_set(why, "out", "cannot be made: %s", strerror(errno));
        return RESULT_FAILED;
    }
    if (strlen(place) > 400) {
        failure_set(why, "out", "its path is longer than 400 bytes");
        return RESULT_INVALID;
    }
    uuid_make(making->label.id);
    (void)clock_format(clock_now_ms(), time, sizeof time);
    (void)snprintf(stamp, sizeof stamp, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", time, time + 5, time + 8, time + 11, time + 14, time + 17);
    (void)snprintf(making->folder, sizeof making->folder, "%.400s/throng-%s-%.8s", place, stamp, uuid_format(making->label.id, id));
    (void)snprintf(making->partial, sizeof making->partial, "%.500s.part", making->folder);
    if (mkdir(making->partial, 0700) == 0)
        return RESULT_OK;
    failure_set(why, "out", "no folder can be made in it: %s", strerror(errno));
    return RESULT_FAILED;
}

/* Everything that `throng up` may have to remove one day is its user's. */
static enum result hand_over(const char *data, const char *folder, struct failure *why)
{
    struct stat status;
    if (geteuid() != 0 || stat(data, &status) != 0)
        return RESULT_OK;
    return trees_give(folder, status.st_uid, status.st_gid, why);
}

/* Where it lies is noted before it is recorded, and recorded before it has its name: none is there that nobody will remove. */
static enum result make(struct command_context *context, struct db *db, struct making *making, const char *out, int64_t keep_days,
    struct failure *why)
{
    const char *data = context->config.up_data;
    struct retention_report report = {0};
    enum result result = retention_hold(db, why);
    if (result == RESULT_OK)
        result = retention_postgres(db, true, &report, why);
    if (result == RESULT_OK)
        result = prepare(making, out, why);
    if (result != RESULT_OK)
        return result;
    making->label.made_ms = report.clean_through_ms;
    making->label.expires_ms = clock_now_ms() + keep_days * DAY_MS;
    result = run_basebackup(data, making->partial, why);
    if (result == RESULT_OK)
        result = backups_seal(making->partial, &making->label, why);
    if (result == RESULT_OK)
        result = hand_over(data, making->partial, why);
    if (result == RESULT_OK)
        result = backups_note(data, making->label.id, making->folder, why);
    if (result == RESULT_OK)
        result = db_transaction(db, record, making, why);
    if (result == RESULT_OK && rename(making->partial, making->folder) != 0) {
        failure_set(why, "out", "the backup is whole but keeps its name %s: %s", making->partial, strerror(errno));
        return RESULT_FAILED;
    }
    if (result != RESULT_OK)
        (void)trees_remove(making->partial, NULL);
    return result;
}

static int make_backup(struct command_context *context, const char *out, int64_t keep_days)
{
    static struct making making;
    struct failure why = {0};
    char id[UUID_TEXT_BYTES], expires[32];
    if (context->config.up_data[0] == '\0')
        return command_usage(NAME, "is for the private cluster of `throng up`: back up a database of your own with its own tools, and "
                                   "keep no backup longer than backup.keep_days");
    if (keep_days > context->config.backup_keep_days)
        return command_usage(NAME, "--keep-days is more than backup.keep_days (%" PRId64 "): people were told when no copy is left",
            context->config.backup_keep_days);
    struct db *db = command_db(context, NAME, true);
    if (db == NULL)
        return 1;
    enum result result = make(context, db, &making, out, keep_days, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    (void)uuid_format(making.label.id, id);
    if (context->json)
        (void)printf("{\"backup\":\"%s\",\"folder\":\"%s\",\"expires_at\":%" PRId64 ",\"hash\":\"%s\"}\n", id, making.folder,
            making.label.expires_ms, making.label.manifest);
    else
        (void)printf("backup %s\nin     %s\nhash   %s (of its manifest.json; in the audit trail)\n"
                     "until  %s: then `throng up` deletes it if it is still there; delete copies of it yourself\n",
            id, making.folder, making.label.manifest, clock_format(making.label.expires_ms, expires, sizeof expires));
    return 0;
}

static void time_cell(struct grid *grid, const PGresult *rows, int row, int column)
{
    char text[32];
    grid_cell(grid, db_is_null(rows, row, column) ? "-" : clock_format(db_get_time(rows, row, column), text, sizeof text));
}

static void print_list(struct command_context *context, const PGresult *rows)
{
    static const char *const heads[COLUMNS] = {"backup", "made", "expires", "gone", "folder"};
    struct grid *grid = grid_new("lllll");
    json_t *all = json_array();
    for (size_t i = 0; i < COLUMNS; i++)
        grid_cell(grid, heads[i]);
    for (int row = 0; row < PQntuples(rows); row++) {
        uint8_t id[UUID_BYTES];
        char folder[TREES_PATH_BYTES] = "(not known here)";
        (void)uuid_parse(db_get_text(rows, row, 0), id);
        (void)backups_find(context->config.up_data, id, folder, NULL);
        grid_cell(grid, db_get_text(rows, row, 0));
        for (int i = 1; i < 4; i++)
            time_cell(grid, rows, row, i);
        grid_cell(grid, folder);
        (void)json_array_append_new(all, json_pack("{s:s, s:I, s:I, s:b, s:s}", "backup", db_get_text(rows, row, 0), "made_at",
            (json_int_t)db_get_time(rows, row, 1), "expires_at", (json_int_t)db_get_time(rows, row, 2), "gone",
            !db_is_null(rows, row, 3), "folder", folder));
    }
    if (context->json)
        (void)json_dumpf(all, stdout, JSON_COMPACT), (void)putchar('\n');
    else
        grid_print(grid, stdout);
    grid_free(grid);
    json_decref(all);
}

static int list(struct command_context *context)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    struct db *db = command_db(context, NAME, true);
    if (db == NULL)
        return 1;
    enum result result = db_run(db, "backup_list",
        "SELECT id::text, made_at, expires_at, gone_at FROM subject.backup ORDER BY made_at, id", NULL, &rows, &why);
    if (result == RESULT_OK)
        print_list(context, rows);
    PQclear(rows);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail(NAME, &why);
}

static enum result record_gone(struct db *db, void *context, struct failure *why)
{
    return retention_record_gone(db, context, why);
}

static int gone(struct command_context *context, const char *text)
{
    struct failure why = {0};
    uint8_t id[UUID_BYTES];
    char folder[TREES_PATH_BYTES];
    if (!uuid_parse(text, id))
        return command_usage(NAME, "ID is a backup's id, as `throng backup list` shows it");
    if (backups_find(context->config.up_data, id, folder, NULL) == RESULT_OK && access(folder, F_OK) == 0)
        return command_usage(NAME, "its files are still in %s: delete them first", folder);
    struct db *db = command_db(context, NAME, true);
    if (db == NULL)
        return 1;
    enum result result = db_transaction(db, record_gone, id, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    (void)printf(context->json ? "{\"backup\":\"%s\",\"gone\":true}\n" : "backup %s is gone, as you say; the audit trail says so too\n",
        text);
    return 0;
}

int backup_command(struct command_context *context, int argc, char **argv)
{
    const char *out = NULL, *operand[2] = {"", ""};
    int64_t keep_days = context->config.backup_keep_days;
    const struct flag flags[] = {{.name = "out", .text = &out},
        {.name = "keep-days", .number = &keep_days, .least = 1, .most = 3650}};
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, operand, 2);
    if (count < 0)
        return 2;
    if (count == 0 && out != NULL)
        return make_backup(context, out, keep_days);
    if (count == 1 && strcmp(operand[0], "list") == 0)
        return list(context);
    if (count == 2 && strcmp(operand[0], "gone") == 0)
        return gone(context, operand[1]);
    return command_usage(NAME, "--out DIR, list or gone ID is needed");
}
