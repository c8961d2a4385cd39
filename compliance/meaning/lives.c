#include "compliance/meaning/lives.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES 64
#define DUE_MS (30 * INT64_C(86400000)) /* GDPR Art. 12(3) as the service reckons it */
#define KEY uint8_t key[HASHED_KEY_BYTES]

struct app {
    KEY;
    int64_t version;
    uint64_t added, told; /* indexes of the entries that added it, and that put its version in force */
    char hash[65], population[NAME_BYTES];
    bool twin;
};

struct life { /* of a key, a backup, an incident, an access key */
    KEY;
    uint64_t born, ended; /* index + 1; 0: not yet */
    int64_t epoch;
};

struct request {
    KEY;
    uint64_t received, applied, purged; /* index + 1 */
    int64_t received_at_ms;
    uint8_t leaf[16];
    bool purge_due;
    char kind[12];
};

struct intent {
    KEY; /* the id of its leaf */
    uint64_t index;
    int64_t at_ms;
    bool done, purge;
    const char *what; /* static */
};

/* What happened, and had happened before: right only if a restored database had lost the first time. */
struct again {
    KEY; /* of `index` and what */
    uint64_t index, before;
    const char *what; /* static; a sentence's end is added */
};

/* Entries that a restored database lacked: [from, to). */
struct restored {
    KEY; /* of the entry that says so */
    uint64_t from, to;
};

/* What says that it completes an intent that has not been seen. */
struct outcome {
    KEY;
    uint64_t index;
    bool purge;
};

void lives_begin(struct lives *lives, const struct source *source, struct findings *findings)
{
    *lives = (struct lives){.source = source, .findings = findings, .apps.size = sizeof(struct app),
        .keys.size = sizeof(struct life), .requests.size = sizeof(struct request), .purges.size = sizeof(struct life),
        .intents.size = sizeof(struct intent), .outcomes.size = sizeof(struct outcome), .backups.size = sizeof(struct life),
        .incidents.size = sizeof(struct life), .access.size = sizeof(struct life), .days.size = sizeof(struct life),
        .again.size = sizeof(struct again), .restored.size = sizeof(struct restored)};
}

void lives_free(struct lives *lives)
{
    struct hashed *const all[] = {&lives->apps, &lives->keys, &lives->requests, &lives->purges, &lives->intents,
        &lives->outcomes, &lives->backups, &lives->incidents, &lives->access, &lives->days, &lives->again, &lives->restored};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        hashed_free(all[i]);
}

/* One leaf being taken. */
struct taking {
    struct lives *lives;
    const struct parsed *leaf;
    uint64_t index;
};

/* Whether what is missing may lie in entries whose bodies are gone. */
static bool pruned(const struct taking *take)
{
    return take->lives->source->pruned_below > 0;
}

#define WRONG(take, ...) findings_entry((take)->lives->findings, (take)->index, __VA_ARGS__)

static enum result no_memory(struct failure *why)
{
    failure_set(why, "", "no memory to check the trail");
    return RESULT_FULL;
}

static struct hashed_key id_key(const uint8_t id[16])
{
    struct hashed_key key;
    memcpy(key.bytes, id, sizeof key.bytes);
    return key;
}

/* This entry says again what entry number `before` said. The entry of the restoration may come later: it is judged at the end. */
static enum result note_again(const struct taking *take, const char *what, uint64_t before, struct failure *why)
{
    const uint64_t place[] = {take->index, before};
    struct again *again = hashed_put(&take->lives->again, hashed_bytes(place, sizeof place), NULL);
    if (again == NULL)
        return no_memory(why);
    again->index = take->index;
    again->before = before;
    again->what = what;
    return RESULT_OK;
}

static struct hashed_key uuid_key(const char *text)
{
    struct hashed_key key = {{0}};
    (void)parsed_uuid(text, key.bytes);
    return key;
}

/* --- apps ---------------------------------------------------------------------------------------------------------- */

