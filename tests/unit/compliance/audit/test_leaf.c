/*
 * Leaves: the exact bytes, the order and rules of RFC 8785 that apply, every refusal, and texts of the public JCS vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compliance/audit/leaf.h"

static struct leaf_head make_head(void)
{
    struct leaf_head head = {.at_ms = 1767225600000, .act = "aggregates_released", .actor_type = "daemon",
        .actor_id = "throng_release", .tenant = "story-forge", .out = LEAF_OK};
    for (uint8_t i = 0; i < 16; i++) {
        head.id[i] = (uint8_t)(0xf0 + i);
        head.nonce[i] = i;
    }
    return head;
}

static struct leaf *begin(void)
{
    struct leaf_head head = make_head();
    return leaf_begin(&head);
}

static void expect(struct leaf *leaf, const char *text)
{
    const char *bytes = NULL;
    size_t length = 0;
    struct failure why = {0};
    assert_int_equal(leaf_finish(leaf, &bytes, &length, &why), RESULT_OK);
    assert_int_equal(length, strlen(text));
    assert_memory_equal(bytes, text, length);
    leaf_free(leaf);
}

static void expect_refused(struct leaf *leaf, enum result result)
{
    const char *bytes = "untouched";
    size_t length = 9;
    struct failure why = {0};
    assert_int_equal(leaf_finish(leaf, &bytes, &length, &why), result);
    assert_string_equal(bytes, "untouched");
    assert_int_equal(length, 9);
    assert_true(why.text[0] != '\0');
    leaf_free(leaf);
}

/* aggregates_read, whose data hold any text: [[text, 1]]. The array of pairs is open. */
static struct leaf *begin_counts(void)
{
    struct leaf_head head = make_head();
    head.act = "aggregates_read";
    struct leaf *leaf = leaf_begin(&head);
    leaf_array(leaf, "counts");
    return leaf;
}

static void add_pair(struct leaf *leaf, const char *text, int64_t count)
{
    leaf_array(leaf, NULL);
    leaf_text(leaf, NULL, text);
    leaf_int(leaf, NULL, count);
    leaf_close(leaf);
}

static struct leaf *end_counts(struct leaf *leaf)
{
    leaf_close(leaf);
    leaf_int(leaf, "hour_ms", 0);
    return leaf;
}

static void expect_refused_at(struct leaf *leaf, const char *field, const char *text)
{
    const char *bytes = "untouched";
    size_t length = 9;
    struct failure why = {0};
    assert_int_equal(leaf_finish(leaf, &bytes, &length, &why), RESULT_INVALID);
    assert_string_equal(why.field, field);
    assert_string_equal(why.text, text);
    assert_string_equal(bytes, "untouched");
    leaf_free(leaf);
}

#define ID "\"id\":\"f0f1f2f3-f4f5-46f7-b8f9-fafbfcfdfeff\",\"nonce\":\"000102030405060708090a0b0c0d0e0f\""

static void test_exact_bytes(void **state)
{
    (void)state;
    struct leaf_head head = make_head();
    head.act = "month_planned";
    struct leaf *leaf = leaf_begin(&head);
    assert_int_equal(head.id[6], 0x46);
    assert_int_equal(head.id[8], 0xb8);
    leaf_int(leaf, "definition", 9007199254740991);
    leaf_array(leaf, "families");
    leaf_array(leaf, NULL);
    leaf_text(leaf, NULL, "active_users");
    leaf_int(leaf, NULL, 38);
    leaf_text(leaf, NULL, "64.5");
    leaf_text(leaf, NULL, "0.25");
    leaf_int(leaf, NULL, 1);
    leaf_close(leaf);
    leaf_close(leaf);
    leaf_int(leaf, "k", 0);
    leaf_text(leaf, "month", "2026-01-01");
    leaf_text(leaf, "population", "people");
    leaf_text(leaf, "preset", "standard");
    expect(leaf, "{\"act\":\"month_planned\",\"actor\":{\"id\":\"throng_release\",\"type\":\"daemon\"},\"at\":1767225600000,"
                 "\"data\":{\"definition\":9007199254740991,\"families\":[[\"active_users\",38,\"64.5\",\"0.25\",1]],\"k\":0,"
                 "\"month\":\"2026-01-01\",\"population\":\"people\",\"preset\":\"standard\"}," ID ",\"out\":\"ok\",\"tenant\":"
                 "\"story-forge\",\"v\":1}");
    leaf = begin_counts();
    add_pair(leaf, "q\"b\\/\xc3\xa9\xf0\x9f\x98\x82", 1);
    add_pair(leaf, "", 0);
    expect(end_counts(leaf), "{\"act\":\"aggregates_read\",\"actor\":{\"id\":\"throng_release\",\"type\":\"daemon\"},"
                             "\"at\":1767225600000,\"data\":{\"counts\":[[\"q\\\"b\\\\/\xc3\xa9\xf0\x9f\x98\x82\",1],[\"\",0]],"
                             "\"hour_ms\":0}," ID ",\"out\":\"ok\",\"tenant\":\"story-forge\",\"v\":1}");
}

