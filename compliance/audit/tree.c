#include "compliance/audit/tree.h"

#include <stdbool.h>
#include <string.h>

#include <sodium.h>

_Static_assert(crypto_hash_sha256_BYTES == TREE_HASH_BYTES, "the tree hashes with SHA-256");

void tree_leaf(const void *bytes, size_t length, struct tree_hash *out)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char[]){0}, 1);
    if (length > 0)
        crypto_hash_sha256_update(&state, bytes, length);
    crypto_hash_sha256_final(&state, out->bytes);
}

void tree_node(const struct tree_hash *left, const struct tree_hash *right, struct tree_hash *out)
{
    unsigned char input[1 + 2 * TREE_HASH_BYTES];
    input[0] = 1;
    memcpy(input + 1, left->bytes, TREE_HASH_BYTES);
    memcpy(input + 1 + TREE_HASH_BYTES, right->bytes, TREE_HASH_BYTES);
    crypto_hash_sha256(out->bytes, input, sizeof input);
}

void tree_empty(struct tree_hash *out)
{
    crypto_hash_sha256(out->bytes, (const unsigned char *)"", 0);
}

int tree_equal(const struct tree_hash *one, const struct tree_hash *other)
{
    return memcmp(one->bytes, other->bytes, TREE_HASH_BYTES) == 0;
}

enum result tree_append(struct tree_frontier *frontier, const struct tree_hash *leaf, struct tree_hash *nodes,
    size_t *count, struct failure *why)
{
    if (frontier->size >= TREE_SIZE_MAX) {
        failure_set(why, "size", "the tree has 2^63 - 1 leaves and takes no more");
        return RESULT_FULL;
    }
    size_t height = 0;
    nodes[0] = *leaf;
    for (; frontier->size >> height & 1; height++)
        tree_node(&frontier->nodes[height], &nodes[height], &nodes[height + 1]);
    frontier->nodes[height] = nodes[height];
    frontier->size++;
    *count = height + 1;
    return RESULT_OK;
}

void tree_root(const struct tree_frontier *frontier, struct tree_hash *out)
{
    bool any = false;
    struct tree_hash root;
    tree_empty(&root);
    for (unsigned height = 0; height < TREE_HEIGHTS; height++) {
        if ((frontier->size >> height & 1) == 0)
            continue;
        if (any)
            tree_node(&frontier->nodes[height], &root, &root);
        else
            root = frontier->nodes[height];
        any = true;
    }
    *out = root;
}

/* The least h with 2^h >= length; length is 1 to 2^63. */
static unsigned height_over(uint64_t length)
{
    unsigned height = 0;
    while (height < 63 && (uint64_t)1 << height < length)
        height++;
    return height;
}

/* The largest power of two below length, which is at least 2 and at most 2^63. */
static uint64_t split(uint64_t length)
{
    return (uint64_t)1 << (height_over(length) - 1);
}

/* Whether [start, end) is a subtree of at most 2^63 leaves; an empty one is. */
static bool is_subtree(uint64_t start, uint64_t end)
{
    if (start > end || end - start > (uint64_t)1 << 63)
        return false;
    return start == end || (start & (((uint64_t)1 << height_over(end - start)) - 1)) == 0;
}

static enum result refuse(struct failure *why, const char *field, const char *text)
{
    failure_set(why, field, "%s", text);
    return RESULT_INVALID;
}

enum result tree_range(const struct tree_reader *reader, uint64_t start, uint64_t end, struct tree_hash *out,
    struct failure *why)
{
    if (end > TREE_SIZE_MAX || start >= end || !is_subtree(start, end))
        return refuse(why, "range", "the range is empty, or is not a subtree");
    struct tree_frontier frontier = {.size = end - start};
    uint64_t at = start;
    for (unsigned height = TREE_HEIGHTS; height-- > 0;) {
        if ((frontier.size >> height & 1) == 0)
            continue;
        enum result result = reader->read(reader->context, height, at >> height, &frontier.nodes[height], why);
        if (result != RESULT_OK)
            return result;
        at += (uint64_t)1 << height;
    }
    tree_root(&frontier, out);
    return RESULT_OK;
}

enum result tree_restore(
    const struct tree_reader *reader, uint64_t size, struct tree_frontier *frontier, struct failure *why)
{
    if (size > TREE_SIZE_MAX)
        return refuse(why, "size", "the size is above 2^63 - 1");
    struct tree_frontier read = {.size = size};
    uint64_t at = 0;
    for (unsigned height = TREE_HEIGHTS; height-- > 0;) {
        if ((size >> height & 1) == 0)
            continue;
        enum result result = reader->read(reader->context, height, at >> height, &read.nodes[height], why);
        if (result != RESULT_OK)
            return result;
        at += (uint64_t)1 << height;
    }
    *frontier = read;
    return RESULT_OK;
}

/* The proofs are found from the root down and told from the leaves up. */
static void reverse(struct tree_proof *proof)
{
    for (size_t low = 0, high = proof->count; low + 1 < high; low++) {
        struct tree_hash kept = proof->hashes[low];
        proof->hashes[low] = proof->hashes[--high];
        proof->hashes[high] = kept;
    }
}

static enum result add_range(const struct tree_reader *reader, uint64_t start, uint64_t end, struct tree_proof *proof,
    struct failure *why)
{
    enum result result = tree_range(reader, start, end, &proof->hashes[proof->count], why);
    if (result == RESULT_OK)
        proof->count++;
    return result;
}

