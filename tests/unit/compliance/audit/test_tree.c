/*
 * The Merkle tree: published roots and probes; every proof of small trees against hashes that are computed by the
 * definition; what a changed bit, length, index or size does.
 */
#include "tests/unit/compliance/audit/vectors.h"

#include <dirent.h>
#include <inttypes.h>
#include <sys/stat.h>

#define MOST 80

/* MTH of leaves [start, end), by the definition. */
static struct tree_hash by_definition(uint64_t start, uint64_t end)
{
    struct tree_hash hash;
    if (end - start == 0) {
        tree_empty(&hash);
        return hash;
    }
    if (end - start == 1)
        return leaf_number(start);
    uint64_t split = 1;
    while (split * 2 < end - start)
        split *= 2;
    struct tree_hash left = by_definition(start, start + split), right = by_definition(start + split, end);
    tree_node(&left, &right, &hash);
    return hash;
}

/* Nodes as a store keeps them: filled by tree_append alone. */
struct store {
    struct tree_hash nodes[8][MOST];
    uint64_t size;
    unsigned reads;
    bool away;
};

static enum result read_node(void *context, unsigned height, uint64_t index, struct tree_hash *out, struct failure *why)
{
    struct store *store = context;
    store->reads++;
    if (store->away) {
        failure_set(why, "", "away");
        return RESULT_UNAVAILABLE;
    }
    assert_true((index + 1) << height <= store->size);
    *out = store->nodes[height][index];
    return RESULT_OK;
}

static struct store store;
static const struct tree_reader reader = {read_node, &store};

static struct tree_frontier grow(uint64_t size)
{
    struct tree_frontier frontier = {0};
    for (uint64_t i = 0; i < size; i++) {
        struct tree_hash leaf = leaf_number(i), nodes[TREE_HEIGHTS];
        size_t count = 0;
        assert_int_equal(tree_append(&frontier, &leaf, nodes, &count, NULL), RESULT_OK);
        for (size_t height = 0; height < count; height++)
            store.nodes[height][i >> height] = nodes[height];
    }
    store.size = size;
    store.reads = 0;
    store.away = false;
    return frontier;
}

static void test_roots(void **state)
{
    (void)state;
    for (uint64_t size = 0; size <= MOST; size++) {
        struct tree_frontier frontier = grow(size);
        struct tree_hash root, want = by_definition(0, size);
        assert_int_equal(frontier.size, size);
        tree_root(&frontier, &root);
        assert_hash(&root, &want);
        struct tree_frontier restored = {0};
        assert_int_equal(tree_restore(&reader, size, &restored, NULL), RESULT_OK);
        tree_root(&restored, &root);
        assert_hash(&root, &want);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    (void)grow(MOST);
    for (uint64_t start = 0; start <= MOST; start++) {
        for (uint64_t end = 0; end <= MOST; end++) {
            uint64_t least = 1;
            while (end > start && least < end - start)
                least *= 2;
            bool subtree = end > start && start % least == 0;
            struct tree_hash root, want = by_definition(0, 0);
            root = want;
            assert_int_equal(tree_range(&reader, start, end, &root, NULL), subtree ? RESULT_OK : RESULT_INVALID);
            if (subtree)
                want = by_definition(start, end);
            assert_hash(&root, &want);
        }
    }
}

static void test_inclusion(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= MOST; size++) {
        (void)grow(size);
        struct tree_hash root = by_definition(0, size);
        for (uint64_t index = 0; index < size; index++) {
            struct tree_proof proof;
            struct tree_hash leaf = leaf_number(index);
            store.reads = 0;
            assert_int_equal(tree_prove_inclusion(&reader, index, size, &proof, NULL), RESULT_OK);
            assert_true(store.reads <= 14);
            assert_int_equal(tree_verify_inclusion(index, 0, size, &leaf, &proof, &root, NULL), RESULT_OK);
            for (uint64_t other = 0; other <= size; other++)
                if (other != index)
                    assert_int_not_equal(tree_verify_inclusion(other, 0, size, &leaf, &proof, &root, NULL), RESULT_OK);
        }
        struct tree_proof proof;
        assert_int_equal(tree_prove_inclusion(&reader, size, size, &proof, NULL), RESULT_INVALID);
    }
}

