#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/sandbox.h"

/* Run body in a child that has entered the profile; its exit status, or 128 + the signal that ended it. */
static int in_sandbox(enum sandbox_profile profile, int (*body)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct failure why = {0};
        _exit(sandbox_enter(profile, &why) == RESULT_OK ? body() : 99);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int execs(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return 1;
}

static int forks(void)
{
    return fork() == 0 ? 0 : 1;
}

static int traces(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1;
}

static int loads_bpf(void)
{
    return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int listens(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && listen(fd, 1) == 0 ? 0 : 1;
}

static void *work(void *unused)
{
    return unused;
}

/* What daemons need goes on: threads, files, sockets. What libraries probe is refused without ending them. */
static int works(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    FILE *file = tmpfile();
    if (file == NULL || fclose(file) != 0)
        return 2;
    if (socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socket(AF_INET, SOCK_STREAM, 0) < 0)
        return 3;
    if (socket(AF_INET6, SOCK_STREAM, 0) < 0 && errno != EAFNOSUPPORT)
        return 4;
    if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0)
        return 5;
    if (syscall(SYS_keyctl, 0, 0, 0, 0, 0) != -1 || errno != EPERM)
        return 6;
    return 0;
}

static void test_profiles(void **state)
{
    (void)state;
    const enum sandbox_profile profiles[] = {SANDBOX_INGEST, SANDBOX_AGGREGATE, SANDBOX_RELEASE, SANDBOX_API, SANDBOX_AUDIT,
        SANDBOX_WITNESS};
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        assert_int_equal(in_sandbox(profiles[i], works), 0);
        assert_int_equal(in_sandbox(profiles[i], execs), 128 + SIGSYS);
        assert_int_equal(in_sandbox(profiles[i], forks), 128 + SIGSYS);
        assert_int_equal(in_sandbox(profiles[i], traces), 128 + SIGSYS);
        assert_int_equal(in_sandbox(profiles[i], loads_bpf), 128 + SIGSYS);
        assert_int_equal(in_sandbox(profiles[i], listens), profiles[i] == SANDBOX_INGEST ? 0 : 128 + SIGSYS);
    }
}

static void *exec_from_thread(void *gate)
{
    char byte;
    (void)!read(*(const int *)gate, &byte, 1);
    execl("/bin/true", "true", (char *)NULL);
    return NULL;
}

/* A thread that ran before is inside, too. */
static void test_all_threads(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        int gate[2];
        pthread_t thread;
        if (pipe(gate) != 0 || pthread_create(&thread, NULL, exec_from_thread, &gate[0]) != 0)
            _exit(1);
        struct failure why = {0};
        if (sandbox_enter(SANDBOX_RELEASE, &why) != RESULT_OK)
            _exit(2);
        (void)!write(gate[1], "g", 1);
        pthread_join(thread, NULL);
        _exit(3);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
