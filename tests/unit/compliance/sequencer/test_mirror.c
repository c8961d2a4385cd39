/* The copy of the log: written in pieces, read again from any size that it had. */
#include "compliance/sequencer/mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAVES 70000

static char directory[64];

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

/* Leaf i is its number. */
static void append(struct mirror *mirror, struct growth *growth, unsigned count)
{
    static char text[LEAVES][8];
    static struct text_view entries[LEAVES];
    uint64_t first = growth->frontier.size;
    for (unsigned i = 0; i < count; i++) {
        int length = snprintf(text[i], sizeof text[i], "%u", (unsigned)first + i);
        entries[i] = (struct text_view){text[i], (size_t)length};
        assert_int_equal(growth_add(growth, text[i], (size_t)length, NULL), RESULT_OK);
    }
    assert_int_equal(growth_finish(growth, NULL), RESULT_OK);
    assert_int_equal(mirror_append(mirror, first, entries, count, growth, NULL), RESULT_OK);
    growth_clear(growth);
}

static void check(struct mirror *mirror, uint64_t size, const struct tree_hash *root)
{
    const struct tile_source source = mirror_source(mirror);
    struct growth growth = {0};
    struct tree_hash found;
    assert_int_equal(growth_root(&source, size, &found, NULL), RESULT_OK);
    assert_true(tree_equal(&found, root));
    assert_int_equal(growth_load(&growth, &source, size, NULL), RESULT_OK);
    tree_root(&growth.frontier, &found);
    assert_true(tree_equal(&found, root));
    growth_free(&growth);
}

static void test_grows(void **state)
{
    (void)state;
    static const unsigned steps[] = {1, 1, 253, 1, 1, 300, 1000, 63979, 1000, 3000};
    struct growth growth = {0};
    struct mirror *mirror = NULL;
    uint64_t sizes[10];
    struct tree_hash roots[10];
    assert_int_equal(mirror_open(directory, &mirror, NULL), RESULT_OK);
    for (size_t i = 0; i < 10; i++) {
        append(mirror, &growth, steps[i]);
        sizes[i] = growth.frontier.size;
        tree_root(&growth.frontier, &roots[i]);
        for (size_t j = 0; j <= i; j++) {
            check(mirror, sizes[j], &roots[j]);
            assert_int_equal(mirror_size(mirror, sizes[j]), sizes[i]);
        }
    }
    /* What was loaded goes on as what was never unloaded. */
    struct growth loaded = {0};
    const struct tile_source source = mirror_source(mirror);
    assert_int_equal(growth_load(&loaded, &source, sizes[9], NULL), RESULT_OK);
    append(mirror, &loaded, 464);
    append(mirror, &growth, 464);
    struct tree_hash one, other;
    tree_root(&loaded.frontier, &one);
    tree_root(&growth.frontier, &other);
    assert_true(tree_equal(&one, &other));
    growth_free(&loaded);
    growth_free(&growth);
    mirror_close(mirror);
}

static void test_bundles(void **state)
{
    (void)state;
    struct mirror *mirror = NULL;
    const uint8_t *bytes = NULL;
    size_t length = 0, at = 0;
    struct text_view entry;
    assert_int_equal(mirror_open(directory, &mirror, NULL), RESULT_OK);
    assert_int_equal(mirror_bundle(mirror, 1, 3, &bytes, &length, NULL), RESULT_OK);
    assert_int_equal(tile_next_entry(bytes, length, &at, &entry, NULL), RESULT_OK);
    assert_true(text_is(entry, "256"));
    assert_int_equal(length, 3 * 5);
    assert_int_equal(mirror_bundle(mirror, 5000, 3, &bytes, &length, NULL), RESULT_NOT_FOUND);
    mirror_prune(mirror, 600);
    assert_int_equal(mirror_bundle(mirror, 1, 3, &bytes, &length, NULL), RESULT_NOT_FOUND);
    assert_int_equal(mirror_bundle(mirror, 2, 256, &bytes, &length, NULL), RESULT_OK);
    shell("truncate -s 100 %s/log/tile/entries/002", directory);
    assert_int_equal(mirror_bundle(mirror, 2, 256, &bytes, &length, NULL), RESULT_CORRUPT);
    shell("truncate -s 100 %s/log/tile/0/002", directory);
    const struct tile_source source = mirror_source(mirror);
    struct tree_hash root;
    assert_int_equal(growth_root(&source, 700, &root, NULL), RESULT_CORRUPT);
    shell("test ! -e %s/log/tile/0/000.p && test ! -e %s/log/tile/entries/000.p", directory, directory);
    mirror_close(mirror);
}

static int start(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/throng-mirror-XXXXXX");
    return sodium_init() < 0 || mkdtemp(directory) == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    shell("rm -r %s", directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grows), cmocka_unit_test(test_bundles)};
    return cmocka_run_group_tests(tests, start, stop);
}
