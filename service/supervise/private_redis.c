#include "service/supervise/private_redis.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/supervise/datadir.h"
#include "service/supervise/secrets.h"

/* Names of the files in DATA/secrets, and what each user may do. */
static const struct user {
    const char *name, *secret, *rules;
} users[] = {
    {"admin", "redis-admin", "~* &* +@all"},
    {"ingest", "redis-ingest", "-@all +xadd +hget +time +ping +auth +config|get %W~throng:{*} %R~throng:catalogue"},
    {"aggregate", "redis-aggregate",
        "-@all +xread +xrange +xtrim +xlen +xadd +hset +hget +hdel +hgetall +time +ping +auth +config|get +info +bgrewriteaof "
        "+bgsave %RW~throng:{*} %RW~throng:{*}:marks %RW~throng:catalogue %W~throng:dead"},
};
#define USERS (sizeof users / sizeof *users)

void private_redis_print_users(FILE *out)
{
    (void)fputs("user default off resetkeys resetchannels -@all\n", out);
    for (size_t i = 0; i < USERS; i++)
        if (strcmp(users[i].name, "admin") != 0)
            (void)fprintf(out, "user %s on >PASSWORD resetkeys resetchannels %s\n", users[i].name, users[i].rules);
}

static enum result make_acl(const char *data, struct failure *why)
{
    char secrets[DATADIR_PATH_BYTES], folder[DATADIR_PATH_BYTES], password[SECRETS_MAX_BYTES], text[2048];
    (void)datadir_join(secrets, data, "secrets");
    int used = snprintf(text, sizeof text, "user default off resetkeys resetchannels -@all\n");
    for (size_t i = 0; i < USERS; i++) {
        unsigned char digest[crypto_hash_sha256_BYTES];
        char hex[2 * sizeof digest + 1];
        enum result result = secrets_make(secrets, users[i].secret, why);
        if (result == RESULT_OK)
            result = secrets_read(secrets, users[i].secret, password, why);
        if (result != RESULT_OK)
            return result;
        (void)crypto_hash_sha256(digest, (const unsigned char *)password, strlen(password));
        (void)sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
        used += snprintf(text + used, sizeof text - (size_t)used, "user %s on #%s resetkeys resetchannels %s\n",
            users[i].name, hex, users[i].rules);
    }
    sodium_memzero(password, sizeof password);
    return secrets_write(datadir_join(folder, data, "redis"), "users.acl", text, why);
}

static enum result write_configuration(const char *data, int64_t memory_bytes, bool strict, struct failure *why)
{
    char folder[DATADIR_PATH_BYTES], text[2048];
    (void)snprintf(text, sizeof text,
        "# Written by `throng up` at each start.\n"
        "port 0\n"
        "unixsocket %s/run/redis.sock\n"
        "unixsocketperm 700\n"
        "dir %s/redis\n"
        "daemonize no\n"
        "logfile \"\"\n"
        "save \"\"\n"
        "appendonly yes\n"
        "appendfsync %s\n"
        "aof-load-truncated yes\n"
        "maxmemory %lld\n"
        "maxmemory-policy noeviction\n"
        /* An entry that is trimmed leaves no bytes: entries that stand together stay while one of them does. */
        "stream-node-max-entries 1\n"
        "aclfile %s/redis/users.acl\n",
        data, data, strict ? "always" : "no", (long long)memory_bytes, data);
    return secrets_write(datadir_join(folder, data, "redis"), "redis.conf", text, why);
}

static const char *find_server(void)
{
    static const char *const places[] = {"/usr/bin/redis-server", "/usr/local/bin/redis-server", "/usr/sbin/redis-server"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (access(places[i], X_OK) == 0)
            return places[i];
    }
    return NULL;
}

enum result private_redis_plan(const char *data, int64_t memory_bytes, bool strict, struct supervise_service *service,
    struct failure *why)
{
    char path[DATADIR_PATH_BYTES];
    const char *server = find_server();
    if (server == NULL) {
        failure_set(why, "redis", "redis-server is not installed; on Debian: apt-get install redis-server");
        return RESULT_NOT_FOUND;
    }
    enum result result = make_acl(data, why);
    if (result == RESULT_OK)
        result = write_configuration(data, memory_bytes, strict, why);
    if (result != RESULT_OK)
        return result;
    *service = (struct supervise_service){.stop_signal = SIGTERM, .stop_ms = 15000};
    service->plan = (struct child_plan){.name = "redis", .program_fd = -1, .program = server, .output_fd = -1,
        .keep_fd = -1, .death_signal = SIGTERM};
    words_add(&service->plan.arguments, "redis-server");
    words_add(&service->plan.arguments, "%s", datadir_join(path, data, "redis/redis.conf"));
    return RESULT_OK;
}

static int dial(const char *data)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.*s/run/redis.sock", DATADIR_MAX_BYTES, data);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const struct timeval patience = {.tv_sec = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool private_redis_ready(const void *data, pid_t pid)
{
    (void)pid;
    char secrets[DATADIR_PATH_BYTES], password[SECRETS_MAX_BYTES], text[SECRETS_MAX_BYTES + 64], answer[256];
    if (secrets_read(datadir_join(secrets, data, "secrets"), "redis-admin", password, NULL) != RESULT_OK)
        return false;
    int fd = dial(data);
    if (fd < 0)
        return false;
    /* QUIT makes the server close, so that reading to the end takes in both answers. */
    int length = snprintf(text, sizeof text, "AUTH admin %s\r\nPING\r\nQUIT\r\n", password);
    size_t used = 0;
    if (write(fd, text, (size_t)length) == length) {
        ssize_t got = 1;
        while (got > 0 && used < sizeof answer - 1) {
            got = read(fd, answer + used, sizeof answer - 1 - used);
            used += got > 0 ? (size_t)got : 0;
        }
    }
    (void)close(fd);
    answer[used] = '\0';
    return strstr(answer, "+PONG") != NULL;
}
