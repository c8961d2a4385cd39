/*
 * throng restore: the private cluster as a backup has it. What must not go back stays as it is: the key file, the audit log's own
 * state and its copy of the log, the release job's mark, Redis with the marks of who was erased. The daemons notice at their next
 * start that the database is older than these, and bring it up: no lost leaf, nobody back who was erased, no fresh noise.
 *
 * Sees:     the cluster's files as bytes; the superuser's password.
 * Uses:     service/cli/backups, trees; service/supervise; PostgreSQL's single-user mode.
 * Threads:  one.
 * Failure:  exit status; until the last step the cluster that was there stays in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/cli/backups.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/supervise/child.h"
#include "service/supervise/environment.h"
#include "service/supervise/postgres.h"
#include "service/supervise/secrets.h"

#define NAME "restore"

static char *place(char out[TREES_PATH_BYTES], const char *data, const char *name)
{
    (void)snprintf(out, TREES_PATH_BYTES, "%.900s/%s", data, name);
    return out;
}

/* Hold the data directory, so that nothing runs on it and nothing starts. */
static enum result hold(const char *data, int *lock, struct failure *why)
{
    char path[TREES_PATH_BYTES];
    *lock = open(place(path, data, "lock"), O_RDWR | O_CLOEXEC);
    if (*lock < 0) {
        failure_set(why, "data", "is not the data directory of an installation: start `throng up` there once, then stop it");
        return RESULT_NOT_FOUND;
    }
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return RESULT_OK;
    failure_set(why, "data", "`throng up` runs on it: stop it first");
    return RESULT_DENIED;
}

/* Root hands the copy over and goes on as its owner: the server does not run as root. */
static enum result become_owner(const char *data, const char *fresh, struct failure *why)
{
    struct stat status;
    if (geteuid() != 0)
        return RESULT_OK;
    if (stat(data, &status) != 0 || status.st_uid == 0) {
        failure_set(why, "data", "belongs to root, which runs no server");
        return RESULT_INVALID;
    }
    enum result result = trees_give(fresh, status.st_uid, status.st_gid, why);
    if (result != RESULT_OK)
        return result;
    if (setgroups(0, NULL) == 0 && setresgid(status.st_gid, status.st_gid, status.st_gid) == 0 &&
        setresuid(status.st_uid, status.st_uid, status.st_uid) == 0)
        return RESULT_OK;
    failure_set(why, "data", "this process cannot become its owner: %s", strerror(errno));
    return RESULT_FAILED;
}