static void test_ref_and_outs(void **state)
{
    (void)state;
    uint8_t ref[16] = {0xab};
    struct leaf_head head = make_head();
    head.act = "key_change_ordered";
    head.out = LEAF_FAILED;
    head.ref = ref;
    struct leaf *leaf = leaf_begin(&head);
    leaf_text(leaf, "change", "ratchet");
    expect(leaf, "{\"act\":\"key_change_ordered\",\"actor\":{\"id\":\"throng_release\",\"type\":\"daemon\"},\"at\":1767225600000,"
                 "\"data\":{\"change\":\"ratchet\"}," ID ",\"out\":\"failed\",\"ref\":\"ab000000-0000-0000-0000-000000000000\","
                 "\"tenant\":\"story-forge\",\"v\":1}");
    head = make_head();
    head.act = "daemon_stopped";
    head.tenant = "";
    expect(leaf_begin(&head), "{\"act\":\"daemon_stopped\",\"actor\":{\"id\":\"throng_release\",\"type\":\"daemon\"},"
                              "\"at\":1767225600000,\"data\":{}," ID ",\"out\":\"ok\",\"tenant\":\"\",\"v\":1}");
}

static void test_heads_refused(void **state)
{
    (void)state;
    uint8_t ref[16] = {0};
    struct leaf_head head = make_head();
    head.act = "no_such_act";
    expect_refused_at(leaf_begin(&head), "no_such_act.act", "is not in compliance/audit/fields.def");
    head.act = NULL;
    expect_refused(leaf_begin(&head), RESULT_INVALID);
    head = make_head();
    head.tenant = "line\nbreak";
    expect_refused_at(leaf_begin(&head), "aggregates_released.tenant", "is not what this act is about");
    head = make_head();
    head.act = "daemon_stopped";
    expect_refused_at(leaf_begin(&head), "daemon_stopped.tenant", "is not what this act is about");
    head = make_head();
    head.out = LEAF_DENIED;
    expect_refused_at(leaf_begin(&head), "aggregates_released.out", "is no outcome of this act");
    head = make_head();
    head.ref = ref;
    expect_refused_at(leaf_begin(&head), "aggregates_released.ref", "is not what this act has");
    head = make_head();
    head.act = "purge_done";
    expect_refused_at(leaf_begin(&head), "purge_done.ref", "is missing");
    head = make_head();
    head.actor_id = NULL;
    expect_refused(leaf_begin(&head), RESULT_INVALID);
    head = make_head();
    head.at_ms = 9007199254740992;
    expect_refused(leaf_begin(&head), RESULT_INVALID);
    expect_refused(NULL, RESULT_FULL);
}

static struct leaf *begin_act(const char *act)
{
    struct leaf_head head = make_head();
    head.act = act;
    return leaf_begin(&head);
}

static void test_keys_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "Upper", "with1", "a-b", "a b", "\xc3\xa9",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct leaf *leaf = begin_act("trail_read");
        leaf_int(leaf, bad[i], 1);
        expect_refused_at(leaf, "trail_read.data", "a key is not 1 to 63 of [a-z_]");
    }
    struct leaf *leaf = begin_act("seal_requested");
    leaf_int(leaf, "force", 1);
    leaf_int(leaf, "force", 1);
    expect_refused_at(leaf, "seal_requested.force", "a key does not come after the one before");
    static const char *const pairs[][2] = {{"b", "a"}, {"a", "a"}, {"ab", "a"}, {"a", "_"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        leaf = begin_act("ingestion");
        leaf_int(leaf, "accepted", 1);
        leaf_text(leaf, "day", "2026-01-01");
        for (const char *const *key = (const char *const[]){"dropped", "duplicate", NULL}; *key != NULL; key++)
            leaf_int(leaf, *key, 0);
        leaf_text(leaf, "exact", "0000000000000000000000000000000000000000000000000000000000000000");
        leaf_int(leaf, "late", 0);
        leaf_object(leaf, "rejected");
        leaf_int(leaf, pairs[i][0], 1);
        leaf_int(leaf, pairs[i][1], 1);
        expect_refused(leaf, RESULT_INVALID);
    }
}

