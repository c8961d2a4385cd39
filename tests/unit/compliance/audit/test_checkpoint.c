/*
 * Checkpoints: published ones are read and written again byte for byte; every other form is refused; a signed one
 * fails with one changed bit, under another origin, or without the log's own signature.
 */
#include "tests/unit/compliance/audit/vectors.h"

#include <sodium.h>

#include "compliance/audit/checkpoint.h"

#define EMPTY "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define ROOT "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="

static void assert_round(struct text_view text)
{
    struct checkpoint checkpoint;
    char again[1024];
    struct text_writer out = {.bytes = again, .room = sizeof again};
    assert_int_equal(checkpoint_parse(text, &checkpoint, NULL), RESULT_OK);
    assert_int_equal(checkpoint_print(&checkpoint, &out, NULL), RESULT_OK);
    assert_int_equal(out.length, text.length);
    assert_memory_equal(again, text.bytes, text.length);
    out = (struct text_writer){.bytes = again, .room = text.length - 1};
    assert_int_equal(checkpoint_print(&checkpoint, &out, NULL), RESULT_FULL);
    assert_true(out.length == 0 && !out.full);
}

static void test_good(void **state)
{
    (void)state;
    static const char *const good[] = {"o\n0\n" EMPTY "\n", "o\n1\n" ROOT "\n", "go.sum database tree\n35225469\n" ROOT "\n",
        "o\n9223372036854775807\n" ROOT "\n", "o\n1\n" ROOT "\nan extension\nanother\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_round(view(good[i]));
    struct checkpoint checkpoint;
    assert_int_equal(checkpoint_parse(view(good[4]), &checkpoint, NULL), RESULT_OK);
    assert_true(text_is(checkpoint.extension, "an extension\nanother\n"));
    assert_int_equal(checkpoint.size, 1);
    assert_string_equal(checkpoint.origin, "o");
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "o", "o\n", "o\n1\n", "o\n1\n" ROOT, "\n1\n" ROOT "\n", "o\n\n" ROOT "\n",
        "o\n01\n" ROOT "\n", "o\n+1\n" ROOT "\n", "o\n 1\n" ROOT "\n", "o\n9223372036854775808\n" ROOT "\n", "o\n1\n\n",
        "o\n0\n" ROOT "\n", "o\n1\n" ROOT "\n\n", "o\n1\n" ROOT "\na\n\nb\n", "o\n1\n" ROOT "\nno newline",
        "o\n1\n" ROOT " \n", "o\n1\n" ROOT "\r\n", "o\tp\n1\n" ROOT "\n", "o\xff\n1\n" ROOT "\n", "o\n1\nAAAA\n",
        "o\n1\n" ROOT "AAAA\n", "o\n1\n" ROOT "\nx\x01\n", "o\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB1=\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct checkpoint checkpoint = {.size = 77};
        struct failure why = {0};
        assert_int_equal(checkpoint_parse(view(bad[i]), &checkpoint, &why), RESULT_INVALID);
        assert_true(checkpoint.size == 77 && why.text[0] != '\0');
    }
    char text[512];
    (void)snprintf(text, sizeof text, "%0255d\n1\n" ROOT "\n", 1);
    assert_round(view(text));
    (void)snprintf(text, sizeof text, "%0256d\n1\n" ROOT "\n", 1);
    struct checkpoint checkpoint;
    assert_int_equal(checkpoint_parse(view(text), &checkpoint, NULL), RESULT_INVALID);
}

static void test_print_refuses(void **state)
{
    (void)state;
    char bytes[512];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct checkpoint good, bad;
    assert_int_equal(checkpoint_parse(view("o\n1\n" ROOT "\n"), &good, NULL), RESULT_OK);
    bad = good;
    bad.origin[0] = '\0';
    assert_int_equal(checkpoint_print(&bad, &out, NULL), RESULT_INVALID);
    (void)snprintf(bad.origin, sizeof bad.origin, "a\nb");
    assert_int_equal(checkpoint_print(&bad, &out, NULL), RESULT_INVALID);
    bad = good;
    bad.size = (uint64_t)TREE_SIZE_MAX + 1;
    assert_int_equal(checkpoint_print(&bad, &out, NULL), RESULT_INVALID);
    bad.size = 0;
    assert_int_equal(checkpoint_print(&bad, &out, NULL), RESULT_INVALID);
    bad = good;
    bad.extension = view("a\n\n");
    assert_int_equal(checkpoint_print(&bad, &out, NULL), RESULT_INVALID);
    bad.extension = view("a");
    assert_int_equal(checkpoint_print(&bad, &out, NULL), RESULT_INVALID);
    assert_int_equal(out.length, 0);
}

