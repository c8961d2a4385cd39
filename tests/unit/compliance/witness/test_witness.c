/* What a witness signs and what it refuses, with files of its own. */
#include "compliance/witness/witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/witness/memory.h"

#define LEAVES 12
#define ORIGIN "example.org/log"

static char directory[64];
static struct witness witness;
static struct note_signer log_key, other_key;
/* nodes[h][i]: two logs, which differ from leaf 6 on */
static struct tree_hash logs[2][LEAVES][TREE_HEIGHTS];

static enum result read_node(void *context, unsigned height, uint64_t index, struct tree_hash *out, struct failure *why)
{
    (void)why;
    *out = (*(struct tree_hash(*)[LEAVES][TREE_HEIGHTS])context)[index][height];
    return RESULT_OK;
}

static void make_logs(void)
{
    for (size_t which = 0; which < 2; which++) {
        struct tree_frontier frontier = {0};
        for (uint64_t i = 0; i < LEAVES; i++) {
            struct tree_hash leaf, nodes[TREE_HEIGHTS];
            size_t count;
            const unsigned char byte = (unsigned char)(i >= 6 ? i + 100 * which : i);
            tree_leaf(&byte, 1, &leaf);
            assert_int_equal(tree_append(&frontier, &leaf, nodes, &count, NULL), RESULT_OK);
            for (size_t h = 0; h < count; h++)
                logs[which][i >> h][h] = nodes[h];
        }
    }
}

/* A request about log which, from size old to size, signed by key; returns the status. */
static unsigned ask(size_t which, uint64_t old, uint64_t size, const char *origin, const struct note_signer *key, char answer[512])
{
    char body[4096], text[256];
    struct text_writer out = {.bytes = body, .room = sizeof body}, note = {.bytes = text, .room = sizeof text};
    const struct tree_reader reader = {.read = read_node, .context = logs[which]};
    struct tree_frontier frontier;
    struct checkpoint checkpoint = {.size = size};
    struct tree_proof proof = {.count = 0};
    (void)strcpy(checkpoint.origin, origin);
    assert_int_equal(tree_restore(&reader, size, &frontier, NULL), RESULT_OK);
    tree_root(&frontier, &checkpoint.root);
    if (old > 0 && old < size)
        assert_int_equal(tree_prove_consistency(&reader, old, size, &proof, NULL), RESULT_OK);
    text_puts(&out, "old ");
    text_put_decimal(&out, old);
    text_puts(&out, "\n");
    for (size_t i = 0; i < proof.count; i++) {
        text_put_base64(&out, proof.hashes[i].bytes, TREE_HASH_BYTES);
        text_puts(&out, "\n");
    }
    text_puts(&out, "\n");
    assert_int_equal(checkpoint_print(&checkpoint, &note, NULL), RESULT_OK);
    assert_int_equal(note_write((struct text_view){text, note.length}, key, 0, &out, NULL), RESULT_OK);
    struct text_writer said = {.bytes = answer, .room = 511};
    unsigned status = witness_decide(&witness, body, out.length, 1700000000, &said);
    answer[said.length] = '\0';
    if (status == 200) {
        struct note parsed;
        struct note_seal seal;
        text_put(&out, answer, said.length);
        const char *begin = strstr(body, "\n\n") + 2;
        assert_int_equal(note_parse(begin, out.length - (size_t)(begin - body), &parsed, NULL), RESULT_OK);
        assert_int_equal(note_verify(&parsed, &witness.signer.key, 1, &seal, NULL), RESULT_OK);
        assert_int_equal(seal.time_s, 1700000000);
    }
    return status;
}

static void test_grows(void **state)
{
    (void)state;
    char answer[512];
    assert_int_equal(ask(0, 0, 3, ORIGIN, &log_key, answer), 200);
    assert_int_equal(ask(0, 3, 3, ORIGIN, &log_key, answer), 200); /* the same again */
    assert_int_equal(ask(0, 3, 7, ORIGIN, &log_key, answer), 200);
    assert_int_equal(ask(0, 3, 7, ORIGIN, &log_key, answer), 409); /* not where it is */
    assert_string_equal(answer, "7\n");
    assert_int_equal(ask(0, 0, 3, ORIGIN, &log_key, answer), 409); /* smaller */
    assert_string_equal(answer, "7\n");
}

static void test_fork(void **state)
{
    (void)state;
    char answer[512];
    assert_int_equal(ask(1, 7, 9, ORIGIN, &log_key, answer), 422);
    assert_int_equal(ask(1, 7, 7, ORIGIN, &log_key, answer), 409);
    assert_int_equal(ask(0, 7, 9, ORIGIN, &log_key, answer), 200);
}

static void test_strangers(void **state)
{
    (void)state;
    char answer[512];
    assert_int_equal(ask(0, 9, 10, "example.org/other", &other_key, answer), 404);
    assert_int_equal(ask(0, 9, 10, ORIGIN, &other_key, answer), 403);
    assert_int_equal(ask(0, 9, 10, ORIGIN, &log_key, answer), 200);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "old", "old 1\n", "old 01\n\n", "old -1\n\nx", "old 10\nAAAA\n\n", "old 10\n\n",
        "old 10\n\nexample.org/log\n10\n"};
    char answer[512];
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct text_writer said = {.bytes = answer, .room = sizeof answer};
        assert_int_equal(witness_decide(&witness, bodies[i], strlen(bodies[i]), 1, &said), 400);
    }
    assert_int_equal(ask(0, 11, 10, ORIGIN, &log_key, answer), 400);
}

static void test_remembers(void **state)
{
    (void)state;
    uint64_t size = 0;
    struct tree_hash root;
    assert_int_equal(memory_read(directory, ORIGIN, &size, &root, NULL), RESULT_OK);
    assert_int_equal(size, 10);
    assert_int_equal(memory_read(directory, "example.org/other", &size, &root, NULL), RESULT_OK);
    assert_int_equal(size, 0);
    char command[128], answer[512];
    (void)snprintf(command, sizeof command, "for f in %s/*; do echo x >> $f; done", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(memory_read(directory, ORIGIN, &size, &root, NULL), RESULT_CORRUPT);
    assert_int_equal(ask(0, 10, 11, ORIGIN, &log_key, answer), 500);
}

static int start(void **state)
{
    (void)state;
    uint8_t seed[NOTE_SEED_BYTES];
    char vkey[NOTE_KEY_MAX_BYTES];
    (void)strcpy(directory, "/tmp/throng-witness-XXXXXX");
    if (sodium_init() < 0 || mkdtemp(directory) == NULL)
        return -1;
    randombytes_buf(seed, sizeof seed);
    (void)note_signer_make(ORIGIN, NOTE_ED25519, seed, &log_key, NULL);
    randombytes_buf(seed, sizeof seed);
    (void)note_signer_make("example.org/other", NOTE_ED25519, seed, &other_key, NULL);
    randombytes_buf(seed, sizeof seed);
    (void)note_signer_make("witness.example", NOTE_COSIGNATURE, seed, &witness.signer, NULL);
    witness.directory = directory;
    note_key_print(&log_key.key, vkey);
    make_logs();
    return memory_open(directory, NULL) == RESULT_OK && witness_add_log(&witness, vkey, NULL) == RESULT_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_remembers),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