static void test_shape_refused(void **state)
{
    (void)state;
    struct leaf *leaf = begin();
    leaf_close(leaf);
    expect_refused_at(leaf, "aggregates_released.data", "nothing is open");
    leaf = begin_act("trail_read");
    leaf_array(leaf, "counts");
    expect_refused_at(leaf, "trail_read.data", "an array or object is still open");
    leaf = begin();
    leaf_int(leaf, NULL, 1);
    expect_refused_at(leaf, "aggregates_released", "a member of an object has no key");
    leaf = begin_act("trail_read");
    leaf_array(leaf, "counts");
    leaf_array(leaf, "b");
    expect_refused_at(leaf, "trail_read.b", "an element has a key");
    leaf = begin_act("trail_read");
    leaf_array(leaf, "counts");
    for (int i = 0; i < 20; i++)
        leaf_array(leaf, NULL);
    expect_refused_at(leaf, "trail_read.counts", "is not of its type");
}

static void test_values_refused(void **state)
{
    (void)state;
    static const int64_t integers[] = {9007199254740992, -9007199254740992, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        struct leaf *leaf = begin_act("trail_pruned");
        leaf_int(leaf, "below", integers[i]);
        expect_refused(leaf, RESULT_INVALID);
    }
    static const char *const texts[] = {"\x01", "a\tb", "\x7f", "\xc2\x85", "\x80", "\xc0\xaf", "\xc3", "\xe2\x82", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "\xe0\x80\xaf", "\xf0\x80\x80\xaf"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct leaf *leaf = begin_counts();
        add_pair(leaf, texts[i], 1);
        expect_refused(end_counts(leaf), RESULT_INVALID);
    }
}

static void test_bounded(void **state)
{
    (void)state;
    struct leaf *leaf = begin_counts();
    for (int i = 0; i < 130000; i++)
        add_pair(leaf, "", 1000);
    expect_refused(end_counts(leaf), RESULT_FULL);
}

/* Decode the JSON string literal at *text to out; *text is moved past it. Canonical literals have no \u above 001f. */
static void decode(const char **text, char *out)
{
    static const char letters[] = "bfnrt\"\\";
    static const char means[] = "\b\f\n\r\t\"\\";
    const char *s = *text + 1;
    for (; *s != '"'; s++) {
        if (*s != '\\') {
            *out++ = *s;
            continue;
        }
        s++;
        if (*s == 'u') {
            char digits[5] = {s[1], s[2], s[3], s[4], '\0'};
            *out++ = (char)strtol(digits, NULL, 16);
            s += 4;
        } else {
            *out++ = means[strchr(letters, *s) - letters];
        }
    }
    *out = '\0';
    *text = s + 1;
}

static bool has_control(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++)
        if (*s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0))
            return true;
    return false;
}

/* Every string of a canonical vector, written by us, has the vector's bytes; or is refused for a control character. */
static size_t check_vector(const char *json)
{
    size_t checked = 0;
    for (const char *s = strchr(json, '"'); s != NULL; s = strchr(s, '"')) {
        const char *start = s;
        char plain[512];
        decode(&s, plain);
        struct leaf *leaf = begin_counts();
        add_pair(leaf, plain, 1);
        (void)end_counts(leaf);
        if (has_control(plain)) {
            expect_refused(leaf, RESULT_INVALID);
            continue;
        }
        const char *bytes = NULL;
        size_t length = 0;
        char want[600];
        (void)snprintf(want, sizeof want, "\"data\":{\"counts\":[[%.*s,1]],", (int)(s - start), start);
        assert_int_equal(leaf_finish(leaf, &bytes, &length, NULL), RESULT_OK);
        char *got = strndup(bytes, length);
        assert_non_null(strstr(got, want));
        free(got);
        leaf_free(leaf);
        checked++;
    }
    return checked;
}

static void test_public_vectors(void **state)
{
    (void)state;
    static const char *const names[] = {"arrays", "french", "structures", "unicode", "values", "weird"};
    const char *shared = getenv("THRONG_SHARED");
    size_t checked = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/vectors/tlog/jcs/testdata/output/%s.json", shared == NULL ? "../shared" : shared,
            names[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            print_message("skipped: the public JCS vectors are not here (THRONG_SHARED names their folder)\n");
            skip();
        }
        char json[4096];
        json[fread(json, 1, sizeof json - 1, file)] = '\0';
        (void)fclose(file);
        checked += check_vector(json);
    }
    assert_true(checked > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_bytes),
        cmocka_unit_test(test_ref_and_outs),
        cmocka_unit_test(test_heads_refused),
        cmocka_unit_test(test_keys_refused),
        cmocka_unit_test(test_shape_refused),
        cmocka_unit_test(test_values_refused),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_public_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
