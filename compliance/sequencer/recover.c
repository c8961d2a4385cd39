#include "compliance/sequencer/recover.h"

#include <stdlib.h>

#include "service/db/trail.h"

static enum result refuse(struct failure *why, const char *text)
{
    failure_set(why, "audit", "%s", text);
    return RESULT_CORRUPT;
}

/* Whether source's tree of size leaves has this root; RESULT_CORRUPT with text if it has another or cannot tell. */
static enum result expect(const struct tile_source *source, uint64_t size, const struct tree_hash *root, const char *text,
    struct failure *why)
{
    struct tree_hash found;
    enum result result = growth_root(source, size, &found, why);
    if (result == RESULT_OK && !tree_equal(&found, root))
        return refuse(why, text);
    return result;
}

/* A state directory that has signed nothing, beside a database that has checkpoints: one of the two is not ours. */
static enum result check_first(const struct recover_parts *parts, struct failure *why)
{
    char note[SIGNER_NOTE_BYTES];
    size_t length = 0;
    if (parts->signer->ever || parts->adopt)
        return RESULT_OK;
    enum result result = database_published(parts->db, 0, note, sizeof note, &length, why);
    if (result == RESULT_OK && length > 0)
        return refuse(why, "the database has checkpoints, but nothing was ever signed with this audit.state: put the right one in "
                           "place; if it is lost, go on with a new key by throng-audit --adopt");
    return result;
}

/* Add entries of the database, from growth's size to size, to growth and copy. */
static enum result copy_entries(const struct recover_parts *parts, struct growth *growth, uint64_t size, struct failure *why)
{
    const struct signer *signer = parts->signer;
    enum result result = RESULT_OK;
    while (growth->frontier.size < size && result == RESULT_OK) {
        uint64_t first = growth->frontier.size, end = size;
        if (first < signer->size && signer->size < end)
            end = signer->size;
        size_t count = end - first < STORE_BATCH_LEAVES ? (size_t)(end - first) : STORE_BATCH_LEAVES;
        struct database_batch *batch = parts->batch;
        result = database_entries(parts->db, first, count, batch, why);
        for (size_t i = 0; i < batch->count && result == RESULT_OK; i++)
            result = batch->leaves[i].bytes == NULL
                         ? refuse(why, "the copy of the log is damaged below what was pruned")
                         : growth_add(growth, batch->leaves[i].bytes, batch->leaves[i].length, why);
        if (result == RESULT_OK)
            result = growth_finish(growth, why);
        if (result == RESULT_OK)
            result = mirror_append(parts->mirror, first, batch->leaves, batch->count, growth, why);
        database_release(batch);
        growth_clear(growth);
    }
    return result;
}

/* The database has all that was signed: let the copy have what it has. */
static enum result extend_copy(const struct recover_parts *parts, struct growth *growth, uint64_t size, struct failure *why)
{
    const struct signer *signer = parts->signer;
    const struct tile_source stored = database_source(parts->db), copied = mirror_source(parts->mirror);
    struct tree_hash root;
    enum result result = expect(
        &stored, signer->size, &signer->root, "the database's tree does not go on from the one signed last", why);
    if (result != RESULT_OK)
        return result;
    /* A copy that is damaged is made anew from the beginning. */
    bool whole = expect(&copied, signer->size, &signer->root, "", NULL) == RESULT_OK &&
                 growth_load(growth, &copied, signer->size, NULL) == RESULT_OK;
    if (!whole) {
        growth_free(growth);
        result = copy_entries(parts, growth, signer->size, why);
        tree_root(&growth->frontier, &root);
        if (result == RESULT_OK && !tree_equal(&root, &signer->root))
            return refuse(why, "the database's entries are not those that were signed");
    }
    if (result == RESULT_OK)
        result = copy_entries(parts, growth, size, why);
    tree_root(&growth->frontier, &root);
    return result == RESULT_OK ? expect(&stored, size, &root, "the database's tiles are not those of its entries", why) : result;
}

/* Visits the copy's entries [first, end), at most a bundle at a time. */
struct visit {
    const struct recover_parts *parts;
    struct growth *growth;
    const struct recover_outcome *outcome; /* put them back; NULL: only hash them */
    bool told;
};

/* Entries to put back with the tiles of growth. */
struct piece {
    struct visit *visit;
    uint64_t first;
    const struct text_view *entries;
    size_t count;
};

static enum result tell_restored(struct db *db, const struct recover_outcome *outcome, struct failure *why)
{
    struct trail trail;
    enum result result = trail_begin("restored", "", "audit", LEAF_OK, NULL, &trail);
    if (result == RESULT_OK) {
        leaf_int(trail.leaf, "from_size", (int64_t)outcome->from);
        leaf_int(trail.leaf, "to_size", (int64_t)outcome->to);
        result = trail_append(db, &trail, why);
    }
    trail_free(&trail);
    return result;
}

