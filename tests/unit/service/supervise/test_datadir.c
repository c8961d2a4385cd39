#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/supervise/datadir.h"

/* Opening changes the process's user and directory: each try in a process of its own. Returns the result code. */
static int open_elsewhere(const char *path, const char *expected)
{
    pid_t pid = fork();
    if (pid == 0) {
        char found[DATADIR_PATH_BYTES];
        int fd;
        struct failure why = {0};
        enum result result = datadir_open(path, "nobody", found, &fd, &why);
        _exit(expected != NULL && strstr(why.text, expected) == NULL ? 99 : (int)result);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void refuses_a_path_that_needs_quoting(void **state)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/a b", (const char *)*state);
    assert_int_equal(open_elsewhere(path, "letters, digits"), RESULT_INVALID);
    (void)rmdir(path);
}

static void refuses_a_path_too_long_for_sockets(void **state)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%0*d", (const char *)*state, DATADIR_MAX_BYTES, 0);
    assert_int_equal(open_elsewhere(path, "at most 76"), RESULT_INVALID);
    (void)rmdir(path);
}

static void refuses_a_directory_that_is_not_empty_and_not_ours(void **state)
{
    (void)state;
    assert_int_equal(open_elsewhere("/usr", NULL), RESULT_DENIED);
}

static void opens_a_new_directory_and_again(void **state)
{
    char path[128], command[160];
    (void)snprintf(path, sizeof path, "%s/data", (const char *)*state);
    assert_int_equal(open_elsewhere(path, NULL), RESULT_OK);
    assert_int_equal(open_elsewhere(path, NULL), RESULT_OK);
    (void)snprintf(command, sizeof command, "%s/lock", path);
    assert_int_equal(access(command, F_OK), 0);
}

static int make(void **state)
{
    static char folder[] = "/tmp/throng-datadir-XXXXXX";
    *state = mkdtemp(folder);
    /* the user that root becomes must be able to pass through it */
    return *state == NULL || chmod(folder, 0755) != 0 || chdir(folder) != 0;
}

static int end(void **state)
{
    static const char *const names[] = {"data/lock", "data/run", "data/log", "data/secrets", "data/redis", "data/ingest",
        "data"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)remove(names[i]);
    return chdir("/") != 0 || rmdir(*state) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_path_that_needs_quoting),
        cmocka_unit_test(refuses_a_path_too_long_for_sockets),
        cmocka_unit_test(refuses_a_directory_that_is_not_empty_and_not_ours),
        cmocka_unit_test(opens_a_new_directory_and_again),
    };
    return cmocka_run_group_tests(tests, make, end);
}
