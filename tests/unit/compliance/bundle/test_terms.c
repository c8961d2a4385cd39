/* Policy, consistency proofs and the manifest: their one form, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/bundle/manifest.h"
#include "compliance/bundle/strict.h"
#include "compliance/bundle/terms.h"

static struct terms terms, again;
static struct terms_link link_one, link_two;
static char text[TERMS_LINK_MAX_BYTES];

static void fill_terms(void)
{
    uint8_t key[NOTE_PUBLIC_BYTES] = {1};
    terms = (struct terms){.key_count = 2, .witness_count = 1, .pruned_below = 512, .size = 700, .version = "0.1.0"};
    (void)strcpy(terms.origin, "log.example/throng");
    assert_int_equal(note_key_make("log.example/throng", NOTE_ED25519, key, &terms.keys[0], NULL), RESULT_OK);
    key[0] = 2;
    assert_int_equal(note_key_make("log.example/throng", NOTE_ED25519, key, &terms.keys[1], NULL), RESULT_OK);
    assert_int_equal(note_key_make("wit\"ness", NOTE_COSIGNATURE, key, &terms.witnesses[0], NULL), RESULT_OK);
}

static void a_policy_is_read_as_it_was_written(void **state)
{
    struct text_writer writer = {.bytes = text, .room = sizeof text};
    (void)state;
    fill_terms();
    terms_print(&terms, &writer);
    assert_int_equal(terms_parse((struct text_view){text, writer.length}, &again, NULL), RESULT_OK);
    assert_int_equal(again.pruned_below, 512);
    assert_int_equal(again.size, 700);
    assert_int_equal(again.key_count, 2);
    assert_int_equal(again.keys[1].id, terms.keys[1].id);
    assert_string_equal(again.witnesses[0].name, "wit\"ness");
    for (size_t at = 0; at < writer.length; at++) {
        assert_int_equal(terms_parse((struct text_view){text, at}, &again, NULL), RESULT_CORRUPT);
        char kept = text[at];
        text[at] = ' ';
        if (terms_parse((struct text_view){text, writer.length}, &again, NULL) == RESULT_OK)
            assert_true(strchr("logexample/throng.01", kept) != NULL); /* a blank may stand in origin or version */
        text[at] = kept;
    }
}

static void a_policy_makes_sense(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct text_writer writer = {.bytes = text, .room = sizeof text};
        fill_terms();
        if (i == 0)
            terms.keys[1] = terms.keys[0];
        terms.pruned_below = i == 1 ? 513 : i == 2 ? 1024 : 512;
        terms_print(&terms, &writer);
        assert_int_equal(terms_parse((struct text_view){text, writer.length}, &again, NULL), RESULT_CORRUPT);
    }
}

static void a_link_is_read_as_it_was_written(void **state)
{
    struct text_writer writer = {.bytes = text, .room = sizeof text};
    (void)state;
    link_one = (struct terms_link){.older = 3, .newer = 7, .proof = {.count = 2}};
    (void)strcpy(link_one.note, "a\tb\n\n\xe2\x80\x94 x \"y\\\"\n");
    memset(link_one.proof.hashes[1].bytes, 7, TREE_HASH_BYTES);
    terms_link_print(&link_one, &writer);
    assert_int_equal(terms_link_parse((struct text_view){text, writer.length}, &link_two, NULL), RESULT_OK);
    assert_string_equal(link_two.note, link_one.note);
    assert_int_equal(link_two.proof.count, 2);
    assert_memory_equal(&link_two.proof.hashes[1], &link_one.proof.hashes[1], TREE_HASH_BYTES);
    char *escape = strstr(text, "\\t");
    assert_non_null(escape);
    memcpy(escape, "\\b", 2);
    assert_int_equal(terms_link_parse((struct text_view){text, writer.length}, &link_two, NULL), RESULT_OK);
    memcpy(escape, "\\/", 2);
    assert_int_equal(terms_link_parse((struct text_view){text, writer.length}, &link_two, NULL), RESULT_CORRUPT);
}

static void strings_have_one_spelling(void **state)
{
    static const char *const bad[] = {"\"a", "a\"", "\"\\u0041\"", "\"\\u0009\"", "\"\\u001F\"", "\"\\u0000\"", "\"\t\"", "\"\\x\""};
    char out[16];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct text_view rest = {bad[i], strlen(bad[i])};
        assert_false(strict_string(&rest, out, sizeof out));
    }
    struct text_view good = {"\"\\u001f\\n\"x", 11};
    assert_true(strict_string(&good, out, sizeof out));
    assert_string_equal(out, "\x1f\n");
    assert_true(text_is(good, "x"));
    struct text_view narrow = {"\"abc\"", 5};
    assert_false(strict_string(&narrow, out, 3));
    uint64_t number;
    struct text_view large = {"9007199254740992", 16}, zero = {"01", 2};
    assert_false(strict_number(&large, &number));
    assert_false(strict_number(&zero, &number));
}

static void manifests_have_one_form(void **state)
{
    static const char *const bad[] = {"", "{", "{}", "{\"a\":{\"bytes\":1,\"sha256\":\"00\"}}", "{\"a b\":{\"bytes\":1"};
    struct manifest_member member;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t at = 0;
        assert_int_equal(manifest_next((struct text_view){bad[i], strlen(bad[i])}, &at, &member, NULL), RESULT_CORRUPT);
    }
}

static void openssl_reads_the_key(void **state)
{
    char pem[TERMS_PEM_BYTES];
    (void)state;
    fill_terms();
    terms_pem(&terms.keys[0], pem);
    FILE *pipe = popen("openssl pkey -pubin -noout -text | grep -q 01:00:00", "w");
    assert_non_null(pipe);
    (void)fputs(pem, pipe);
    assert_int_equal(pclose(pipe), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_policy_is_read_as_it_was_written),
        cmocka_unit_test(a_policy_makes_sense), cmocka_unit_test(a_link_is_read_as_it_was_written),
        cmocka_unit_test(strings_have_one_spelling), cmocka_unit_test(manifests_have_one_form),
        cmocka_unit_test(openssl_reads_the_key)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