/* One transaction; the first has the act with it. */
static enum result put_piece(struct db *db, void *context, struct failure *why)
{
    const struct piece *piece = context;
    enum result result = piece->visit->told ? RESULT_OK : tell_restored(db, piece->visit->outcome, why);
    return result == RESULT_OK ? database_recover(db, piece->first, piece->entries, piece->count, piece->visit->growth, why)
                               : result;
}

static enum result visit_bundle(struct visit *visit, uint64_t first, unsigned count, struct failure *why)
{
    const uint8_t *bundle = NULL;
    size_t length = 0, at = 0;
    unsigned before = (unsigned)(first % TILE_WIDTH), found = 0;
    struct text_view entries[TILE_WIDTH];
    enum result result = mirror_bundle(visit->parts->mirror, first / TILE_WIDTH, before + count, &bundle, &length, why);
    for (unsigned i = 0; i < before + count && result == RESULT_OK; i++) {
        struct text_view entry;
        result = tile_next_entry(bundle, length, &at, &entry, why);
        if (result != RESULT_OK || i < before)
            continue;
        entries[found++] = entry;
        result = growth_add(visit->growth, entry.bytes, entry.length, why);
    }
    if (result != RESULT_OK || visit->outcome == NULL)
        return result;
    struct piece piece = {.visit = visit, .first = first, .entries = entries, .count = found};
    result = growth_finish(visit->growth, why);
    if (result == RESULT_OK)
        result = db_transaction(visit->parts->db, put_piece, &piece, why);
    visit->told = visit->told || result == RESULT_OK;
    return result;
}

static enum result visit_entries(struct visit *visit, uint64_t end, struct failure *why)
{
    enum result result = RESULT_OK;
    while (visit->growth->frontier.size < end && result == RESULT_OK) {
        uint64_t first = visit->growth->frontier.size;
        uint64_t room = TILE_WIDTH - first % TILE_WIDTH, left = end - first;
        result = visit_bundle(visit, first, (unsigned)(left < room ? left : room), why);
        growth_clear(visit->growth);
    }
    return result;
}

/* That the copy's entries from the database's end on are those that were signed. */
static enum result check_copy(const struct recover_parts *parts, uint64_t size, struct failure *why)
{
    const struct tile_source copied = mirror_source(parts->mirror);
    const struct signer *signer = parts->signer;
    struct tree_hash root;
    if (size >= signer->size)
        return RESULT_OK;
    struct growth *growth = calloc(1, sizeof *growth);
    if (growth == NULL)
        return RESULT_FAILED;
    struct visit visit = {.parts = parts, .growth = growth};
    enum result result = growth_load(growth, &copied, size, why);
    if (result == RESULT_OK)
        result = visit_entries(&visit, signer->size, why);
    tree_root(&growth->frontier, &root);
    growth_free(growth);
    free(growth);
    if (result == RESULT_OK && !tree_equal(&root, &signer->root))
        return refuse(why, "the copy of the log is not what was signed");
    return result == RESULT_NOT_FOUND ? RESULT_CORRUPT : result;
}

/* The database lacks entries from size on that the copy has, up to end. */
static enum result put_back(const struct recover_parts *parts, struct growth *growth, const struct recover_outcome *outcome,
    struct failure *why)
{
    uint64_t size = outcome->from;
    const struct tile_source stored = database_source(parts->db), copied = mirror_source(parts->mirror);
    const struct signer *signer = parts->signer;
    struct tree_hash root;
    enum result result = RESULT_OK;
    if (size < signer->size) {
        result = expect(&copied, signer->size, &signer->root, "the database lacks entries, and the copy of the log is damaged", why);
        if (result == RESULT_OK)
            result = growth_root(&copied, size, &root, why);
        if (result == RESULT_OK)
            result = expect(&stored, size, &root, "the database lacks entries, and those that it has are not what was signed", why);
        if (result == RESULT_OK)
            result = check_copy(parts, size, why);
    } else {
        result = expect(
            &stored, signer->size, &signer->root, "the database's tree does not go on from the one signed last", why);
    }
    if (result == RESULT_OK)
        result = growth_load(growth, &stored, size, why);
    struct visit visit = {.parts = parts, .growth = growth, .outcome = outcome};
    return result == RESULT_OK ? visit_entries(&visit, outcome->to, why) : result;
}

enum result recover_agree(
    const struct recover_parts *parts, struct growth *growth, struct recover_outcome *outcome, struct failure *why)
{
    uint64_t size = 0;
    *outcome = (struct recover_outcome){0};
    enum result result = check_first(parts, why);
    if (result == RESULT_OK)
        result = database_size(parts->db, &size, why);
    if (result != RESULT_OK)
        return result;
    uint64_t copied = mirror_size(parts->mirror, parts->signer->size);
    if (copied > size) {
        *outcome = (struct recover_outcome){size, copied};
        result = put_back(parts, growth, outcome, why);
        size = copied;
    }
    return result == RESULT_OK ? extend_copy(parts, growth, size, why) : result;
}
