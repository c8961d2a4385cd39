#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "schema/limits.h"
#include "service/cli/act.h"
#include "service/cli/command.h"
#include "service/cli/embedded.h"
#include "service/cli/flags.h"
#include "service/supervise/secrets.h"

#define NAME "migrate"
#define FOLDER "schema/sql/"
#define FIRST_AUDITED 2 /* 0002 makes the audit trail */

static const char *const roles[] = {"throng_owner", "throng_state", "throng_release", "throng_read", "throng_audit"};

/* One numbered file to apply, inside its transaction. */
struct step {
    const struct embedded_file *file;
    int number;
    unsigned char hash[crypto_hash_sha256_BYTES];
};

/* One migrates at a time (the lock is "throng" in ASCII). */
static enum result begin(struct db *db, struct failure *why)
{
    return db_script(db,
        "SELECT pg_advisory_lock(127991945326183);"
        "CREATE SCHEMA IF NOT EXISTS throng_meta;"
        "CREATE TABLE IF NOT EXISTS throng_meta.migration (number int PRIMARY KEY, name text NOT NULL, hash bytea NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        why);
}

static enum result record_act(struct db *db, const struct step *step, struct failure *why)
{
    char hex[2 * sizeof step->hash + 1];
    struct act act;
    (void)sodium_bin2hex(hex, sizeof hex, step->hash, sizeof step->hash);
    enum result result = act_begin(db, "migration", "", &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "file", step->file->path + strlen(FOLDER));
        leaf_text(act.leaf, "hash", hex);
        result = act_append(db, &act, why);
    }
    act_free(&act);
    return result;
}

static enum result apply(struct db *db, void *context, struct failure *why)
{
    const struct step *step = context;
    enum result result = db_script(db, step->file->text, why);
    if (result != RESULT_OK)
        return result;
    struct db_params *params = db_params_new();
    db_int4(params, step->number);
    db_text(params, step->file->path + strlen(FOLDER));
    db_bytes(params, step->hash, sizeof step->hash);
    result = db_run(db, "migrate_record", "INSERT INTO throng_meta.migration (number, name, hash) VALUES ($1, $2, $3)",
        params, NULL, why);
    db_params_free(params);
    if (result == RESULT_OK && step->number >= FIRST_AUDITED)
        result = record_act(db, step, why);
    return result;
}

/* Whether step is in the database; RESULT_INVALID if it is there with other contents. */
static enum result is_applied(struct db *db, const struct step *step, bool *applied, struct failure *why)
{
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_int4(params, step->number);
    enum result result = db_run(db, "migrate_find", "SELECT hash FROM throng_meta.migration WHERE number = $1", params,
        &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *applied = PQntuples(rows) == 1;
    if (*applied) {
        size_t length;
        const uint8_t *hash = db_get_bytes(rows, 0, 0, &length);
        if (length != sizeof step->hash || memcmp(hash, step->hash, length) != 0) {
            failure_set(why, step->file->path, "was applied to this database with other contents; a new change needs a new "
                "file");
            result = RESULT_INVALID;
        }
    }
    PQclear(rows);
    return result;
}

static enum result apply_files(struct db *db, int *applied_count, struct failure *why)
{
    size_t count;
    const struct embedded_file *files = embedded_files(&count);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(files[i].path, FOLDER, strlen(FOLDER)) != 0)
            continue;
        bool applied = false;
        struct step step = {.file = &files[i], .number = (int)strtol(files[i].path + strlen(FOLDER), NULL, 10)};
        (void)crypto_hash_sha256(step.hash, (const unsigned char *)files[i].text, files[i].length);
        enum result result = is_applied(db, &step, &applied, why);
        if (result == RESULT_OK && !applied) {
            result = db_transaction(db, apply, &step, why);
            (*applied_count)++;
        }
        if (result != RESULT_OK) {
            (void)snprintf(why->field, sizeof why->field, "%s", files[i].path);
            return result;
        }
    }
    return RESULT_OK;
}

