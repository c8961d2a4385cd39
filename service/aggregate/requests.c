#include "service/aggregate/requests.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/acts.h"
#include "service/aggregate/live.h"
#include "service/aggregate/rows.h"

/* A request as it is recorded. */
struct request {
    const uint8_t *id;
    uint32_t app;
    const char *kind;
    int64_t received_ms, applied_ms, purge_due_ms; /* 0: nothing was deleted */
    enum leaf_out out;
    uint8_t received_leaf[16], applied_leaf[16];
    uint8_t *sealed; /* the answer to access, owned; NULL: none */
    size_t sealed_length;
};

/* Who asks, by all names, and whether the request was recorded before. */
struct person {
    struct pseudonym *names; /* owned */
    size_t count;
    bool recorded;
};

/* Requests of which no two are about one person: what they do, they do to different rows, so that their order is nothing but
 * that of their leaves. */
struct batch {
    struct db *db;
    struct shard *shard;
    const struct packet_erase *erases;
    struct person *people; /* of each */
    size_t count;
    int64_t now_ms, keep_days;
};

static const char *kind_name(enum packet_erase_kind kind)
{
    switch (kind) {
    case PACKET_ERASURE:
        return "erasure";
    case PACKET_OBJECTION:
        return "objection";
    case PACKET_ACCESS:
        return "access";
    case PACKET_WITHDRAWAL:
        return "withdrawal";
    }
    return "erasure";
}

/* $1 shard, $2 app, $3 the names. */
static struct db_params *names_params(const struct shard *shard, uint32_t app, const struct pseudonym *names, size_t count)
{
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count; i++)
        rows_add_name(params, &names[i]);
    db_array_end(params);
    return params;
}

/* All names of the person known by names[0..count-1], owned by the caller. */
static enum result all_names(struct db *db, const struct shard *shard, uint32_t app, const struct pseudonym *names, size_t count,
    struct pseudonym **out, size_t *out_count, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(db, "requests.names", "SELECT unnest(state.names_of($1, $2, $3))",
        names_params(shard, app, names, count), &rows, why);
    if (result == RESULT_OK) {
        *out_count = (size_t)PQntuples(rows);
        *out = calloc(*out_count + 1, sizeof **out);
        assert(*out != NULL);
        for (size_t i = 0; i < *out_count; i++)
            (*out)[i] = rows_get_name(rows, (int)i, 0);
    }
    PQclear(rows);
    return result;
}

static enum result forget_names(struct db *db, const struct shard *shard, uint32_t app, const struct pseudonym *names,
    size_t count, struct failure *why)
{
    enum result result = rows_run(db, "requests.forget", "SELECT state.forget_person($1, $2, $3)",
        names_params(shard, app, names, count), NULL, why);
    return result == RESULT_OK ? live_erase(db, app, names, count, why) : result;
}

enum result requests_forget(struct db *db, const struct shard *shard, uint32_t app, const struct pseudonym *names, size_t count,
    struct failure *why)
{
    struct pseudonym *all = NULL;
    size_t all_count = 0;
    enum result result = all_names(db, shard, app, names, count, &all, &all_count, why);
    if (result == RESULT_OK)
        result = forget_names(db, shard, app, all, all_count, why);
    free(all);
    return result;
}

/* The trail and the record */

/* $1 the ids. One row for each, in order: whether it is recorded, and now(). */
static enum result look_up(struct db *db, struct db_params *ids, PGresult **rows, struct failure *why)
{
    return rows_run(db, "requests.recorded",
        "SELECT EXISTS (SELECT FROM subject.request AS r WHERE r.id = w.id), now()"
        " FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, at) ORDER BY w.at",
        ids, rows, why);
}

static enum result begin_leaves(const struct shard *shard, struct request *request, struct trail *received, struct trail *applied)
{
    enum result result = acts_begin("request_received", shard->directory, request->app, LEAF_OK, NULL, received);
    if (result != RESULT_OK)
        return result;
    memcpy(request->received_leaf, received->head.id, sizeof request->received_leaf);
    leaf_int(received->leaf, "due_at", request->received_ms + REQUESTS_DUE_DAYS * REQUESTS_DAY_MS);
    leaf_text(received->leaf, "kind", request->kind);
    leaf_int(received->leaf, "received_at", request->received_ms);
    acts_uuid(received->leaf, "request", request->id);
    result = acts_begin("request_applied", shard->directory, request->app, request->out, request->received_leaf, applied);
    if (result != RESULT_OK)
        return result;
    memcpy(request->applied_leaf, applied->head.id, sizeof request->applied_leaf);
    leaf_text(applied->leaf, "kind", request->kind);
    if (request->purge_due_ms == 0)
        leaf_null(applied->leaf, "purge_due_at");
    else
        leaf_int(applied->leaf, "purge_due_at", request->purge_due_ms);
    acts_uuid(applied->leaf, "request", request->id);
    return RESULT_OK;
}

