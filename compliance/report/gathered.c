#include "compliance/report/gathered.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* One leaf being taken. */
struct taking {
    struct gathered *all;
    const struct parsed *leaf;
    uint64_t entry; /* index + 1 */
};

#define COPY(to, text) copy((to), sizeof(to), (text))

static void copy(char *to, size_t size, const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);
    if (length >= size)
        length = size - 1;
    if (length > 0)
        memcpy(to, text, length);
    to[length] = '\0';
}

void gathered_begin(struct gathered *gathered, const struct source *source)
{
    *gathered = (struct gathered){.source = source, .acts.size = sizeof(struct gathered_act),
        .apps.size = sizeof(struct gathered_app), .months.size = sizeof(struct gathered_month),
        .families.size = sizeof(struct gathered_family), .released.size = sizeof(struct gathered_released),
        .keys.size = sizeof(struct gathered_key), .requests.size = sizeof(struct gathered_request),
        .access.size = sizeof(struct gathered_access), .credentials.size = sizeof(struct gathered_credential),
        .backups.size = sizeof(struct gathered_backup), .purges.size = sizeof(struct gathered_purge),
        .incidents.size = sizeof(struct gathered_incident), .flows.size = sizeof(struct gathered_flow),
        .notables.size = sizeof(struct gathered_notable), .daemons.size = sizeof(struct gathered_daemon)};
}

void gathered_free(struct gathered *gathered)
{
    struct hashed *const all[] = {&gathered->acts, &gathered->apps, &gathered->months, &gathered->families, &gathered->released,
        &gathered->keys, &gathered->requests, &gathered->access, &gathered->credentials, &gathered->backups, &gathered->purges,
        &gathered->incidents, &gathered->flows, &gathered->notables, &gathered->daemons};
    for (size_t i = 0; i < gathered->apps.count; i++)
        json_decref(((struct gathered_app *)hashed_at(&gathered->apps, i))->definition);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        hashed_free(all[i]);
}

static struct hashed_key uuid_key(const char *text)
{
    struct hashed_key key = {{0}};
    (void)parsed_uuid(text, key.bytes);
    return key;
}

static struct hashed_key id_key(const uint8_t id[16])
{
    struct hashed_key key;
    memcpy(key.bytes, id, sizeof key.bytes);
    return key;
}

/* The first day of the month of a date, as text. */
static const char *month_of(const char *date, char out[CIVIL_DATE_BYTES])
{
    int32_t day = 0;
    (void)civil_parse(date, &day);
    return civil_format(civil_month(day), out);
}

/* --- apps ---------------------------------------------------------------------------------------------------------------- */

static enum result read_definition(const struct taking *take, struct gathered_app *app, struct failure *why)
{
    uint8_t hash[32];
    struct text_view text;
    (void)sodium_hex2bin(hash, sizeof hash, app->hash, 64, NULL, NULL, NULL);
    json_decref(app->definition);
    app->definition = NULL;
    struct failure missing = {0};
    enum result result = take->all->source->definition(take->all->source->context, hash, &text, &missing);
    if (result == RESULT_NOT_FOUND)
        return RESULT_OK;
    if (result != RESULT_OK) {
        failure_set(why, missing.field, "%s", missing.text);
        return result;
    }
    app->definition = json_loadb(text.bytes, text.length, JSON_REJECT_DUPLICATES, NULL);
    const char *population = json_string_value(json_object_get(app->definition, "population"));
    COPY(app->population, population == NULL ? "default" : population);
    return RESULT_OK;
}