static void test_consistency(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= MOST; size++) {
        (void)grow(size);
        struct tree_hash root = by_definition(0, size);
        for (uint64_t older = 1; older <= size; older++) {
            struct tree_proof proof;
            struct tree_hash old_root = by_definition(0, older), other = leaf_number(MOST);
            store.reads = 0;
            assert_int_equal(tree_prove_consistency(&reader, older, size, &proof, NULL), RESULT_OK);
            assert_true(store.reads <= 15);
            assert_int_equal(tree_verify_consistency(older, size, &old_root, &root, &proof, NULL), RESULT_OK);
            assert_int_equal(tree_verify_consistency(older, size, &other, &root, &proof, NULL), RESULT_CORRUPT);
            assert_int_equal(tree_verify_consistency(older, size, &old_root, &other, &proof, NULL), RESULT_CORRUPT);
            if (older < size)
                assert_int_not_equal(tree_verify_consistency(older + 1, size, &old_root, &root, &proof, NULL), RESULT_OK);
        }
        struct tree_proof proof;
        assert_int_equal(tree_prove_consistency(&reader, 0, size, &proof, NULL), RESULT_INVALID);
        assert_int_equal(tree_prove_consistency(&reader, size + 1, size, &proof, NULL), RESULT_INVALID);
    }
}

/* Every bit of every hash, and every length. */
static void test_changed_proofs(void **state)
{
    (void)state;
    (void)grow(23);
    struct tree_hash root = by_definition(0, 23), old_root = by_definition(0, 11), leaf = leaf_number(12);
    struct tree_proof in, from;
    assert_int_equal(tree_prove_inclusion(&reader, 12, 23, &in, NULL), RESULT_OK);
    assert_int_equal(tree_prove_consistency(&reader, 11, 23, &from, NULL), RESULT_OK);
    for (size_t bit = 0; bit < in.count * 256; bit++) {
        struct tree_proof changed = in;
        changed.hashes[bit / 256].bytes[bit / 8 % 32] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(tree_verify_inclusion(12, 0, 23, &leaf, &changed, &root, NULL), RESULT_CORRUPT);
    }
    for (size_t bit = 0; bit < from.count * 256; bit++) {
        struct tree_proof changed = from;
        changed.hashes[bit / 256].bytes[bit / 8 % 32] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(tree_verify_consistency(11, 23, &old_root, &root, &changed, NULL), RESULT_CORRUPT);
    }
    struct tree_proof longer = in;
    for (longer.count = 0; longer.count <= TREE_PROOF_MAX; longer.count++) {
        enum result want = longer.count == in.count ? RESULT_OK : RESULT_CORRUPT;
        assert_int_equal(tree_verify_inclusion(12, 0, 23, &leaf, &longer, &root, NULL), want);
    }
    longer = from;
    for (longer.count = 0; longer.count <= TREE_PROOF_MAX; longer.count++) {
        enum result want = longer.count == from.count ? RESULT_OK : RESULT_CORRUPT;
        assert_int_equal(tree_verify_consistency(11, 23, &old_root, &root, &longer, NULL), want);
    }
}

static void test_edges(void **state)
{
    (void)state;
    struct tree_hash leaf = leaf_number(0), root = leaf, empty, out = leaf;
    struct tree_proof none = {0};
    struct failure why = {0};
    tree_empty(&empty);
    assert_int_equal(tree_verify_inclusion(0, 0, 0, &leaf, &none, &empty, &why), RESULT_INVALID);
    assert_true(why.text[0] != '\0');
    assert_int_equal(tree_verify_inclusion(0, 0, 1, &leaf, &none, &root, NULL), RESULT_OK);
    assert_int_equal(tree_verify_consistency(0, 0, &empty, &empty, &none, NULL), RESULT_INVALID);
    assert_int_equal(tree_verify_consistency(0, 1, &empty, &root, &none, NULL), RESULT_INVALID);
    assert_int_equal(tree_verify_consistency(UINT64_MAX, UINT64_MAX, &root, &root, &none, NULL), RESULT_INVALID);
    assert_int_equal(tree_range(&reader, 0, (uint64_t)TREE_SIZE_MAX + 1, &out, NULL), RESULT_INVALID);
    struct tree_frontier full = {.size = TREE_SIZE_MAX}, kept = {0};
    struct tree_hash nodes[TREE_HEIGHTS];
    size_t count = 9;
    assert_int_equal(tree_append(&full, &leaf, nodes, &count, NULL), RESULT_FULL);
    assert_int_equal(count, 9);
    assert_int_equal(tree_restore(&reader, (uint64_t)TREE_SIZE_MAX + 1, &kept, NULL), RESULT_INVALID);
    struct tree_frontier last = {.size = TREE_SIZE_MAX - 1};
    assert_int_equal(tree_append(&last, &leaf, nodes, &count, NULL), RESULT_OK);
    struct tree_frontier perfect = {.size = ((uint64_t)1 << 62) - 1};
    assert_int_equal(tree_append(&perfect, &leaf, nodes, &count, NULL), RESULT_OK);
    assert_int_equal(count, TREE_HEIGHTS);
}

