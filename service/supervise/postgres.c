#include "service/supervise/postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/supervise/datadir.h"
#include "service/supervise/secrets.h"

#define PATH_BYTES POSTGRES_PATH_BYTES

/* Appended to postgresql.conf when the cluster is made; an operator may change it there. */
static const char tuning[] =
    "\n# throng\n"
    "shared_buffers = 256MB\n"
    "dynamic_shared_memory_type = mmap\n" /* /dev/shm is small in many containers */
    "wal_compression = on\n"
    "max_wal_size = 2GB\n"
    "max_connections = 60\n"
    "jit = off\n"
    "fsync = on\n"
    "synchronous_commit = on\n"
    "password_encryption = scram-sha-256\n"
    "client_connection_check_interval = 10s\n"
    "log_connections = off\n"
    "log_statement = none\n"
    "log_parameter_max_length = 0\n" /* parameters are never logged */
    "log_parameter_max_length_on_error = 0\n"
    "log_error_verbosity = terse\n" /* DETAIL lines hold values */
    "log_min_error_statement = panic\n"
    "log_line_prefix = '%m [%p] %u '\n";

enum result postgres_find_programs(const char *data, char out[POSTGRES_PATH_BYTES], struct failure *why)
{
    char path[DATADIR_PATH_BYTES], pattern[PATH_BYTES], version[16] = "*";
    FILE *file = fopen(datadir_join(path, data, "postgres/PG_VERSION"), "re");
    if (file != NULL) {
        if (fgets(version, sizeof version, file) == NULL)
            (void)strcpy(version, "*");
        version[strcspn(version, "\n")] = '\0';
        (void)fclose(file);
    }
    glob_t found = {0};
    bool any = false;
    static const char *const places[] = {"/usr/lib/postgresql", "/usr/pgsql", "/usr/local/pgsql"};
    for (size_t i = 0; i < sizeof places / sizeof *places && !any; i++) {
        (void)snprintf(pattern, sizeof pattern, "%s/%s/bin/postgres", places[i], version);
        any = glob(pattern, i == 0 ? 0 : GLOB_APPEND, NULL, &found) == 0 && found.gl_pathc > 0;
    }
    if (any) {
        (void)snprintf(out, POSTGRES_PATH_BYTES, "%s", found.gl_pathv[found.gl_pathc - 1]);
        *strrchr(out, '/') = '\0';
    }
    globfree(&found);
    if (!any) {
        failure_set(why, "postgres", "no PostgreSQL server of version %s under /usr/lib/postgresql; on Debian: apt-get "
            "install postgresql", version);
        return RESULT_NOT_FOUND;
    }
    return RESULT_OK;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static struct child_plan tool_plan(const char *name, const char *log, const struct words *environment)
{
    struct child_plan plan = {.name = name, .program_fd = -1, .log = log, .output_fd = -1, .keep_fd = -1,
        .death_signal = SIGKILL};
    for (size_t i = 0; i < environment->count; i++)
        words_add(&plan.environment, "%s", environment->items[i]);
    return plan;
}

static enum result run_tool(struct supervise *supervise, struct child_plan *plan, const char *program,
    struct failure *why)
{
    int status = 0;
    plan->program = program;
    enum result result = supervise_tool(supervise, plan, &status, why);
    if (result == RESULT_OK && status != 0) {
        failure_set(why, plan->name, "failed with status %d; see %s", status, plan->log);
        result = RESULT_FAILED;
    }
    return result;
}

static enum result run_initdb(struct supervise *supervise, const char *data, const char *programs,
    const struct words *environment, struct failure *why)
{
    char program[PATH_BYTES + 16], log[DATADIR_PATH_BYTES];
    (void)snprintf(program, sizeof program, "%s/initdb", programs);
    struct child_plan plan = tool_plan("initdb", datadir_join(log, data, "log/postgres.log"), environment);
    words_add(&plan.arguments, "%s", program); /* the whole path: it looks for postgres beside itself */
    words_add(&plan.arguments, "--pgdata=%s/postgres.new", data);
    words_add(&plan.arguments, "--username=" POSTGRES_SUPERUSER);
    words_add(&plan.arguments, "--pwfile=%s/secrets/postgres-super", data);
    words_add(&plan.arguments, "--auth=scram-sha-256");
    words_add(&plan.arguments, "--no-locale");
    words_add(&plan.arguments, "--encoding=UTF8");
    return run_tool(supervise, &plan, program, why);
}

/* A new cluster has no database of ours, and lets every role into the others; single-user mode needs neither socket nor
 * password. */
static enum result create_database(struct supervise *supervise, const char *data, const char *programs,
    const struct words *environment, struct failure *why)
{
    char program[PATH_BYTES + 16], log[DATADIR_PATH_BYTES], folder[DATADIR_PATH_BYTES], input[DATADIR_PATH_BYTES];
    enum result result = secrets_write(datadir_join(folder, data, "run"), "create.sql",
        "CREATE DATABASE " POSTGRES_DATABASE ";\n"
        "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;\n", why);
    if (result != RESULT_OK)
        return result;
    (void)snprintf(program, sizeof program, "%s/postgres", programs);
    struct child_plan plan = tool_plan("postgres", datadir_join(log, data, "log/postgres.log"), environment);
    plan.input = datadir_join(input, data, "run/create.sql");
    words_add(&plan.arguments, "%s", program);
    words_add(&plan.arguments, "--single");
    words_add(&plan.arguments, "-D");
    words_add(&plan.arguments, "%s/postgres.new", data);
    words_add(&plan.arguments, "postgres");
    result = run_tool(supervise, &plan, program, why);
    (void)unlink(input);
    return result;
}

static enum result append_tuning(const char *data, struct failure *why)
{
    char path[DATADIR_PATH_BYTES];
    FILE *file = fopen(datadir_join(path, data, "postgres.new/postgresql.conf"), "ae");
    int failed = file == NULL || fputs(tuning, file) < 0 || fflush(file) != 0 || fsync(fileno(file)) != 0;
    if (file != NULL)
        failed |= fclose(file) != 0;
    if (failed) {
        failure_set(why, "postgres", "cannot write postgresql.conf: %s", strerror(errno));
        return RESULT_FAILED;
    }
    return RESULT_OK;
}

enum result postgres_make(struct supervise *supervise, const char *data, const struct words *environment,
    struct failure *why)
{
    char path[DATADIR_PATH_BYTES], fresh[DATADIR_PATH_BYTES], programs[PATH_BYTES];
    if (access(datadir_join(path, data, "postgres/PG_VERSION"), F_OK) == 0)
        return RESULT_OK;
    enum result result = postgres_find_programs(data, programs, why);
    if (result == RESULT_OK)
        result = secrets_make(datadir_join(path, data, "secrets"), "postgres-super", why);
    if (result != RESULT_OK)
        return result;
    (void)nftw(datadir_join(fresh, data, "postgres.new"), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    result = run_initdb(supervise, data, programs, environment, why);
    if (result == RESULT_OK)
        result = append_tuning(data, why);
    if (result == RESULT_OK)
        result = create_database(supervise, data, programs, environment, why);
    if (result == RESULT_OK && rename(fresh, datadir_join(path, data, "postgres")) != 0) {
        failure_set(why, "postgres", "cannot put the new cluster in place: %s", strerror(errno));
        result = RESULT_FAILED;
    }
    return result;
}

/* Whoever holds the data directory's lock knows that no server of ours runs on it, so that what its predecessor left can
 * go: a number in postmaster.pid may by now be another process's, which would keep the server from starting. */
static void remove_leftovers(void *data)
{
    static const char *const names[] = {"postgres/postmaster.pid", "run/.s.PGSQL.5432", "run/.s.PGSQL.5432.lock"};
    char path[DATADIR_PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)unlink(datadir_join(path, data, names[i]));
}

enum result postgres_plan(const char *data, struct supervise_service *service, struct failure *why)
{
    char programs[PATH_BYTES];
    enum result result = postgres_find_programs(data, programs, why);
    if (result != RESULT_OK)
        return result;
    char *program = NULL, *place = strdup(data);
    if (place == NULL || asprintf(&program, "%s/postgres", programs) < 0)
        abort();
    *service = (struct supervise_service){.stop_signal = SIGINT, .stop_ms = 30000, .before = remove_leftovers,
        .context = place};
    service->plan = (struct child_plan){.name = "postgres", .program_fd = -1, .program = program, .output_fd = -1,
        .keep_fd = -1, .death_signal = SIGINT};
    struct words *arguments = &service->plan.arguments;
    words_add(arguments, "%s", program);
    words_add(arguments, "-D");
    words_add(arguments, "%s/postgres", data);
    words_add(arguments, "-k");
    words_add(arguments, "%s/run", data);
    words_add(arguments, "-clisten_addresses=");
    words_add(arguments, "-cport=5432");
    words_add(arguments, "-cunix_socket_permissions=0700");
    words_add(arguments, "-clogging_collector=off");
    /* A segment of the log that is not needed any more is deleted, not kept under another name with its old bytes in it: people's
     * requests are physically done only then (`throng retain`). */
    words_add(arguments, "-cwal_recycle=off");
    words_add(arguments, "-cwal_init_zero=on");
    words_add(arguments, "-cwal_keep_size=0");
    words_add(arguments, "-carchive_mode=off");
    return RESULT_OK;
}

/* The postmaster writes its state to line 8 of its pid file (miscadmin.h, LOCK_FILE_LINE_PM_STATUS); pg_ctl reads it so. */
bool postgres_ready(const void *data, pid_t pid)
{
    char path[DATADIR_PATH_BYTES], line[512];
    FILE *file = fopen(datadir_join(path, data, "postgres/postmaster.pid"), "re");
    if (file == NULL)
        return false;
    bool ours = false, ready = false;
    for (int i = 1; fgets(line, sizeof line, file) != NULL; i++) {
        if (i == 1)
            ours = strtol(line, NULL, 10) == pid;
        else if (i == 8)
            ready = strncmp(line, "ready", 5) == 0;
    }
    (void)fclose(file);
    return ours && ready;
}
