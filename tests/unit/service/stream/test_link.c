/*
 * A link against a real redis-server with TLS, its certificates made by the openssl program. Skips with a notice if
 * one of them is missing. test_stream.c shows the rest of a link's life over unix sockets and TCP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/metrics.h"
#include "service/stream/link.h"
#include "tests/unit/port.h"

#define TIMEOUT_MS 3000
#define PATH_BYTES 128

static char directory[64];
static char paths[8][PATH_BYTES];
static pid_t server;
static int plain_port, tls_port;

/* Path of a file in the directory; good for the next seven calls. */
static const char *in_directory(const char *name)
{
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    return path;
}

/* Two CAs; of the first: a server's certificate for 127.0.0.1, one for another name, one that has expired, a client's. */
static bool make_certificates(void)
{
    char command[2048];
    snprintf(command, sizeof command,
        "cd %s && exec >openssl.log 2>&1 && new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
        "for ca in ca other; do openssl req -x509 $new -keyout $ca.key -out $ca.crt -subj /CN=$ca -days 2 || exit 1; done\n"
        "make() { openssl req $new -keyout $1.key -out $1.csr -subj /CN=$1 && echo subjectAltName=$2 >$1.ext &&\n"
        "  openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days $3 -extfile $1.ext -out $1.crt; }\n"
        "make good IP:127.0.0.1 2 && make named DNS:localhost 2 && make old IP:127.0.0.1 -1 && make client DNS:c 2\n",
        directory);
    return system(command) == 0; /* NOLINT: nothing of it comes from outside */
}