/* Two leaves of each, in the order of the requests. */
static enum result append_leaves(struct db *db, const struct shard *shard, struct request *requests, size_t count,
    struct failure *why)
{
    struct trail *trails = calloc(2 * count, sizeof *trails);
    assert(trails != NULL);
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < count; i++)
        result = begin_leaves(shard, &requests[i], &trails[2 * i], &trails[2 * i + 1]);
    if (result == RESULT_OK)
        result = trail_append_all(db, trails, 2 * count, why);
    for (size_t i = 0; i < 2 * count; i++)
        trail_free(&trails[i]);
    free(trails);
    return result;
}

/* $1 shard, $2 ids, $3 apps, $4 kinds, $5 received, $6 due, $7 last due, $8 purge due, $9 received leaves, $10 applied leaves. */
static struct db_params *record_params(const struct shard *shard, const struct request *requests, size_t count)
{
    static const enum db_element elements[] = {DB_ELEMENT_UUID, DB_ELEMENT_INT4, DB_ELEMENT_TEXT, DB_ELEMENT_INT8, DB_ELEMENT_INT8,
        DB_ELEMENT_INT8, DB_ELEMENT_INT8, DB_ELEMENT_UUID, DB_ELEMENT_UUID};
    struct db_params *params = rows_params(shard);
    for (int column = 0; column < 9; column++) {
        db_array_begin(params, elements[column]);
        for (size_t i = 0; i < count; i++) {
            const struct request *request = &requests[i];
            int64_t numbers[] = {0, request->app, 0, request->received_ms,
                request->received_ms + REQUESTS_DUE_DAYS * REQUESTS_DAY_MS,
                request->received_ms + REQUESTS_LAST_DUE_DAYS * REQUESTS_DAY_MS, request->purge_due_ms};
            if (column == 0 || column >= 7)
                db_array_bytes(params, column == 0 ? request->id : column == 7 ? request->received_leaf : request->applied_leaf, 16);
            else if (column == 2)
                db_array_bytes(params, request->kind, strlen(request->kind));
            else if (column == 6 && request->purge_due_ms == 0)
                db_array_bytes(params, NULL, 0);
            else
                db_array_int(params, numbers[column]);
        }
        db_array_end(params);
    }
    return params;
}

#define TIME(ms) "'epoch'::timestamptz + " ms " * interval '1 ms'"

static enum result record(struct db *db, const struct shard *shard, struct request *requests, size_t count, struct failure *why)
{
    if (count == 0)
        return RESULT_OK;
    enum result result = append_leaves(db, shard, requests, count, why);
    if (result != RESULT_OK)
        return result;
    /* Applied as of now(), the begin of the transaction: who asks later what was applied before a moment misses none by asking
     * for transactions that began before it. */
    return rows_run(db, "requests.record",
        "INSERT INTO subject.request (id, app, kind, shard, received_at, due_at, last_due_at, applied_at, purge_due_at,"
        " received_leaf, applied_leaf) SELECT r.id, r.app, r.kind, $1, " TIME("r.received") ", " TIME("r.due") ", " TIME("r.last_due")
        ", now(), " TIME("r.purge_due") ", r.received_leaf, r.applied_leaf"
        " FROM unnest($2::uuid[], $3::int[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::uuid[],"
        "   $10::uuid[]) AS r (id, app, kind, received, due, last_due, purge_due, received_leaf, applied_leaf)",
        record_params(shard, requests, count), NULL, why);
}

static struct request request_of(const uint8_t *id, uint32_t app, const char *kind, int64_t received_ms, int64_t applied_ms,
    int64_t keep_days)
{
    bool deletes = strcmp(kind, "erasure") == 0 || strcmp(kind, "objection") == 0;
    return (struct request){.id = id, .app = app, .kind = kind, .received_ms = received_ms, .applied_ms = applied_ms,
        .purge_due_ms = deletes ? applied_ms + (keep_days + REQUESTS_PURGE_DAYS) * REQUESTS_DAY_MS : 0, .out = LEAF_OK};
}

