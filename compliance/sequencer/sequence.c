#include "compliance/sequencer/sequence.h"

#include <stdlib.h>
#include <string.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/sequencer/scrub.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/db/trail.h"

#define SIGN_AT_LEAST_MS 2000 /* a backlog is signed as it goes on, not at its end */
#define SCRUB_BUNDLES 4       /* a look, when nothing waits */
#define PENDING_SHOWN 1000000

struct sequence {
    struct sequence_parts parts;
    struct growth growth;
    struct database_batch batch;
    bool loaded;          /* growth is what the database, the copy and the signer agree on */
    bool started;         /* daemon_started is in the trail */
    bool refused;         /* told so */
    bool known;           /* what witnesses have seen was read */
    uint64_t published;   /* size of the checkpoint published last by this process; 0: none */
    int64_t published_ms; /* steady */
    uint64_t scrubbed;    /* see scrub_step */
};

struct sequence *sequence_new(const struct sequence_parts *parts)
{
    struct sequence *sequence = calloc(1, sizeof *sequence);
    if (sequence == NULL)
        return NULL;
    sequence->parts = *parts;
    sequence->scrubbed = UINT64_MAX;
    metrics_set(METRIC_AUDIT_REFUSED, 0);
    metrics_set(METRIC_AUDIT_WITNESSES, (int64_t)witnesses_count(parts->witnesses));
    return sequence;
}

void sequence_free(struct sequence *sequence)
{
    if (sequence == NULL)
        return;
    growth_free(&sequence->growth);
    database_release(&sequence->batch);
    free(sequence);
}

/* Whether a failure means that nothing may be signed, rather than that something is away. */
static bool is_refusal(enum result result)
{
    return result == RESULT_CORRUPT || result == RESULT_NOT_FOUND || result == RESULT_DENIED || result == RESULT_INVALID;
}

/* Keys */

/* The act that brought in key index, unless the trail has it. */
static enum result tell_key(struct sequence *sequence, size_t index, struct failure *why)
{
    const struct keystore *keys = sequence->parts.keys;
    char key[NOTE_KEY_MAX_BYTES], former[NOTE_KEY_MAX_BYTES];
    bool told = false;
    struct trail trail;
    note_key_print(&keys->keys[index].signer.key, key);
    enum result result = database_tell_key(sequence->parts.db, key, keys->keys[index].from_size, why);
    if (result == RESULT_OK)
        result = database_key_told(sequence->parts.db, key, &told, why);
    if (result != RESULT_OK || told)
        return result;
    result = trail_begin("log_key_rotated", "", "audit", LEAF_OK, NULL, &trail);
    if (result == RESULT_OK) {
        leaf_text(trail.leaf, "new", key);
        if (index == 0) {
            leaf_null(trail.leaf, "old");
        } else {
            note_key_print(&keys->keys[index - 1].signer.key, former);
            leaf_text(trail.leaf, "old", former);
        }
        result = trail_append(sequence->parts.db, &trail, why);
    }
    trail_free(&trail);
    return result;
}

static enum result tell_keys(struct sequence *sequence, struct failure *why)
{
    enum result result = keystore_tell(sequence->parts.keys, why);
    for (size_t i = 0; i < sequence->parts.keys->count && result == RESULT_OK; i++)
        result = tell_key(sequence, i, why);
    return result;
}

enum result sequence_rotate(struct sequence *sequence, struct failure *why)
{
    int64_t until_ms = clock_now_ms() + sequence->parts.overlap_ms;
    enum result result = keystore_rotate(sequence->parts.keys, sequence->parts.signer->size + 1, until_ms, why);
    if (result != RESULT_OK)
        return result;
    log_event(LOG_LEVEL_INFO, "audit.key_rotated", LOG_UINT("from_size", sequence->parts.signer->size + 1));
    sequence->loaded = false; /* which tells of it */
    return keystore_tell(sequence->parts.keys, why);
}

/* Load */

/* A new connection may be to another database, or to an older one. */
static enum result connect(struct sequence *sequence, struct failure *why)
{
    struct db *db = sequence->parts.db;
    bool held = false;
    enum result result = db_connect(db, why);
    if (result != RESULT_OK || !db_was_reconnected(db))
        return result;
    sequence->loaded = false;
    result = database_lock(db, &held, why);
    if (result == RESULT_OK && !held) {
        failure_set(why, "audit", "another throng-audit works on this database");
        result = RESULT_UNAVAILABLE;
    }
    if (result != RESULT_OK)
        db_disconnect(db); /* so that the next look tries again */
    return result;
}