static enum result take_app(const struct taking *take, struct failure *why)
{
    struct gathered_app *app = hashed_put(&take->all->apps, hashed_texts(take->leaf->tenant, NULL, NULL, NULL), NULL);
    if (app == NULL)
        return RESULT_FULL;
    COPY(app->name, take->leaf->tenant);
    if (strcmp(take->leaf->act, "app_mode_changed") == 0) {
        COPY(app->mode, parsed_text(take->leaf, "mode"));
        return RESULT_OK;
    }
    if (strcmp(take->leaf->act, "app_added") == 0)
        app->added_ms = take->leaf->at_ms;
    else
        app->changed_ms = take->leaf->at_ms;
    COPY(app->preset, parsed_text(take->leaf, "preset"));
    COPY(app->hash, parsed_text(take->leaf, "hash"));
    app->version = parsed_int(take->leaf, "version");
    app->twin = parsed_has(take->leaf, "twin_of");
    app->entry = take->entry;
    return read_definition(take, app, why);
}

/* --- the budget, and what was released ---------------------------------------------------------------------------------------- */

static enum result take_family(const struct taking *take, struct gathered_month *month, const json_t *row)
{
    const char *name = json_string_value(json_array_get(row, 0)), *rho = json_string_value(json_array_get(row, 3));
    struct gathered_family *family
        = hashed_put(&take->all->families, hashed_texts(month->population, month->month, month->app, name), NULL);
    if (family == NULL)
        return RESULT_FULL;
    COPY(family->population, month->population);
    COPY(family->month, month->month);
    COPY(family->app, month->app);
    COPY(family->family, name);
    COPY(family->preset, month->preset);
    COPY(family->sigma2, json_string_value(json_array_get(row, 2)));
    family->l2 = json_integer_value(json_array_get(row, 1));
    (void)decimal_parse(rho, strlen(rho), &family->rho);
    family->reserved = json_integer_value(json_array_get(row, 4)) == 1;
    family->entry = take->entry;
    month->families++;
    month->unreserved += !family->reserved;
    if (family->reserved && !decimal_add(&month->reserved, family->rho))
        month->reserved = UINT64_MAX;
    return RESULT_OK;
}

static enum result take_plan(const struct taking *take, struct failure *why)
{
    (void)why;
    size_t at;
    json_t *row;
    bool fresh;
    const char *rho = parsed_text(take->leaf, "rho"), *population = parsed_text(take->leaf, "population");
    const char *first = parsed_text(take->leaf, "month");
    struct gathered_month *month
        = hashed_put(&take->all->months, hashed_texts(population, first, take->leaf->tenant, NULL), &fresh);
    if (month == NULL)
        return RESULT_FULL;
    if (!fresh)
        return RESULT_OK;
    COPY(month->population, population);
    COPY(month->month, first);
    COPY(month->app, take->leaf->tenant);
    COPY(month->preset, parsed_text(take->leaf, "preset"));
    month->k = parsed_int(take->leaf, "k");
    month->noise = rho != NULL;
    if (rho != NULL)
        (void)decimal_parse(rho, strlen(rho), &month->total);
    month->entry = take->entry;
    json_array_foreach(json_object_get(take->leaf->data, "families"), at, row)
        if (take_family(take, month, row) != RESULT_OK)
            return RESULT_FULL;
    return RESULT_OK;
}

static void count_cells(struct gathered_released *released, json_t *rows)
{
    size_t at, in;
    json_t *row, *cell;
    json_array_foreach(rows, at, row)
        json_array_foreach(json_array_get(row, 2), in, cell) {
            released->cells++;
            released->suppressed += json_is_null(json_array_get(cell, 1));
        }
}

static enum result take_release(const struct taking *take, struct failure *why)
{
    (void)why;
    char month[CIVIL_DATE_BYTES];
    month_of(parsed_text(take->leaf, "period"), month);
    struct gathered_released *released = hashed_put(&take->all->released, hashed_texts(take->leaf->tenant, month, NULL, NULL), NULL);
    if (released == NULL)
        return RESULT_FULL;
    COPY(released->app, take->leaf->tenant);
    COPY(released->month, month);
    if (strcmp(take->leaf->act, "aggregates_refused") == 0) {
        released->refused++;
        return RESULT_OK;
    }
    const char *protection = parsed_text(take->leaf, "protection");
    int64_t k = parsed_int(take->leaf, "k");
    released->k_least = released->releases == 0 || k < released->k_least ? k : released->k_least;
    released->k_most = k > released->k_most ? k : released->k_most;
    released->releases++;
    released->dp += strcmp(protection, "dp") == 0;
    released->threshold += strcmp(protection, "threshold") == 0;
    released->unprotected += strcmp(protection, "none") == 0;
    count_cells(released, json_object_get(take->leaf->data, "rows"));
    return RESULT_OK;
}

