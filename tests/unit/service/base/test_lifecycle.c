#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/lifecycle.h"

/* Run body in a child of its own; its exit status, or 128 + the signal that ended it. */
static int in_child(int (*body)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool fd_ready(void)
{
    struct pollfd end = {.fd = lifecycle_fd(), .events = POLLIN};
    return poll(&end, 1, 0) == 1;
}

static int ends_by_signal(void)
{
    lifecycle_begin(false);
    if (lifecycle_ending() || fd_ready())
        return 1;
    raise(SIGPIPE);
    if (lifecycle_ending())
        return 2;
    raise(SIGTERM);
    return lifecycle_ending() && fd_ready() ? 0 : 3;
}

static int ends_from_inside(void)
{
    lifecycle_begin(false);
    lifecycle_end();
    lifecycle_end();
    return lifecycle_ending() && fd_ready() ? 0 : 1;
}

static int refuses_dumps(void)
{
    lifecycle_begin(true);
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    return core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1;
}

static int sleeps(void)
{
    lifecycle_begin(false);
    int64_t before_ms = clock_steady_ms();
    if (lifecycle_sleep_ms(50) || clock_steady_ms() - before_ms < 50)
        return 1;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        usleep(50000);
        kill(parent, SIGINT);
        _exit(0);
    }
    before_ms = clock_steady_ms();
    bool ending = lifecycle_sleep_ms(30000);
    waitpid(child, NULL, 0);
    return ending && clock_steady_ms() - before_ms < 5000 ? 0 : 2;
}

/* The child's child asks to die with it, then reports through a pipe that it was asked to end. */
static void test_dies_with_parent(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (fork() == 0) {
            setenv("THRONG_DIE_WITH_PARENT", "1", 1);
            lifecycle_begin(false);
            (void)!write(ends[1], "b", 1);
            (void)!write(ends[1], lifecycle_sleep_ms(20000) ? "e" : "?", 1);
            _exit(0);
        }
        pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'e');
    close(ends[0]);
    close(ends[1]);
}

static int has_lost_parent(void)
{
    setenv("THRONG_DIE_WITH_PARENT", "4194304", 1); /* above the largest pid */
    lifecycle_begin(false);
    return lifecycle_ending() ? 0 : 1;
}

static int has_named_parent(void)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%ld", (long)getppid());
    setenv("THRONG_DIE_WITH_PARENT", pid, 1);
    lifecycle_begin(false);
    return lifecycle_ending() ? 1 : 0;
}

static void test_children(void **state)
{
    (void)state;
    assert_int_equal(in_child(ends_by_signal), 0);
    assert_int_equal(in_child(ends_from_inside), 0);
    assert_int_equal(in_child(refuses_dumps), 0);
    assert_int_equal(in_child(sleeps), 0);
    assert_int_equal(in_child(has_lost_parent), 0);
    assert_int_equal(in_child(has_named_parent), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_children),
        cmocka_unit_test(test_dies_with_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
