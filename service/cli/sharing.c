#include "service/cli/sharing.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/cli/ask.h"
#include "service/supervise/environment.h"
#include "service/supervise/secrets.h"

#define NAME "keys"
#define PATH_BYTES 4096
#define BUFFER_BYTES 65536

/* The first line of a file that an operator names. */
static enum result read_passphrase(const char *file, char out[SECRETS_MAX_BYTES], struct failure *why)
{
    enum result result = secrets_read(file[0] == '/' ? "/" : ".", file, out, why);
    if (result != RESULT_OK || strlen(out) >= 12)
        return result;
    failure_set(why, "passphrase-file", "its first line has fewer than 12 bytes");
    return RESULT_INVALID;
}

static enum result fetch(struct command_context *context, const char *passphrase, json_t **out, struct failure *why)
{
    json_t *body = json_object();
    enum result result = RESULT_INVALID;
    if (json_object_set_new(body, "passphrase", json_string(passphrase)) == 0)
        result = ask_ingest(context, "POST", "/v1/keys/export", body, out, why);
    else
        failure_set(why, "passphrase-file", "is not UTF-8");
    json_decref(body);
    return result;
}

/* Move the sealed ring, which ingest wrote to a file of its state directory, to a new file, durably. */
static enum result move(const json_t *document, const char *to, struct failure *why)
{
    unsigned char bytes[BUFFER_BYTES];
    const char *from = json_string_value(json_object_get(document, "file"));
    int source = from == NULL ? -1 : open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (source < 0) {
        failure_set(why, "ingest", "its export cannot be read; does this user own ingest's state directory?");
        return RESULT_DENIED;
    }
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t got = fd < 0 ? -1 : read(source, bytes, sizeof bytes);
    while (got > 0 && write(fd, bytes, (size_t)got) == got)
        got = read(source, bytes, sizeof bytes);
    bool copied = fd >= 0 && got == 0 && fsync(fd) == 0;
    if (!copied)
        failure_set(why, "out", "cannot be written: %s", strerror(errno));
    if (!copied && fd >= 0)
        (void)unlink(to);
    if (fd >= 0)
        (void)close(fd);
    (void)close(source);
    (void)unlink(from);
    return copied ? RESULT_OK : RESULT_FAILED;
}

int sharing_export(struct command_context *context, const char *file, const char *passphrase_file)
{
    struct failure why = {0};
    char passphrase[SECRETS_MAX_BYTES];
    json_t *document = NULL;
    enum result result = read_passphrase(passphrase_file, passphrase, &why);
    if (result == RESULT_OK)
        result = fetch(context, passphrase, &document, &why);
    sodium_memzero(passphrase, sizeof passphrase);
    if (result == RESULT_OK)
        result = move(document, file, &why);
    json_decref(document);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    (void)printf(context->json ? "{\"exported\":\"%s\"}\n"
                               : "all keys are in %s, sealed. On the other node, while its ingest is stopped:\n"
                                 "  throng keys join FILE --passphrase-file FILE\nthen delete both copies.\n",
        file);
    return 0;
}

/* The program of that name beside this one. */
static void beside(const char *name, char out[PATH_BYTES + 32])
{
    char self[PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL)
        *slash = '\0';
    (void)snprintf(out, PATH_BYTES + 32, "%s/%s", self, name);
}

/* What throng-ingest reads of the configuration. */
static void set_environment(const struct config *config, const char *passphrase)
{
    static const char *const sections[] = {"run", "stream", "ingest"};
    static struct words words;
    char seal[PATH_BYTES];
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        environment_section(&words, config, sections[i]);
    for (size_t i = 0; i < words.count; i++)
        (void)putenv(words.items[i]);
    (void)snprintf(seal, sizeof seal, "%s/secrets/seal", config->up_data);
    if (config->ingest_seal[0] != '\0')
        (void)setenv("THRONG_INGEST_SEAL", config->ingest_seal, 1);
    else if (config->up_data[0] != '\0')
        (void)setenv("THRONG_INGEST_SEAL_FILE", seal, 1);
    (void)setenv("THRONG_IMPORT_PASSPHRASE", passphrase, 1);
}

int sharing_join(struct command_context *context, const char *file, const char *passphrase_file)
{
    struct failure why = {0};
    char program[PATH_BYTES + 32], passphrase[SECRETS_MAX_BYTES];
    if (read_passphrase(passphrase_file, passphrase, &why) != RESULT_OK)
        return command_fail(NAME, &why);
    set_environment(&context->config, passphrase);
    sodium_memzero(passphrase, sizeof passphrase);
    beside("throng-ingest", program);
    (void)execl(program, "throng-ingest", "--import-keys", file, (char *)NULL);
    failure_set(&why, "throng-ingest", "cannot be run: %s", strerror(errno));
    return command_fail(NAME, &why);
}
