/*
 * Tiles: paths in their one form; which tiles a tree has; a tree that is read from its tiles alone, with few of them; one
 * changed bit in a tile or a bundle leads to another root.
 */
#include "tests/unit/compliance/audit/vectors.h"

#include <stdlib.h>

#include "compliance/audit/tile.h"

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        struct tile tile;
    } good[] = {
        {"tile/0/000", {0, 0, 256}},
        {"tile/0/001.p/17", {0, 1, 17}},
        {"tile/63/999", {63, 999, 256}},
        {"tile/1/x001/000.p/255", {1, 1000, 255}},
        {"tile/8/x001/x234/067", {8, 1234067, 256}},
        {"tile/entries/x001/x234/067.p/1", {TILE_ENTRIES, 1234067, 1}},
        {"tile/entries/x100/000", {TILE_ENTRIES, 100000, 256}},
        {"tile/0/x009/x223/x372/x036/x854/x775/807", {0, INT64_MAX, 256}},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct tile tile;
        char path[TILE_PATH_MAX_BYTES];
        assert_int_equal(tile_parse(view(good[i].path), &tile, NULL), RESULT_OK);
        assert_int_equal(tile.level, good[i].tile.level);
        assert_int_equal(tile.index, good[i].tile.index);
        assert_int_equal(tile.width, good[i].tile.width);
        assert_int_equal(tile_print(&tile, path, NULL), RESULT_OK);
        assert_string_equal(path, good[i].path);
    }
    static const char *const bad[] = {"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000",
        "/tile/0/000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/a/000", "tile/0/x000", "tile/0/x000/000",
        "tile/0/x000/001", "tile/0/001/x002", "tile/0/001/002", "tile/0/x001", "tile/0/x001/", "tile/0/x01/000",
        "tile/0/X001/000", "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
        "tile/0/000.p/1/", "tile/0/000/", "tile/0/000 ", "tile/0/000.p/1x", "tile/0/x001.p/1/000", "tile//000",
        "tile/entries", "tile/entries/", "tile/entry/000", "tile/data/000", "tile/0/../000", "tile/0/+00", "tile/0/00a",
        "tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/x001/x009/x223/x372/x036/x854/x775/807", "tile/ 0/000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tile tile = {.width = 7};
        struct failure why = {0};
        assert_int_equal(tile_parse(view(bad[i]), &tile, &why), RESULT_INVALID);
        assert_true(tile.width == 7 && why.text[0] != '\0');
    }
    static const struct tile never[] = {{-2, 0, 1}, {64, 0, 1}, {0, 0, 0}, {0, 0, 257}, {0, (uint64_t)INT64_MAX + 1, 1}};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        char path[TILE_PATH_MAX_BYTES];
        assert_int_equal(tile_print(&never[i], path, NULL), RESULT_INVALID);
    }
    struct tile longest = {TILE_ENTRIES, INT64_MAX, 255};
    char path[TILE_PATH_MAX_BYTES];
    assert_int_equal(tile_print(&longest, path, NULL), RESULT_OK);
}

/* The figures are those of tlog-tiles, "Partial Tiles". */
static void test_widths(void **state)
{
    (void)state;
    assert_int_equal(tile_width(0, 272, 70000), 256);
    assert_int_equal(tile_width(0, 273, 70000), 112);
    assert_int_equal(tile_width(0, 274, 70000), 0);
    assert_int_equal(tile_width(1, 0, 70000), 256);
    assert_int_equal(tile_width(1, 1, 70000), 17);
    assert_int_equal(tile_width(2, 0, 70000), 1);
    assert_int_equal(tile_width(3, 0, 70000), 0);
    assert_int_equal(tile_width(0, 0, 256), 256);
    assert_int_equal(tile_width(0, 1, 256), 0);
    assert_int_equal(tile_width(1, 0, 256), 1);
    assert_int_equal(tile_width(TILE_ENTRIES, 1, 300), 44);
    assert_int_equal(tile_width(0, 0, 0), 0);
    assert_int_equal(tile_width(7, 0, INT64_MAX), 127);
    assert_int_equal(tile_width(8, 0, INT64_MAX), 0);
    assert_int_equal(tile_width(63, 0, INT64_MAX), 0);
    assert_int_equal(tile_width(0, UINT64_MAX, INT64_MAX), 0);
    assert_int_equal(tile_width(-2, 0, 5), 0);
}

#define SIZE 70000u

/* The tiles of a tree of SIZE leaves, by level, in one row each. */
struct shelf {
    struct tree_hash *rows[3];
    unsigned loads, fail_after;
    bool changed; /* one bit of the first tile */
};

static struct shelf shelf;

