#include "anonymizer/edge/keyserver.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/anonymizer/edge/keydir.h"

/* Frames by hand: length u32le, then the body. */
struct frame {
    const char *bytes;
    size_t length;
};
#define FRAME(text)                                                                                                  \
    {                                                                                                                \
        text, sizeof(text) - 1                                                                                       \
    }

static struct keyd_options options_in(void **state)
{
    return (struct keyd_options){.key_file = ((struct keydir *)*state)->path,
        .passphrase = PASSPHRASE,
        .shards = 16,
        .may_create = true,
        .sandbox = !KEYDIR_SANITIZED};
}

static pid_t start(void **state, int *socket)
{
    struct keyd_options options = options_in(state);
    struct keyserver_setup setup = {.options = &options, .parent = getpid()};
    int ends[2];
    char ready[5];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    setup.socket = ends[1];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        keyserver_run(&setup);
    (void)close(ends[1]);
    *socket = ends[0];
    assert_int_equal(recv(ends[0], ready, sizeof ready, MSG_WAITALL), sizeof ready);
    assert_memory_equal(ready, "\1\0\0\0\0", 5);
    return pid;
}

static int await_status(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_closed_socket_ends_it(void **state)
{
    int socket;
    pid_t pid = start(state, &socket);
    (void)close(socket);
    assert_int_equal(await_status(pid), KEYSERVER_ENDED);
}

static void test_malformed_frames_end_it(void **state)
{
    static const struct frame frames[] = {
        FRAME("\0\0\0\0"),                                          /* empty body */
        FRAME("\377\377\377\377"),                                  /* longer than any */
        FRAME("\1\0\0\0\0"),                                        /* op 0 */
        FRAME("\1\0\0\0\12"),                                       /* op 10 */
        FRAME("\1\0\0\0\377"),                                      /* op 255 */
        FRAME("\2\0\0\0\11x"),                                      /* SPOOL_FIRST with a byte too many */
        FRAME("\5\0\0\0\1\1\0\0\0"),                                /* DECLARE cut short */
        FRAME("\5\0\0\0\2\0\0\0\0"),                                /* MAP cut short */
        FRAME("\15\0\0\0\2\0\0\0\0\0\0\0\0\1\0\0\0"),               /* MAP of one id that is not there */
        FRAME("\15\0\0\0\2\0\0\0\0\0\0\0\0\1\0\1\0"),               /* MAP of 65537 */
        FRAME("\15\0\0\0\2\0\0\0\0\0\0\0\200\0\0\0\0"),             /* MAP before 1970 */
        FRAME("\25\0\0\0\2\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0X\1\0a"), /* kind X */
        FRAME("\25\0\0\0\2\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0U\1\1a"), /* length 257 */
        FRAME("\25\0\0\0\2\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0U\2\0a"), /* length beyond the end */
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        int socket;
        pid_t pid = start(state, &socket);
        assert_int_equal(send(socket, frames[i].bytes, frames[i].length, MSG_NOSIGNAL), frames[i].length);
        /* A length without a body that could follow would wait for it. */
        (void)shutdown(socket, SHUT_WR);
        int status = await_status(pid);
        char byte;
        assert_int_equal(status, i < 2 ? KEYSERVER_ENDED : KEYSERVER_MALFORMED);
        assert_true(recv(socket, &byte, 1, 0) <= 0);
        (void)close(socket);
    }
}

static void test_signals_of_the_group_do_not_end_it(void **state)
{
    int socket;
    char answer[13];
    pid_t pid = start(state, &socket);
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(kill(pid, SIGHUP), 0);
    assert_int_equal(send(socket, "\1\0\0\0\11", 5, MSG_NOSIGNAL), 5);
    assert_int_equal(recv(socket, answer, sizeof answer, MSG_WAITALL), sizeof answer);
    assert_memory_equal(answer, "\11\0\0\0\0\0\0\0\0\0\0\0\0", sizeof answer);
    (void)close(socket);
    assert_int_equal(await_status(pid), KEYSERVER_ENDED);
}

#define SERVER_TEST(test) cmocka_unit_test_setup_teardown(test, keydir_make, keydir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_closed_socket_ends_it),
        SERVER_TEST(test_malformed_frames_end_it),
        SERVER_TEST(test_signals_of_the_group_do_not_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
