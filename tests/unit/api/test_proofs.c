/* The log as the API reads it from a real database: proofs need few reads and are right, tiles and bundles are those of the tree,
 * and what was pruned is told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sodium.h>

#include "api/logstore.h"
#include "api/proofs.h"
#include "tests/unit/cluster.h"

#define LEAVES 70000u /* two full levels of tiles, and a third */
#define LEVELS 3

static struct tree_hash *leaves;       /* of all entries */
static struct tree_frontier frontiers; /* of all leaves */

static void hash_of(uint64_t index, struct tree_hash *out)
{
    char text[32];
    int length = snprintf(text, sizeof text, "leaf %llu", (unsigned long long)index);
    tree_leaf(text, (size_t)length, out);
}

static void put_tile(struct db *db, int level, uint64_t index, const struct tree_hash *hashes, size_t width)
{
    struct failure why = {0};
    struct db_params *params = db_params_new();
    db_int4(params, level);
    db_int8(params, (int64_t)index);
    db_bytes(params, hashes, width * TREE_HASH_BYTES);
    assert_int_equal(db_run(db, "put_tile", "INSERT INTO audit.tile VALUES ($1::int, $2, $3)", params, NULL, &why), RESULT_OK);
    db_params_free(params);
}

/* Store the tiles of LEAVES leaves as the sequencer does: nodes whose height is a multiple of eight. */
static void fill(struct db *db)
{
    static struct tree_hash rows[LEVELS][TILE_WIDTH];
    size_t used[LEVELS] = {0}, tiles[LEVELS] = {0};
    struct tree_hash nodes[TREE_HEIGHTS];
    struct failure why = {0};
    assert_int_equal(db_script(db, "BEGIN", &why), RESULT_OK);
    leaves = calloc(LEAVES, sizeof *leaves);
    for (uint64_t i = 0; i < LEAVES; i++) {
        size_t count = 0;
        hash_of(i, &leaves[i]);
        assert_int_equal(tree_append(&frontiers, &leaves[i], nodes, &count, &why), RESULT_OK);
        for (size_t height = 0; height < count; height += TILE_HEIGHT) {
            size_t level = height / TILE_HEIGHT;
            rows[level][used[level]++] = nodes[height];
            if (used[level] == TILE_WIDTH) {
                put_tile(db, (int)level, tiles[level]++, rows[level], TILE_WIDTH);
                used[level] = 0;
            }
        }
    }
    for (int level = 0; level < LEVELS; level++) {
        if (used[level] > 0)
            put_tile(db, level, tiles[level], rows[level], used[level]);
    }
    assert_int_equal(db_script(db, "COMMIT", &why), RESULT_OK);
}

static int set_up(void **state)
{
    assert_true(sodium_init() >= 0);
    cluster_start(state);
    fill(cluster.owner);
    cluster_sql("INSERT INTO audit.checkpoint VALUES (9, now(), 'older'), (70000, '2026-01-02 03:04:05Z', 'old'),"
                "(70000, '2026-01-02 03:04:06Z', 'the note')");
    return 0;
}

static int tear_down(void **state)
{
    free(leaves);
    return cluster_stop(state);
}

static struct logstore open_store(struct db *db)
{
    struct failure why = {0};
    struct logstore store;
    assert_int_equal(logstore_open(db, &store, &why), RESULT_OK);
    assert_int_equal(store.size, LEAVES);
    assert_string_equal(store.note, "the note");
    assert_int_equal(store.signed_at_ms, 1767323046000);
    return store;
}

/* A tile a level holds all that the path of one leaf needs, but for what closes the tree on its right: one more a level. */
static void inclusion_needs_few_reads(void **unused)
{
    (void)unused;
    struct db *db = cluster_connect("throng_read", "test");
    const uint64_t asked[] = {0, 1, 255, 256, 12345, 65535, 65536, 69887, 69888, LEAVES - 1};
    struct tree_hash root;
    tree_root(&frontiers, &root);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct failure why = {0};
        struct tree_proof proof;
        struct logstore store = open_store(db);
        assert_int_equal(proofs_make_inclusion(&store, asked[i], &proof, &why), RESULT_OK);
        assert_int_equal(tree_verify_inclusion(asked[i], 0, LEAVES, &leaves[asked[i]], &proof, &root, &why), RESULT_OK);
        assert_in_range(store.loads, 1, 2 * LEVELS);
        logstore_close(&store);
    }
    db_free(db);
}

static void root_of(uint64_t size, struct tree_hash *out)
{
    struct tree_frontier frontier = {.size = 0};
    struct tree_hash nodes[TREE_HEIGHTS];
    struct failure why = {0};
    size_t count = 0;
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(tree_append(&frontier, &leaves[i], nodes, &count, &why), RESULT_OK);
    tree_root(&frontier, out);
}

