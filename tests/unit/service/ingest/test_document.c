/*
 * Bodies as rows of values. The scanner and the loader read every text alike, or the scanner leaves it; what is not JSON,
 * says a member twice or is out of bounds, it leaves always. Shown on chosen texts and on many damaged ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/ingest/document.h"

#define FIRST 8 /* values at hand: most documents of these tests need more */

struct read {
    struct document document;
    struct document_value first[FIRST];
    char *body; /* exact copy: a sanitizer sees what reads beyond it */
};

static bool scan(struct read *read, const char *text, size_t length)
{
    read->body = malloc(length == 0 ? 1 : length);
    assert_non_null(read->body);
    memcpy(read->body, text, length);
    document_begin(&read->document, read->first, FIRST);
    bool taken = document_scan(&read->document, read->body, length);
    if (!taken)
        assert_memory_equal(read->body, text, length);
    return taken;
}

static enum result load(struct read *read, const char *text, size_t length)
{
    struct failure why = {0};
    document_begin(&read->document, read->first, FIRST);
    enum result result = document_load(&read->document, text, length, &why);
    assert_int_equal(result != RESULT_OK, why.text[0] != '\0');
    return result;
}

static void compare(const struct document *scanned, const struct document *loaded)
{
    assert_int_equal(scanned->count, loaded->count);
    for (size_t i = 0; i < scanned->count; i++) {
        const struct document_value *a = &scanned->values[i], *b = &loaded->values[i];
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->count, b->count);
        assert_int_equal(a->length, b->length);
        if (a->kind == DOCUMENT_TEXT)
            assert_string_equal(a->text, b->text);
        else if (a->kind == DOCUMENT_WHOLE)
            assert_true(a->whole == b->whole);
        else if (a->kind == DOCUMENT_REAL)
            assert_memory_equal(&a->real, &b->real, sizeof a->real);
    }
}

/* Whether the scanner takes text; what it takes, it reads as the loader does. */
static bool agree(const char *text, size_t length)
{
    struct read one, other;
    bool taken = scan(&one, text, length);
    enum result result = load(&other, text, length);
    if (taken) {
        assert_int_equal(result, RESULT_OK);
        compare(&one.document, &other.document);
    }
    document_free(&one.document);
    document_free(&other.document);
    free(one.body);
    return taken;
}

static void test_taken(void **state)
{
    static const char *const texts[] = {"{}", " {\t\n\r} ", "{\"a\":[]}", "{\"a\":[ ]}", "{\"\":{}}",
        "{\"a\":1,\"b\":-1,\"c\":0,\"d\":-0,\"e\":999999999999999999,\"f\":-999999999999999999}",
        "{\"a\":1.5,\"b\":-0.25,\"c\":0.1,\"d\":-0.0,\"e\":12345678901234.5,\"f\":0.12345678901234,\"g\":10.00}",
        "{ \"a\" : true , \"b\" : false , \"c\" : null }", "{\"a\":[1,[2,[3,{\"x\":[4]}]],\"t\"]}",
        "{\"ab\":1,\"ba\":2,\"aab\":3,\"abb\":4}", "{\"a\":\"0123456\",\"b\":\"01234567\",\"c\":\"012345678\",\"d\":\"\"}",
        "{\"a\":\"~ !#$%&'()*+,-./:;<=>?@[]^_`{|}\x7f\"}", "{\"a\":{\"x\":1},\"b\":{\"x\":1}}"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!agree(texts[i], strlen(texts[i])))
            fail_msg("left: %s", texts[i]);
    }
}

/* Right or wrong, these are the loader's. */
static void test_left(void **state)
{
    static const char *const texts[] = {"", " ", "[]", "\"a\"", "1", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}",
        "{\"a\":1}x", "{\"a\":1}{}", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"c\":2,\"b\":3}}", "{\"a\":01}", "{\"a\":-}", "{\"a\":+1}",
        "{\"a\":1.}", "{\"a\":.5}", "{\"a\":1e3}", "{\"a\":1.5e3}", "{\"a\":1E3}", "{\"a\":9999999999999999999}",
        "{\"a\":-99999999999999999999999999}", "{\"a\":0.99999999999999999999999999}", "{\"a\":0x1}",
        "{\"a\":1234567890123456.5}", "{\"a\":NaN}", "{\"a\":tru}", "{\"a\":true1}", "{\"a\":\"\\n\"}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\n\"}",
        "{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\xff\"}", "{\"a\":\"x}", "{\"\\u0061\":1}", "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\" 1}",
        "{\"a\":[[[[[[[[[[1]]]]]]]]]]}", "\xef\xbb\xbf{}"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (agree(texts[i], strlen(texts[i])))
            fail_msg("taken: %s", texts[i]);
    }
    assert_false(agree("{}\0", 3));
    assert_false(agree("{\"a\0\":1}", 8));
}