/* --- keys ------------------------------------------------------------------------------------------------------------------ */

static const char *origin_of(const char *act)
{
    if (strcmp(act, "key_born") == 0)
        return "born";
    if (strcmp(act, "key_ratcheted") == 0)
        return "ratcheted";
    return strcmp(act, "key_rotated") == 0 ? "rotated" : "joined";
}

/* The key that a step of the ratchet overwrote has died with it. */
static void end_former(const struct taking *take)
{
    const struct parsed *leaf = take->leaf;
    if (!parsed_has(leaf, "former"))
        return;
    struct gathered_key *former = hashed_find(&take->all->keys,
        hashed_texts(leaf->tenant, parsed_text(leaf, "ring"), parsed_text(leaf, "former"), NULL));
    if (former == NULL || former->ended != 0)
        return;
    former->ended_ms = leaf->at_ms;
    former->ended = take->entry;
}

static enum result take_key(const struct taking *take, struct failure *why)
{
    (void)why;
    const struct parsed *leaf = take->leaf;
    end_former(take);
    bool fresh, destroyed = strcmp(leaf->act, "key_destroyed") == 0;
    struct gathered_key *key = hashed_put(&take->all->keys,
        hashed_texts(leaf->tenant, parsed_text(leaf, "ring"), parsed_text(leaf, "commitment"), NULL), &fresh);
    if (key == NULL)
        return RESULT_FULL;
    if (fresh) {
        COPY(key->app, leaf->tenant);
        COPY(key->commitment, parsed_text(leaf, "commitment"));
        COPY(key->ring, parsed_text(leaf, "ring"));
        key->epoch = parsed_int(leaf, "epoch");
    }
    if (destroyed) {
        key->ended_ms = leaf->at_ms;
        key->ended = take->entry;
        return RESULT_OK;
    }
    key->joined += strcmp(leaf->act, "keys_joined") == 0;
    if (key->born != 0)
        return RESULT_OK;
    key->origin = origin_of(leaf->act);
    key->born_ms = leaf->at_ms;
    key->born = take->entry;
    COPY(key->former, parsed_text(leaf, "former"));
    return RESULT_OK;
}

/* --- people's requests ------------------------------------------------------------------------------------------------------- */

static enum result take_request(const struct taking *take, struct failure *why)
{
    (void)why;
    const struct parsed *leaf = take->leaf;
    const char *id = parsed_text(leaf, "request"), *kind = parsed_text(leaf, "kind");
    struct gathered_request *request = hashed_put(&take->all->requests, uuid_key(id), NULL);
    if (request == NULL)
        return RESULT_FULL;
    COPY(request->id, id);
    COPY(request->app, leaf->tenant);
    if (kind != NULL)
        COPY(request->kind, kind);
    if (strcmp(leaf->act, "request_received") == 0) {
        request->received_ms = parsed_int(leaf, "received_at");
        request->due_ms = parsed_int(leaf, "due_at");
        if (request->received == 0)
            request->received = take->entry;
    } else if (strcmp(leaf->act, "request_applied") == 0) {
        /* A restored database carries it out again: the first time counts, but copies are there again. */
        if (request->applied_ms == 0) {
            request->applied_ms = leaf->at_ms;
            request->applied = take->entry;
        }
        request->purge_due_ms = parsed_int(leaf, "purge_due_at");
        request->purged_ms = 0;
        request->purged = 0;
    } else if (strcmp(leaf->act, "request_purged") == 0) {
        request->purged_ms = leaf->at_ms;
        request->purged = take->entry;
    } else {
        request->refused_ms = leaf->at_ms;
        request->refused = take->entry;
    }
    return RESULT_OK;
}