/* A hash too many does not lift a leaf or an older tree into a larger tree of the same size. */
static void test_lifted(void **state)
{
    (void)state;
    struct tree_hash leaf = leaf_number(0), above;
    struct tree_proof proof = {.count = 1};
    proof.hashes[0] = leaf_number(1);
    tree_node(&proof.hashes[0], &leaf, &above);
    assert_int_equal(tree_verify_inclusion(0, 0, 1, &leaf, &proof, &above, NULL), RESULT_CORRUPT);
    assert_int_equal(tree_verify_consistency(1, 1, &leaf, &above, &proof, NULL), RESULT_CORRUPT);
    tree_node(&leaf, &proof.hashes[0], &above);
    assert_int_equal(tree_verify_inclusion(0, 0, 1, &leaf, &proof, &above, NULL), RESULT_CORRUPT);
    assert_int_equal(tree_verify_consistency(1, 1, &leaf, &above, &proof, NULL), RESULT_CORRUPT);
}

static void test_reader_fails(void **state)
{
    (void)state;
    (void)grow(20);
    store.away = true;
    struct tree_proof proof;
    struct tree_hash root;
    struct tree_frontier frontier = {.size = 3};
    assert_int_equal(tree_prove_inclusion(&reader, 7, 20, &proof, NULL), RESULT_UNAVAILABLE);
    assert_int_equal(tree_prove_consistency(&reader, 7, 20, &proof, NULL), RESULT_UNAVAILABLE);
    assert_int_equal(tree_range(&reader, 0, 20, &root, NULL), RESULT_UNAVAILABLE);
    assert_int_equal(tree_restore(&reader, 20, &frontier, NULL), RESULT_UNAVAILABLE);
    assert_int_equal(frontier.size, 3);
}

static void test_golden_roots(void **state)
{
    (void)state;
    json_t *golden = vector_json("transparency-dev_merkle/golden_roots.json");
    struct tree_hash hash, want = hash_of_hex(member_text(golden, "empty_root"));
    tree_empty(&hash);
    assert_hash(&hash, &want);
    tree_leaf("L123456", 7, &hash);
    want = hash_of_hex(member_text(golden, "leaf_L123456"));
    assert_hash(&hash, &want);

    struct tree_frontier frontier = {0};
    size_t i;
    json_t *input;
    json_array_foreach(json_object_get(golden, "leaf_inputs_hex"), i, input)
    {
        uint8_t bytes[64];
        size_t length = json_string_length(input) / 2, count = 0;
        struct tree_hash nodes[TREE_HEIGHTS];
        from_hex(json_string_value(input), bytes, length);
        tree_leaf(bytes, length, &hash);
        assert_int_equal(tree_append(&frontier, &hash, nodes, &count, NULL), RESULT_OK);
        tree_root(&frontier, &hash);
        want = hash_of_hex(json_string_value(json_array_get(json_object_get(golden, "roots_1_to_8"), i)));
        assert_hash(&hash, &want);
    }
    assert_int_equal(frontier.size, 8);
    const json_t *row = json_array_get(json_object_get(golden, "node_hash"), 0);
    struct tree_hash left = hash_of_hex(json_string_value(json_array_get(row, 0)));
    struct tree_hash right = hash_of_hex(json_string_value(json_array_get(row, 1)));
    want = hash_of_hex(json_string_value(json_array_get(row, 2)));
    tree_node(&left, &right, &hash);
    assert_hash(&hash, &want);
    row = json_array_get(json_object_get(golden, "leaf_hash"), 0);
    uint8_t bytes[16];
    from_hex(json_string_value(json_array_get(row, 0)), bytes, sizeof bytes);
    want = hash_of_hex(json_string_value(json_array_get(row, 1)));
    tree_leaf(bytes, sizeof bytes, &hash);
    assert_hash(&hash, &want);
    json_decref(golden);
}

