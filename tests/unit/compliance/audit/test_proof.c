/*
 * Proof files: published ones are read and written again byte for byte; every other form is refused; one changed bit
 * anywhere in a file fails.
 */
#include "tests/unit/compliance/audit/vectors.h"

#include <sodium.h>

#include "compliance/audit/proof.h"

#define FIRST "c2sp.org/tlog-proof@v1\n"
#define HASH "rzFuy5Go7nrpkhBwKy1HWPMM3eO/YePY54fXRoH5Cm4="

static void assert_round(const char *text)
{
    struct proof proof;
    char again[8192];
    struct text_writer out = {.bytes = again, .room = sizeof again};
    assert_int_equal(proof_parse(text, strlen(text), &proof, NULL), RESULT_OK);
    assert_int_equal(proof_print(&proof, &out, NULL), RESULT_OK);
    assert_true(text_is((struct text_view){again, out.length}, text));
    out = (struct text_writer){.bytes = again, .room = strlen(text) - 1};
    assert_int_equal(proof_print(&proof, &out, NULL), RESULT_FULL);
    assert_true(out.length == 0 && !out.full);
}

static void assert_refused(const char *text)
{
    struct proof proof;
    struct failure why = {0};
    assert_int_equal(proof_parse(text, strlen(text), &proof, &why), RESULT_INVALID);
    assert_true(why.text[0] != '\0');
}