/* --- access ------------------------------------------------------------------------------------------------------------------ */

static enum result add_access(const struct taking *take, int64_t at_ms, const char *what, bool trail, uint64_t count)
{
    const struct parsed *leaf = take->leaf;
    char month[CIVIL_DATE_BYTES], group[260];
    civil_format((int32_t)(at_ms / CIVIL_DAY_MS), month);
    month[7] = '\0';
    (void)snprintf(group, sizeof group, "%.20s %s", leaf->actor_type, leaf->actor_id);
    struct gathered_access *access = hashed_put(&take->all->access, hashed_texts(month, group, leaf->act, what), NULL);
    if (access == NULL)
        return RESULT_FULL;
    COPY(access->month, month);
    COPY(access->type, leaf->actor_type);
    COPY(access->actor, leaf->actor_id);
    COPY(access->what, what);
    access->denied = leaf->out == LEAF_DENIED;
    access->trail = trail;
    access->count += count;
    access->entries++;
    return RESULT_OK;
}

static enum result take_access(const struct taking *take, struct failure *why)
{
    (void)why;
    size_t at;
    json_t *pair;
    if (strcmp(take->leaf->act, "trail_read") == 0)
        return add_access(take, take->leaf->at_ms, "the audit trail", true, (uint64_t)parsed_int(take->leaf, "reads"));
    json_array_foreach(json_object_get(take->leaf->data, "counts"), at, pair)
        if (add_access(take, parsed_int(take->leaf, "hour_ms"), json_string_value(json_array_get(pair, 0)), false,
                (uint64_t)json_integer_value(json_array_get(pair, 1)))
            != RESULT_OK)
            return RESULT_FULL;
    return RESULT_OK;
}

static enum result take_credential(const struct taking *take, struct failure *why)
{
    (void)why;
    const struct parsed *leaf = take->leaf;
    const char *revoked = parsed_text(leaf, "key");
    struct gathered_credential *credential
        = hashed_put(&take->all->credentials, revoked == NULL ? id_key(leaf->id) : uuid_key(revoked), NULL);
    if (credential == NULL)
        return RESULT_FULL;
    COPY(credential->id, revoked == NULL ? leaf->id_text : revoked);
    if (credential->app[0] == '\0')
        COPY(credential->app, leaf->tenant);
    if (revoked != NULL) {
        credential->revoked_ms = leaf->at_ms;
        return RESULT_OK;
    }
    const char *scope = parsed_text(leaf, "scope");
    COPY(credential->scope, scope == NULL ? "write" : scope);
    COPY(credential->hint, parsed_text(leaf, "hint"));
    credential->made_ms = leaf->at_ms;
    return RESULT_OK;
}

/* --- what goes, and what goes wrong ---------------------------------------------------------------------------------------------- */

static enum result take_backup(const struct taking *take, struct failure *why)
{
    (void)why;
    const char *id = parsed_text(take->leaf, "backup");
    struct gathered_backup *backup = hashed_put(&take->all->backups, uuid_key(id), NULL);
    if (backup == NULL)
        return RESULT_FULL;
    COPY(backup->id, id);
    if (strcmp(take->leaf->act, "backup_gone") == 0) {
        backup->gone_ms = take->leaf->at_ms;
        return RESULT_OK;
    }
    backup->made_ms = take->leaf->at_ms;
    backup->expires_ms = parsed_int(take->leaf, "expires_at");
    COPY(backup->hash, parsed_text(take->leaf, "hash"));
    return RESULT_OK;
}

static enum result take_purge(const struct taking *take, struct failure *why)
{
    (void)why;
    bool done = strcmp(take->leaf->act, "purge_done") == 0;
    struct gathered_purge *purge = hashed_put(&take->all->purges, id_key(done ? take->leaf->ref : take->leaf->id), NULL);
    if (purge == NULL)
        return RESULT_FULL;
    COPY(purge->app, take->leaf->tenant);
    if (done) {
        purge->done_ms = take->leaf->at_ms;
        purge->shards = parsed_int(take->leaf, "shards");
        return RESULT_OK;
    }
    purge->ordered_ms = take->leaf->at_ms;
    purge->entry = take->entry;
    return RESULT_OK;
}