static enum result load(void *context, const struct tile *tile, uint8_t *hashes, struct failure *why)
{
    struct shelf *from = context;
    if (++from->loads > from->fail_after) {
        failure_set(why, "", "away");
        memset(hashes, 0xee, tile->width * TREE_HASH_BYTES);
        return RESULT_UNAVAILABLE;
    }
    assert_in_range(tile->level, 0, 2);
    assert_in_range(tile->width, 1, TILE_WIDTH);
    memcpy(hashes, from->rows[tile->level] + tile->index * TILE_WIDTH, tile->width * TREE_HASH_BYTES);
    if (from->changed && tile->index == 0)
        hashes[5] ^= 0x10;
    return RESULT_OK;
}

static const struct tile_source source = {load, &shelf};

static int fill_shelf(void **state)
{
    (void)state;
    struct tree_frontier frontier = {0};
    for (size_t level = 0; level < 3; level++)
        shelf.rows[level] = calloc((SIZE >> (8 * level)) + 1, sizeof(struct tree_hash));
    for (uint64_t i = 0; i < SIZE; i++) {
        struct tree_hash leaf = leaf_number(i), nodes[TREE_HEIGHTS];
        size_t count = 0;
        (void)tree_append(&frontier, &leaf, nodes, &count, NULL);
        for (size_t height = 0; height < count; height += TILE_HEIGHT)
            shelf.rows[height / TILE_HEIGHT][i >> height] = nodes[height];
    }
    return 0;
}

static int empty_shelf(void **state)
{
    (void)state;
    for (size_t level = 0; level < 3; level++)
        free(shelf.rows[level]);
    return 0;
}

static struct tree_hash root_of(uint64_t size)
{
    struct tree_frontier frontier = {0};
    struct tree_hash root;
    for (uint64_t i = 0; i < size; i++) {
        struct tree_hash nodes[TREE_HEIGHTS];
        size_t count = 0;
        (void)tree_append(&frontier, &shelf.rows[0][i], nodes, &count, NULL);
    }
    tree_root(&frontier, &root);
    return root;
}

static void check_size(uint64_t size)
{
    shelf.changed = false;
    shelf.fail_after = UINT32_MAX;
    struct tree_hash root, want = root_of(size);
    struct tile_reader *tiles = tile_reader_open(&source, size);
    const struct tree_reader reader = {tile_read, tiles};
    assert_int_equal(tree_range(&reader, 0, size, &root, NULL), RESULT_OK);
    assert_hash(&root, &want);
    for (uint64_t index = 0; index < size; index += size / 37 + 1) {
        struct tree_proof proof;
        struct tree_hash old_root = root_of(index + 1);
        shelf.loads = 0;
        assert_int_equal(tree_prove_inclusion(&reader, index, size, &proof, NULL), RESULT_OK);
        assert_true(shelf.loads <= 6);
        assert_int_equal(
            tree_verify_inclusion(index, 0, size, &shelf.rows[0][index], &proof, &root, NULL), RESULT_OK);
        shelf.loads = 0;
        assert_int_equal(tree_prove_consistency(&reader, index + 1, size, &proof, NULL), RESULT_OK);
        assert_true(shelf.loads <= 6);
        assert_int_equal(tree_verify_consistency(index + 1, size, &old_root, &root, &proof, NULL), RESULT_OK);
    }
    struct tree_frontier frontier;
    assert_int_equal(tree_restore(&reader, size, &frontier, NULL), RESULT_OK);
    tree_root(&frontier, &root);
    assert_hash(&root, &want);
    assert_int_equal(tile_read(tiles, 0, size, &root, NULL), RESULT_INVALID);
    assert_int_equal(tile_read(tiles, 63, 0, &root, NULL), RESULT_INVALID);
    tile_reader_close(tiles);
}

static void test_tree_from_tiles(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 4097, 65535, 65536, 65537, SIZE};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_size(sizes[i]);
}

static void test_changed_tile(void **state)
{
    (void)state;
    struct tree_hash root, want = root_of(200);
    shelf.fail_after = UINT32_MAX;
    shelf.changed = true;
    struct tile_reader *tiles = tile_reader_open(&source, 200);
    const struct tree_reader reader = {tile_read, tiles};
    assert_int_equal(tree_range(&reader, 0, 200, &root, NULL), RESULT_OK);
    assert_false(tree_equal(&root, &want));
    tile_reader_close(tiles);
    shelf.changed = false;
}

static void test_source_fails(void **state)
{
    (void)state;
    struct tree_hash root, want = root_of(300);
    struct tile_reader *tiles = tile_reader_open(&source, 300);
    const struct tree_reader reader = {tile_read, tiles};
    shelf.loads = 0;
    shelf.fail_after = 0;
    assert_int_equal(tree_range(&reader, 0, 300, &root, NULL), RESULT_UNAVAILABLE);
    shelf.fail_after = UINT32_MAX; /* what was half loaded is not believed */
    assert_int_equal(tree_range(&reader, 0, 300, &root, NULL), RESULT_OK);
    assert_hash(&root, &want);
    struct tree_hash first, again;
    assert_int_equal(tile_read(tiles, 0, 0, &first, NULL), RESULT_OK);
    shelf.loads = 0;
    shelf.fail_after = 0;
    assert_int_equal(tile_read(tiles, 0, 299, &again, NULL), RESULT_UNAVAILABLE);
    shelf.fail_after = UINT32_MAX;
    assert_int_equal(tile_read(tiles, 0, 0, &again, NULL), RESULT_OK);
    assert_hash(&again, &first);
    tile_reader_close(tiles);
    tile_reader_close(NULL);
}

