/* Sources and events: the same import gives the same sources, and the whole path from a body to its account, played against
 * an HTTP server of this test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/catalogue/definition.h"
#include "service/cli/sender.h"

static const char definition[] =
    "{\"name\":\"demo\",\"title\":\"Demo\",\"time_zone\":\"UTC\",\"controller\":\"x\",\"dpo_contact\":\"a@example.org\","
    "\"purposes\":[\"test\"],\"legal_basis\":\"legitimate_interests\",\"events\":[{\"name\":\"x\",\"properties\":["
    "{\"name\":\"n\",\"type\":\"number\",\"min\":0,\"max\":9},{\"name\":\"b\",\"type\":\"boolean\"}]}],"
    "\"retention\":{\"days\":1,\"weeks\":1,\"months\":1},\"privacy\":{\"preset\":\"exact\",\"allow_unprotected\":true}}";

/* Answers replies[0], [1], … to one connection each and keeps the last request. */
struct server {
    int fd;
    char target[64];
    const char *const *replies;
    size_t count;
    char request[16384];
    pthread_t thread;
};

static void read_request(struct server *server, int fd)
{
    size_t length = 0;
    server->request[0] = '\0';
    while (length < sizeof server->request - 1) {
        ssize_t got = read(fd, server->request + length, sizeof server->request - 1 - length);
        if (got <= 0)
            return;
        length += (size_t)got;
        server->request[length] = '\0';
        if (strstr(server->request, "\r\n\r\n") != NULL && length >= 2 && server->request[length - 1] == '}'
            && server->request[length - 2] == ']')
            return;
    }
}

static void *serve(void *context)
{
    struct server *server = context;
    for (size_t i = 0; i < server->count; i++) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            break;
        read_request(server, fd);
        if (write(fd, server->replies[i], strlen(server->replies[i])) < 0)
            break;
        close(fd);
    }
    return NULL;
}

static void start(struct server *server, const char *const *replies, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *server = (struct server){.fd = socket(AF_INET, SOCK_STREAM, 0), .replies = replies, .count = count};
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->fd, 4), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
    snprintf(server->target, sizeof server->target, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct server *server)
{
    pthread_join(server->thread, NULL);
    close(server->fd);
}

#define REPLY(status, headers, body) "HTTP/1.1 " status "\r\nConnection: close\r\n" headers "\r\n" body

static enum result send_two(struct server *server, struct sender **sender, struct app *app, struct failure *why)
{
    const struct sender_prop props[] = {{"n", "4"}, {"b", "1"}};
    const struct sender_event events[] = {
        {.name = "x", .user = "a\"b", .ts_ms = 1767225600000, .seq = 7, .engaged_ms = -1, .props = props, .prop_count = 2},
        {.name = "y", .user = "c", .session = "s", .ts_ms = 1767225600001, .seq = 9, .engaged_ms = 5},
    };
    assert_int_equal(definition_parse(definition, strlen(definition), app, NULL), RESULT_OK);
    assert_int_equal(sender_new(server->target, app, 1, sender, NULL), RESULT_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(sender_add(*sender, "0123456789abcdef", &events[i], NULL), RESULT_OK);
    return sender_finish(*sender, why);
}

static void test_retried_until_taken_and_accounted(void **state)
{
    (void)state;
    static const char *const replies[] = {
        REPLY("503 Busy", "Retry-After: 1\r\n", ""),
        REPLY("409 Conflict", "", "{\"type\":\"urn:throng:problem:not_importing\"}"),
        REPLY("202 Accepted", "", "{\"accepted\":1,\"rejected\":[{\"index\":1,\"type\":\"unknown_event\",\"field\":\"name\"}],"
                                  "\"dropped\":0}"),
    };
    struct server server;
    struct sender *sender = NULL;
    struct app app;
    start(&server, replies, 3);
    assert_int_equal(send_two(&server, &sender, &app, NULL), RESULT_OK);
    stop(&server);
    assert_non_null(strstr(server.request, "POST /v1/apps/demo/events?mode=import "));
    assert_string_equal(strstr(server.request, "\r\n\r\n") + 4,
        "{\"source\":\"0123456789abcdef\",\"events\":["
        "{\"seq\":7,\"ts\":1767225600000,\"name\":\"x\",\"user\":\"a\\\"b\",\"props\":{\"n\":4,\"b\":true}},"
        "{\"seq\":9,\"ts\":1767225600001,\"name\":\"y\",\"user\":\"c\",\"session\":\"s\",\"engaged_ms\":5}]}");
    const struct sender_tally *tally = sender_tally(sender);
    assert_int_equal(tally->sent, 2);
    assert_int_equal(tally->accepted, 1);
    assert_int_equal(tally->rejected, 1);
    assert_int_equal(tally->reasons[PACKET_REASON_UNKNOWN_EVENT], 1);
    assert_int_equal(tally->shown_count, 1);
    assert_int_equal(tally->shown[0].seq, 9);
    sender_free(sender);
    definition_free(&app);
}

static void test_sealed_days_are_final(void **state)
{
    (void)state;
    static const char *const replies[] = {
        REPLY("409 Conflict", "", "{\"type\":\"urn:throng:problem:sealed\",\"field\":\"ts\",\"detail\":\"sealed\"}"),
    };
    struct server server;
    struct sender *sender = NULL;
    struct app app;
    struct failure why = {0};
    start(&server, replies, 1);
    assert_int_equal(send_two(&server, &sender, &app, &why), RESULT_DENIED);
    stop(&server);
    assert_string_equal(why.field, "ts");
    sender_free(sender);
    definition_free(&app);
}

static void test_sources(void **state)
{
    (void)state;
    static const uint8_t hash[32] = {1}, other[32] = {2};
    char a[SENDER_SOURCE_BYTES], b[SENDER_SOURCE_BYTES];
    sender_make_source("kind", "what", hash, 0, a);
    assert_int_equal(strlen(a), 43);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"), 43);
    sender_make_source("kind", "what", hash, 0, b);
    assert_string_equal(a, b);
    sender_make_source("kind", "what", hash, 1, b);
    assert_string_not_equal(a, b);
    sender_make_source("kind", "what", other, 0, b);
    assert_string_not_equal(a, b);
    sender_make_source("kindw", "hat", hash, 0, b);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retried_until_taken_and_accounted),
        cmocka_unit_test(test_sealed_days_are_final),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