static enum result take_incident(const struct taking *take, struct failure *why)
{
    (void)why;
    const char *id = parsed_text(take->leaf, "incident");
    struct gathered_incident *incident = hashed_put(&take->all->incidents, uuid_key(id), NULL);
    if (incident == NULL)
        return RESULT_FULL;
    COPY(incident->id, id);
    if (strcmp(take->leaf->act, "incident_closed") == 0) {
        incident->closed_ms = take->leaf->at_ms;
        return RESULT_OK;
    }
    COPY(incident->app, take->leaf->tenant);
    COPY(incident->kind, parsed_text(take->leaf, "kind"));
    incident->opened_ms = take->leaf->at_ms;
    incident->entry = take->entry;
    return RESULT_OK;
}

static struct gathered_flow *flow_of(const struct taking *take, const char *date)
{
    char month[CIVIL_DATE_BYTES];
    month_of(date, month);
    struct gathered_flow *flow = hashed_put(&take->all->flows, hashed_texts(take->leaf->tenant, month, NULL, NULL), NULL);
    if (flow == NULL)
        return NULL;
    COPY(flow->app, take->leaf->tenant);
    COPY(flow->month, month);
    return flow;
}

static enum result take_ingestion(const struct taking *take, struct failure *why)
{
    (void)why;
    const char *name;
    json_t *count;
    const struct parsed *leaf = take->leaf;
    struct gathered_flow *flow = flow_of(take, parsed_text(leaf, "day"));
    if (flow == NULL)
        return RESULT_FULL;
    flow->days++;
    flow->accepted += (uint64_t)parsed_int(leaf, "accepted");
    flow->dropped += (uint64_t)parsed_int(leaf, "dropped");
    flow->duplicate += (uint64_t)parsed_int(leaf, "duplicate");
    flow->late += (uint64_t)parsed_int(leaf, "late");
    json_object_foreach(json_object_get(leaf->data, "rejected"), name, count)
        flow->rejected += (uint64_t)json_integer_value(count);
    return RESULT_OK;
}

static enum result add_notable(const struct taking *take, const char *detail)
{
    struct gathered_notable *notable = hashed_put(&take->all->notables, id_key(take->leaf->id), NULL);
    if (notable == NULL)
        return RESULT_FULL;
    notable->entry = take->entry;
    notable->at_ms = take->leaf->at_ms;
    COPY(notable->act, take->leaf->act);
    COPY(notable->app, take->leaf->tenant);
    COPY(notable->detail, detail);
    return RESULT_OK;
}

static enum result take_flow(const struct taking *take, struct failure *why)
{
    (void)why;
    char day[CIVIL_DATE_BYTES];
    const struct parsed *leaf = take->leaf;
    struct gathered_flow *flow = flow_of(take, civil_format((int32_t)(leaf->at_ms / CIVIL_DAY_MS), day));
    if (flow == NULL)
        return RESULT_FULL;
    if (strcmp(leaf->act, "state_expired") == 0) {
        flow->expired_people += (uint64_t)parsed_int(leaf, "people");
        flow->expired_days++;
    } else if (strcmp(leaf->act, "mark_expired") == 0)
        flow->marks += (uint64_t)parsed_int(leaf, "count");
    else if (strcmp(leaf->act, "self_test_passed") == 0) {
        flow->tests += (uint64_t)parsed_int(leaf, "runs");
        flow->test_places += (uint64_t)parsed_int(leaf, "places");
    } else {
        flow->tests_failed++;
        return add_notable(take, "An identifier made up for the test was found where none may be; collection stopped for that app");
    }
    return RESULT_OK;
}

