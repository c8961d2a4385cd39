/*
 * What is plain, and that nothing is taken for plain but what jansson prints again as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/meaning/canonical.h"
#include "compliance/meaning/parsed.h"

#define LEAF(act, id, data, tail) \
    "{\"act\":\"" act "\",\"actor\":{\"id\":\"" id "\",\"type\":\"key\"},\"at\":1767225600000,\"data\":" data \
    ",\"id\":\"11111111-1111-4111-8111-111111111111\",\"nonce\":\"0123456789abcdef0123456789abcdef\",\"out\":\"ok\"" tail

static bool is_plain(const char *bytes, size_t length)
{
    struct text_view rest = {bytes, length};
    return canonical_object(&rest) && rest.length == 0;
}

static void test_plain(void **state)
{
    (void)state;
    static const char *const good[] = {"{}", "{\"a\":0}", "{\"a\":-1,\"ab\":[],\"b\":{}}", "{\"a\":[null,\"x y~\",[1,{\"a\":\"\"}]]}",
        "{\"a\":9007199254740991,\"b\":-9007199254740991}"};
    static const char *const bad[] = {"", "{", "[]", "{ }", "{\"a\":1 }", "{\"a\":01}", "{\"a\":-0}", "{\"a\":-}", "{\"a\":1.0}",
        "{\"a\":1e2}", "{\"a\":9007199254740992}", "{\"a\":99999999999999999999999}", "{\"a\":true}", "{\"a\":nul}", "{\"a\":1,}",
        "{\"b\":1,\"a\":1}", "{\"a\":1,\"a\":1}", "{\"ab\":1,\"a\":1}", "{\"a\"}", "{a:1}", "{\"a\":\"\\n\"}", "{\"a\":\"\x7f\"}",
        "{\"a\":\"\xc3\xa4\"}", "{\"a\":\"\x01\"}", "{\"a\":[1,]}", "{\"a\":[1}", "{\"a\":\"", "{}x",
        "{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!is_plain(good[i], strlen(good[i])))
            fail_msg("%s is not plain", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (is_plain(bad[i], strlen(bad[i])))
            fail_msg("%s is plain", bad[i]);
}

/* What is plain is what jansson prints. */
static void hold_against_jansson(const char *bytes, size_t length)
{
    if (!is_plain(bytes, length))
        return;
    json_t *root = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL);
    char *again = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    if (again == NULL || strlen(again) != length || memcmp(again, bytes, length) != 0)
        fail_msg("%.*s is not canonical", (int)length, bytes);
    free(again);
    json_decref(root);
}

/* Each byte of an object made another, left out, or followed by another. */
static void test_changed(void **state)
{
    (void)state;
    static const char object[] = "{\"a\":-10,\"counts\":[[\"x\",1],null,0],\"d\":{\"a\":\"y\",\"b\":\"\"},\"e\":20}";
    static const char others[] = "\"\\{}[]:,0123-.eEnault \n/\x7f\xc3\xa4\x01";
    const size_t length = sizeof object - 1;
    char changed[sizeof object + 1];
    for (size_t at = 0; at < length; at++) {
        memcpy(changed, object, at);
        memcpy(changed + at, object + at + 1, length - at - 1);
        hold_against_jansson(changed, length - 1);
        for (size_t i = 0; i < sizeof others; i++) { /* NUL too */
            memcpy(changed, object, length);
            changed[at] = others[i];
            hold_against_jansson(changed, length);
            memcpy(changed + at + 1, object + at, length - at);
            hold_against_jansson(changed, length + 1);
        }
    }
}

/* The two ways to read a leaf tell the same of it. */
static void test_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *leaf, *why, *actor;
    } leaves[] = {
        {LEAF("trail_read", "k_1", "{\"counts\":[],\"hour_ms\":0,\"reads\":0}", ",\"tenant\":\"\",\"v\":1}"), NULL, "k_1"},
        {LEAF("trail_read", "k\xc3\xa4", "{\"counts\":[],\"hour_ms\":0,\"reads\":0}", ",\"tenant\":\"\",\"v\":1}"), NULL, "k\xc3\xa4"},
        {LEAF("trail_read", "k\\\"", "{\"counts\":[],\"hour_ms\":0,\"reads\":0}", ",\"tenant\":\"\",\"v\":1}"), NULL, "k\""},
        {LEAF("x", "k_1", "{}", ",\"ref\":\"22222222-2222-4222-8222-222222222222\",\"tenant\":\"a\",\"v\":1}"), NULL, "k_1"},
        {LEAF("x", "", "{}", ",\"tenant\":\"a\",\"v\":1}"), "actor", NULL},
        {LEAF("x", "k\",\"in\":\"1", "{}", ",\"tenant\":\"a\",\"v\":1}"), "actor", NULL},
        {LEAF("x", "k", "{}", ",\"ref\":\"2\",\"tenant\":\"a\",\"v\":1}"), "ref", NULL},
        {LEAF("x", "k", "{}", ",\"ref\":null,\"tenant\":\"a\",\"v\":1}"), "ref", NULL},
        {LEAF("x", "k", "[]", ",\"tenant\":\"a\",\"v\":1}"), "data", NULL},
        {LEAF("x", "k", "{}", ",\"tenant\":\"a\",\"v\":2}"), "v", NULL},
        {LEAF("x", "k", "{}", ",\"tenant\":\"a\",\"v\":1} "), "", NULL},
        {LEAF("x", "k", "{}", ",\"tenant\":\"a\",\"u\":1,\"v\":1}"), "", NULL},
    };
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        struct parsed parsed;
        struct failure why = {0};
        enum result result = parsed_read((struct text_view){leaves[i].leaf, strlen(leaves[i].leaf)}, &parsed, &why);
        assert_int_equal(result, leaves[i].why == NULL ? RESULT_OK : RESULT_CORRUPT);
        if (result == RESULT_OK)
            assert_string_equal(parsed.actor_id, leaves[i].actor);
        else
            assert_string_equal(why.field, leaves[i].why);
        parsed_free(&parsed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_changed), cmocka_unit_test(test_both_ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
