/*
 * Strict text: every way of writing a number, base64 or a name but the one is refused.
 */
#include "tests/unit/compliance/audit/vectors.h"

#include <inttypes.h>

static void test_decimal(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "00", "01", "-1", "+1", " 1", "1 ", "0x1", "1a", "9223372036854775808",
        "18446744073709551616", "99999999999999999999", "1\n", "\xd9\xa1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t value = 7;
        assert_false(text_decimal(view(bad[i]), &value));
        assert_int_equal(value, 7);
    }
    static const uint64_t good[] = {0, 1, 9, 10, 20852163, INT64_MAX};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[24];
        uint64_t value = 7;
        (void)snprintf(text, sizeof text, "%" PRIu64, good[i]);
        assert_true(text_decimal(view(text), &value));
        assert_int_equal(value, good[i]);
        char again[24];
        struct text_writer writer = {.bytes = again, .room = sizeof again};
        text_put_decimal(&writer, value);
        assert_true(text_is((struct text_view){again, writer.length}, text));
    }
}

static void test_base64(void **state)
{
    (void)state;
    /* RFC 4648 section 10, and bytes that use every digit. */
    static const char *const good[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy", "+/+/"};
    static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 6, 3};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint8_t bytes[8];
        size_t length = 99;
        assert_true(text_base64_length(view(good[i]), &length));
        assert_int_equal(length, lengths[i]);
        assert_true(text_base64_read(view(good[i]), bytes, length));
        assert_false(text_base64_read(view(good[i]), bytes, length + 1));
        char again[16];
        struct text_writer writer = {.bytes = again, .room = sizeof again};
        text_put_base64(&writer, bytes, length);
        assert_true(text_is((struct text_view){again, writer.length}, good[i]));
    }
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "=", "==", "====", "A===", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n",
        "Zm9v=", "Zg==Zg==", "Zm-v", "Zm_v", "Zm8=Zm8=", "Zm9v====", "Zm=v"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t length = 99;
        assert_false(text_base64_length(view(bad[i]), &length));
        assert_int_equal(length, 99);
    }
}

static void test_base64_of_any_length(void **state)
{
    (void)state;
    uint8_t bytes[200], again[200];
    char text[TEXT_BASE64_BYTES(200)];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 151 + 7);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        struct text_writer writer = {.bytes = text, .room = sizeof text};
        text_put_base64(&writer, bytes, length);
        assert_int_equal(writer.length, TEXT_BASE64_BYTES(length));
        assert_true(text_base64_read((struct text_view){text, writer.length}, again, length));
        assert_memory_equal(bytes, again, length);
    }
}

static void test_plain_and_names(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "example.com/log", "Gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x8c\xb3", "a=b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_true(text_plain(view(names[i])));
        assert_true(text_name(view(names[i])));
    }
    static const char *const texts[] = {"", "a b\nc", "a+b", "a\xc2\xa0", "\xe2\x80\xa8", "\xe3\x80\x80", "\xc2\x85"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_true(text_plain(view(texts[i])));
        assert_false(text_name(view(texts[i])));
    }
    static const char *const neither[] = {"\t", "\r\n", "\x01", "\x80", "\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xe2\x82", "\xc3(", "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++) {
        assert_false(text_plain(view(neither[i])));
        assert_false(text_name(view(neither[i])));
    }
    assert_false(text_plain((struct text_view){"a\0b", 3}));
    assert_false(text_name((struct text_view){"a\0b", 3}));
}

static void test_lines(void **state)
{
    (void)state;
    struct text_view rest = view("one\n\ntwo"), line;
    assert_true(text_line(&rest, &line));
    assert_true(text_is(line, "one"));
    assert_true(text_line(&rest, &line));
    assert_true(text_is(line, ""));
    assert_false(text_line(&rest, &line));
    assert_true(text_is(rest, "two"));
    assert_false(text_skip(&rest, "twofold"));
    assert_true(text_skip(&rest, "tw"));
    assert_true(text_is(rest, "o"));
}

static void test_writer_keeps_whole_pieces(void **state)
{
    (void)state;
    char bytes[6] = "......";
    struct text_writer writer = {.bytes = bytes, .room = 5};
    text_puts(&writer, "abc");
    text_puts(&writer, "def");
    assert_true(writer.full);
    text_puts(&writer, "g");
    assert_int_equal(writer.length, 3);
    assert_memory_equal(bytes, "abc...", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_of_any_length),
        cmocka_unit_test(test_plain_and_names),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_writer_keeps_whole_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