static enum result take_notable(const struct taking *take, struct failure *why)
{
    (void)why;
    const struct parsed *leaf = take->leaf;
    char detail[160] = "";
    if (strcmp(leaf->act, "restored") == 0)
        (void)snprintf(detail, sizeof detail, "The database was restored; the log was continued from %" PRId64 " to %" PRId64 " entries",
            parsed_int(leaf, "from_size"), parsed_int(leaf, "to_size"));
    else if (strcmp(leaf->act, "clock_stepped_back") == 0)
        (void)snprintf(detail, sizeof detail, "The clock of node %.16s went back by %" PRId64 " ms", parsed_text(leaf, "node"),
            parsed_int(leaf, "ms"));
    else if (strcmp(leaf->act, "spool_replayed") == 0)
        (void)snprintf(detail, sizeof detail, "Node %.16s handed in %" PRId64 " packets that it had kept while the stream was away",
            parsed_text(leaf, "node"), parsed_int(leaf, "entries"));
    else if (strcmp(leaf->act, "protection_lowered") == 0)
        (void)snprintf(detail, sizeof detail, "Protection is now \"%.15s\"", parsed_text(leaf, "preset"));
    else if (strcmp(leaf->act, "node_retired") == 0)
        (void)snprintf(detail, sizeof detail, "Node %.16s was retired; what it still held counts as late", parsed_text(leaf, "node"));
    else if (strcmp(leaf->act, "trail_pruned") == 0)
        (void)snprintf(detail, sizeof detail, "Bodies of entries below %" PRId64 " were removed; their hashes stay",
            parsed_int(leaf, "below"));
    else
        (void)snprintf(detail, sizeof detail, "The log's signing key was changed");
    if (strcmp(leaf->act, "log_key_rotated") == 0)
        COPY(take->all->log_key, parsed_text(leaf, "new"));
    return add_notable(take, detail);
}

static enum result take_daemon(const struct taking *take, struct failure *why)
{
    (void)why;
    const struct parsed *leaf = take->leaf;
    struct gathered_daemon *daemon = hashed_put(&take->all->daemons,
        hashed_texts(leaf->actor_id, parsed_text(leaf, "binary"), parsed_text(leaf, "configuration"), NULL), NULL);
    if (daemon == NULL)
        return RESULT_FULL;
    COPY(daemon->name, leaf->actor_id);
    COPY(daemon->version, parsed_text(leaf, "version"));
    COPY(daemon->binary, parsed_text(leaf, "binary"));
    COPY(daemon->configuration, parsed_text(leaf, "configuration"));
    daemon->first_ms = daemon->starts == 0 ? leaf->at_ms : daemon->first_ms;
    daemon->last_ms = leaf->at_ms;
    daemon->starts++;
    return RESULT_OK;
}

