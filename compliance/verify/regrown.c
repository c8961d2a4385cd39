#include "compliance/verify/regrown.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/proof.h"

#define LEVELS 8
#define UUID_CHARACTERS 36

/* The tree as it grows: of each level of tiles the one that is being filled. */
struct growth {
    struct evidence *evidence;
    struct tree_frontier frontier;
    uint8_t tiles[LEVELS][TILE_BYTES];
    uint64_t files; /* of the log, that were compared */
};

static void find_result(struct evidence *evidence, const char *where, const struct failure *why)
{
    evidence_find(evidence, where, "%s", why->text[0] == '\0' ? "it cannot be read" : why->text);
}

/* Hold the tile that is in growth->tiles[level] against its file. */
static void compare_tile(struct growth *growth, int level, uint64_t index)
{
    struct tile tile;
    struct text_view content;
    char path[BODIES_PATH_MAX_BYTES];
    if (!bodies_path(growth->evidence->checkpoint.size, level, index, &tile, path) ||
        !evidence_file(growth->evidence, path, false, &content))
        return;
    growth->files++;
    size_t length = tile.width * (size_t)TREE_HASH_BYTES;
    if (content.length != length || memcmp(content.bytes, growth->tiles[level], length) != 0)
        evidence_find(growth->evidence, path, "its hashes are not those of the entries");
}

/* A leaf more; tiles that it fills are compared. */
static void grow(struct growth *growth, const struct tree_hash *leaf)
{
    struct tree_hash nodes[TREE_HEIGHTS];
    size_t count = 0;
    uint64_t place = growth->frontier.size;
    if (tree_append(&growth->frontier, leaf, nodes, &count, NULL) != RESULT_OK)
        return;
    for (size_t h = 0; h < count; h += TILE_HEIGHT) {
        uint64_t node = place >> h;
        memcpy(growth->tiles[h / TILE_HEIGHT] + node % TILE_WIDTH * TREE_HASH_BYTES, nodes[h].bytes, TREE_HASH_BYTES);
        if (node % TILE_WIDTH == TILE_WIDTH - 1)
            compare_tile(growth, (int)(h / TILE_HEIGHT), node / TILE_WIDTH);
    }
}

static void compare_partial(struct growth *growth)
{
    for (int level = 0; level < LEVELS; level++) {
        uint64_t index = growth->frontier.size >> (TILE_HEIGHT * (unsigned)level) >> TILE_HEIGHT;
        unsigned width = tile_width(level, index, growth->frontier.size);
        if (width > 0 && width < TILE_WIDTH)
            compare_tile(growth, level, index);
    }
}

/* The hashes of the entries around index: from their bodies, or where they were pruned from the tile. False if there is
 * neither. */
static bool read_leaves(struct growth *growth, uint64_t index, unsigned width, struct tree_hash *leaves)
{
    struct tile tile;
    struct text_view content;
    struct failure why = {0};
    char path[BODIES_PATH_MAX_BYTES];
    bool pruned = index < growth->evidence->terms.pruned_below;
    if (!bodies_path(growth->evidence->checkpoint.size, pruned ? 0 : TILE_ENTRIES, index / TILE_WIDTH, &tile, path) ||
        !evidence_file(growth->evidence, path, false, &content))
        return false;
    if (pruned && content.length == width * (size_t)TREE_HASH_BYTES) {
        memcpy(leaves, content.bytes, content.length);
        return true;
    }
    growth->files += !pruned;
    if (!pruned && tile_leaves((const uint8_t *)content.bytes, content.length, width, leaves, &why) == RESULT_OK)
        return true;
    find_result(growth->evidence, path, &why);
    return false;
}

static bool grow_all(struct growth *growth)
{
    struct tree_hash leaves[TILE_WIDTH];
    uint64_t size = growth->evidence->checkpoint.size;
    while (growth->frontier.size < size) {
        uint64_t left = size - growth->frontier.size;
        unsigned width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
        if (!read_leaves(growth, growth->frontier.size, width, leaves))
            return false;
        for (unsigned i = 0; i < width; i++)
            grow(growth, &leaves[i]);
    }
    compare_partial(growth);
    return true;
}