static void test_forms(void **state)
{
    (void)state;
    assert_round(FIRST "index 0\n\ncheckpoint");
    assert_round(FIRST "index 9223372036854775807\n" HASH "\n\n\nx\n");
    assert_round(FIRST "extra Zg==\nindex 12\n" HASH "\n" HASH "\n\nx\n");
    static const char *const bad[] = {"", "c2sp.org/tlog-proof@v1", FIRST, FIRST "index 0", FIRST "index 0\n", FIRST "index 0\n\n",
        FIRST "index 0\n" HASH "\n", FIRST "index 00\n\nx\n", FIRST "index 0 \n\nx\n", FIRST "index  0\n\nx\n",
        FIRST "index\n\nx\n", FIRST "Index 0\n\nx\n", FIRST "index 9223372036854775808\n\nx\n", FIRST "\nindex 0\n\nx\n",
        FIRST "extra \nindex 0\n\nx\n", FIRST "extra Zh==\nindex 0\n\nx\n", FIRST "extra Zg==\n\nx\n", FIRST "extra Zg==\n",
        FIRST "extra Zg==\nextra Zg==\nindex 0\n\nx\n", FIRST "index 0\nextra Zg==\n\nx\n", FIRST "index 0\n " HASH "\n\nx\n",
        FIRST "index 0\n" HASH "\r\n\nx\n", FIRST "index 0\nAAAA\n\nx\n", " " FIRST "index 0\n\nx\n",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nx\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(bad[i]);
}

static void test_bounds(void **state)
{
    (void)state;
    static char bytes[PROOF_MAX_BYTES + 1];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct proof proof;
    text_puts(&out, FIRST "index 0\n");
    for (int i = 0; i < TREE_PROOF_MAX; i++)
        text_puts(&out, HASH "\n");
    size_t most = out.length;
    text_puts(&out, "\nx\n");
    assert_int_equal(proof_parse(bytes, out.length, &proof, NULL), RESULT_OK);
    out.length = most;
    text_puts(&out, HASH "\n\nx\n");
    assert_int_equal(proof_parse(bytes, out.length, &proof, NULL), RESULT_FULL);
    assert_int_equal(proof_parse(bytes, sizeof bytes, &proof, NULL), RESULT_FULL);

    struct proof good;
    const char *text = FIRST "index 0\n\nx\n";
    assert_int_equal(proof_parse(text, strlen(text), &good, NULL), RESULT_OK);
    out.length = 0;
    proof = good;
    proof.index = (uint64_t)INT64_MAX + 1;
    assert_int_equal(proof_print(&proof, &out, NULL), RESULT_INVALID);
    proof = good;
    proof.path.count = TREE_PROOF_MAX + 1;
    assert_int_equal(proof_print(&proof, &out, NULL), RESULT_INVALID);
    proof = good;
    proof.checkpoint.length = 0;
    assert_int_equal(proof_print(&proof, &out, NULL), RESULT_INVALID);
    proof = good;
    proof.extra = view("a b");
    assert_int_equal(proof_print(&proof, &out, NULL), RESULT_INVALID);
    assert_int_equal(out.length, 0);
}

/* A log of 13 leaves, whose nodes are computed when they are asked for. */
static enum result compute(void *context, unsigned height, uint64_t index, struct tree_hash *out, struct failure *why)
{
    (void)context;
    if (height == 0) {
        *out = leaf_number(index);
        return RESULT_OK;
    }
    struct tree_hash left, right;
    (void)compute(NULL, height - 1, 2 * index, &left, why);
    (void)compute(NULL, height - 1, 2 * index + 1, &right, why);
    tree_node(&left, &right, out);
    return RESULT_OK;
}

static const struct tree_reader reader = {compute, NULL};

static size_t write_proof(const struct note_signer *signer, char *bytes, size_t room)
{
    char signed_bytes[1024], text[CHECKPOINT_TEXT_MAX_BYTES];
    struct text_writer text_out = {.bytes = text, .room = sizeof text};
    struct text_writer note_out = {.bytes = signed_bytes, .room = sizeof signed_bytes};
    struct text_writer out = {.bytes = bytes, .room = room};
    struct checkpoint checkpoint = {.origin = "example.com/log", .size = 13};
    struct proof proof = {.index = 9};
    assert_int_equal(tree_range(&reader, 0, 13, &checkpoint.root, NULL), RESULT_OK);
    assert_int_equal(tree_prove_inclusion(&reader, 9, 13, &proof.path, NULL), RESULT_OK);
    assert_int_equal(checkpoint_print(&checkpoint, &text_out, NULL), RESULT_OK);
    assert_int_equal(note_write((struct text_view){text, text_out.length}, signer, 0, &note_out, NULL), RESULT_OK);
    proof.checkpoint = (struct text_view){signed_bytes, note_out.length};
    assert_int_equal(proof_print(&proof, &out, NULL), RESULT_OK);
    return out.length;
}

static enum result verify(const char *bytes, size_t length, const struct tree_hash *leaf,
    const struct checkpoint_trust *trust)
{
    struct proof proof;
    struct checkpoint checkpoint;
    struct note_seal seal;
    struct failure why = {0};
    enum result result = proof_parse(bytes, length, &proof, &why);
    if (result == RESULT_OK)
        result = proof_verify(&proof, leaf, trust, &seal, &checkpoint, &why);
    assert_int_equal(result == RESULT_OK, why.text[0] == '\0');
    return result;
}

static void test_verify(void **state)
{
    (void)state;
    const uint8_t seed[NOTE_SEED_BYTES] = {1};
    struct note_signer signer;
    assert_int_equal(note_signer_make("example.com/log", NOTE_ED25519, seed, &signer, NULL), RESULT_OK);
    struct checkpoint_trust trust = {.origin = "example.com/log", .keys = &signer.key, .count = 1};
    struct tree_hash leaf = leaf_number(9), other = leaf_number(8);
    char bytes[2048], changed[2048];
    size_t length = write_proof(&signer, bytes, sizeof bytes);
    assert_int_equal(verify(bytes, length, &leaf, &trust), RESULT_OK);
    assert_int_equal(verify(bytes, length, &other, &trust), RESULT_CORRUPT);
    for (size_t bit = 0; bit < length * 8; bit++) {
        memcpy(changed, bytes, length);
        changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
        assert_int_not_equal(verify(changed, length, &leaf, &trust), RESULT_OK);
    }
    for (size_t cut = 0; cut < length; cut++)
        assert_int_not_equal(verify(bytes, cut, &leaf, &trust), RESULT_OK);
    trust.origin = "example.com/other";
    assert_int_equal(verify(bytes, length, &leaf, &trust), RESULT_DENIED);
}

static void test_published(void **state)
{
    (void)state;
    json_t *all = vector_json("tlog_proof/syntax.json"), *row;
    size_t i;
    json_array_foreach(json_object_get(all, "valid"), i, row)
        assert_round(json_string_value(row));
    assert_int_equal(i, 3);
    json_array_foreach(json_object_get(all, "invalid"), i, row)
        assert_refused(json_string_value(row));
    assert_int_equal(i, 7);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_published),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