static struct note_signer signer_of(const char *name, enum note_kind kind, uint8_t byte)
{
    uint8_t seed[NOTE_SEED_BYTES];
    struct note_signer signer;
    memset(seed, byte, sizeof seed);
    assert_int_equal(note_signer_make(name, kind, seed, &signer, NULL), RESULT_OK);
    return signer;
}

static void test_open(void **state)
{
    (void)state;
    struct note_signer log = signer_of("example.com/log", NOTE_ED25519, 1);
    struct note_signer witness = signer_of("witness.example", NOTE_COSIGNATURE, 2);
    const struct note_key keys[] = {log.key, witness.key};
    struct checkpoint_trust trust = {.origin = "example.com/log", .keys = keys, .count = 2};
    struct note_seal seals[2];
    struct checkpoint checkpoint;
    const char *text = "example.com/log\n1\n" ROOT "\n";
    char bytes[1024], changed[1024];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    assert_int_equal(note_write(view(text), &log, 0, &out, NULL), RESULT_OK);
    size_t alone = out.length;
    assert_int_equal(note_sign(view(text), &witness, 1700000000, &out, NULL), RESULT_OK);
    assert_int_equal(checkpoint_open(bytes, out.length, &trust, seals, &checkpoint, NULL), RESULT_OK);
    assert_true(seals[0].valid && seals[1].valid && checkpoint.size == 1);
    assert_int_equal(checkpoint_open(bytes, alone, &trust, seals, &checkpoint, NULL), RESULT_OK);
    assert_true(seals[0].valid && !seals[1].valid);
    for (size_t bit = 0; bit < alone * 8; bit++) {
        memcpy(changed, bytes, alone);
        changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
        assert_int_not_equal(checkpoint_open(changed, alone, &trust, seals, &checkpoint, NULL), RESULT_OK);
    }
    trust.origin = "example.com/lo";
    assert_int_equal(checkpoint_open(bytes, alone, &trust, seals, &checkpoint, NULL), RESULT_DENIED);
    trust.origin = "example.com/log";

    out.length = 0;
    assert_int_equal(note_write(view(text), &witness, 1, &out, NULL), RESULT_OK);
    assert_int_equal(checkpoint_open(bytes, out.length, &trust, seals, &checkpoint, NULL), RESULT_NOT_FOUND);
    out.length = 0;
    assert_int_equal(note_write(view("signed, but no checkpoint\n"), &log, 0, &out, NULL), RESULT_OK);
    assert_int_equal(checkpoint_open(bytes, out.length, &trust, seals, &checkpoint, NULL), RESULT_INVALID);
}

/* The size of CHECKPOINT_TEXT_MAX_BYTES is that of the longest. */
static void test_room(void **state)
{
    (void)state;
    struct checkpoint checkpoint = {.size = TREE_SIZE_MAX};
    char bytes[CHECKPOINT_TEXT_MAX_BYTES];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    memset(checkpoint.origin, 'o', CHECKPOINT_ORIGIN_MAX_BYTES);
    assert_int_equal(checkpoint_print(&checkpoint, &out, NULL), RESULT_OK);
    assert_int_equal(out.length, sizeof bytes);
}

static void test_published(void **state)
{
    (void)state;
    json_t *all = vector_json("note/notes.json"), *row;
    size_t i, read = 0;
    json_array_foreach(json_object_get(all, "notes"), i, row)
    {
        if (strstr(member_text(row, "type"), "signed-note") != NULL)
            continue;
        const char *text = member_text(row, "note");
        struct note note;
        assert_int_equal(note_parse(text, strlen(text), &note, NULL), RESULT_OK);
        assert_round(note.text);
        read++;
    }
    assert_true(read > 15);
    /* All that others refuse, and those whose root is not 32 bytes: theirs take "YmFuYW5hcw==" for one. */
    size_t refused = 0;
    json_array_foreach(json_object_get(all, "checkpoint_syntax"), i, row)
    {
        struct checkpoint checkpoint;
        const char *text = member_text(row, "text");
        assert_true(json_is_false(json_object_get(row, "valid")) || strstr(text, "YmFuYW5hcw==") != NULL);
        assert_int_equal(checkpoint_parse(view(text), &checkpoint, NULL), RESULT_INVALID);
        refused++;
    }
    assert_int_equal(refused, 8);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_print_refuses),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_published),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