/* Files of the log besides those that were compared: the checkpoint, and nothing else. */
static void count_files(struct growth *growth)
{
    struct evidence *evidence = growth->evidence;
    size_t from = archive_index_lower(evidence->index, "log/"), to = archive_index_lower(evidence->index, "log0");
    if ((uint64_t)(to - from) == growth->files + 1)
        return;
    for (size_t i = from; i < to; i++) {
        struct tile tile;
        struct archive_file file = archive_index_file(evidence->index, i);
        struct text_view name = file.name;
        if (file.damaged || text_is(name, "log/checkpoint"))
            continue;
        bool wanted = text_skip(&name, "log/") && tile_parse(name, &tile, NULL) == RESULT_OK &&
                      tile.width == tile_width(tile.level, tile.index, evidence->checkpoint.size) &&
                      !(tile.level == TILE_ENTRIES && tile.index * TILE_WIDTH < evidence->terms.pruned_below);
        if (!wanted)
            evidence_find_in(evidence, file.name, "a log of this size has no such file");
    }
}

/* Whether leaf says that its id is uuid: the canonical form has the id just before the nonce. */
static bool has_id(struct text_view leaf, const char *uuid)
{
    char wanted[UUID_CHARACTERS + 32];
    int length = snprintf(wanted, sizeof wanted, "\"id\":\"%.*s\",\"nonce\":\"", UUID_CHARACTERS, uuid);
    return memmem(leaf.bytes, leaf.length, wanted, (size_t)length) != NULL;
}

static enum result check_path(struct evidence *evidence, const struct proof *proof, struct failure *why)
{
    struct tile tile;
    struct tree_hash leaf;
    struct text_view content;
    char path[BODIES_PATH_MAX_BYTES];
    uint64_t size = evidence->checkpoint.size;
    bool there = proof->index < size && bodies_path(size, 0, proof->index / TILE_WIDTH, &tile, path) &&
                 evidence_file(evidence, path, true, &content) && content.length == tile.width * (size_t)TREE_HASH_BYTES;
    if (!there) {
        failure_set(why, "proof", "the log has no entry of that index");
        return RESULT_CORRUPT;
    }
    memcpy(leaf.bytes, content.bytes + proof->index % TILE_WIDTH * TREE_HASH_BYTES, TREE_HASH_BYTES);
    return tree_verify_inclusion(proof->index, 0, size, &leaf, &proof->path, &evidence->checkpoint.root, why);
}

/* proofs/UUID.tlog-proof. */
static void check_proof(struct evidence *evidence, const struct archive_file *file, struct proof *proof)
{
    struct failure why = {0};
    struct text_view name = file->name, leaf;
    struct bodies bodies = evidence_bodies(evidence);
    if (!text_skip(&name, "proofs/") || name.length != UUID_CHARACTERS + 11 ||
        memcmp(name.bytes + UUID_CHARACTERS, ".tlog-proof", 11) != 0) {
        evidence_find_in(evidence, file->name, "no proof file has such a name");
        return;
    }
    enum result result = proof_parse(file->content.bytes, file->content.length, proof, &why);
    if (result == RESULT_OK)
        result = check_path(evidence, proof, &why);
    if (result != RESULT_OK) {
        evidence_find_in(evidence, file->name, why.text);
        return;
    }
    if (proof->checkpoint.length != evidence->note.length ||
        memcmp(proof->checkpoint.bytes, evidence->note.bytes, evidence->note.length) != 0)
        evidence_find_in(evidence, file->name, "its checkpoint is not log/checkpoint");
    if (proof->index >= evidence->terms.pruned_below &&
        (bodies_read(&bodies, proof->index, &leaf, &why) != RESULT_OK || !has_id(leaf, name.bytes)))
        evidence_find_in(evidence, file->name, "the entry of its index is not the one that it is named after");
}

static void check_proofs(struct evidence *evidence)
{
    struct proof proof;
    size_t from = archive_index_lower(evidence->index, "proofs/"), to = archive_index_lower(evidence->index, "proofs0");
    for (size_t i = from; i < to; i++) {
        struct archive_file file = archive_index_file(evidence->index, i);
        if (!file.damaged)
            check_proof(evidence, &file, &proof);
    }
}

void regrown_check(struct evidence *evidence)
{
    struct tree_hash root;
    struct growth *growth = calloc(1, sizeof *growth);
    if (growth == NULL) {
        evidence_find(evidence, "log/checkpoint", "there is no memory to grow the tree");
        return;
    }
    growth->evidence = evidence;
    if (evidence->checkpoint.size == 0) {
        evidence_find(evidence, "log/checkpoint", "it is of an empty log");
    } else if (grow_all(growth)) {
        tree_root(&growth->frontier, &root);
        if (!tree_equal(&root, &evidence->checkpoint.root))
            evidence_find(evidence, "log/checkpoint", "the entries do not make the root that was signed");
        count_files(growth);
        check_proofs(evidence);
    }
    free(growth);
}