/* --- all ----------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *act;
    enum result (*take)(const struct taking *take, struct failure *why);
} takers[] = {
    {"aggregates_read", take_access}, {"access_denied", take_access}, {"trail_read", take_access},
    {"aggregates_released", take_release}, {"aggregates_refused", take_release}, {"month_planned", take_plan},
    {"ingestion", take_ingestion}, {"app_added", take_app}, {"app_changed", take_app}, {"app_mode_changed", take_app},
    {"write_key_made", take_credential}, {"write_key_revoked", take_credential}, {"api_key_made", take_credential},
    {"api_key_revoked", take_credential}, {"key_born", take_key}, {"key_ratcheted", take_key}, {"key_rotated", take_key},
    {"key_destroyed", take_key}, {"keys_joined", take_key}, {"request_received", take_request},
    {"request_applied", take_request}, {"request_purged", take_request}, {"request_refused", take_request},
    {"mark_expired", take_flow}, {"state_expired", take_flow}, {"self_test_passed", take_flow}, {"self_test_failed", take_flow},
    {"backup_made", take_backup}, {"backup_gone", take_backup}, {"purge_ordered", take_purge}, {"purge_done", take_purge},
    {"incident_opened", take_incident}, {"incident_closed", take_incident}, {"restored", take_notable},
    {"clock_stepped_back", take_notable}, {"spool_replayed", take_notable}, {"protection_lowered", take_notable},
    {"node_retired", take_notable}, {"trail_pruned", take_notable}, {"log_key_rotated", take_notable},
    {"daemon_started", take_daemon},
};

static enum result count_act(struct gathered *gathered, const struct parsed *leaf)
{
    struct gathered_act *act = hashed_put(&gathered->acts, hashed_texts(leaf->act, NULL, NULL, NULL), NULL);
    if (act == NULL)
        return RESULT_FULL;
    if (act->ok + act->denied + act->failed == 0) {
        COPY(act->name, leaf->act);
        act->first_ms = leaf->at_ms;
    }
    act->first_ms = leaf->at_ms < act->first_ms ? leaf->at_ms : act->first_ms;
    act->last_ms = leaf->at_ms > act->last_ms ? leaf->at_ms : act->last_ms;
    act->ok += leaf->out == LEAF_OK;
    act->denied += leaf->out == LEAF_DENIED;
    act->failed += leaf->out == LEAF_FAILED;
    return RESULT_OK;
}

enum result gathered_take(struct gathered *gathered, const struct parsed *leaf, uint64_t index, struct failure *why)
{
    const struct taking take = {gathered, leaf, index + 1};
    if (gathered->leaves++ == 0)
        gathered->oldest_ms = leaf->at_ms;
    gathered->oldest_ms = leaf->at_ms < gathered->oldest_ms ? leaf->at_ms : gathered->oldest_ms;
    gathered->newest_ms = leaf->at_ms > gathered->newest_ms ? leaf->at_ms : gathered->newest_ms;
    enum result result = count_act(gathered, leaf);
    if (result == RESULT_OK && !leaf->known) {
        gathered->unknown++;
        return RESULT_OK;
    }
    for (size_t i = 0; result == RESULT_OK && i < sizeof takers / sizeof *takers; i++)
        if (strcmp(takers[i].act, leaf->act) == 0) {
            result = takers[i].take(&take, why);
            break;
        }
    if (result == RESULT_FULL)
        failure_set(why, "", "no memory to sum up the trail");
    return result;
}

/* --- order ------------------------------------------------------------------------------------------------------------------------ */

/* Records sort by their texts and times first; what is alike stays apart by its key, so that the order is one. */
#define COMPARE_KEY(type, a, b) memcmp(((const struct type *)(a))->key, ((const struct type *)(b))->key, HASHED_KEY_BYTES)

static int compare_acts(const void *a, const void *b)
{
    return strcmp(((const struct gathered_act *)a)->name, ((const struct gathered_act *)b)->name);
}

static int compare_apps(const void *a, const void *b)
{
    return strcmp(((const struct gathered_app *)a)->name, ((const struct gathered_app *)b)->name);
}

static int first_of(const int *orders, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (orders[i] != 0)
            return orders[i];
    return 0;
}

static int compare_months(const void *a, const void *b)
{
    const struct gathered_month *x = a, *y = b;
    const int orders[] = {strcmp(x->population, y->population), strcmp(x->month, y->month), strcmp(x->app, y->app)};
    return first_of(orders, 3);
}

static int compare_families(const void *a, const void *b)
{
    const struct gathered_family *x = a, *y = b;
    const int orders[] = {strcmp(x->population, y->population), strcmp(x->month, y->month), strcmp(x->app, y->app),
        strcmp(x->family, y->family)};
    return first_of(orders, 4);
}

static int compare_released(const void *a, const void *b)
{
    const struct gathered_released *x = a, *y = b;
    const int orders[] = {strcmp(x->app, y->app), strcmp(x->month, y->month)};
    return first_of(orders, 2);
}

static int compare_flows(const void *a, const void *b)
{
    const struct gathered_flow *x = a, *y = b;
    const int orders[] = {strcmp(x->month, y->month), strcmp(x->app, y->app)};
    return first_of(orders, 2);
}