enum result requests_record_again(struct db *db, const struct shard *shard, const struct forgotten_mark *mark, int64_t keep_days,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *ids = db_params_new();
    db_array_begin(ids, DB_ELEMENT_UUID);
    db_array_bytes(ids, mark->request, sizeof mark->request);
    db_array_end(ids);
    enum result result = look_up(db, ids, &rows, why);
    if (result == RESULT_OK && !db_get_bool(rows, 0, 0)) {
        struct request request = request_of(mark->request, mark->app, mark->objection ? "objection" : "erasure", mark->since_ms,
            db_get_time(rows, 0, 1), keep_days);
        result = record(db, shard, &request, 1, why);
    }
    PQclear(rows);
    return result;
}

/* Access */

/* $1 shard, $2 app, $3 names, $4 the app's name, $5 the request. */
static const char answer_sql[] =
    "SELECT jsonb_pretty(jsonb_build_object('app', $4::text, 'request', $5::uuid, 'made_at', now(), 'tables',"
    " coalesce((SELECT jsonb_object_agg(place, said) FROM"
    "   (SELECT place, jsonb_agg(said) AS said FROM state.tell_person($1, $2, $3) GROUP BY place) AS t), '{}')))";

/* Everything about the person, sealed into request; nothing if the key that came with the request is none. */
static enum result seal_answer(const struct batch *batch, const struct packet_erase *erase, const struct person *person,
    struct request *request, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = names_params(batch->shard, erase->app, person->names, person->count);
    db_text(params, acts_tenant(batch->shard->directory, erase->app));
    db_uuid(params, erase->request);
    enum result result = rows_run(batch->db, "requests.answer", answer_sql, params, &rows, why);
    if (result != RESULT_OK)
        return result;
    const char *text = db_get_text(rows, 0, 0);
    size_t text_length = strlen(text);
    request->sealed_length = text_length + crypto_box_SEALBYTES;
    request->sealed = malloc(request->sealed_length);
    assert(request->sealed != NULL);
    if (crypto_box_seal(request->sealed, (const unsigned char *)text, text_length, erase->seal) != 0) {
        free(request->sealed);
        request->sealed = NULL;
        request->out = LEAF_FAILED;
    }
    PQclear(rows);
    return RESULT_OK;
}

static enum result write_answer(struct db *db, const struct request *request, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_uuid(params, request->id);
    db_bytes(params, request->sealed, request->sealed_length);
    db_time(params, request->applied_ms + REQUESTS_ANSWER_DAYS * REQUESTS_DAY_MS);
    return rows_run(db, "requests.answered", "INSERT INTO subject.answer (request, sealed, expires_at) VALUES ($1, $2, $3)",
        params, NULL, why);
}

/* Carrying out */

struct withdrawn {
    uint32_t app;
    const uint8_t (*requests)[16];
    size_t count;
};

static bool is_withdrawn(const struct forgotten_mark *mark, const void *context)
{
    const struct withdrawn *withdrawn = context;
    bool found = false;
    for (size_t i = 0; i < withdrawn->count && mark->objection && mark->app == withdrawn->app; i++)
        found = found || memcmp(mark->request, withdrawn->requests[i], sizeof mark->request) == 0;
    return found;
}

/* End the objections that these names are marked by, under all names that they moved on to. */
static enum result withdraw(struct db *db, struct shard *shard, uint32_t app, const struct pseudonym *names, size_t count,
    struct failure *why)
{
    struct forgotten *forgotten = &shard->fold.forgotten;
    uint8_t (*requests)[16] = calloc(count + 1, sizeof *requests);
    assert(requests != NULL);
    struct withdrawn withdrawn = {app, (const uint8_t (*)[16])requests, 0};
    for (size_t i = 0; i < count; i++) {
        uint8_t tag[FORGOTTEN_TAG_BYTES];
        forgotten_tag(forgotten, app, &names[i], tag);
        const struct forgotten_mark *mark = forgotten_find(forgotten, app, tag, true);
        if (mark != NULL)
            memcpy(requests[withdrawn.count++], mark->request, sizeof mark->request);
    }
    (void)forgotten_drop(forgotten, is_withdrawn, &withdrawn);
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app);
    db_array_begin(params, DB_ELEMENT_UUID);
    for (size_t i = 0; i < withdrawn.count; i++)
        db_array_bytes(params, requests[i], sizeof requests[i]);
    db_array_end(params);
    free(requests);
    return rows_run(db, "requests.withdraw",
        "DELETE FROM subject.mark WHERE shard = $1 AND app = $2 AND kind = 'objection' AND request = ANY ($3)", params, NULL, why);
}