static enum result know_witnesses(struct sequence *sequence, struct failure *why)
{
    struct witnesses *witnesses = sequence->parts.witnesses;
    enum result result = RESULT_OK;
    for (size_t i = 0; i < witnesses_count(witnesses) && !sequence->known && result == RESULT_OK; i++) {
        uint64_t size = 0;
        result = database_witnessed(sequence->parts.db, witnesses_get(witnesses, i).name, &size, why);
        if (result == RESULT_OK)
            witnesses_know(witnesses, i, size);
    }
    sequence->known = result == RESULT_OK;
    return result;
}

static enum result tell_started(struct sequence *sequence, struct failure *why)
{
    const struct sequence_parts *parts = &sequence->parts;
    if (sequence->started || parts->binary == NULL)
        return RESULT_OK;
    enum result result = trail_started(parts->db, "audit", parts->binary, parts->configuration, why);
    sequence->started = result == RESULT_OK;
    return result;
}

static enum result load(struct sequence *sequence, struct failure *why)
{
    struct recover_outcome outcome;
    const struct recover_parts parts = {.db = sequence->parts.db, .mirror = sequence->parts.mirror,
        .signer = sequence->parts.signer, .batch = &sequence->batch, .adopt = sequence->parts.adopt};
    growth_free(&sequence->growth);
    sequence->published = 0;
    enum result result = recover_agree(&parts, &sequence->growth, &outcome, why);
    if (result == RESULT_OK && outcome.to > outcome.from) {
        metrics_add(METRIC_AUDIT_RECOVERED, outcome.to - outcome.from);
        log_event(LOG_LEVEL_WARN, "audit.recovered", LOG_UINT("from", outcome.from), LOG_UINT("to", outcome.to));
    }
    if (result == RESULT_OK)
        result = know_witnesses(sequence, why);
    if (result == RESULT_OK)
        result = tell_keys(sequence, why);
    if (result == RESULT_OK)
        result = tell_started(sequence, why);
    sequence->loaded = result == RESULT_OK;
    return result;
}

/* That the database still ends where the tree does; else it is looked at anew. */
static enum result agree(struct sequence *sequence, struct failure *why)
{
    uint64_t size = 0;
    enum result result = connect(sequence, why);
    if (result == RESULT_OK && sequence->loaded) {
        result = database_size(sequence->parts.db, &size, why);
        sequence->loaded = result == RESULT_OK && size == sequence->growth.frontier.size;
    }
    return result == RESULT_OK && !sequence->loaded ? load(sequence, why) : result;
}

/* Sequence */

/* One batch of leaves that wait. *more: whether it was not empty. */
static enum result take_batch(struct sequence *sequence, bool *more, struct failure *why)
{
    struct growth *growth = &sequence->growth;
    struct database_batch *batch = &sequence->batch;
    uint64_t first = growth->frontier.size;
    enum result result = database_take(sequence->parts.db, batch, why);
    *more = result == RESULT_OK && batch->count > 0;
    if (!*more) {
        database_release(batch);
        return result;
    }
    growth_clear(growth);
    for (size_t i = 0; i < batch->count && result == RESULT_OK; i++) {
        if (batch->leaves[i].length > TILE_ENTRY_MAX_BYTES) {
            failure_set(why, "audit.outbox", "a leaf is longer than an entry may be (%d bytes)", TILE_ENTRY_MAX_BYTES);
            result = RESULT_INVALID;
        } else {
            result = growth_add(growth, batch->leaves[i].bytes, batch->leaves[i].length, why);
        }
    }
    if (result == RESULT_OK)
        result = growth_finish(growth, why);
    if (result == RESULT_OK)
        result = database_sequence(sequence->parts.db, first, batch, growth, why);
    if (result == RESULT_OK)
        result = mirror_append(sequence->parts.mirror, first, batch->leaves, batch->count, growth, why);
    if (result == RESULT_OK)
        metrics_add(METRIC_AUDIT_LEAVES, batch->count);
    database_release(batch);
    return result;
}