/* Cut anywhere, a good text is none. */
static const char good[] = "{\"key\":\"wk_web\",\"sent_at\":1767225600000,\"source\":\"k3J0123456789abcdef_-\",\"events\":[{\"name\":"
    "\"view\",\"ts\":1767225599000,\"user\":\"u-123\",\"session\":\"s-1\",\"seq\":4,\"engaged_ms\":5300,\"props\":{\"page\":"
    "\"/story/17?x#y\",\"price\":12.7,\"gift\":false}}, {\"name\":\"end\",\"ts\":1}]}";

static void test_cut(void **state)
{
    (void)state;
    assert_true(agree(good, sizeof good - 1));
    for (size_t length = 0; length < sizeof good - 1; length++)
        assert_false(agree(good, length));
}

static uint32_t draw(void)
{
    static uint64_t seed = 7;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

/* Damage of one to four bytes each: another byte, one that means something, one missing, one twice. */
static void test_damaged(void **state)
{
    static const char meaning[] = "\"\\{}[],:-.0123456789eEtfn \n\t\x01\x80\xff";
    char text[sizeof good + 8];
    size_t taken = 0;
    (void)state;
    for (unsigned round = 0; round < 60000; round++) {
        size_t length = sizeof good - 1;
        memcpy(text, good, length);
        for (unsigned changes = 1 + draw() % 4; changes > 0; changes--) {
            size_t at = draw() % length;
            unsigned how = draw() % 4;
            if (how == 0)
                text[at] = (char)draw();
            else if (how == 1)
                text[at] = meaning[draw() % (sizeof meaning - 1)];
            else if (how == 2)
                memmove(text + at, text + at + 1, --length - at);
            else
                memmove(text + at + 1, text + at, length++ - at);
        }
        taken += agree(text, length);
    }
    assert_in_range(taken, 1000, 59000);
}

static char *repeat(const char *before, const char *piece, size_t times, const char *after)
{
    size_t length = strlen(piece);
    char *text = malloc(strlen(before) + times * length + strlen(after) + 1), *at = text;
    assert_non_null(text);
    at = stpcpy(at, before);
    for (size_t i = 0; i < times; i++)
        at = stpcpy(at, piece);
    (void)stpcpy(at, after);
    return text;
}

static void check_bound(const char *before, const char *piece, size_t times, const char *after, bool expected, enum result result)
{
    struct read one;
    char *text = repeat(before, piece, times, after);
    assert_int_equal(agree(text, strlen(text)), expected);
    assert_int_equal(load(&one, text, strlen(text)), result);
    document_free(&one.document);
    free(text);
}

static void test_bounds(void **state)
{
    (void)state;
    check_bound("{\"a\":[0", ",1", 65536, "]}", true, RESULT_OK);
    check_bound("{\"a\":[0", ",1", 65537, "]}", false, RESULT_FULL);
    check_bound("{\"a\":[0", ",{}", 4094, "]}", true, RESULT_OK);
    check_bound("{\"a\":[0", ",{}", 4095, "]}", false, RESULT_FULL);
    check_bound("{\"a\":", "[", 15, "]]]]]]]]]]]]]]]}", false, RESULT_OK);
    check_bound("{\"a\":", "[", 16, "]]]]]]]]]]]]]]]]}", false, RESULT_INVALID);
}

static void test_whole(void **state)
{
    static const struct {
        struct document_value value;
        bool whole;
        int64_t is;
    } rows[] = {{{.kind = DOCUMENT_WHOLE, .whole = INT64_MIN}, true, INT64_MIN},
        {{.kind = DOCUMENT_REAL, .real = 3.0}, true, 3}, {{.kind = DOCUMENT_REAL, .real = 3.5}, false, 0},
        {{.kind = DOCUMENT_REAL, .real = 9007199254740992.0}, true, 9007199254740992},
        {{.kind = DOCUMENT_REAL, .real = 9007199254740994.0}, false, 0}, {{.kind = DOCUMENT_TRUE}, false, 0},
        {{.kind = DOCUMENT_TEXT, .text = "3", .count = 1}, false, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t out = 0;
        assert_int_equal(document_is_whole(&rows[i].value, &out), rows[i].whole);
        assert_true(out == rows[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
