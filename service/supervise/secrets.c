#include "service/supervise/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/base/durable.h"

#define PATH_BYTES 512

enum result secrets_write(const char *directory, const char *name, const char *text, struct failure *why)
{
    char path[PATH_BYTES], fresh[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)snprintf(fresh, sizeof fresh, "%s/.%s.new", directory, name);
    (void)unlink(fresh); /* what a killed process left, of another user perhaps */
    if (durable_put(fresh, path, text, strlen(text)) && durable_sync(directory))
        return RESULT_OK;
    failure_set(why, name, "cannot write the file: %s", strerror(errno));
    return RESULT_FAILED;
}

enum result secrets_make(const char *directory, const char *name, struct failure *why)
{
    char path[PATH_BYTES], text[64];
    unsigned char random[24];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    if (access(path, F_OK) == 0)
        return RESULT_OK;
    if (sodium_init() < 0) {
        failure_set(why, name, "no source of randomness");
        return RESULT_FAILED;
    }
    randombytes_buf(random, sizeof random);
    (void)sodium_bin2base64(text, sizeof text, random, sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    enum result result = secrets_write(directory, name, text, why);
    sodium_memzero(random, sizeof random);
    sodium_memzero(text, sizeof text);
    return result;
}

enum result secrets_read(const char *directory, const char *name, char out[SECRETS_MAX_BYTES], struct failure *why)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        failure_set(why, name, "cannot read it: %s", strerror(errno));
        return errno == ENOENT ? RESULT_NOT_FOUND : RESULT_FAILED;
    }
    ssize_t length = read(fd, out, SECRETS_MAX_BYTES - 1);
    (void)close(fd);
    if (length <= 0) {
        failure_set(why, name, "is empty or cannot be read");
        return RESULT_FAILED;
    }
    out[length] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return RESULT_OK;
}