static enum result take_leaves(struct sequence *sequence, bool *more, struct failure *why)
{
    int64_t until_ms = clock_steady_ms() + SIGN_AT_LEAST_MS;
    enum result result = RESULT_OK;
    *more = true;
    while (*more && result == RESULT_OK && clock_steady_ms() < until_ms)
        result = take_batch(sequence, more, why);
    return result;
}

/* Sign and publish */

static enum result expect(const struct tile_source *source, uint64_t size, const struct tree_hash *root, struct failure *why)
{
    struct tree_hash found;
    enum result result = growth_root(source, size, &found, why);
    if (result == RESULT_OK && !tree_equal(&found, root)) {
        failure_set(why, "audit.tile", "the tree does not go on from the one signed last");
        return RESULT_CORRUPT;
    }
    return result;
}

/* What the database and the copy say of the tree to sign and of the one signed last must be the same. */
static enum result examine(struct sequence *sequence, const struct tree_hash *root, struct failure *why)
{
    const struct signer *signer = sequence->parts.signer;
    const struct tile_source sources[] = {database_source(sequence->parts.db), mirror_source(sequence->parts.mirror)};
    enum result result = RESULT_OK;
    for (size_t i = 0; i < 2 && result == RESULT_OK; i++) {
        result = expect(&sources[i], sequence->growth.frontier.size, root, why);
        if (result == RESULT_OK)
            result = expect(&sources[i], signer->size, &signer->root, why);
    }
    return result;
}

static enum result note_witnesses(struct sequence *sequence, struct failure *why)
{
    struct witnesses *witnesses = sequence->parts.witnesses;
    enum result result = RESULT_OK;
    int64_t cosigned = 0, contradicted = 0;
    for (size_t i = 0; i < witnesses_count(witnesses) && result == RESULT_OK; i++) {
        const struct witnesses_view view = witnesses_get(witnesses, i);
        cosigned += view.cosigned;
        contradicted += view.contradicts;
        if (view.answered)
            result = database_witness(sequence->parts.db, view.name, view.size, clock_now_ms(), why);
        if (view.contradicts && view.answered)
            log_event(LOG_LEVEL_ERROR, "audit.contradicted", LOG_NAME("witness", view.name), LOG_UINT("size", view.size));
    }
    metrics_set(METRIC_AUDIT_WITNESSES_SEEN, cosigned);
    metrics_set(METRIC_AUDIT_CONTRADICTED, contradicted);
    return result;
}

static void tell_checkpoint(const struct sequence *sequence, const struct tree_hash *root, int64_t now_ms)
{
    char text[TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 1] = "";
    struct text_writer writer = {.bytes = text, .room = sizeof text - 1};
    text_put_base64(&writer, root->bytes, sizeof root->bytes);
    metrics_set(METRIC_AUDIT_SIZE, (int64_t)sequence->published);
    metrics_set(METRIC_AUDIT_SIGNED_AT, now_ms / 1000);
    log_event(LOG_LEVEL_INFO, "audit.checkpoint", LOG_UINT("size", sequence->published), LOG_NAME("root", text));
}

static enum result publish(struct sequence *sequence, struct failure *why)
{
    const struct sequence_parts *parts = &sequence->parts;
    char bytes[SIGNER_NOTE_BYTES];
    struct text_writer note = {.bytes = bytes, .room = sizeof bytes};
    const struct tile_source copied = mirror_source(parts->mirror);
    uint64_t size = sequence->growth.frontier.size;
    int64_t now_ms = clock_now_ms();
    struct tree_hash root;
    tree_root(&sequence->growth.frontier, &root);
    enum result result = examine(sequence, &root, why);
    if (result == RESULT_OK)
        result = signer_sign(parts->signer, size, &root, now_ms, &note, why);
    if (result != RESULT_OK)
        return result;
    witnesses_ask(parts->witnesses, &copied, size, &note);
    result = database_publish(parts->db, size, now_ms, note.bytes, note.length, why);
    if (result == RESULT_OK)
        result = mirror_checkpoint(parts->mirror, note.bytes, note.length, why);
    if (result != RESULT_OK)
        return result;
    sequence->published = size;
    sequence->published_ms = clock_steady_ms();
    tell_checkpoint(sequence, &root, now_ms);
    return note_witnesses(sequence, why);
}

static bool is_due(const struct sequence *sequence)
{
    uint64_t size = sequence->growth.frontier.size;
    return size > 0 && (size != sequence->published ||
                           clock_steady_ms() - sequence->published_ms >= sequence->parts.heartbeat_ms);
}