/* A proof of a log with 3.6 million entries. */
static void test_real_log(void **state)
{
    (void)state;
    json_t *real = vector_json("google_ct/real_log_inclusion.json");
    const char *hex = member_text(real, "raw_leaf_hex");
    size_t length = strlen(hex) / 2, i;
    uint8_t *raw = malloc(length);
    from_hex(hex, raw, length);
    struct tree_hash leaf, want = hash_of_hex(member_text(real, "leaf_hash")), root = hash_of_hex(member_text(real, "root"));
    tree_leaf(raw, length, &leaf);
    free(raw);
    assert_hash(&leaf, &want);
    struct tree_proof proof = {0};
    json_t *hash;
    json_array_foreach(json_object_get(real, "audit_path"), i, hash)
        proof.hashes[proof.count++] = hash_of_hex(json_string_value(hash));
    uint64_t index = (uint64_t)json_integer_value(json_object_get(real, "leaf_index"));
    uint64_t size = (uint64_t)json_integer_value(json_object_get(real, "tree_size"));
    assert_int_equal(tree_verify_inclusion(index, 0, size, &leaf, &proof, &root, NULL), RESULT_OK);
    assert_int_equal(tree_verify_inclusion(index + 1, 0, size, &leaf, &proof, &root, NULL), RESULT_CORRUPT);
    assert_int_equal(tree_verify_inclusion(index, 0, size * 2, &leaf, &proof, &root, NULL), RESULT_CORRUPT);
    json_decref(real);
}

/* A published probe, as text: its numbers go up to 2^64 - 1, which jansson does not read. */
struct probe {
    char *text;
    json_t *json;
    bool exact; /* every hash has 32 bytes */
};

static uint64_t number(const struct probe *probe, const char *key)
{
    char quoted[32];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *found = strstr(probe->text, quoted);
    assert_non_null(found);
    return strtoull(found + strlen(quoted), NULL, 10);
}

static bool take_hash(const json_t *json, struct tree_hash *out)
{
    const char *text = json_string_value(json);
    return text != NULL && text_base64_read(view(text), out->bytes, TREE_HASH_BYTES);
}

static struct tree_hash hash_of(struct probe *probe, const char *key)
{
    struct tree_hash hash = {{0}};
    probe->exact = take_hash(json_object_get(probe->json, key), &hash) && probe->exact;
    return hash;
}

static enum result check_probe(struct probe *probe, const char *kind, const struct tree_proof *proof)
{
    if (strstr(kind, "inclusion") != NULL) {
        struct tree_hash leaf = hash_of(probe, "leafHash"), root = hash_of(probe, "root");
        bool subtree = strstr(kind, "subtree") != NULL;
        uint64_t start = subtree ? number(probe, "start") : 0, end = number(probe, subtree ? "end" : "treeSize");
        return tree_verify_inclusion(number(probe, "leafIdx"), start, end, &leaf, proof, &root, NULL);
    }
    struct tree_hash one = hash_of(probe, "root1"), two = hash_of(probe, "root2");
    if (strstr(kind, "subtree") == NULL)
        return tree_verify_consistency(number(probe, "size1"), number(probe, "size2"), &one, &two, proof, NULL);
    const struct tree_subtree subtree = {number(probe, "start"), number(probe, "end"), one};
    return tree_verify_subtree(&subtree, number(probe, "size"), &two, proof, NULL);
}

struct tally {
    unsigned probes, accepted, inexact;
};

