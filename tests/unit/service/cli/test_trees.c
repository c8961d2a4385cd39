/* Folders: listed, compared, copied, removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/cli/trees.h"

static char base[64], from[128], to[128];

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_tree(void **state)
{
    (void)state;
    char path[256];
    (void)snprintf(base, sizeof base, "/tmp/test-trees-XXXXXX");
    if (mkdtemp(base) == NULL)
        return 1;
    (void)snprintf(from, sizeof from, "%s/from", base);
    (void)snprintf(to, sizeof to, "%s/to", base);
    (void)snprintf(path, sizeof path, "%s/below", from);
    if (mkdir(from, 0700) != 0 || mkdir(path, 0700) != 0)
        return 1;
    write_file(from, "b", "second");
    write_file(from, "a", "");
    write_file(from, "below/c", "third");
    return 0;
}

static int remove_tree(void **state)
{
    (void)state;
    return trees_remove(base, NULL) != RESULT_OK;
}

static const char *path_at(const json_t *list, size_t index)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(list, "files"), index), "path"));
}

static void a_list_is_sorted_and_has_hashes(void **state)
{
    (void)state;
    json_t *list = NULL;
    struct failure why = {0};
    assert_int_equal(trees_list(from, &list, &why), RESULT_OK);
    assert_int_equal(json_array_size(json_object_get(list, "files")), 3);
    assert_string_equal(path_at(list, 0), "a");
    assert_string_equal(path_at(list, 1), "b");
    assert_string_equal(path_at(list, 2), "below/c");
    const json_t *empty = json_array_get(json_object_get(list, "files"), 0);
    assert_string_equal(json_string_value(json_object_get(empty, "sha256")),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(json_integer_value(json_object_get(empty, "bytes")), 0);
    json_decref(list);
}

static void a_copy_is_what_its_list_says(void **state)
{
    (void)state;
    json_t *list = NULL;
    struct failure why = {0};
    assert_int_equal(trees_list(from, &list, &why), RESULT_OK);
    assert_int_equal(trees_copy(from, to, &why), RESULT_OK);
    assert_int_equal(trees_check(to, list, &why), RESULT_OK);
    assert_int_not_equal(trees_copy(from, to, &why), RESULT_OK); /* never over another */
    json_decref(list);
}

static void any_change_is_found(void **state)
{
    (void)state;
    char path[256];
    json_t *list = NULL;
    struct failure none = {0}, changed = {0}, more = {0}, fewer = {0};
    assert_int_equal(trees_list(from, &list, &none), RESULT_OK);
    write_file(from, "below/c", "thirD");
    assert_int_equal(trees_check(from, list, &changed), RESULT_CORRUPT);
    assert_string_equal(changed.field, "below/c");
    write_file(from, "below/c", "third");
    write_file(from, "z", "more");
    assert_int_equal(trees_check(from, list, &more), RESULT_CORRUPT);
    (void)snprintf(path, sizeof path, "%s/z", from);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/b", from);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(trees_check(from, list, &fewer), RESULT_CORRUPT);
    assert_string_equal(fewer.field, "b");
    json_decref(list);
}

static void a_link_is_refused(void **state)
{
    (void)state;
    char path[256];
    json_t *list = NULL;
    struct failure why = {0};
    (void)snprintf(path, sizeof path, "%s/link", from);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(trees_list(from, &list, &why), RESULT_FAILED);
    assert_int_equal(trees_copy(from, to, &why), RESULT_FAILED);
}

static void what_is_not_there_is_removed(void **state)
{
    (void)state;
    struct failure why = {0};
    assert_int_equal(trees_remove(to, &why), RESULT_OK);
    assert_int_equal(trees_remove(from, &why), RESULT_OK);
    assert_int_equal(access(from, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_list_is_sorted_and_has_hashes, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(a_copy_is_what_its_list_says, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(any_change_is_found, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(a_link_is_refused, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_removed, make_tree, remove_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