/* When nothing waits: read some of the log again, and drop what was pruned. */
static enum result look_back(struct sequence *sequence, struct failure *why)
{
    uint64_t below = 0;
    enum result result = RESULT_OK;
    for (int i = 0; i < SCRUB_BUNDLES && result == RESULT_OK; i++)
        result = scrub_step(sequence->parts.db, sequence->parts.mirror, sequence->growth.frontier.size, &sequence->batch,
            &sequence->scrubbed, why);
    if (result == RESULT_OK)
        result = database_pruned(sequence->parts.db, &below, why);
    if (result == RESULT_OK)
        mirror_prune(sequence->parts.mirror, below);
    return result;
}

static void settle(struct sequence *sequence, enum result result, const struct failure *why)
{
    bool refused = is_refusal(result);
    if (result != RESULT_OK)
        sequence->loaded = false;
    if (result != RESULT_OK && !refused)
        log_event(LOG_LEVEL_WARN, "audit.failed", LOG_FAILURE(result, why));
    if (refused && !sequence->refused)
        log_event(LOG_LEVEL_ERROR, "audit.refused", LOG_FAILURE(result, why));
    if (result == RESULT_OK && sequence->refused)
        log_event(LOG_LEVEL_INFO, "audit.agreed_again");
    if (refused || result == RESULT_OK) {
        sequence->refused = refused;
        metrics_set(METRIC_AUDIT_REFUSED, refused);
    }
    metrics_set(METRIC_POSTGRES_UP, result != RESULT_UNAVAILABLE);
}

enum result sequence_look(struct sequence *sequence, bool *more)
{
    struct failure why = {0};
    int64_t pending = 0;
    *more = false;
    enum result result = agree(sequence, &why);
    /* What was refused for a leaf far back is looked at first, before anything new is taken or signed. */
    if (result == RESULT_OK && sequence->refused)
        result = look_back(sequence, &why);
    if (result == RESULT_OK)
        result = take_leaves(sequence, more, &why);
    if (result == RESULT_OK && is_due(sequence))
        result = publish(sequence, &why);
    if (result == RESULT_OK && !*more)
        result = look_back(sequence, &why);
    if (result == RESULT_OK) {
        result = database_pending(sequence->parts.db, PENDING_SHOWN, &pending, &why);
        metrics_set(METRIC_AUDIT_OUTBOX, pending);
    }
    settle(sequence, result, &why);
    return is_refusal(result) ? RESULT_CORRUPT : result;
}

void sequence_end(struct sequence *sequence)
{
    struct failure why = {0};
    bool more;
    if (sequence->started && trail_stopped(sequence->parts.db, "audit", &why) == RESULT_OK)
        (void)sequence_look(sequence, &more);
}

/* For others */

/* The root that a published checkpoint of size leaves has. */
static enum result published_root(struct sequence *sequence, uint64_t size, struct tree_hash *root, struct failure *why)
{
    char bytes[SIGNER_NOTE_BYTES];
    size_t length = 0;
    struct note note;
    struct checkpoint checkpoint;
    enum result result =
        size == 0 ? RESULT_OK : database_published(sequence->parts.db, size, bytes, sizeof bytes, &length, why);
    if (result == RESULT_OK && length == 0) {
        failure_set(why, "size", "no checkpoint of that size was published");
        return RESULT_NOT_FOUND;
    }
    if (result == RESULT_OK)
        result = note_parse(bytes, length, &note, why);
    if (result == RESULT_OK)
        result = checkpoint_parse(note.text, &checkpoint, why);
    if (result == RESULT_OK)
        *root = checkpoint.root;
    return result;
}

enum result sequence_sign_manifest(
    struct sequence *sequence, uint64_t size, const char hex[65], struct text_writer *out, struct failure *why)
{
    const struct tile_source copied = mirror_source(sequence->parts.mirror);
    struct tree_hash root;
    enum result result = published_root(sequence, size, &root, why);
    if (result == RESULT_OK)
        result = expect(&copied, size, &root, why);
    return result == RESULT_OK
               ? signer_sign_manifest(sequence->parts.signer, size, &root, hex, clock_now_ms(), out, why)
               : result;
}

enum result sequence_newest(struct sequence *sequence, struct text_writer *out, struct failure *why)
{
    return database_published(sequence->parts.db, 0, out->bytes, out->room, &out->length, why);
}
