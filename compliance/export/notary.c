#include "compliance/export/notary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "compliance/audit/note.h"
#include "compliance/bundle/manifest.h"

#define WAIT_S 20 /* witnesses may be asked meanwhile */

static enum result away(struct failure *why)
{
    failure_set(why, "audit.sign", "throng-audit, which signs, does not answer on its socket in run.directory");
    return RESULT_UNAVAILABLE;
}

static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {WAIT_S, 0};
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* Read to the end, or to what fills the room; false if the signer breaks off. */
static bool read_answer(int fd, char *bytes, size_t room, size_t *length)
{
    *length = 0;
    while (*length < room) {
        ssize_t got = recv(fd, bytes + *length, room - *length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 && *length > 0;
        *length += (size_t)got;
    }
    return false;
}

enum result notary_sign(
    const char *socket_path, uint64_t size, const uint8_t hash[32], struct text_writer *out, struct failure *why)
{
    static _Thread_local char answer[NOTE_MAX_BYTES + 1];
    char hex[MANIFEST_HEX_BYTES], line[128];
    struct note note;
    size_t got;
    int fd = open_socket(socket_path);
    if (fd < 0)
        return away(why);
    manifest_hex(hash, hex);
    int length = snprintf(line, sizeof line, "manifest %" PRIu64 " %s\n", size, hex);
    bool answered = send(fd, line, (size_t)length, MSG_NOSIGNAL) == length && read_answer(fd, answer, sizeof answer, &got);
    (void)close(fd);
    if (!answered)
        return away(why);
    if (note_parse(answer, got, &note, NULL) != RESULT_OK) {
        failure_set(why, "audit.sign", "throng-audit refused to sign: is the checkpoint of that size published?");
        return RESULT_DENIED;
    }
    text_put(out, answer, got);
    return out->full ? RESULT_CORRUPT : RESULT_OK;
}