static int order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_keys(const void *a, const void *b)
{
    const struct gathered_key *x = a, *y = b;
    const int orders[] = {strcmp(x->app, y->app), order(x->born_ms, y->born_ms), COMPARE_KEY(gathered_key, a, b)};
    return first_of(orders, 3);
}

static int compare_requests(const void *a, const void *b)
{
    const struct gathered_request *x = a, *y = b;
    const int orders[] = {order(x->received_ms, y->received_ms), COMPARE_KEY(gathered_request, a, b)};
    return first_of(orders, 2);
}

static int compare_access(const void *a, const void *b)
{
    const struct gathered_access *x = a, *y = b;
    const int orders[] = {strcmp(x->month, y->month), x->denied - y->denied, strcmp(x->type, y->type), strcmp(x->actor, y->actor),
        x->trail - y->trail, strcmp(x->what, y->what)};
    return first_of(orders, 6);
}

static int compare_credentials(const void *a, const void *b)
{
    const struct gathered_credential *x = a, *y = b;
    const int orders[] = {order(x->made_ms, y->made_ms), COMPARE_KEY(gathered_credential, a, b)};
    return first_of(orders, 2);
}

static int compare_backups(const void *a, const void *b)
{
    const struct gathered_backup *x = a, *y = b;
    const int orders[] = {order(x->made_ms, y->made_ms), COMPARE_KEY(gathered_backup, a, b)};
    return first_of(orders, 2);
}

static int compare_purges(const void *a, const void *b)
{
    const struct gathered_purge *x = a, *y = b;
    const int orders[] = {order(x->ordered_ms, y->ordered_ms), COMPARE_KEY(gathered_purge, a, b)};
    return first_of(orders, 2);
}

static int compare_incidents(const void *a, const void *b)
{
    const struct gathered_incident *x = a, *y = b;
    const int orders[] = {order(x->opened_ms, y->opened_ms), COMPARE_KEY(gathered_incident, a, b)};
    return first_of(orders, 2);
}

static int compare_notables(const void *a, const void *b)
{
    const struct gathered_notable *x = a, *y = b;
    return order((int64_t)x->entry, (int64_t)y->entry);
}

static int compare_daemons(const void *a, const void *b)
{
    const struct gathered_daemon *x = a, *y = b;
    const int orders[] = {strcmp(x->name, y->name), order(x->first_ms, y->first_ms), COMPARE_KEY(gathered_daemon, a, b)};
    return first_of(orders, 3);
}

void gathered_end(struct gathered *gathered)
{
    hashed_sort(&gathered->acts, compare_acts);
    hashed_sort(&gathered->apps, compare_apps);
    hashed_sort(&gathered->months, compare_months);
    hashed_sort(&gathered->families, compare_families);
    hashed_sort(&gathered->released, compare_released);
    hashed_sort(&gathered->keys, compare_keys);
    hashed_sort(&gathered->requests, compare_requests);
    hashed_sort(&gathered->access, compare_access);
    hashed_sort(&gathered->credentials, compare_credentials);
    hashed_sort(&gathered->backups, compare_backups);
    hashed_sort(&gathered->purges, compare_purges);
    hashed_sort(&gathered->incidents, compare_incidents);
    hashed_sort(&gathered->flows, compare_flows);
    hashed_sort(&gathered->notables, compare_notables);
    hashed_sort(&gathered->daemons, compare_daemons);
}

const struct gathered_app *gathered_app(const struct gathered *gathered, const char *name)
{
    for (size_t i = 0; i < gathered->apps.count; i++) {
        const struct gathered_app *app = hashed_at(&gathered->apps, i);
        if (strcmp(app->name, name) == 0)
            return app;
    }
    return NULL;
}

uint64_t gathered_count(const struct gathered *gathered, const char *act)
{
    for (size_t i = 0; i < gathered->acts.count; i++) {
        const struct gathered_act *found = hashed_at(&gathered->acts, i);
        if (strcmp(found->name, act) == 0)
            return found->ok;
    }
    return 0;
}
