/* The container: what is written is what tar reads; every other form of a byte is refused and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compliance/bundle/archive.h"

#define FILES 3

static const struct {
    const char *name, *content;
} files[FILES] = {{"README", "read\n"}, {"a/b-c_d.e", ""}, {"a/c", "0123456789"}};

static char *make(size_t *length)
{
    char *bytes = NULL;
    struct archive_writer writer;
    FILE *out = open_memstream(&bytes, length);
    archive_begin(&writer, out, NULL);
    for (int i = 0; i < FILES; i++)
        assert_int_equal(archive_put(&writer, files[i].name, files[i].content, strlen(files[i].content), NULL), RESULT_OK);
    assert_int_equal(archive_end(&writer, NULL, NULL), RESULT_OK);
    (void)fclose(out);
    return bytes;
}

static void count(void *context, const struct archive_defect *defect)
{
    (void)defect;
    ++*(int *)context;
}

/* Defects and damaged headers together. */
static int problems(const char *bytes, size_t length)
{
    int found = 0;
    struct archive_index *index = archive_index_make(bytes, length, count, &found);
    assert_non_null(index);
    for (size_t i = 0; i < archive_index_count(index); i++)
        found += archive_index_file(index, i).damaged;
    archive_index_free(index);
    return found;
}

static void what_is_written_is_read(void **state)
{
    size_t length;
    int found = 0;
    struct archive_file file;
    (void)state;
    char *bytes = make(&length);
    struct archive_index *index = archive_index_make(bytes, length, count, &found);
    assert_int_equal(found, 0);
    assert_int_equal(archive_index_count(index), FILES);
    for (int i = 0; i < FILES; i++) {
        assert_int_equal(archive_index_find(index, files[i].name, &file), RESULT_OK);
        assert_int_equal(file.content.length, strlen(files[i].content));
        assert_memory_equal(file.content.bytes, files[i].content, file.content.length);
    }
    assert_int_equal(archive_index_find(index, "a", &file), RESULT_NOT_FOUND);
    assert_int_equal(archive_index_find(index, "z", &file), RESULT_NOT_FOUND);
    assert_int_equal(archive_index_lower(index, "a/"), 1);
    assert_int_equal(archive_index_lower(index, "a0"), FILES);
    archive_index_free(index);
    free(bytes);
}

/* Of headers, padding and the end; contents are the manifest's matter. */
static void every_flipped_bit_is_a_defect(void **state)
{
    size_t length, content = 0;
    (void)state;
    char *bytes = make(&length);
    for (size_t at = 0; at < length; at++) {
        if ((at >= 512 && at < 512 + 5) || (at >= 2048 && at < 2058)) {
            content++;
            continue;
        }
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] = (char)(bytes[at] ^ (1 << bit));
            if (problems(bytes, length) == 0)
                fail_msg("bit %d of byte %zu", bit, at);
            bytes[at] = (char)(bytes[at] ^ (1 << bit));
        }
    }
    assert_int_equal(content, 15);
    free(bytes);
}

static void other_lengths_are_defects(void **state)
{
    size_t length;
    (void)state;
    char *bytes = make(&length);
    char *longer = calloc(1, length + 600);
    memcpy(longer, bytes, length);
    for (size_t cut = 0; cut < length + 600; cut++) {
        if ((problems(longer, cut) == 0) != (cut == length))
            fail_msg("length %zu", cut);
    }
    free(longer);
    free(bytes);
}

static void names_are_checked(void **state)
{
    static const char *const bad[] = {"", "/a", "a/", "a//b", "..", "a/../b", "./a", "a b", "a\\b", "\xc3\xa4",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct archive_writer writer;
    char *bytes = NULL;
    size_t length;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(archive_name_valid((struct text_view){bad[i], strlen(bad[i])}));
    FILE *out = open_memstream(&bytes, &length);
    archive_begin(&writer, out, NULL);
    assert_int_equal(archive_put(&writer, "b", "", 0, NULL), RESULT_OK);
    assert_int_equal(archive_put(&writer, "b", "", 0, NULL), RESULT_INVALID);
    assert_int_equal(archive_put(&writer, "a", "", 0, NULL), RESULT_INVALID);
    assert_int_equal(archive_put(&writer, "../c", "", 0, NULL), RESULT_INVALID);
    assert_int_equal(archive_open(&writer, "c", ARCHIVE_SIZE_MAX + 1, NULL), RESULT_FULL);
    (void)fclose(out);
    free(bytes);
}

static void files_out_of_order_or_twice_are_defects(void **state)
{
    uint8_t bytes[4 * 512] = {0};
    (void)state;
    archive_header("b", 0, bytes);
    archive_header("a", 0, bytes + 512);
    assert_int_equal(problems((const char *)bytes, sizeof bytes), 1);
    archive_header("b", 0, bytes + 512);
    assert_int_equal(problems((const char *)bytes, sizeof bytes), 1);
    archive_header("c", 0, bytes + 512);
    assert_int_equal(problems((const char *)bytes, sizeof bytes), 0);
    archive_header("c", ARCHIVE_SIZE_MAX, bytes + 512);
    assert_true(problems((const char *)bytes, sizeof bytes) > 0);
}

static void tar_reads_it(void **state)
{
    char folder[] = "/tmp/throng-archive-XXXXXX", command[512];
    size_t length;
    (void)state;
    char *bytes = make(&length);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(command, sizeof command, "cd %s && tar -xf - && test \"$(cat a/c)\" = 0123456789 && test -f a/b-c_d.e", folder);
    FILE *pipe = popen(command, "w");
    assert_non_null(pipe);
    assert_int_equal(fwrite(bytes, 1, length, pipe), length);
    assert_int_equal(pclose(pipe), 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(every_flipped_bit_is_a_defect), cmocka_unit_test(other_lengths_are_defects),
        cmocka_unit_test(names_are_checked), cmocka_unit_test(files_out_of_order_or_twice_are_defects),
        cmocka_unit_test(tar_reads_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