static enum result read_population(const struct text_view *definition, char population[NAME_BYTES])
{
    json_t *root = json_loadb(definition->bytes, definition->length, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(root, "population"));
    (void)snprintf(population, NAME_BYTES, "%s", name == NULL ? "default" : name);
    enum result result = json_is_object(root) ? RESULT_OK : RESULT_CORRUPT;
    json_decref(root);
    return result;
}

/* The definition that the leaf names must be there, and be what the name says. */
static enum result check_definition(const struct taking *take, struct app *app, struct failure *why)
{
    uint8_t hash[32], found[crypto_hash_sha256_BYTES];
    struct text_view definition;
    (void)sodium_hex2bin(hash, sizeof hash, parsed_text(take->leaf, "hash"), 64, NULL, NULL, NULL);
    struct failure missing = {0};
    enum result result = take->lives->source->definition(take->lives->source->context, hash, &definition, &missing);
    if (result == RESULT_NOT_FOUND && app->twin)
        return RESULT_OK; /* a test app's definition goes with it */
    if (result == RESULT_NOT_FOUND) {
        WRONG(take, "The definition that this act put in force is not there.");
        return RESULT_OK;
    }
    if (result != RESULT_OK) {
        failure_set(why, missing.field, "%s", missing.text);
        return result;
    }
    crypto_hash_sha256(found, (const unsigned char *)definition.bytes, definition.length);
    if (memcmp(found, hash, sizeof hash) != 0)
        WRONG(take, "The definition that this act put in force is another one: its SHA-256 differs.");
    else if (read_population(&definition, app->population) != RESULT_OK)
        WRONG(take, "The definition that this act put in force is not a JSON object.");
    return RESULT_OK;
}

static enum result take_app_added(const struct taking *take, struct failure *why)
{
    bool fresh;
    struct app *app = hashed_put(&take->lives->apps, hashed_texts(take->leaf->tenant, NULL, NULL, NULL), &fresh);
    if (app == NULL)
        return no_memory(why);
    if (!fresh && !app->twin && note_again(take, "The app was added", app->added, why) != RESULT_OK)
        return RESULT_FULL;
    app->added = app->told = take->index;
    if (parsed_int(take->leaf, "version") < 1)
        WRONG(take, "The version of a definition is less than 1.");
    app->twin = parsed_has(take->leaf, "twin_of");
    app->version = parsed_int(take->leaf, "version");
    (void)snprintf(app->hash, sizeof app->hash, "%s", parsed_text(take->leaf, "hash"));
    return check_definition(take, app, why);
}

static enum result take_app_changed(const struct taking *take, struct failure *why)
{
    bool fresh;
    struct app *app = hashed_put(&take->lives->apps, hashed_texts(take->leaf->tenant, NULL, NULL, NULL), &fresh);
    if (app == NULL)
        return no_memory(why);
    const char *before = parsed_text(take->leaf, "hash_before");
    if (fresh && !pruned(take))
        WRONG(take, "An app was changed that no entry added.");
    int64_t version = parsed_int(take->leaf, "version");
    bool again = !fresh && version <= app->version;
    if (again && note_again(take, "A version that is as new was in force", app->told, why) != RESULT_OK)
        return RESULT_FULL;
    if (!fresh && version > app->version + 1)
        WRONG(take, "The version does not follow the app's version %" PRId64 ".", app->version);
    if (!fresh && !again && before != NULL && strcmp(before, app->hash) != 0)
        WRONG(take, "The definition before is not the one that was in force.");
    app->told = take->index;
    app->twin = parsed_has(take->leaf, "twin_of");
    app->version = parsed_int(take->leaf, "version");
    (void)snprintf(app->hash, sizeof app->hash, "%s", parsed_text(take->leaf, "hash"));
    return check_definition(take, app, why);
}

static enum result take_of_app(const struct taking *take, struct failure *why)
{
    (void)why;
    const struct app *app = hashed_find(&take->lives->apps, hashed_texts(take->leaf->tenant, NULL, NULL, NULL));
    if (app == NULL && !pruned(take))
        WRONG(take, "It is about an app that no entry added.");
    else if (app != NULL && parsed_has(take->leaf, "definition") && parsed_int(take->leaf, "definition") > app->version)
        WRONG(take, "It names a version of the definition that is not in force yet.");
    return RESULT_OK;
}

