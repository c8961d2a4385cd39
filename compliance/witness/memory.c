#include "compliance/witness/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compliance/audit/text.h"
#include "service/base/durable.h"

#define WHAT "state"
#define PATH_BYTES 512
#define TEXT_BYTES (20 + TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 2) /* "SIZE\nROOT\n" */

static enum result fail(struct failure *why, const char *how)
{
    failure_set(why, WHAT, "cannot be %s: %s", how, strerror(errno));
    return RESULT_FAILED;
}

/* "DIRECTORY/SHA256(origin)SUFFIX" */
static void path_of(const char *directory, const char *origin, const char *suffix, char out[PATH_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];
    (void)crypto_hash_sha256(hash, (const unsigned char *)origin, strlen(origin));
    (void)snprintf(out, PATH_BYTES, "%s/%s%s", directory, sodium_bin2hex(hex, sizeof hex, hash, sizeof hash), suffix);
}

enum result memory_open(const char *directory, struct failure *why)
{
    char path[PATH_BYTES];
    if (strlen(directory) > MEMORY_DIRECTORY_MAX_BYTES) {
        failure_set(why, WHAT, "is longer than %d bytes", MEMORY_DIRECTORY_MAX_BYTES);
        return RESULT_INVALID;
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return fail(why, "made");
    (void)snprintf(path, sizeof path, "%s/lock", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(why, "locked");
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return RESULT_OK; /* fd stays open for the life of the process */
    (void)close(fd);
    failure_set(why, WHAT, "another witness holds it");
    return RESULT_UNAVAILABLE;
}

static enum result parse(const char *bytes, size_t length, uint64_t *size, struct tree_hash *root, struct failure *why)
{
    struct text_view rest = {bytes, length}, first, second;
    uint64_t value = 0;
    struct tree_hash hash;
    if (!text_line(&rest, &first) || !text_line(&rest, &second) || rest.length > 0 || !text_decimal(first, &value) ||
        !text_base64_read(second, hash.bytes, sizeof hash.bytes)) {
        failure_set(why, WHAT, "a file is damaged");
        return RESULT_CORRUPT;
    }
    *size = value;
    *root = hash;
    return RESULT_OK;
}

enum result memory_read(
    const char *directory, const char *origin, uint64_t *size, struct tree_hash *root, struct failure *why)
{
    char path[PATH_BYTES], bytes[TEXT_BYTES + 1];
    path_of(directory, origin, "", path);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *size = 0;
        tree_empty(root);
        return RESULT_OK;
    }
    ssize_t length = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0)
        (void)close(fd);
    return length < 0 ? fail(why, "read") : parse(bytes, (size_t)length, size, root, why);
}

enum result memory_write(
    const char *directory, const char *origin, uint64_t size, const struct tree_hash *root, struct failure *why)
{
    char path[PATH_BYTES], fresh[PATH_BYTES], bytes[TEXT_BYTES];
    struct text_writer text = {.bytes = bytes, .room = sizeof bytes};
    path_of(directory, origin, "", path);
    path_of(directory, origin, ".new", fresh);
    text_put_decimal(&text, size);
    text_puts(&text, "\n");
    text_put_base64(&text, root->bytes, sizeof root->bytes);
    text_puts(&text, "\n");
    bool stored = durable_put(fresh, path, bytes, text.length) && durable_sync(directory);
    return stored ? RESULT_OK : fail(why, "written");
}
