#include "compliance/sequencer/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME "audit.sign"
#define LINE_BYTES 128
#define CLIENTS_AT_ONCE 8

static enum result address_of(const char *directory, struct sockaddr_un *address, struct failure *why)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/" NAME, directory);
    if (length > 0 && (size_t)length < sizeof address->sun_path)
        return RESULT_OK;
    failure_set(why, "run.directory", "gives a socket path over %zu bytes", sizeof address->sun_path - 1);
    return RESULT_INVALID;
}

enum result socket_listen(const char *directory, int *fd, struct failure *why)
{
    struct sockaddr_un address;
    enum result result = address_of(directory, &address, why);
    if (result != RESULT_OK)
        return result;
    int opened = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(address.sun_path);
    mode_t before = umask(0177);
    int bound = opened < 0 ? -1 : bind(opened, (const struct sockaddr *)&address, sizeof address);
    int saved = errno;
    (void)umask(before);
    errno = saved;
    if (bound == 0 && listen(opened, 16) == 0) {
        *fd = opened;
        return RESULT_OK;
    }
    failure_set(why, "run.directory", "no socket can be listened on there: %s", strerror(errno));
    if (opened >= 0)
        (void)close(opened);
    return RESULT_FAILED;
}

void socket_remove(const char *directory)
{
    struct sockaddr_un address;
    if (address_of(directory, &address, NULL) == RESULT_OK)
        (void)unlink(address.sun_path);
}

static void limit_time(int fd, int seconds)
{
    const struct timeval limit = {.tv_sec = seconds};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static bool send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t part = send(fd, bytes, length, MSG_NOSIGNAL);
        if (part <= 0)
            return false;
        bytes += part;
        length -= (size_t)part;
    }
    return true;
}

/* Answers */

static enum result answer_manifest(
    struct sequence *sequence, struct text_view rest, struct text_writer *out, struct failure *why)
{
    char hex[65];
    uint64_t size = 0;
    const char *space = rest.length == 0 ? NULL : memchr(rest.bytes, ' ', rest.length);
    size_t digits = space == NULL ? 0 : (size_t)(space - rest.bytes);
    bool good = space != NULL && rest.length - digits == sizeof hex &&
                text_decimal((struct text_view){rest.bytes, digits}, &size);
    for (size_t i = 0; good && i < 64; i++)
        good = strchr("0123456789abcdef", space[1 + i]) != NULL && space[1 + i] != '\0';
    if (!good) {
        failure_set(why, "manifest", "is not a size and 64 hex digits");
        return RESULT_INVALID;
    }
    memcpy(hex, space + 1, 64);
    hex[64] = '\0';
    return sequence_sign_manifest(sequence, size, hex, out, why);
}

static void answer_keys(const struct keystore *keys, size_t first, struct text_writer *out)
{
    for (size_t i = first; i < keys->count; i++) {
        char text[NOTE_KEY_MAX_BYTES];
        note_key_print(&keys->keys[i].signer.key, text);
        text_puts(out, text);
        text_puts(out, "\n");
    }
}

static enum result answer(struct sequence *sequence, const struct keystore *keys, struct text_view line,
    struct text_writer *out, struct failure *why)
{
    if (text_skip(&line, "manifest "))
        return answer_manifest(sequence, line, out, why);
    if (text_is(line, "checkpoint"))
        return sequence_newest(sequence, out, why);
    if (text_is(line, "vkey")) {
        answer_keys(keys, 0, out);
        return RESULT_OK;
    }
    if (text_is(line, "rotate")) {
        enum result result = sequence_rotate(sequence, why);
        if (result == RESULT_OK)
            answer_keys(keys, keys->count - 1, out);
        return result;
    }
    failure_set(why, "", "asked for nothing that is known");
    return RESULT_INVALID;
}

static void serve_client(int fd, struct sequence *sequence, const struct keystore *keys)
{
    char line[LINE_BYTES], bytes[SIGNER_NOTE_BYTES];
    size_t length = 0;
    struct text_view rest, asked;
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct failure why = {0};
    do {
        ssize_t part = recv(fd, line + length, sizeof line - length, 0);
        if (part <= 0)
            return;
        length += (size_t)part;
        rest = (struct text_view){line, length};
    } while (!text_line(&rest, &asked) && length < sizeof line);
    rest = (struct text_view){line, length};
    if (!text_line(&rest, &asked))
        return;
    if (answer(sequence, keys, asked, &out, &why) != RESULT_OK) {
        out.length = 0;
        text_puts(&out, "error: ");
        text_puts(&out, why.text);
        text_puts(&out, "\n");
    }
    (void)send_all(fd, out.bytes, out.length);
}

void socket_serve(int fd, struct sequence *sequence, const struct keystore *keys)
{
    for (int i = 0; i < CLIENTS_AT_ONCE; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            return;
        limit_time(client, 1);
        serve_client(client, sequence, keys);
        (void)close(client);
    }
}

static enum result converse(int fd, const char *line, char *out, size_t room, struct failure *why)
{
    size_t length = 0;
    limit_time(fd, 60);
    if (!send_all(fd, line, strlen(line)) || !send_all(fd, "\n", 1)) {
        failure_set(why, "run.directory", "throng-audit does not listen");
        return RESULT_UNAVAILABLE;
    }
    for (ssize_t part = 1; part > 0 && length < room - 1; length += part > 0 ? (size_t)part : 0)
        part = recv(fd, out + length, room - 1 - length, 0);
    out[length] = '\0';
    if (length > 0 && strncmp(out, "error: ", 7) != 0)
        return RESULT_OK;
    failure_set(why, "", "throng-audit: %.200s", length == 0 ? "no answer" : out + 7);
    return RESULT_FAILED;
}

enum result socket_ask(const char *directory, const char *line, char *out, size_t room, struct failure *why)
{
    struct sockaddr_un address;
    enum result result = address_of(directory, &address, why);
    if (result != RESULT_OK)
        return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        failure_set(why, "run.directory", "no throng-audit listens there: it must run");
        result = RESULT_UNAVAILABLE;
    } else {
        result = converse(fd, line, out, room, why);
    }
    if (fd >= 0)
        (void)close(fd);
    return result;
}
