#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/supervise/supervise.h"

/* A shell that runs script as a service; its output goes nowhere. */
static struct supervise_service shell(const char *script)
{
    struct supervise_service service = {.stop_signal = SIGTERM, .stop_ms = 3000};
    service.plan = (struct child_plan){.name = "shell", .program_fd = -1, .program = "/bin/sh", .log = "/dev/null",
        .output_fd = -1, .keep_fd = -1, .death_signal = SIGKILL};
    words_add(&service.plan.arguments, "sh");
    words_add(&service.plan.arguments, "-c");
    words_add(&service.plan.arguments, "%s", script);
    words_add(&service.plan.environment, "PATH=/usr/bin:/bin");
    return service;
}

static bool at_once(const void *context, pid_t pid)
{
    *(pid_t *)(*(void *const *)context) = pid;
    return true;
}

static bool never(const void *context, pid_t pid)
{
    (void)context;
    (void)pid;
    return false;
}

static void reports_the_status_of_a_tool(void **state)
{
    struct supervise *supervise = *state;
    struct supervise_service service = shell("exit 3");
    int status = -1;
    assert_int_equal(supervise_tool(supervise, &service.plan, &status, NULL), RESULT_OK);
    assert_int_equal(status, 3);
    service = shell("kill -9 $$");
    assert_int_equal(supervise_tool(supervise, &service.plan, &status, NULL), RESULT_OK);
    assert_int_equal(status, 128 + SIGKILL);
}

static void says_so_when_a_service_ends_before_it_is_ready(void **state)
{
    struct supervise *supervise = *state;
    struct supervise_service service = shell("exit 7");
    struct failure why = {0};
    assert_int_equal(supervise_start(supervise, &service, &why), RESULT_OK);
    assert_int_equal(supervise_await(supervise, never, NULL, 5000, &why), RESULT_UNAVAILABLE);
    assert_non_null(strstr(why.text, "status 7"));
    assert_true(supervise_stop(supervise));
}

static void gives_up_waiting_at_the_deadline(void **state)
{
    struct supervise *supervise = *state;
    struct supervise_service service = shell("exec sleep 60");
    struct failure why = {0};
    int64_t started = clock_steady_ms();
    assert_int_equal(supervise_start(supervise, &service, &why), RESULT_OK);
    assert_int_equal(supervise_await(supervise, never, NULL, 300, &why), RESULT_FAILED);
    assert_in_range(clock_steady_ms() - started, 300, 5000);
    assert_true(supervise_stop(supervise));
}

/* The loop ends by the service's second life, which asks its parent for it. */
static void restarts_what_dies(void **state)
{
    struct supervise *supervise = *state;
    pid_t first = 0, *place = &first;
    char folder[] = "/tmp/throng-supervise-XXXXXX", script[256];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(script, sizeof script,
        "if [ -e %s/lived ]; then kill -TERM $PPID; exec sleep 60; fi; : > %s/lived; sleep 0.3; kill -9 $$", folder, folder);
    struct supervise_service service = shell(script);
    assert_int_equal(supervise_start(supervise, &service, NULL), RESULT_OK);
    assert_int_equal(supervise_await(supervise, at_once, &place, 5000, NULL), RESULT_OK);
    assert_int_not_equal(first, 0);
    supervise_run(supervise);
    assert_true(supervise_ending(supervise));
    assert_true(supervise_stop(supervise));
    (void)snprintf(script, sizeof script, "%s/lived", folder);
    (void)unlink(script);
    (void)rmdir(folder);
}

static void kills_what_does_not_stop(void **state)
{
    struct supervise *supervise = *state;
    pid_t pid = 0, *place = &pid;
    char folder[] = "/tmp/throng-supervise-XXXXXX", script[256];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(script, sizeof script, "trap '' TERM; : > %s/set; while :; do sleep 1; done", folder);
    struct supervise_service service = shell(script);
    service.stop_ms = 300;
    assert_int_equal(supervise_start(supervise, &service, NULL), RESULT_OK);
    assert_int_equal(supervise_await(supervise, at_once, &place, 5000, NULL), RESULT_OK);
    (void)snprintf(script, sizeof script, "%s/set", folder);
    for (int i = 0; i < 3000 && access(script, F_OK) != 0; i++)
        (void)usleep(10000);
    assert_int_equal(unlink(script), 0); /* the trap is set */
    assert_false(supervise_stop(supervise));
    assert_int_equal(kill(pid, 0), -1);
    (void)rmdir(folder);
}

static void leaves_no_orphan(void **state)
{
    struct supervise *supervise = *state;
    char path[] = "/tmp/throng-orphan-XXXXXX", script[128], text[32] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)snprintf(script, sizeof script, "setsid sleep 60 & echo $! > %s", path);
    struct supervise_service service = shell(script);
    int status = -1;
    assert_int_equal(supervise_tool(supervise, &service.plan, &status, NULL), RESULT_OK);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    pid_t orphan = (pid_t)strtol(text, NULL, 10);
    assert_int_equal(kill(orphan, 0), 0);
    assert_false(supervise_stop(supervise));
    assert_int_equal(kill(orphan, 0), -1);
    (void)close(fd);
    (void)unlink(path);
}

static int make(void **state)
{
    *state = supervise_new();
    return *state == NULL;
}

static int end(void **state)
{
    supervise_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reports_the_status_of_a_tool, make, end),
        cmocka_unit_test_setup_teardown(says_so_when_a_service_ends_before_it_is_ready, make, end),
        cmocka_unit_test_setup_teardown(gives_up_waiting_at_the_deadline, make, end),
        cmocka_unit_test_setup_teardown(restarts_what_dies, make, end),
        cmocka_unit_test_setup_teardown(kills_what_does_not_stop, make, end),
        cmocka_unit_test_setup_teardown(leaves_no_orphan, make, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