enum result tree_prove_inclusion(const struct tree_reader *reader, uint64_t index, uint64_t size,
    struct tree_proof *proof, struct failure *why)
{
    if (size > TREE_SIZE_MAX || index >= size)
        return refuse(why, "index", "the leaf is not in the tree");
    proof->count = 0;
    for (uint64_t start = 0, end = size; end - start > 1;) {
        uint64_t middle = start + split(end - start);
        bool left = index < middle;
        enum result result = left ? add_range(reader, middle, end, proof, why) : add_range(reader, start, middle, proof, why);
        if (result != RESULT_OK)
            return result;
        start = left ? start : middle;
        end = left ? middle : end;
    }
    reverse(proof);
    return RESULT_OK;
}

enum result tree_prove_consistency(const struct tree_reader *reader, uint64_t older, uint64_t size,
    struct tree_proof *proof, struct failure *why)
{
    if (size > TREE_SIZE_MAX || older == 0 || older > size)
        return refuse(why, "size", "the older tree is empty, or larger than the newer");
    proof->count = 0;
    uint64_t start = 0, end = size;
    while (older != end) {
        uint64_t middle = start + split(end - start);
        bool left = older <= middle;
        enum result result = left ? add_range(reader, middle, end, proof, why) : add_range(reader, start, middle, proof, why);
        if (result != RESULT_OK)
            return result;
        start = left ? start : middle;
        end = left ? middle : end;
    }
    /* A verifier who has the older root needs no other start if the last piece is that whole tree. */
    enum result result = start == 0 ? RESULT_OK : add_range(reader, start, end, proof, why);
    if (result == RESULT_OK)
        reverse(proof);
    return result;
}

static enum result mismatch(struct failure *why, const char *text)
{
    failure_set(why, "proof", "%s", text);
    return RESULT_CORRUPT;
}

enum result tree_verify_inclusion(uint64_t index, uint64_t start, uint64_t end, const struct tree_hash *leaf,
    const struct tree_proof *proof, const struct tree_hash *root, struct failure *why)
{
    if (!is_subtree(start, end) || index < start || index >= end)
        return refuse(why, "index", "the leaf is not in the tree");
    struct tree_hash hash = *leaf;
    uint64_t node = index - start, last = end - start - 1; /* both at the height reached */
    for (size_t i = 0; i < proof->count; i++) {
        if (last == 0)
            return mismatch(why, "the inclusion proof is too long");
        if (node % 2 == 1 || node == last) {
            tree_node(&proof->hashes[i], &hash, &hash);
            for (; node % 2 == 0 && node != 0; node /= 2) /* the last node of a level may stand for several levels */
                last /= 2;
        } else
            tree_node(&hash, &proof->hashes[i], &hash);
        node /= 2;
        last /= 2;
    }
    if (last != 0)
        return mismatch(why, "the inclusion proof is too short");
    return tree_equal(&hash, root) ? RESULT_OK : mismatch(why, "the inclusion proof leads to another root");
}

/* The first and last node of a subtree and the last of the tree, all at the height reached. */
struct walk {
    uint64_t first, last, end;
};

static void climb(struct walk *walk)
{
    walk->first /= 2;
    walk->last /= 2;
    walk->end /= 2;
}

/* Both roots, walked up from the largest perfect subtree at the right edge of the smaller tree. */
static enum result walk_up(struct walk walk, const struct tree_subtree *subtree, const struct tree_hash *root,
    const struct tree_proof *proof, struct failure *why)
{
    while (walk.first != walk.last && (walk.last % 2 == 1 || walk.last == walk.end))
        climb(&walk);
    size_t used = 0;
    if (walk.first != walk.last && proof->count == 0)
        return mismatch(why, "the consistency proof is too short");
    struct tree_hash smaller = walk.first == walk.last ? subtree->root : proof->hashes[used++];
    struct tree_hash larger = smaller;
    for (; used < proof->count; used++) {
        const struct tree_hash *next = &proof->hashes[used];
        if (walk.end == 0)
            return mismatch(why, "the consistency proof is too long");
        if (walk.last % 2 == 1 || walk.last == walk.end) {
            if (walk.first < walk.last)
                tree_node(next, &smaller, &smaller);
            tree_node(next, &larger, &larger);
            while (walk.last % 2 == 0 && walk.last != 0)
                climb(&walk);
        } else
            tree_node(&larger, next, &larger);
        climb(&walk);
    }
    if (walk.end != 0)
        return mismatch(why, "the consistency proof is too short");
    if (!tree_equal(&smaller, &subtree->root) || !tree_equal(&larger, root))
        return mismatch(why, "the consistency proof leads to another root");
    return RESULT_OK;
}

enum result tree_verify_subtree(const struct tree_subtree *subtree, uint64_t size, const struct tree_hash *root,
    const struct tree_proof *proof, struct failure *why)
{
    if (!is_subtree(subtree->start, subtree->end) || subtree->end > size)
        return refuse(why, "range", "the range is not a subtree of the tree");
    if (subtree->start == subtree->end) {
        struct tree_hash empty;
        tree_empty(&empty);
        if (proof->count > 0)
            return mismatch(why, "the consistency proof is too long");
        return tree_equal(&empty, &subtree->root) ? RESULT_OK : mismatch(why, "an empty range has another root");
    }
    return walk_up((struct walk){subtree->start, subtree->end - 1, size - 1}, subtree, root, proof, why);
}

enum result tree_verify_consistency(uint64_t older, uint64_t size, const struct tree_hash *old_root,
    const struct tree_hash *root, const struct tree_proof *proof, struct failure *why)
{
    if (older == 0 || older > size)
        return refuse(why, "size", "the older tree is empty, or larger than the newer");
    const struct tree_subtree subtree = {.start = 0, .end = older, .root = *old_root};
    return tree_verify_subtree(&subtree, size, root, proof, why);
}