static bool deletes(const struct packet_erase *erase)
{
    return erase->kind == PACKET_ERASURE || erase->kind == PACKET_OBJECTION;
}

/* Remember the names of who is to be deleted. */
static void mark(const struct batch *batch, const struct packet_erase *erase, const struct person *person)
{
    /* Until no packet under way and no backup can bear one of the names. */
    int64_t days = (batch->keep_days > FOLD_ALIAS_DAYS ? batch->keep_days : FOLD_ALIAS_DAYS) + 1;
    bool objection = erase->kind == PACKET_OBJECTION;
    struct forgotten_mark pattern = {.app = erase->app, .objection = objection, .since_ms = erase->at_ms,
        .dies_on = objection ? FORGOTTEN_NO_END : (int32_t)(batch->now_ms / REQUESTS_DAY_MS + days)};
    memcpy(pattern.request, erase->request, sizeof pattern.request);
    forgotten_add_names(&batch->shard->fold.forgotten, &pattern, person->names, person->count);
}

static enum result mark_all(const struct batch *batch, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < batch->count; i++) {
        const struct packet_erase *erase = &batch->erases[i];
        const struct person *person = &batch->people[i];
        if (deletes(erase))
            mark(batch, erase, person);
        else if (erase->kind == PACKET_WITHDRAWAL)
            result = withdraw(batch->db, batch->shard, erase->app, person->names, person->count, why);
    }
    return result;
}

/* Delete all people of app whom a request deletes. */
static enum result forget_app(const struct batch *batch, uint32_t app, struct failure *why)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        count += batch->people[i].count;
    struct pseudonym *names = calloc(count + 1, sizeof *names);
    assert(names != NULL);
    count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct person *person = &batch->people[i];
        if (batch->erases[i].app != app || !deletes(&batch->erases[i]))
            continue;
        memcpy(names + count, person->names, person->count * sizeof *names);
        count += person->count;
    }
    enum result result = forget_names(batch->db, batch->shard, app, names, count, why);
    free(names);
    return result;
}

/* In ascending order of apps, as live_write: shards that meet in the live views wait for each other once. */
static enum result forget_all(const struct batch *batch, struct failure *why)
{
    enum result result = RESULT_OK;
    for (int64_t last = -1, next = 0; result == RESULT_OK; last = next) {
        next = INT64_MAX;
        for (size_t i = 0; i < batch->count; i++) {
            if (deletes(&batch->erases[i]) && batch->erases[i].app > last && batch->erases[i].app < next)
                next = batch->erases[i].app;
        }
        if (next == INT64_MAX)
            break;
        result = forget_app(batch, (uint32_t)next, why);
    }
    return result;
}

/* Record what was not recorded before, with its answers. */
static enum result record_all(const struct batch *batch, struct failure *why)
{
    struct request *requests = calloc(batch->count, sizeof *requests);
    assert(requests != NULL);
    size_t count = 0;
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < batch->count; i++) {
        const struct packet_erase *erase = &batch->erases[i];
        if (batch->people[i].recorded)
            continue;
        struct request *request = &requests[count++];
        *request =
            request_of(erase->request, erase->app, kind_name(erase->kind), erase->at_ms, batch->now_ms, batch->keep_days);
        if (erase->kind == PACKET_ACCESS)
            result = seal_answer(batch, erase, &batch->people[i], request, why);
    }
    if (result == RESULT_OK)
        result = record(batch->db, batch->shard, requests, count, why);
    for (size_t i = 0; i < count; i++) {
        if (result == RESULT_OK && requests[i].sealed != NULL)
            result = write_answer(batch->db, &requests[i], why);
        free(requests[i].sealed);
    }
    free(requests);
    return result;
}

/* Take the people's names from rows of (place from 0, name), ascending. */
static void take_names(const PGresult *rows, struct person *people)
{
    int count = PQntuples(rows);
    for (int first = 0, i = 0; i < count; first = i) {
        int place = db_get_int4(rows, first, 0);
        while (i < count && db_get_int4(rows, i, 0) == place)
            i++;
        struct person *person = &people[place];
        person->names = calloc((size_t)(i - first), sizeof *person->names);
        assert(person->names != NULL);
        for (int row = first; row < i; row++)
            person->names[person->count++] = rows_get_name(rows, row, 1);
    }
}