static enum result run_single(const char *data, const char *fresh, const char *input, struct failure *why)
{
    char programs[POSTGRES_PATH_BYTES], program[POSTGRES_PATH_BYTES + 16], log[TREES_PATH_BYTES];
    enum result result = postgres_find_programs(data, programs, why);
    if (result != RESULT_OK)
        return result;
    (void)snprintf(program, sizeof program, "%s/postgres", programs);
    struct child_plan plan = {.name = "postgres", .program_fd = -1, .program = program, .output_fd = -1, .keep_fd = -1,
        .input = input, .log = place(log, data, "log/postgres.log"), .death_signal = SIGKILL};
    environment_base(&plan.environment);
    const char *const words[] = {program, "--single", "-D", fresh, "-cwal_recycle=off", "postgres"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words_add(&plan.arguments, "%s", words[i]);
    pid_t pid = 0;
    int status = 0;
    result = child_start(&plan, &pid, why);
    if (result == RESULT_OK && (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        failure_set(why, "postgres", "cannot recover the copy; see %s", log);
        result = RESULT_FAILED;
    }
    words_free(&plan.arguments);
    words_free(&plan.environment);
    return result;
}

/* Recover the copy once, and give its superuser the password of this installation, which may not be the one it was made in. */
static enum result recover(const char *data, const char *fresh, struct failure *why)
{
    char secrets[TREES_PATH_BYTES], run[TREES_PATH_BYTES], input[TREES_PATH_BYTES + 16], password[SECRETS_MAX_BYTES];
    char statement[SECRETS_MAX_BYTES + 128];
    enum result result = secrets_read(place(secrets, data, "secrets"), "postgres-super", password, why);
    if (result != RESULT_OK)
        return result;
    if (strspn(password, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(password)) {
        failure_set(why, "postgres-super", "is not a secret that `throng up` made");
        result = RESULT_INVALID;
    }
    (void)snprintf(statement, sizeof statement, "ALTER ROLE " POSTGRES_SUPERUSER " PASSWORD '%s';\n", password);
    if (result == RESULT_OK)
        result = secrets_write(place(run, data, "run"), "restore.sql", statement, why);
    sodium_memzero(password, sizeof password);
    sodium_memzero(statement, sizeof statement);
    if (result != RESULT_OK)
        return result;
    (void)snprintf(input, sizeof input, "%s/restore.sql", run);
    result = run_single(data, fresh, input, why);
    (void)unlink(input);
    return result;
}

/* Two renames; if the second fails the first is undone. */
static enum result put_in_place(const char *data, const char *fresh, struct failure *why)
{
    char now[TREES_PATH_BYTES], former[TREES_PATH_BYTES];
    (void)place(now, data, "postgres");
    enum result result = trees_remove(place(former, data, "postgres.former"), why);
    if (result != RESULT_OK)
        return result;
    if (rename(now, former) != 0 && errno != ENOENT) {
        failure_set(why, "data", "the cluster that is there cannot be set aside: %s", strerror(errno));
        return RESULT_FAILED;
    }
    if (rename(fresh, now) != 0) {
        failure_set(why, "data", "the cluster cannot be put in place: %s", strerror(errno));
        (void)rename(former, now);
        return RESULT_FAILED;
    }
    return trees_remove(former, why);
}

static enum result restore(const char *data, const char *from, struct failure *why)
{
    char fresh[TREES_PATH_BYTES], source[TREES_PATH_BYTES];
    enum result result = trees_remove(place(fresh, data, "postgres.restored"), why);
    if (result == RESULT_OK)
        result = trees_copy(place(source, from, "postgres"), fresh, why);
    if (result == RESULT_OK)
        result = become_owner(data, fresh, why);
    if (result == RESULT_OK)
        result = recover(data, fresh, why);
    if (result == RESULT_OK)
        return put_in_place(data, fresh, why);
    (void)trees_remove(fresh, NULL);
    return result;
}

/* A backup that nobody may have any more would bring back whom it promised to forget. */
static enum result check(const char *from, struct backups_label *label, struct failure *why)
{
    enum result result = backups_open(from, true, label, why);
    if (result != RESULT_OK)
        return result;
    if (clock_now_ms() < label->expires_ms)
        return RESULT_OK;
    failure_set(why, "from", "is expired: it may hold people who were promised that no copy is left; delete it");
    return RESULT_DENIED;
}

static int run(struct command_context *context, const char *data, const char *from)
{
    char id[UUID_TEXT_BYTES], made[32];
    struct failure why = {0};
    struct backups_label label;
    int lock = -1;
    enum result result = hold(data, &lock, &why);
    if (result == RESULT_OK)
        result = check(from, &label, &why);
    if (result == RESULT_OK)
        result = restore(data, from, &why);
    if (lock >= 0)
        (void)close(lock);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    if (context->json)
        (void)printf("{\"backup\":\"%s\",\"made_at\":%" PRId64 "}\n", uuid_format(label.id, id), label.made_ms);
    else
        (void)printf("the database is that of backup %s, made %s; start `throng up`: what was released, erased and recorded since is "
                     "brought up by the daemons, what was only counted since is lost, and an objection that was withdrawn since holds again\n",
            uuid_format(label.id, id), clock_format(label.made_ms, made, sizeof made));
    return 0;
}

int restore_command(struct command_context *context, int argc, char **argv)
{
    const char *from = NULL;
    const char *data = context->config.up_data;
    bool yes = false;
    char path[TREES_PATH_BYTES];
    const struct flag flags[] = {{.name = "from", .text = &from}, {.name = "yes", .on = &yes}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    if (from == NULL)
        return command_usage(NAME, "--from DIR is needed: a folder that `throng backup` made");
    if (data[0] == '\0')
        return command_usage(NAME, "is for the private cluster of `throng up`; --data DIR says where");
    if (!yes && access(place(path, data, "postgres/PG_VERSION"), F_OK) == 0)
        return command_usage(NAME, "there is a database in %s: it would be replaced; repeat it with --yes", data);
    return run(context, data, from);
}
