/*
 * The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1) over SHA-256: its hashes, a frontier that grows by one
 * leaf at a time in O(log n) memory, proofs made from stored hashes with O(log n) reads, and their verification.
 *
 *   MTH({}) = SHA-256("")    MTH({d}) = SHA-256(0x00 ‖ d)    MTH(D[0:n]) = SHA-256(0x01 ‖ MTH(D[0:k]) ‖ MTH(D[k:n]))
 *   with k the largest power of two below n
 *
 * A node (height, index) is a perfect subtree: MTH(D[index·2^height : (index+1)·2^height]). Node (0, i) is leaf i. A range
 * [start, end) is a subtree if start is a multiple of the least power of two that is not below end - start
 * (draft-ietf-plants-merkle-tree-certs, "Subtrees"); a tree is the range [0, size).
 *
 * Sees:     hashes; tree_leaf also what an audit leaf says.
 * Uses:     libsodium (SHA-256).
 * Threads:  every function may run anywhere; a frontier belongs to one thread.
 * Failure:  result codes and a struct failure; outputs are untouched on failure.
 */
#ifndef THRONG_AUDIT_TREE_H
#define THRONG_AUDIT_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

#define TREE_HASH_BYTES 32
#define TREE_SIZE_MAX INT64_MAX /* leaves; a size fits a bigint */
#define TREE_HEIGHTS 63         /* heights of nodes: 0 to 62 */
#define TREE_PROOF_MAX 64       /* hashes of any proof */

struct tree_hash {
    uint8_t bytes[TREE_HASH_BYTES];
};

/* A tree of size leaves: nodes[h] is the root of its perfect subtree of height h, where bit h of size is set, and
 * undefined elsewhere. {0} is the empty tree. */
struct tree_frontier {
    uint64_t size;
    struct tree_hash nodes[TREE_HEIGHTS];
};

/* Where stored nodes come from. read writes node (height, index) to *out, or fails with a code of its own, which the
 * caller of a tree function gets. Only nodes inside the tree that is asked about are read. */
struct tree_reader {
    enum result (*read)(void *context, unsigned height, uint64_t index, struct tree_hash *out, struct failure *why);
    void *context;
};

/* A proof being made or checked: count hashes, from the leaves up, as RFC 9162 sections 2.1.3.1 and 2.1.4.1 order them. */
struct tree_proof {
    size_t count;
    struct tree_hash hashes[TREE_PROOF_MAX];
};

/* *out: the hash of a leaf of length bytes (borrowed; NULL if length is 0). */
void tree_leaf(const void *bytes, size_t length, struct tree_hash *out);

/* *out: the hash of the node over *left and *right, which may be *out. */
void tree_node(const struct tree_hash *left, const struct tree_hash *right, struct tree_hash *out);

/* *out: the root of the empty tree. */
void tree_empty(struct tree_hash *out);

/* Whether two hashes are equal: 1 or 0. They are public: no constant time is promised. */
int tree_equal(const struct tree_hash *one, const struct tree_hash *other);

/* Grow by one leaf (its hash). nodes[0..*count-1] become the nodes that this leaf completes, by height, the leaf itself
 * first: node (h, frontier->size >> h) with the size before the call. That is what a store of hashes has to add. nodes has
 * room for TREE_HEIGHTS. RESULT_FULL at TREE_SIZE_MAX leaves. */
enum result tree_append(struct tree_frontier *frontier, const struct tree_hash *leaf, struct tree_hash *nodes,
    size_t *count, struct failure *why);

/* *out: the root of the frontier's tree. */
void tree_root(const struct tree_frontier *frontier, struct tree_hash *out);

/* Read the frontier of the tree of size leaves: as many reads as size has bits set.
 * RESULT_INVALID above TREE_SIZE_MAX; what the reader returns. */
enum result tree_restore(
    const struct tree_reader *reader, uint64_t size, struct tree_frontier *frontier, struct failure *why);

/* *out: the root of the subtree [start, end). RESULT_INVALID if that is not a subtree or is empty, or ends above
 * TREE_SIZE_MAX; what the reader returns. At most 63 reads. */
enum result tree_range(const struct tree_reader *reader, uint64_t start, uint64_t end, struct tree_hash *out,
    struct failure *why);

/* *proof: that leaf index is in the tree of size leaves (RFC 9162 section 2.1.3.1). RESULT_INVALID unless
 * index < size <= TREE_SIZE_MAX; what the reader returns. At most 126 reads; *proof is undefined on failure. */
enum result tree_prove_inclusion(const struct tree_reader *reader, uint64_t index, uint64_t size,
    struct tree_proof *proof, struct failure *why);

/* *proof: that the tree of older leaves is the beginning of the tree of size leaves (RFC 9162 section 2.1.4.1; empty if
 * they are equal). RESULT_INVALID unless 0 < older <= size <= TREE_SIZE_MAX: from the empty tree there is nothing to
 * prove. Otherwise as tree_prove_inclusion. */
enum result tree_prove_consistency(const struct tree_reader *reader, uint64_t older, uint64_t size,
    struct tree_proof *proof, struct failure *why);

/* Check that the leaf (its hash) is leaf index of the subtree [start, end) with this root; for a tree, start is 0 and end
 * its size (RFC 9162 section 2.1.3.2). RESULT_INVALID if that is no subtree or index is not in it; RESULT_CORRUPT if the
 * proof has another length than it must, or leads to another root. */
enum result tree_verify_inclusion(uint64_t index, uint64_t start, uint64_t end, const struct tree_hash *leaf,
    const struct tree_proof *proof, const struct tree_hash *root, struct failure *why);

/* Check that the tree of older leaves with old_root is the beginning of the tree of size leaves with root (RFC 9162
 * section 2.1.4.2). RESULT_INVALID unless 0 < older <= size; RESULT_CORRUPT as for tree_verify_inclusion. */
enum result tree_verify_consistency(uint64_t older, uint64_t size, const struct tree_hash *old_root,
    const struct tree_hash *root, const struct tree_proof *proof, struct failure *why);

/* A subtree that tree_verify_subtree is asked about: [start, end) with its root. */
struct tree_subtree {
    uint64_t start, end;
    struct tree_hash root;
};

/* Check that a subtree is one of the tree of size leaves with root (draft-ietf-plants-merkle-tree-certs, "Verifying a
 * Subtree Consistency Proof"). An empty one (start = end) has the empty root and an empty proof, and says nothing of the
 * tree. RESULT_INVALID if it is no subtree or ends behind size; RESULT_CORRUPT as for tree_verify_inclusion. */
enum result tree_verify_subtree(const struct tree_subtree *subtree, uint64_t size, const struct tree_hash *root,
    const struct tree_proof *proof, struct failure *why);

#endif