const char *lives_population(const struct lives *lives, const char *app)
{
    const struct app *found = hashed_find(&lives->apps, hashed_texts(app, NULL, NULL, NULL));
    return found == NULL || found->population[0] == '\0' ? NULL : found->population;
}

/* --- what begins once and ends once ----------------------------------------------------------------------------------- */

static enum result begin_life(const struct taking *take, struct hashed *table, struct hashed_key key, const char *what,
    struct failure *why)
{
    bool fresh;
    struct life *life = hashed_put(table, key, &fresh);
    if (life == NULL)
        return no_memory(why);
    if (!fresh)
        return note_again(take, what, life->born - 1, why);
    life->born = take->index + 1;
    return RESULT_OK;
}

static enum result end_life(const struct taking *take, const struct hashed *table, struct hashed_key key,
    const char *what, struct failure *why)
{
    struct life *life = hashed_find(table, key);
    if (life == NULL) {
        if (!pruned(take))
            WRONG(take, "%s that never began.", what);
        return RESULT_OK;
    }
    if (life->ended != 0)
        return note_again(take, what, life->ended - 1, why);
    life->ended = take->index + 1;
    return RESULT_OK;
}

static enum result take_backup_made(const struct taking *take, struct failure *why)
{
    return begin_life(take, &take->lives->backups, uuid_key(parsed_text(take->leaf, "backup")), "A backup began", why);
}

static enum result take_backup_gone(const struct taking *take, struct failure *why)
{
    return end_life(take, &take->lives->backups, uuid_key(parsed_text(take->leaf, "backup")), "A backup ended", why);
}

static enum result take_incident_opened(const struct taking *take, struct failure *why)
{
    return begin_life(take, &take->lives->incidents, uuid_key(parsed_text(take->leaf, "incident")), "An incident began", why);
}

static enum result take_incident_closed(const struct taking *take, struct failure *why)
{
    return end_life(take, &take->lives->incidents, uuid_key(parsed_text(take->leaf, "incident")), "An incident ended", why);
}

static enum result take_access_made(const struct taking *take, struct failure *why)
{
    return begin_life(take, &take->lives->access, id_key(take->leaf->id), "An access key began", why);
}

static enum result take_access_revoked(const struct taking *take, struct failure *why)
{
    return end_life(take, &take->lives->access, uuid_key(parsed_text(take->leaf, "key")), "An access key ended", why);
}

static enum result take_ingestion(const struct taking *take, struct failure *why)
{
    return begin_life(take, &take->lives->days, hashed_texts(take->leaf->tenant, parsed_text(take->leaf, "day"), NULL, NULL),
        "The account of this day's events began", why);
}

/* --- pseudonymization keys -------------------------------------------------------------------------------------------- */

static struct hashed_key key_of(const struct parsed *leaf, const char *member)
{
    return hashed_texts(leaf->tenant, parsed_text(leaf, "ring"), parsed_text(leaf, member), NULL);
}

/* Orders are carried out by acts that name them. That the keys are gone is not the end of a purge. */
static enum result complete(const struct taking *take, struct failure *why)
{
    if (!take->leaf->has_ref)
        return RESULT_OK;
    bool purge = strcmp(take->leaf->act, "purge_done") == 0;
    struct intent *intent = hashed_find(&take->lives->intents, id_key(take->leaf->ref));
    if (intent != NULL) {
        intent->done = intent->done || purge || !intent->purge;
        return RESULT_OK;
    }
    bool fresh;
    struct outcome *outcome = hashed_put(&take->lives->outcomes, id_key(take->leaf->ref), &fresh);
    if (outcome == NULL)
        return no_memory(why);
    if (fresh)
        outcome->index = take->index;
    outcome->purge = outcome->purge || purge;
    return RESULT_OK;
}