/* A server with certificate NAME; clients: "yes" if they must have one, too. */
static void start_server(const char *name, const char *clients)
{
    char ports[2][8], certificate[16], key[16];
    snprintf(ports[0], sizeof ports[0], "%d", plain_port);
    snprintf(ports[1], sizeof ports[1], "%d", tls_port);
    snprintf(certificate, sizeof certificate, "%s.crt", name);
    snprintf(key, sizeof key, "%s.key", name);
    server = fork();
    if (server == 0) {
        int fd = open(in_directory("redis.log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        if (chdir(directory) != 0)
            _exit(127);
        execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--save", "", "--port", ports[0], "--tls-port",
            ports[1], "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", "ca.crt",
            "--tls-auth-clients", clients, (char *)NULL);
        _exit(127);
    }
}

static void stop_server(void)
{
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    server = 0;
}

static struct config config_for(int port, bool tls)
{
    return (struct config){.redis_socket = "",
        .redis_host = "127.0.0.1",
        .redis_port = port,
        .redis_tls = tls,
        .redis_tls_ca = in_directory("ca.crt"),
        .redis_tls_cert = "",
        .redis_tls_key = "",
        .redis_timeout_ms = TIMEOUT_MS};
}

static int64_t soon(void)
{
    return clock_steady_ms() + TIMEOUT_MS;
}

/* PING, and its answer. */
static enum result ping(struct link *link, struct failure *why)
{
    redisReply *reply = NULL;
    enum result result = link_append(link, 1, &(const char *){"PING"}, &(size_t){4}, why);
    if (result == RESULT_OK)
        result = link_flush(link, soon(), why);
    if (result == RESULT_OK)
        result = link_reply(link, soon(), &reply, why);
    if (result == RESULT_OK) {
        assert_int_equal(reply->type, REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
    return result;
}

static enum result open_and_ping(const struct config *config, struct failure *why)
{
    struct link *link = NULL;
    *why = (struct failure){0};
    enum result result = link_open(config, soon(), &link, why);
    if (result == RESULT_OK)
        result = ping(link, why);
    link_close(link);
    return result;
}

static void serve(const char *name, const char *clients)
{
    stop_server();
    start_server(name, clients);
    const struct config plain = config_for(plain_port, false);
    struct failure why;
    for (int i = 0; i < 300 && open_and_ping(&plain, &why) != RESULT_OK; i++)
        usleep(20000);
}

static void expect(const struct config *config, enum result result, const char *field, const char *words)
{
    struct failure why;
    enum result got = open_and_ping(config, &why);
    if (got != result || strcmp(why.field, field) != 0 || strstr(why.text, words) == NULL)
        fail_msg("%s: %s: %s", failure_name(got), why.field, why.text);
}

static void test_trusted(void **state)
{
    (void)state;
    serve("good", "no");
    struct config config = config_for(tls_port, true);
    struct failure why = {0};
    struct link *link = NULL;
    assert_int_equal(link_open(&config, soon(), &link, &why), RESULT_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ping(link, &why), RESULT_OK);
        assert_false(link_stale(link));
    }
    int64_t left_s = metrics_get(METRIC_TLS_NOT_AFTER_REDIS) - (int64_t)time(NULL);
    assert_in_range(left_s, 86400, 2 * 86400);
    stop_server();
    usleep(50000);
    assert_true(link_stale(link));
    assert_int_equal(ping(link, &why), RESULT_UNAVAILABLE);
    link_close(link);
}

static void test_server_not_trusted(void **state)
{
    (void)state;
    serve("good", "no");
    struct config config = config_for(tls_port, true);
    config.redis_tls_ca = in_directory("other.crt");
    expect(&config, RESULT_UNAVAILABLE, "redis.tls_ca", "not trusted");
    config.redis_tls_ca = ""; /* the system's do not know it either */
    expect(&config, RESULT_UNAVAILABLE, "redis.tls_ca", "not trusted");
    config.redis_tls_ca = in_directory("ca.crt");
    expect(&config, RESULT_OK, "", "");
    config.redis_host = "localhost";
    expect(&config, RESULT_UNAVAILABLE, "redis.host", "host name differs");
    serve("named", "no");
    expect(&config, RESULT_OK, "", "");
    config.redis_host = "127.0.0.1";
    expect(&config, RESULT_UNAVAILABLE, "redis.host", "host name differs");
    serve("old", "no");
    expect(&config, RESULT_UNAVAILABLE, "redis.tls", "expired");
}

static void test_client_certificate(void **state)
{
    (void)state;
    serve("good", "yes");
    struct config config = config_for(tls_port, true);
    expect(&config, RESULT_UNAVAILABLE, "redis.tls_cert", "asks for a client certificate");
    config.redis_tls_cert = in_directory("client.crt");
    expect(&config, RESULT_INVALID, "redis.tls_key", "needs both");
    config.redis_tls_key = in_directory("client.key");
    expect(&config, RESULT_OK, "", "");
    config.redis_tls_key = in_directory("good.key");
    expect(&config, RESULT_INVALID, "redis.tls_key", "is not the key");
    config.redis_tls_cert = in_directory("other.crt");
    config.redis_tls_key = in_directory("other.key");
    expect(&config, RESULT_UNAVAILABLE, "redis.tls_cert", "does not trust the CA");
}

static void test_plain_and_tls_mixed_up(void **state)
{
    (void)state;
    serve("good", "no");
    struct config config = config_for(tls_port, false);
    expect(&config, RESULT_UNAVAILABLE, "redis", "broke while reading");
    config = config_for(plain_port, true);
    config.redis_timeout_ms = 300;
    struct failure why = {0};
    struct link *link = NULL;
    int64_t before_ms = clock_steady_ms();
    assert_int_equal(link_open(&config, before_ms + 300, &link, &why), RESULT_UNAVAILABLE);
    assert_in_range(clock_steady_ms() - before_ms, 0, 1500);
    assert_string_equal(why.field, "redis.tls");
    assert_null(link);
}

static void test_unusable_configuration(void **state)
{
    (void)state;
    serve("good", "no");
    struct config config = config_for(tls_port, true);
    config.redis_tls_ca = in_directory("none.crt");
    expect(&config, RESULT_INVALID, "redis.tls_ca", "cannot be read");
    config.redis_tls_ca = in_directory("ca.key");
    expect(&config, RESULT_INVALID, "redis.tls_ca", "no certificate");
    config = config_for(tls_port, true);
    config.redis_socket = in_directory("redis.sock");
    expect(&config, RESULT_INVALID, "redis.tls", "empty redis.socket");
}

/* A certificate that is renewed on disk is taken at the next connection. */
static void test_renewed_file(void **state)
{
    (void)state;
    serve("good", "no");
    struct config config = config_for(tls_port, true);
    config.redis_tls_ca = in_directory("link.crt");
    assert_int_equal(symlink("other.crt", config.redis_tls_ca), 0);
    expect(&config, RESULT_UNAVAILABLE, "redis.tls_ca", "not trusted");
    assert_int_equal(unlink(config.redis_tls_ca), 0);
    assert_int_equal(symlink("ca.crt", config.redis_tls_ca), 0);
    expect(&config, RESULT_OK, "", "");
}

/* Many megabytes in one pipeline, there and back: more than any buffer on the way holds. */
static void test_much(void **state)
{
    (void)state;
    serve("good", "no");
    struct config config = config_for(tls_port, true);
    struct failure why = {0};
    struct link *link = NULL;
    enum { COUNT = 500, BYTES = 20000 };
    char *bytes = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)(i * 7 % 251);
    assert_int_equal(link_open(&config, soon(), &link, &why), RESULT_OK);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(
            link_append(link, 2, (const char *const[]){"ECHO", bytes}, (const size_t[]){4, BYTES}, &why), RESULT_OK);
    assert_int_equal(link_flush(link, soon() + 20000, &why), RESULT_OK);
    for (int i = 0; i < COUNT; i++) {
        redisReply *reply = NULL;
        assert_int_equal(link_reply(link, soon() + 20000, &reply, &why), RESULT_OK);
        assert_int_equal(reply->len, BYTES);
        assert_memory_equal(reply->str, bytes, BYTES);
        freeReplyObject(reply);
    }
    assert_false(link_stale(link));
    link_close(link);
    free(bytes);
}

/* An answer more than there were questions, in one piece with the last: none of it may be taken for a later one. */
static void test_unasked_answer(void **state)
{
    (void)state;
    static const char *const said[] = {"+PONG\r\n", "+PONG\r\n+PONG\r\n"};
    struct config config = {.redis_socket = in_directory("said.sock"), .redis_host = ""};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, config.redis_socket);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 2), 0);
    for (size_t i = 0; i < 2; i++) {
        struct failure why = {0};
        struct link *link = NULL;
        assert_int_equal(link_open(&config, soon(), &link, &why), RESULT_OK);
        int peer = accept(listener, NULL, NULL);
        assert_int_equal(write(peer, said[i], strlen(said[i])), strlen(said[i]));
        assert_int_equal(ping(link, &why), RESULT_OK);
        assert_int_equal(link_stale(link), i == 1);
        link_close(link);
        close(peer);
    }
    close(listener);
}

static int start(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    strcpy(directory, "/tmp/throng-link-XXXXXX");
    plain_port = port_claim();
    tls_port = port_claim();
    return mkdtemp(directory) != NULL && make_certificates() ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    stop_server();
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/rm", "rm", "-rf", directory, (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    return 0;
}

int main(void)
{
    if (system("command -v redis-server >/dev/null 2>&1 && command -v openssl >/dev/null 2>&1") != 0) { /* NOLINT */
        puts("SKIPPED: redis-server or openssl is not installed");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_server_not_trusted),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_plain_and_tls_mixed_up),
        cmocka_unit_test(test_unusable_configuration),
        cmocka_unit_test(test_renewed_file),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_unasked_answer),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