static void consistency_needs_few_reads(void **unused)
{
    (void)unused;
    struct db *db = cluster_connect("throng_read", "test");
    const uint64_t pairs[][2] = {{1, LEAVES}, {9, 70000}, {255, 256}, {256, 65537}, {65536, LEAVES}, {69999, LEAVES}, {777, 777}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct failure why = {0};
        struct proofs_pair pair = {.from = pairs[i][0], .to = pairs[i][1]};
        struct tree_hash from, to;
        struct logstore store = open_store(db);
        assert_int_equal(proofs_make_consistency(&store, &pair, &why), RESULT_OK);
        root_of(pair.from, &from);
        root_of(pair.to, &to);
        assert_true(tree_equal(&from, &pair.from_root));
        assert_true(tree_equal(&to, &pair.to_root));
        assert_int_equal(tree_verify_consistency(pair.from, pair.to, &from, &to, &pair.proof, &why), RESULT_OK);
        assert_in_range(store.loads, 1, 6 * LEVELS); /* proof and two roots */
        logstore_close(&store);
    }
    db_free(db);
}

static void tiles_of_any_width(void **unused)
{
    (void)unused;
    struct db *db = cluster_connect("throng_read", "test");
    struct logstore store = open_store(db);
    uint8_t hashes[TILE_BYTES];
    struct failure why = {0};
    for (unsigned width = 1; width <= TILE_WIDTH; width += 51) {
        const struct tile tile = {0, 3, width};
        assert_int_equal(logstore_load(&store, &tile, hashes, &why), RESULT_OK);
        assert_memory_equal(hashes, leaves + 3 * TILE_WIDTH, width * TREE_HASH_BYTES);
    }
    const struct tile beyond = {0, 273, 113}, nowhere = {5, 0, 1};
    assert_int_equal(logstore_load(&store, &beyond, hashes, &why), RESULT_CORRUPT);
    assert_int_equal(logstore_load(&store, &nowhere, hashes, &why), RESULT_CORRUPT);
    logstore_close(&store);
    db_free(db);
}

static void bundles_and_what_was_pruned(void **unused)
{
    (void)unused;
    struct db *db = cluster_connect("throng_read", "test");
    struct logstore store = open_store(db);
    struct failure why = {0};
    uint8_t *bytes = NULL;
    size_t length = 0;
    cluster_sql("SET session_replication_role = replica; INSERT INTO audit.outbox (id, act, leaf) SELECT"
                " ('00000000-0000-4000-8000-00000000000' || n)::uuid, 'x', convert_to('leaf ' || n, 'UTF8') FROM generate_series(0, 4) n;"
                "INSERT INTO audit.entry SELECT right(id::text, 1)::int, id, now(), 'x', '' FROM audit.outbox");
    const struct tile tile = {TILE_ENTRIES, 0, 4}, wide = {TILE_ENTRIES, 0, 6};
    assert_int_equal(logstore_bundle(&store, &tile, &bytes, &length, &why), RESULT_OK);
    assert_int_equal(length, 4 * 8);
    assert_memory_equal(bytes, "\0\6leaf 0\0\6leaf 1\0\6leaf 2\0\6leaf 3", length);
    struct tree_hash hashes[4];
    assert_int_equal(tile_leaves(bytes, length, 4, hashes, &why), RESULT_OK);
    assert_memory_equal(hashes, leaves, sizeof hashes);
    free(bytes);
    assert_int_equal(logstore_bundle(&store, &wide, &bytes, &length, &why), RESULT_CORRUPT);
    cluster_sql("UPDATE audit.pruned SET below = 2; UPDATE audit.outbox SET leaf = NULL WHERE id ="
                " '00000000-0000-4000-8000-000000000001'");
    assert_int_equal(logstore_bundle(&store, &tile, &bytes, &length, &why), RESULT_DENIED);
    logstore_close(&store);
    db_free(db);
}

static void keys_and_no_checkpoint(void **unused)
{
    (void)unused;
    struct db *db = cluster_connect("throng_read", "test");
    struct failure why = {0};
    struct logstore store;
    char *text = NULL;
    assert_int_equal(logstore_keys(db, &text, &why), RESULT_OK);
    assert_string_equal(text, "");
    free(text);
    cluster_sql("SELECT audit.tell_key('first', 0), audit.tell_key('first', 5), audit.tell_key('second', 100)");
    assert_int_equal(logstore_keys(db, &text, &why), RESULT_OK);
    assert_string_equal(text, "second\nfirst\n");
    free(text);
    cluster_sql("SET session_replication_role = replica; ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL; DELETE FROM audit.checkpoint");
    assert_int_equal(logstore_open(db, &store, &why), RESULT_NOT_FOUND);
    db_free(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inclusion_needs_few_reads),
        cmocka_unit_test(consistency_needs_few_reads),
        cmocka_unit_test(tiles_of_any_width),
        cmocka_unit_test(bundles_and_what_was_pruned),
        cmocka_unit_test(keys_and_no_checkpoint),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