static enum result bear_key(const struct taking *take, struct failure *why)
{
    enum result result = begin_life(take, &take->lives->keys, key_of(take->leaf, "commitment"), "The key began", why);
    if (result != RESULT_OK)
        return result;
    struct life *life = hashed_find(&take->lives->keys, key_of(take->leaf, "commitment"));
    life->epoch = parsed_int(take->leaf, "epoch");
    return complete(take, why);
}

/* The former key is the one that was overwritten: with this it has died. */
static enum result take_key_changed(const struct taking *take, struct failure *why)
{
    if (parsed_has(take->leaf, "former")) {
        struct life *former = hashed_find(&take->lives->keys, key_of(take->leaf, "former"));
        if (former == NULL && !pruned(take))
            WRONG(take, "It follows on a key that was never born.");
        else if (former != NULL && former->ended != 0)
            WRONG(take, "It follows on a key that was destroyed with entry %" PRIu64 ".", former->ended - 1);
        else if (former != NULL && parsed_int(take->leaf, "epoch") < former->epoch)
            WRONG(take, "It is of an earlier epoch than the key before.");
        if (former != NULL && former->ended == 0)
            former->ended = take->index + 1;
    }
    return bear_key(take, why);
}

static enum result take_key_destroyed(const struct taking *take, struct failure *why)
{
    enum result result = end_life(take, &take->lives->keys, key_of(take->leaf, "commitment"), "A key ended", why);
    return result == RESULT_OK ? complete(take, why) : result;
}

/* A node that joins takes over a key that another node may never have told of. */
static enum result take_keys_joined(const struct taking *take, struct failure *why)
{
    bool fresh;
    struct life *life = hashed_put(&take->lives->keys, key_of(take->leaf, "commitment"), &fresh);
    if (life == NULL)
        return no_memory(why);
    if (fresh) {
        life->born = take->index + 1;
        life->epoch = parsed_int(take->leaf, "epoch");
    } else if (life->ended != 0)
        WRONG(take, "A node joined with a key that was destroyed with entry %" PRIu64 ".", life->ended - 1);
    return complete(take, why);
}

/* --- orders ----------------------------------------------------------------------------------------------------------- */

static enum result intend(const struct taking *take, const char *what, bool purge, struct failure *why)
{
    struct intent *intent = hashed_put(&take->lives->intents, id_key(take->leaf->id), NULL);
    if (intent == NULL)
        return no_memory(why);
    intent->index = take->index;
    intent->at_ms = take->leaf->at_ms;
    intent->what = what;
    intent->purge = purge;
    const struct outcome *outcome = hashed_find(&take->lives->outcomes, id_key(take->leaf->id));
    intent->done = outcome != NULL && (outcome->purge || !purge);
    return RESULT_OK;
}

static enum result take_key_order(const struct taking *take, struct failure *why)
{
    if (take->leaf->has_ref || take->leaf->out == LEAF_FAILED)
        return complete(take, why);
    return intend(take, "A change of keys was ordered", false, why);
}

static enum result take_purge_ordered(const struct taking *take, struct failure *why)
{
    return intend(take, "An emergency purge was ordered", true, why);
}

static enum result take_purge_done(const struct taking *take, struct failure *why)
{
    enum result result = begin_life(take, &take->lives->purges, id_key(take->leaf->ref), "The outcome of this purge began", why);
    return result == RESULT_OK ? complete(take, why) : result;
}

/* --- people's requests -------------------------------------------------------------------------------------------------- */

static struct request *find_request(const struct taking *take)
{
    return hashed_find(&take->lives->requests, uuid_key(parsed_text(take->leaf, "request")));
}