static void run_probe(const char *path, const char *kind, struct tally *tally)
{
    char text[16 * 1024];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    struct probe probe = {.text = text, .json = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL), .exact = true};
    assert_non_null(probe.json);
    struct tree_proof proof = {0};
    size_t i;
    json_t *hash;
    json_array_foreach(json_object_get(probe.json, "proof"), i, hash)
        probe.exact = take_hash(hash, &proof.hashes[proof.count++]) && probe.exact;
    bool want = json_is_false(json_object_get(probe.json, "wantErr"));
    bool got = check_probe(&probe, kind, &proof) == RESULT_OK;
    /* Hashes of another length never reach the tree; four probes would take them for roots. */
    tally->inexact += want && !probe.exact;
    if (probe.exact && got != want)
        fail_msg("%s: %s", path, got ? "accepted" : "refused");
    tally->accepted += probe.exact && got;
    tally->probes++;
    json_decref(probe.json);
}

/* Every .json below path. */
static void run_folder(const char *path, const char *kind, struct tally *tally)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        print_message("skipped: vectors not at hand (THRONG_SHARED names their folder)\n");
        skip();
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char inner[2048];
        struct stat status;
        (void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        assert_int_equal(stat(inner, &status), 0);
        if (S_ISDIR(status.st_mode))
            run_folder(inner, kind, tally);
        else if (strstr(entry->d_name, ".json") != NULL)
            run_probe(inner, kind, tally);
    }
    (void)closedir(folder);
}

static void test_probes(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        struct tally want;
    } kinds[] = {
        {"inclusion", {98, 6, 0}},
        {"consistency", {98, 5, 1}},
        {"subtreeinclusion", {204, 12, 0}},
        {"subtreeconsistency", {118, 9, 3}},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[128], path[1024];
        (void)snprintf(name, sizeof name, "transparency-dev_merkle/testdata/%s", kinds[i].kind);
        vector_path(path, sizeof path, name);
        struct tally tally = {0};
        run_folder(path, kinds[i].kind, &tally);
        assert_int_equal(tally.probes, kinds[i].want.probes);
        assert_int_equal(tally.accepted, kinds[i].want.accepted);
        assert_int_equal(tally.inexact, kinds[i].want.inexact);
    }
}

/* Every subtree of small trees, with the proof that its definition gives (SUBTREE_SUBPROOF). */
static void subproof(uint64_t start, uint64_t end, uint64_t low, uint64_t high, bool known, struct tree_proof *proof)
{
    if (start == low && end == high) {
        if (!known)
            proof->hashes[proof->count++] = by_definition(low, high);
        return;
    }
    uint64_t split = 1;
    while (split * 2 < high - low)
        split *= 2;
    uint64_t middle = low + split;
    struct tree_hash sibling;
    if (end <= middle) {
        subproof(start, end, low, middle, known, proof);
        sibling = by_definition(middle, high);
    } else if (start >= middle) {
        subproof(start, end, middle, high, known, proof);
        sibling = by_definition(low, middle);
    } else {
        assert_int_equal(start, low);
        subproof(middle, end, middle, high, false, proof);
        sibling = by_definition(low, middle);
    }
    proof->hashes[proof->count++] = sibling;
}

static void test_subtrees(void **state)
{
    (void)state;
    unsigned subtrees = 0;
    for (uint64_t size = 1; size <= 24; size++) {
        struct tree_hash root = by_definition(0, size);
        for (uint64_t start = 0; start < size; start++) {
            for (uint64_t end = start + 1, least = 1; end <= size; end++) {
                while (least < end - start)
                    least *= 2;
                if (start % least != 0)
                    continue;
                struct tree_subtree subtree = {start, end, by_definition(start, end)};
                struct tree_proof proof = {0};
                subproof(start, end, 0, size, true, &proof);
                assert_int_equal(tree_verify_subtree(&subtree, size, &root, &proof, NULL), RESULT_OK);
                subtree.root.bytes[3] ^= 8;
                assert_int_equal(tree_verify_subtree(&subtree, size, &root, &proof, NULL), RESULT_CORRUPT);
                subtrees++;
            }
        }
    }
    assert_int_equal(subtrees, 844);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_inclusion),
        cmocka_unit_test(test_consistency),
        cmocka_unit_test(test_changed_proofs),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_lifted),
        cmocka_unit_test(test_reader_fails),
        cmocka_unit_test(test_golden_roots),
        cmocka_unit_test(test_real_log),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_subtrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
