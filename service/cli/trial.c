#include "service/cli/trial.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/supervise/datadir.h"
#include "service/supervise/secrets.h"

#define ANSWER_BYTES 4096

/* What must be refused, and would be harmless if it were not. */
static const struct attempt {
    const char *user, *secret, *command;
} attempts[] = {
    {"ingest", "redis-ingest", "KEYS throng-doctor"},
    {"ingest", "redis-ingest", "XRANGE throng:{0} - - COUNT 1"},
    {"ingest", "redis-ingest", "XLEN throng:{0}"},
    {"ingest", "redis-ingest", "GET throng-doctor"},
    {"ingest", "redis-ingest", "ACL WHOAMI"},
    {"ingest", "redis-ingest", "HGETALL throng:{0}:marks"},
    {"aggregate", "redis-aggregate", "KEYS throng-doctor"},
    {"aggregate", "redis-aggregate", "GET throng-doctor"},
    {"aggregate", "redis-aggregate", "ACL WHOAMI"},
    {"aggregate", "redis-aggregate", "XLEN throng-doctor"},
    {"default", NULL, "PING"},
};

static int connect_to(const char *data)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 2};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.80s/run/redis.sock", data);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* One line in, one line of answer out. */
static bool exchange(int fd, const char *line, char answer[ANSWER_BYTES])
{
    size_t length = strlen(line), used = 0;
    if (write(fd, line, length) != (ssize_t)length)
        return false;
    while (used < ANSWER_BYTES - 1) {
        ssize_t more = read(fd, answer + used, ANSWER_BYTES - 1 - used);
        if (more <= 0)
            return false;
        used += (size_t)more;
        answer[used] = '\0';
        if (strstr(answer, "\r\n") != NULL)
            return true;
    }
    return false;
}

/* Whether the attempt is refused. */
static enum trial_verdict make_attempt(const char *data, const struct attempt *attempt, char *text, size_t size)
{
    char folder[DATADIR_PATH_BYTES], password[SECRETS_MAX_BYTES] = "", line[SECRETS_MAX_BYTES + 64], answer[ANSWER_BYTES];
    if (attempt->secret != NULL &&
        secrets_read(datadir_join(folder, data, "secrets"), attempt->secret, password, NULL) != RESULT_OK) {
        (void)snprintf(text, size, "the secrets of %s cannot be read by this user", data);
        return TRIAL_IMPOSSIBLE;
    }
    int fd = connect_to(data);
    (void)snprintf(text, size, "Redis does not answer at %s/run/redis.sock", data);
    if (fd < 0)
        return TRIAL_IMPOSSIBLE;
    enum trial_verdict verdict = TRIAL_IMPOSSIBLE;
    (void)snprintf(line, sizeof line, "AUTH %s %s\r\n", attempt->user, password);
    if (attempt->secret == NULL || (exchange(fd, line, answer) && strncmp(answer, "+OK", 3) == 0)) {
        (void)snprintf(line, sizeof line, "%s\r\n", attempt->command);
        if (exchange(fd, line, answer))
            verdict = strncmp(answer, "-NOPERM", 7) == 0 || strncmp(answer, "-NOAUTH", 7) == 0 ? TRIAL_HELD : TRIAL_BROKEN;
    }
    if (verdict == TRIAL_BROKEN)
        (void)snprintf(text, size, "Redis did not refuse \"%s\" to its user %s", attempt->command, attempt->user);
    explicit_bzero(password, sizeof password);
    explicit_bzero(line, sizeof line);
    (void)close(fd);
    return verdict;
}

enum trial_verdict trial_of_acls(const char *data, char *text, size_t size)
{
    enum trial_verdict verdict = TRIAL_HELD;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts && verdict == TRIAL_HELD; i++)
        verdict = make_attempt(data, &attempts[i], text, size);
    return verdict;
}