static enum result take_received(const struct taking *take, struct failure *why)
{
    bool fresh;
    struct request *request = hashed_put(&take->lives->requests, uuid_key(parsed_text(take->leaf, "request")), &fresh);
    if (request == NULL)
        return no_memory(why);
    /* A restored database carries out again what it lacks, whole. */
    if (!fresh && note_again(take, "The request was received", request->received - 1, why) != RESULT_OK)
        return RESULT_FULL;
    if (!fresh)
        request->applied = request->purged = 0;
    request->received = take->index + 1;
    request->received_at_ms = take->leaf->at_ms;
    memcpy(request->leaf, take->leaf->id, sizeof request->leaf);
    (void)snprintf(request->kind, sizeof request->kind, "%s", parsed_text(take->leaf, "kind"));
    if (parsed_int(take->leaf, "due_at") - parsed_int(take->leaf, "received_at") != DUE_MS)
        WRONG(take, "The request is not due 30 days after it was received.");
    return RESULT_OK;
}

static enum result take_applied(const struct taking *take, struct failure *why)
{
    (void)why;
    struct request *request = find_request(take);
    if (request == NULL) {
        if (!pruned(take))
            WRONG(take, "A request was carried out that was never received.");
        return RESULT_OK;
    }
    if (request->applied != 0)
        WRONG(take, "The request was carried out before, with entry %" PRIu64 ".", request->applied - 1);
    if (strcmp(request->kind, parsed_text(take->leaf, "kind")) != 0)
        WRONG(take, "The request was received as one of another kind.");
    if (memcmp(take->leaf->ref, request->leaf, sizeof request->leaf) != 0)
        WRONG(take, "It refers to another entry than the one that received the request.");
    request->applied = take->index + 1;
    request->purge_due = parsed_has(take->leaf, "purge_due_at");
    if (strcmp(request->kind, "erasure") == 0 && !request->purge_due)
        WRONG(take, "An erasure does not say by when no copy is left.");
    return RESULT_OK;
}

static enum result take_purged(const struct taking *take, struct failure *why)
{
    (void)why;
    struct request *request = find_request(take);
    if (request == NULL || request->applied == 0) {
        if (request != NULL || !pruned(take))
            WRONG(take, "The last copy was removed of a request that was never carried out.");
        return RESULT_OK;
    }
    if (request->purged != 0)
        WRONG(take, "The last copy was removed before, with entry %" PRIu64 ".", request->purged - 1);
    if (!request->purge_due)
        WRONG(take, "The last copy was removed of a request that leaves none.");
    request->purged = take->index + 1;
    return RESULT_OK;
}

static enum result take_refused(const struct taking *take, struct failure *why)
{
    (void)why;
    struct request *request = find_request(take);
    if (request != NULL && request->applied != 0)
        WRONG(take, "A request was refused that had been carried out.");
    else if (request != NULL)
        request->applied = take->index + 1;
    return RESULT_OK;
}

/* --- the log itself ---------------------------------------------------------------------------------------------------- */

static enum result take_size(const struct taking *take, struct failure *why)
{
    (void)why;
    const char *member = strcmp(take->leaf->act, "trail_pruned") == 0 ? "below" : "size";
    uint64_t size = (uint64_t)parsed_int(take->leaf, member);
    if (size > take->index)
        WRONG(take, "It speaks of %" PRIu64 " entries, but comes after only %" PRIu64 ".", size, take->index);
    if (member[0] == 'b' && size > take->lives->pruned_below)
        take->lives->pruned_below = size;
    return RESULT_OK;
}

static enum result take_restored(const struct taking *take, struct failure *why)
{
    uint64_t from = (uint64_t)parsed_int(take->leaf, "from_size"), to = (uint64_t)parsed_int(take->leaf, "to_size");
    if (from > to || to > take->index)
        WRONG(take, "The log cannot have been restored from %" PRIu64 " to %" PRIu64 " entries.", from, to);
    struct restored *restored = hashed_put(&take->lives->restored, id_key(take->leaf->id), NULL);
    if (restored == NULL)
        return no_memory(why);
    restored->from = from;
    restored->to = to;
    return RESULT_OK;
}

static enum result take_log_key(const struct taking *take, struct failure *why)
{
    (void)why;
    struct lives *lives = take->lives;
    const char *old = parsed_text(take->leaf, "old");
    if (lives->log_key[0] != '\0' && (old == NULL || strcmp(old, lives->log_key) != 0))
        WRONG(take, "The log's signing key was changed, but not from the one it had.");
    (void)snprintf(lives->log_key, sizeof lives->log_key, "%s", parsed_text(take->leaf, "new"));
    return RESULT_OK;
}

