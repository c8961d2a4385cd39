#include "compliance/verify/ancestry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SINCE_NAME "(the earlier checkpoint)"
#define SEALS_MAX (TERMS_KEYS_MAX + 2 * TERMS_WITNESSES_MAX)

/* An earlier checkpoint, opened. */
struct ancestor {
    const char *where;
    struct checkpoint checkpoint;
    uint64_t time_s; /* when a witness cosigned it; 0: no one whose key is known did */
};

/* Open the signed note of an earlier checkpoint, by the log's keys and, for its time, by the witnesses'. */
static bool open_ancestor(struct evidence *evidence, struct text_view bytes, struct ancestor *ancestor)
{
    struct note note;
    struct note_seal seals[SEALS_MAX];
    struct failure why = {0};
    const struct terms *terms = &evidence->terms;
    if (note_parse(bytes.bytes, bytes.length, &note, &why) != RESULT_OK ||
        checkpoint_parse(note.text, &ancestor->checkpoint, &why) != RESULT_OK) {
        evidence_find(evidence, ancestor->where, "it is not a signed checkpoint: %s", why.text);
        return false;
    }
    enum result result = note_verify(&note, evidence->keys, evidence->key_count, seals, &why);
    if (result == RESULT_NOT_FOUND) /* of before a key change: the policy has the keys of then */
        result = note_verify(&note, terms->keys, terms->key_count, seals, &why);
    if (result != RESULT_OK) {
        evidence_find(evidence, ancestor->where, "it is not signed by this log's key");
        return false;
    }
    if (terms->witness_count > 0 &&
        note_verify(&note, terms->witnesses, terms->witness_count, seals, NULL) == RESULT_OK) {
        for (size_t i = 0; i < terms->witness_count; i++)
            ancestor->time_s = seals[i].valid && seals[i].time_s > ancestor->time_s ? seals[i].time_s : ancestor->time_s;
    }
    return true;
}

static void find_other_past(struct evidence *evidence, const struct ancestor *ancestor, const char *because)
{
    struct tm utc;
    char day[32] = "";
    time_t time = (time_t)ancestor->time_s;
    if (ancestor->time_s > 0 && ancestor->time_s < (uint64_t)1 << 36 && gmtime_r(&time, &utc) != NULL)
        (void)strftime(day, sizeof day, " on %Y-%m-%d", &utc);
    evidence_find(evidence, ancestor->where,
        "the log that was signed%s with size %" PRIu64 " is not the beginning of this one: %s", day,
        ancestor->checkpoint.size, because);
}

/* The root that the bundle's own tiles give for a smaller size. */
static enum result root_of(struct evidence *evidence, uint64_t size, struct tree_hash *root, struct failure *why)
{
    struct tree_frontier frontier = {0};
    struct bodies bodies = evidence_bodies(evidence);
    struct tile_source source = {bodies_tile, &bodies};
    struct tile_reader *tiles = tile_reader_open(&source, evidence->checkpoint.size);
    if (tiles == NULL) {
        failure_set(why, "tile", "there is no memory");
        return RESULT_FAILED;
    }
    struct tree_reader reader = {tile_read, tiles};
    enum result result = tree_restore(&reader, size, &frontier, why);
    tile_reader_close(tiles);
    if (result == RESULT_OK)
        tree_root(&frontier, root);
    return result;
}

/* Whether the ancestor's tree is a beginning of this one. */
static bool check_ancestor(struct evidence *evidence, const struct ancestor *ancestor)
{
    struct tree_hash root;
    struct failure why = {0};
    const struct checkpoint *old = &ancestor->checkpoint;
    if (strcmp(old->origin, evidence->checkpoint.origin) != 0)
        evidence_find(evidence, ancestor->where, "it is of another log: the origin differs");
    else if (old->size > evidence->checkpoint.size)
        find_other_past(evidence, ancestor, "this one is shorter");
    else if (root_of(evidence, old->size, &root, &why) != RESULT_OK)
        evidence_find(evidence, ancestor->where, "it cannot be compared: %s", why.text);
    else if (!tree_equal(&root, &old->root))
        find_other_past(evidence, ancestor, "entries that it had are others here, or are gone");
    else
        return true;
    return false;
}

static void check_since(struct evidence *evidence)
{
    struct verify_judgement *judgement = &evidence->outcome->levels[VERIFY_CONSISTENCY];
    struct ancestor ancestor = {.where = SINCE_NAME};
    if (evidence->request->since == NULL) {
        (void)snprintf(judgement->note, sizeof judgement->note,
            "no checkpoint from elsewhere was given (--since): whether the past was rewritten is not told by a bundle alone");
        return;
    }
    if (open_ancestor(evidence, *evidence->request->since, &ancestor) && check_ancestor(evidence, &ancestor))
        (void)snprintf(judgement->note, sizeof judgement->note,
            "the checkpoint of size %" PRIu64 " that was given is a beginning of this log", ancestor.checkpoint.size);
}

/* consistency/OLD-NEW.json */
static void check_link(struct evidence *evidence, const struct archive_file *file, struct terms_link *link)
{
    struct failure why = {0};
    char name[ARCHIVE_NAME_MAX_BYTES], wanted[ARCHIVE_NAME_MAX_BYTES];
    (void)snprintf(name, sizeof name, "%.*s", (int)file->name.length, file->name.bytes);
    struct ancestor ancestor = {.where = name};
    if (terms_link_parse(file->content, link, &why) != RESULT_OK) {
        evidence_find(evidence, name, "%s", why.text);
        return;
    }
    (void)snprintf(wanted, sizeof wanted, "consistency/%" PRIu64 "-%" PRIu64 ".json", link->older, link->newer);
    if (strcmp(name, wanted) != 0 || link->newer != evidence->checkpoint.size || link->older == 0 ||
        link->older >= link->newer) {
        evidence_find(evidence, name, "it is not about the sizes that it is named after");
        return;
    }
    if (!open_ancestor(evidence, (struct text_view){link->note, link->note_length}, &ancestor))
        return;
    if (ancestor.checkpoint.size != link->older)
        evidence_find(evidence, name, "its checkpoint is of another size");
    else if (tree_verify_consistency(link->older, link->newer, &ancestor.checkpoint.root, &evidence->checkpoint.root,
                 &link->proof, &why) != RESULT_OK)
        evidence_find(evidence, name, "its proof does not hold: %s", why.text);
    else
        (void)check_ancestor(evidence, &ancestor);
}

void ancestry_check(struct evidence *evidence)
{
    size_t from = archive_index_lower(evidence->index, "consistency/");
    size_t to = archive_index_lower(evidence->index, "consistency0");
    struct terms_link *link = malloc(sizeof *link);
    if (link == NULL) {
        evidence_find(evidence, "consistency", "there is no memory to read it");
        return;
    }
    check_since(evidence);
    for (size_t i = from; i < to; i++) {
        struct archive_file file = archive_index_file(evidence->index, i);
        if (!file.damaged)
            check_link(evidence, &file, link);
    }
    free(link);
}