/* Who asks. batch->people, empty, is filled, and now_ms. */
static enum result know(struct batch *batch, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = rows_params(batch->shard);
    for (int column = 0; column < 3; column++) {
        db_array_begin(params, column < 2 ? DB_ELEMENT_INT4 : DB_ELEMENT_BYTEA);
        for (size_t i = 0; i < batch->count; i++) {
            for (size_t j = 0; j < batch->erases[i].names; j++) {
                if (column == 2)
                    rows_add_name(params, &batch->erases[i].name[j]);
                else
                    db_array_int(params, column == 0 ? (int64_t)i : batch->erases[i].app);
            }
        }
        db_array_end(params);
    }
    enum result result = rows_run(batch->db, "requests.people",
        "SELECT place, unnest(state.names_of($1, app, names)) FROM (SELECT place, app, array_agg(name) AS names"
        "   FROM unnest($2::int[], $3::int[], $4::bytea[]) AS g (place, app, name) GROUP BY place, app) AS asking ORDER BY place",
        params, &rows, why);
    if (result == RESULT_OK)
        take_names(rows, batch->people);
    PQclear(rows);
    return result;
}

static enum result know_recorded(struct batch *batch, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *ids = db_params_new();
    db_array_begin(ids, DB_ELEMENT_UUID);
    for (size_t i = 0; i < batch->count; i++)
        db_array_bytes(ids, batch->erases[i].request, sizeof batch->erases[i].request);
    db_array_end(ids);
    enum result result = look_up(batch->db, ids, &rows, why);
    for (size_t i = 0; result == RESULT_OK && i < batch->count; i++) {
        batch->people[i].recorded = db_get_bool(rows, (int)i, 0);
        batch->now_ms = db_get_time(rows, (int)i, 1);
    }
    PQclear(rows);
    return result;
}

static bool share_a_name(const struct person *a, const struct person *b)
{
    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = 0; j < b->count; j++) {
            if (memcmp(a->names[i].bytes, b->names[j].bytes, PSEUDONYM_BYTES) == 0)
                return true;
        }
    }
    return false;
}

/* How many of the first requests are about different people, and different requests. */
static size_t count_apart(const struct batch *batch)
{
    for (size_t i = 1; i < batch->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (memcmp(batch->erases[i].request, batch->erases[j].request, sizeof batch->erases[i].request) == 0 ||
                (batch->erases[i].app == batch->erases[j].app && share_a_name(&batch->people[i], &batch->people[j])))
                return i;
        }
    }
    return batch->count;
}

static enum result carry_out(struct batch *batch, struct failure *why)
{
    enum result result = mark_all(batch, why);
    if (result == RESULT_OK)
        result = forget_all(batch, why);
    return result == RESULT_OK ? record_all(batch, why) : result;
}

enum result requests_apply(struct db *db, struct shard *shard, const struct packet_erase *erases, size_t count, int64_t keep_days,
    struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t done = 0; result == RESULT_OK && done < count;) {
        size_t rest = count - done;
        struct batch batch = {db, shard, erases + done, calloc(rest, sizeof *batch.people), rest, 0, keep_days};
        assert(batch.people != NULL);
        result = know(&batch, why);
        if (result == RESULT_OK)
            result = know_recorded(&batch, why);
        /* What comes after a request about the same person sees what that one did. */
        batch.count = count_apart(&batch);
        if (result == RESULT_OK)
            result = carry_out(&batch, why);
        for (size_t i = 0; i < rest; i++)
            free(batch.people[i].names);
        free(batch.people);
        done += batch.count;
    }
    return result;
}

enum result requests_purge(struct db *db, const struct shard *shard, const struct forgotten_purge *purge, struct failure *why)
{
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)purge->app);
    enum result result = rows_run(db, "requests.purge", "SELECT state.purge($1, $2)", params, NULL, why);
    if (result == RESULT_OK)
        result = live_purge(db, purge->app, why);
    if (result != RESULT_OK)
        return result;
    params = rows_params(shard);
    db_int4(params, (int32_t)purge->app);
    db_uuid(params, purge->request);
    db_int8(params, purge->since_ms);
    return rows_run(db, "requests.purged",
        "INSERT INTO subject.purged_shard (purge, shard, app, since_ms, at) VALUES ($3, $1, $2, $4, now()) ON CONFLICT DO NOTHING",
        params, NULL, why);
}
