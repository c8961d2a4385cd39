#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/supervise/secrets.h"

static void makes_a_secret_once(void **state)
{
    (void)state;
    char folder[] = "/tmp/throng-secrets-XXXXXX", path[64], first[SECRETS_MAX_BYTES], again[SECRETS_MAX_BYTES];
    struct stat status;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(secrets_read(folder, "seal", first, NULL), RESULT_NOT_FOUND);
    assert_int_equal(secrets_make(folder, "seal", NULL), RESULT_OK);
    assert_int_equal(secrets_read(folder, "seal", first, NULL), RESULT_OK);
    assert_int_equal(strlen(first), 32);
    assert_int_equal(secrets_make(folder, "seal", NULL), RESULT_OK);
    assert_int_equal(secrets_read(folder, "seal", again, NULL), RESULT_OK);
    assert_string_equal(first, again);
    (void)snprintf(path, sizeof path, "%s/seal", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    (void)unlink(path);
    (void)rmdir(folder);
}

static void replaces_a_text_whole(void **state)
{
    (void)state;
    char folder[] = "/tmp/throng-secrets-XXXXXX", path[64], text[SECRETS_MAX_BYTES];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(secrets_write(folder, "note", "a longer text\n", NULL), RESULT_OK);
    assert_int_equal(secrets_write(folder, "note", "short", NULL), RESULT_OK);
    assert_int_equal(secrets_read(folder, "note", text, NULL), RESULT_OK);
    assert_string_equal(text, "short");
    (void)snprintf(path, sizeof path, "%s/note", folder);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing temporary is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_secret_once),
        cmocka_unit_test(replaces_a_text_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