static void test_bundles(void **state)
{
    (void)state;
    uint8_t bundle[600];
    size_t used = 0;
    char long_one[300];
    memset(long_one, 'e', sizeof long_one);
    assert_int_equal(tile_put_entry(bundle, sizeof bundle, &used, "one", 3, NULL), RESULT_OK);
    assert_int_equal(tile_put_entry(bundle, sizeof bundle, &used, NULL, 0, NULL), RESULT_OK);
    assert_int_equal(tile_put_entry(bundle, sizeof bundle, &used, long_one, sizeof long_one, NULL), RESULT_OK);
    assert_int_equal(used, 3 + 300 + 6);
    assert_memory_equal(bundle, "\0\3one\0\0\1\54", 9);
    assert_int_equal(tile_put_entry(bundle, sizeof bundle, &used, long_one, sizeof long_one, NULL), RESULT_FULL);
    assert_int_equal(used, 309);

    struct text_view entry;
    size_t at = 0;
    assert_int_equal(tile_next_entry(bundle, used, &at, &entry, NULL), RESULT_OK);
    assert_true(text_is(entry, "one"));
    assert_int_equal(tile_next_entry(bundle, used, &at, &entry, NULL), RESULT_OK);
    assert_int_equal(entry.length, 0);
    assert_int_equal(tile_next_entry(bundle, used, &at, &entry, NULL), RESULT_OK);
    assert_int_equal(entry.length, 300);
    assert_int_equal(tile_next_entry(bundle, used, &at, &entry, NULL), RESULT_NOT_FOUND);

    static const uint8_t cut[] = {0, 5, 'a', 'b', 'c', 'd'};
    for (size_t length = 1; length <= sizeof cut; length++) {
        at = 0;
        assert_int_equal(tile_next_entry(cut, length, &at, &entry, NULL), RESULT_CORRUPT);
        assert_int_equal(at, 0);
    }

    struct tree_hash leaves[TILE_WIDTH], want;
    assert_int_equal(tile_leaves(bundle, used, 3, leaves, NULL), RESULT_OK);
    tree_leaf("one", 3, &want);
    assert_hash(&leaves[0], &want);
    tree_leaf("", 0, &want);
    assert_hash(&leaves[1], &want);
    assert_int_equal(tile_leaves(bundle, used, 2, leaves, NULL), RESULT_CORRUPT);
    assert_int_equal(tile_leaves(bundle, used, 4, leaves, NULL), RESULT_CORRUPT);
    for (size_t length = 0; length < used; length++)
        assert_int_equal(tile_leaves(bundle, length, 3, leaves, NULL), RESULT_CORRUPT);
}

/* Any changed bit of a bundle: it falls apart, or a leaf has another hash. */
static void test_changed_bundle(void **state)
{
    (void)state;
    uint8_t bundle[200], changed[200];
    struct tree_hash want[5], got[5];
    size_t used = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(tile_put_entry(bundle, sizeof bundle, &used, "entries of a log", 12 + (size_t)i, NULL), RESULT_OK);
    assert_int_equal(tile_leaves(bundle, used, 5, want, NULL), RESULT_OK);
    for (size_t bit = 0; bit < used * 8; bit++) {
        memcpy(changed, bundle, used);
        changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (tile_leaves(changed, used, 5, got, NULL) == RESULT_OK)
            assert_memory_not_equal(got, want, sizeof want);
    }
}

static void test_entry_bounds(void **state)
{
    (void)state;
    size_t room = 2 + TILE_ENTRY_MAX_BYTES, used = 0, at = 0;
    uint8_t *bundle = malloc(room);
    char *entry = calloc(1, TILE_ENTRY_MAX_BYTES + 1);
    struct text_view read;
    assert_int_equal(tile_put_entry(bundle, room, &used, entry, TILE_ENTRY_MAX_BYTES + 1, NULL), RESULT_FULL);
    assert_int_equal(tile_put_entry(bundle, room, &used, entry, TILE_ENTRY_MAX_BYTES, NULL), RESULT_OK);
    assert_int_equal(tile_next_entry(bundle, used, &at, &read, NULL), RESULT_OK);
    assert_int_equal(read.length, TILE_ENTRY_MAX_BYTES);
    assert_int_equal(tile_put_entry(bundle, room, &used, entry, 0, NULL), RESULT_FULL);
    free(entry);
    free(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_tree_from_tiles),
        cmocka_unit_test(test_changed_tile),
        cmocka_unit_test(test_source_fails),
        cmocka_unit_test(test_bundles),
        cmocka_unit_test(test_changed_bundle),
        cmocka_unit_test(test_entry_bounds),
    };
    return cmocka_run_group_tests(tests, fill_shelf, empty_shelf);
}
