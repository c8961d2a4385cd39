#include "service/release/head.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/durable.h"

#define TEXT_BYTES 128 /* "COUNT HASH\n" */
#define PATH_BYTES 4096

static enum result io_failed(struct failure *why, const char *what)
{
    failure_set(why, "release.state", "its file `" HEAD_FILE "` cannot be %s: %s", what, strerror(errno));
    return RESULT_FAILED;
}

static enum result parse(const char *text, struct head *out, struct failure *why)
{
    struct head head = {0};
    char hex[2 * HEAD_HASH_BYTES + 1] = "";
    size_t length = 0;
    if (sscanf(text, "%" SCNd64 " %64[0-9a-f]", &head.count, hex) != 2 || head.count < 0
        || sodium_hex2bin(head.hash, sizeof head.hash, hex, strlen(hex), NULL, &length, NULL) != 0
        || length != sizeof head.hash) {
        failure_set(why, "release.state", "its file `" HEAD_FILE "` is damaged");
        return RESULT_CORRUPT;
    }
    *out = head;
    return RESULT_OK;
}

enum result head_load(const char *directory, struct head *out, struct failure *why)
{
    char path[PATH_BYTES], text[TEXT_BYTES] = "";
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        failure_set(why, "release.state", "cannot be made: %s", strerror(errno));
        return RESULT_FAILED;
    }
    (void)snprintf(path, sizeof path, "%s/" HEAD_FILE, directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *out = (struct head){0};
        return RESULT_OK;
    }
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    enum result result = length < 0 ? io_failed(why, "read") : parse(text, out, why);
    if (fd >= 0)
        (void)close(fd);
    return result;
}

enum result head_store(const char *directory, const struct head *head, struct failure *why)
{
    char path[PATH_BYTES], fresh[PATH_BYTES], hex[2 * HEAD_HASH_BYTES + 1], text[TEXT_BYTES];
    (void)snprintf(path, sizeof path, "%s/" HEAD_FILE, directory);
    (void)snprintf(fresh, sizeof fresh, "%s/" HEAD_FILE ".new", directory);
    int length = snprintf(text, sizeof text, "%" PRId64 " %s\n", head->count,
        sodium_bin2hex(hex, sizeof hex, head->hash, sizeof head->hash));
    bool stored = durable_put(fresh, path, text, (size_t)length) && durable_sync(directory);
    return stored ? RESULT_OK : io_failed(why, "written");
}

static enum result restored(struct failure *why, int64_t has, int64_t known)
{
    failure_set(why, "release.state", "the database was restored: released numbers are missing. It has %" PRId64
        " releases, and %" PRId64 " were made. They come back from the audit trail once throng-audit has put that back",
        has, known);
    return RESULT_CORRUPT;
}

/* The database's head, or as it was when there were count releases (count > 0), to *out. */
static enum result read_head(struct db *db, int64_t count, struct head *out, struct failure *why)
{
    static const char sql[] = "SELECT h.count, coalesce(r.hash, h.hash) FROM release.head AS h"
                              " LEFT JOIN release.release AS r ON r.place = $1 AND h.count <> $1";
    struct db_params *params = db_params_new();
    db_int8(params, count);
    PGresult *result = NULL;
    enum result code = db_run(db, "release_head", sql, params, &result, why);
    db_params_free(params);
    size_t length = 0;
    if (code == RESULT_OK) {
        out->count = db_get_int8(result, 0, 0);
        memcpy(out->hash, db_get_bytes(result, 0, 1, &length), sizeof out->hash);
    }
    PQclear(result);
    return code;
}

enum result head_check(struct db *db, const struct head *known, struct failure *why)
{
    struct head found = {0};
    enum result code = read_head(db, known->count, &found, why);
    if (code != RESULT_OK || known->count == 0)
        return code;
    if (found.count < known->count || memcmp(found.hash, known->hash, sizeof found.hash) != 0)
        return restored(why, found.count, known->count);
    return RESULT_OK;
}

enum result head_lock(struct db *db, struct head *out, struct failure *why)
{
    PGresult *result = NULL;
    enum result code = db_run(db, "release_head_lock", "SELECT count, hash FROM release.head FOR UPDATE", NULL, &result, why);
    size_t length = 0;
    if (code == RESULT_OK && PQntuples(result) != 1) {
        failure_set(why, "", "the database has no head of releases");
        code = RESULT_CORRUPT;
    }
    if (code == RESULT_OK) {
        out->count = db_get_int8(result, 0, 0);
        memcpy(out->hash, db_get_bytes(result, 0, 1, &length), sizeof out->hash);
    }
    PQclear(result);
    return code;
}

void head_add(struct head *head, const void *bytes, size_t length)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, head->hash, sizeof head->hash);
    crypto_hash_sha256_update(&state, bytes, length);
    crypto_hash_sha256_final(&state, head->hash);
    head->count++;
}

enum result head_write(struct db *db, const struct head *head, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, head->count);
    db_bytes(params, head->hash, sizeof head->hash);
    enum result code = db_run(db, "release_head_write", "UPDATE release.head SET count = $1, hash = $2", params, NULL, why);
    db_params_free(params);
    return code;
}
