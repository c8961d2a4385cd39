/* Records of files: plain and gzip are the same, quotes carry a record over lines, damage is told from an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "service/cli/reader.h"

static char path[64];
static struct reader *reader;

static void write_plain(const char *text, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
}

static void write_gzip(const char *text)
{
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    gzclose(file);
}

static struct reader_record next(bool quoted)
{
    struct reader_record record;
    assert_int_equal(reader_next(reader, quoted, &record, NULL), RESULT_OK);
    return record;
}

static void assert_end(void)
{
    struct reader_record record;
    assert_int_equal(reader_next(reader, false, &record, NULL), RESULT_NOT_FOUND);
}

static void test_lines(void **state)
{
    (void)state;
    uint8_t plain[32], packed[32];
    static const char text[] = "a\r\n\nlast";
    write_plain(text, strlen(text));
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(reader_open(path, &reader, NULL), RESULT_OK);
        for (int again = 0; again < 2; again++) {
            assert_string_equal(next(false).text, "a");
            assert_string_equal(next(false).text, "");
            struct reader_record record = next(false);
            assert_string_equal(record.text, "last");
            assert_int_equal(record.line, 3);
            assert_end();
            reader_hash(reader, pass == 0 ? plain : packed);
            assert_int_equal(reader_rewind(reader, NULL), RESULT_OK);
        }
        reader_free(reader);
        write_gzip(text);
    }
    assert_memory_equal(plain, packed, sizeof plain);
}

static void test_quotes_carry_on(void **state)
{
    (void)state;
    static const char text[] = "\"a\nb\",1\nc,2\n";
    write_plain(text, strlen(text));
    assert_int_equal(reader_open(path, &reader, NULL), RESULT_OK);
    assert_string_equal(next(true).text, "\"a\nb\",1");
    struct reader_record record = next(true);
    assert_string_equal(record.text, "c,2");
    assert_int_equal(record.line, 3);
    assert_end();
    reader_free(reader);
}

static void test_unreadable_records_are_passed_over(void **state)
{
    (void)state;
    size_t length = READER_RECORD_MAX_BYTES + 100;
    char *text = malloc(length + 8);
    assert_non_null(text);
    memset(text, 'x', length);
    memcpy(text + length, "\na\0b\nok\n", 8);
    write_plain(text, length + 8);
    free(text);
    assert_int_equal(reader_open(path, &reader, NULL), RESULT_OK);
    assert_true(next(false).unreadable);
    assert_true(next(false).unreadable);
    assert_string_equal(next(false).text, "ok");
    assert_end();
    reader_free(reader);
}

static void test_a_cut_gzip_file_is_damage(void **state)
{
    (void)state;
    enum result result;
    struct reader_record record;
    write_gzip("some text that is long enough\nand another line\n");
    assert_int_equal(truncate(path, 30), 0);
    assert_int_equal(reader_open(path, &reader, NULL), RESULT_OK);
    while ((result = reader_next(reader, false, &record, NULL)) == RESULT_OK)
        continue;
    assert_int_equal(result, RESULT_CORRUPT);
    reader_free(reader);
    assert_int_equal(reader_open("/nonexistent/x", &reader, NULL), RESULT_NOT_FOUND);
}

static int make_file(void **state)
{
    (void)state;
    const char *directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.40s/reader-XXXXXX", directory == NULL ? P_tmpdir : directory);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_quotes_carry_on),
        cmocka_unit_test(test_unreadable_records_are_passed_over),
        cmocka_unit_test(test_a_cut_gzip_file_is_damage),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