/* The number of shards is the database's once it is made: entries lie in streams by it. */
static enum result set_shards(struct db *db, int64_t shards, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, (int32_t)shards);
    enum result result = db_run(db, "migrate_shards",
        "INSERT INTO config.installation (shards) VALUES ($1) ON CONFLICT DO NOTHING", params, NULL, why);
    if (result == RESULT_OK)
        result = db_run(db, "migrate_shards_now", "SELECT shards FROM config.installation", NULL, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    int32_t now = db_get_int4(rows, 0, 0);
    PQclear(rows);
    if (now != shards) {
        failure_set(why, "stream.shards", "this installation was made with %d shards; that is fixed", now);
        return RESULT_INVALID;
    }
    return RESULT_OK;
}

/* The verifier is made here, so that neither the statement nor a log of it holds a password. It consists of base64 and
 * `$:-`, the role's name is ours: nothing to quote. */
static enum result set_password(struct db *db, PGconn *connection, const char *role, const char *password,
    struct failure *why)
{
    char statement[512];
    char *verifier = PQencryptPasswordConn(connection, password, role, "scram-sha-256");
    if (verifier == NULL) {
        failure_set(why, role, "its password cannot be encrypted");
        return RESULT_FAILED;
    }
    (void)snprintf(statement, sizeof statement, "ALTER ROLE %s PASSWORD '%s'", role, verifier);
    PQfreemem(verifier);
    return db_script(db, statement, why);
}

static enum result set_passwords(struct db *db, const char *conninfo, const char *folder, struct failure *why)
{
    enum result result = RESULT_OK;
    PGconn *connection = PQconnectdb(conninfo);
    if (PQstatus(connection) != CONNECTION_OK) {
        failure_set(why, "", "cannot connect a second time");
        result = RESULT_UNAVAILABLE;
    }
    for (size_t i = 0; i < sizeof roles / sizeof *roles && result == RESULT_OK; i++) {
        char password[SECRETS_MAX_BYTES];
        result = secrets_make(folder, roles[i], why);
        if (result == RESULT_OK)
            result = secrets_read(folder, roles[i], password, why);
        if (result == RESULT_OK)
            result = set_password(db, connection, roles[i], password, why);
        sodium_memzero(password, sizeof password);
    }
    PQfinish(connection);
    return result;
}

static int migrate(const char *conninfo, const char *folder, int64_t shards, struct failure *why)
{
    int applied = 0;
    struct db *db = db_new(conninfo, "throng migrate");
    enum result result = begin(db, why);
    if (result == RESULT_OK)
        result = apply_files(db, &applied, why);
    if (result == RESULT_OK)
        result = set_shards(db, shards, why);
    if (result == RESULT_OK && folder != NULL)
        result = set_passwords(db, conninfo, folder, why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail(NAME, why);
    (void)printf("the schema is up to date (%d applied now)\n", applied);
    return 0;
}

int migrate_command(struct command_context *context, int argc, char **argv)
{
    const char *file = NULL, *folder = NULL;
    int64_t shards = context->config.stream_shards;
    const struct flag flags[] = {{.name = "superuser-conninfo-file", .text = &file}, {.name = "passwords", .text = &folder},
        {.name = "shards", .number = &shards, .least = 1, .most = SHARDS_MAX}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    char own_folder[512], conninfo[SECRETS_MAX_BYTES];
    struct failure why = {0};
    (void)snprintf(own_folder, sizeof own_folder, "%s/secrets", context->config.up_data);
    if (file == NULL && context->config.up_data[0] == '\0')
        return command_usage(NAME, "--superuser-conninfo-file is needed: no private installation was found");
    if (file == NULL && folder == NULL)
        folder = own_folder;
    enum result result = file == NULL ? secrets_read(own_folder, "superuser.conninfo", conninfo, &why)
                                      : secrets_read(file[0] == '/' ? "/" : ".", file, conninfo, &why);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    int status = migrate(conninfo, folder, shards, &why);
    sodium_memzero(conninfo, sizeof conninfo);
    return status;
}
