/*
 * Durable files: what is put is there as a whole; what cannot be put leaves what was there, and nothing beside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/durable.h"

static char folder[] = "/tmp/throng-durable-XXXXXX";
static char path[64], fresh[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/throng-durable-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/file", folder);
    (void)snprintf(fresh, sizeof fresh, "%s/file.new", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(fresh);
    return rmdir(folder);
}

static void assert_holds(const char *text)
{
    char bytes[64] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, sizeof bytes - 1), strlen(text));
    assert_string_equal(bytes, text);
    (void)close(fd);
    assert_int_equal(access(fresh, F_OK), -1);
}

static void it_is_replaced_as_a_whole(void **state)
{
    (void)state;
    struct stat status;
    assert_true(durable_put(fresh, path, "the first, which is longer", 26));
    assert_true(durable_sync(folder));
    assert_holds("the first, which is longer");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    int left = open(fresh, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* of a process that was killed */
    assert_int_equal(write(left, "what a crash left behind of a write", 35), 35);
    (void)close(left);
    assert_true(durable_put(fresh, path, "the second", 10));
    assert_holds("the second");
    assert_true(durable_put(fresh, path, "", 0));
    assert_holds("");
}

static void a_failure_leaves_what_was_there(void **state)
{
    (void)state;
    char nowhere[128];
    assert_true(durable_put(fresh, path, "kept", 4));
    (void)snprintf(nowhere, sizeof nowhere, "%s/none/file", folder);
    errno = 0;
    assert_false(durable_put(fresh, nowhere, "lost", 4));
    assert_int_equal(errno, ENOENT);
    assert_holds("kept");
    errno = 0;
    assert_false(durable_put(nowhere, path, "lost", 4));
    assert_int_equal(errno, ENOENT);
    assert_false(durable_sync(nowhere));
    assert_holds("kept");
    assert_int_equal(symlink(path, fresh), 0); /* is not followed */
    assert_false(durable_put(fresh, path, "lost", 4));
    assert_int_equal(unlink(fresh), 0);
    assert_holds("kept");
}

/* A disk that is full. */
static void a_short_write_fails(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip();
    errno = 0;
    assert_false(durable_write(fd, "x", 1));
    assert_int_equal(errno, ENOSPC);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_replaced_as_a_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_leaves_what_was_there, set_up, tear_down),
        cmocka_unit_test(a_short_write_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