/* --- all ----------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *act;
    enum result (*take)(const struct taking *take, struct failure *why);
} takers[] = {
    {"aggregates_released", take_of_app}, {"aggregates_refused", take_of_app}, {"month_planned", take_of_app},
    {"ingestion", take_ingestion}, {"app_added", take_app_added}, {"app_changed", take_app_changed},
    {"app_mode_changed", take_of_app}, {"protection_lowered", take_of_app}, {"seal_requested", take_of_app},
    {"write_key_made", take_access_made}, {"api_key_made", take_access_made}, {"write_key_revoked", take_access_revoked},
    {"api_key_revoked", take_access_revoked}, {"key_born", bear_key}, {"key_ratcheted", take_key_changed},
    {"key_rotated", take_key_changed}, {"key_destroyed", take_key_destroyed}, {"keys_joined", take_keys_joined},
    {"key_change_ordered", take_key_order}, {"purge_ordered", take_purge_ordered}, {"purge_done", take_purge_done},
    {"request_received", take_received}, {"request_applied", take_applied}, {"request_purged", take_purged},
    {"request_refused", take_refused}, {"backup_made", take_backup_made}, {"backup_gone", take_backup_gone},
    {"incident_opened", take_incident_opened}, {"incident_closed", take_incident_closed}, {"export_made", take_size},
    {"trail_pruned", take_size}, {"restored", take_restored}, {"log_key_rotated", take_log_key},
};

enum result lives_take(struct lives *lives, const struct parsed *leaf, uint64_t index, struct failure *why)
{
    const struct taking take = {lives, leaf, index};
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++)
        if (strcmp(takers[i].act, leaf->act) == 0)
            return takers[i].take(&take, why);
    return RESULT_OK;
}

static void end_intents(struct lives *lives, int64_t newest_ms)
{
    for (size_t i = 0; i < lives->intents.count; i++) {
        const struct intent *intent = hashed_at(&lives->intents, i);
        if (!intent->done && newest_ms - intent->at_ms >= LIVES_PATIENCE_MS)
            findings_entry(lives->findings, intent->index, "%s, and no entry says what became of it.", intent->what);
    }
    if (lives->source->pruned_below > 0)
        return;
    for (size_t i = 0; i < lives->outcomes.count; i++) {
        const struct outcome *outcome = hashed_at(&lives->outcomes, i);
        struct hashed_key key;
        memcpy(key.bytes, outcome->key, sizeof key.bytes);
        if (hashed_find(&lives->intents, key) == NULL)
            findings_entry(lives->findings, outcome->index, "It completes an order that no entry gave.");
    }
}

/* What was said twice, the first time where no restored database had lost it. */
static void end_again(struct lives *lives)
{
    for (size_t i = 0; i < lives->again.count; i++) {
        const struct again *again = hashed_at(&lives->again, i);
        bool lost = false;
        for (size_t j = 0; j < lives->restored.count && !lost; j++) {
            const struct restored *restored = hashed_at(&lives->restored, j);
            lost = again->before >= restored->from && again->before < restored->to;
        }
        if (!lost)
            findings_entry(lives->findings, again->index, "%s before, with entry %" PRIu64 ".", again->what, again->before);
    }
}

void lives_end(struct lives *lives, int64_t newest_ms)
{
    end_intents(lives, newest_ms);
    end_again(lives);
    for (size_t i = 0; i < lives->requests.count; i++) {
        const struct request *request = hashed_at(&lives->requests, i);
        if (request->applied == 0 && newest_ms - request->received_at_ms >= LIVES_PATIENCE_MS)
            findings_entry(lives->findings, request->received - 1, "A request was received, and no entry says what became of it.");
    }
    if (lives->source->pruned_below > lives->pruned_below)
        findings_log(lives->findings, "Entries below %" PRIu64 " have lost their bodies, and no entry says so.",
            lives->source->pruned_below);
}
