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

static enum result is_recorded(struct db *db, const uint8_t *id, bool *recorded, int64_t *now_ms, struct failure *why)
{
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_uuid(params, id);
    enum result result = rows_run(db, "requests.recorded",
        "SELECT EXISTS (SELECT FROM subject.request WHERE id = $1), now()", params, &rows, why);
    if (result == RESULT_OK) {
        *recorded = db_get_bool(rows, 0, 0);
        *now_ms = db_get_time(rows, 0, 1);
    }
    PQclear(rows);
    return result;
}

static enum result append_received(struct db *db, const struct shard *shard, struct request *request, struct failure *why)
{
    struct trail trail;
    enum result result = acts_begin("request_received", shard->directory, request->app, LEAF_OK, NULL, &trail);
    if (result == RESULT_OK) {
        leaf_int(trail.leaf, "due_at", request->received_ms + REQUESTS_DUE_DAYS * REQUESTS_DAY_MS);
        leaf_text(trail.leaf, "kind", request->kind);
        leaf_int(trail.leaf, "received_at", request->received_ms);
        acts_uuid(trail.leaf, "request", request->id);
        result = trail_append(db, &trail, why);
        memcpy(request->received_leaf, trail.head.id, sizeof request->received_leaf);
    }
    trail_free(&trail);
    return result;
}

static enum result append_applied(struct db *db, const struct shard *shard, struct request *request, struct failure *why)
{
    struct trail trail;
    enum result result =
        acts_begin("request_applied", shard->directory, request->app, request->out, request->received_leaf, &trail);
    if (result == RESULT_OK) {
        leaf_text(trail.leaf, "kind", request->kind);
        if (request->purge_due_ms == 0)
            leaf_null(trail.leaf, "purge_due_at");
        else
            leaf_int(trail.leaf, "purge_due_at", request->purge_due_ms);
        acts_uuid(trail.leaf, "request", request->id);
        result = trail_append(db, &trail, why);
        memcpy(request->applied_leaf, trail.head.id, sizeof request->applied_leaf);
    }
    trail_free(&trail);
    return result;
}

static enum result record(struct db *db, const struct shard *shard, struct request *request, struct failure *why)
{
    enum result result = append_received(db, shard, request, why);
    if (result == RESULT_OK)
        result = append_applied(db, shard, request, why);
    if (result != RESULT_OK)
        return result;
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)request->app);
    db_uuid(params, request->id);
    db_text(params, request->kind);
    db_time(params, request->received_ms);
    db_time(params, request->received_ms + REQUESTS_DUE_DAYS * REQUESTS_DAY_MS);
    db_time(params, request->received_ms + REQUESTS_LAST_DUE_DAYS * REQUESTS_DAY_MS);
    if (request->purge_due_ms == 0)
        db_null(params);
    else
        db_time(params, request->purge_due_ms);
    db_uuid(params, request->received_leaf);
    db_uuid(params, request->applied_leaf);
    /* Applied as of now(), the begin of the transaction: who asks later what was applied before a moment misses none by asking
     * for transactions that began before it. */
    return rows_run(db, request->purge_due_ms == 0 ? "requests.record" : "requests.record_due",
        "INSERT INTO subject.request (id, app, kind, shard, received_at, due_at, last_due_at, applied_at, purge_due_at,"
        " received_leaf, applied_leaf) VALUES ($3, $2, $4, $1, $5, $6, $7, now(), $8::timestamptz, $9, $10)",
        params, NULL, why);
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
    bool recorded = false;
    int64_t now_ms = 0;
    enum result result = is_recorded(db, mark->request, &recorded, &now_ms, why);
    if (result != RESULT_OK || recorded)
        return result;
    struct request request = request_of(mark->request, mark->app, mark->objection ? "objection" : "erasure", mark->since_ms,
        now_ms, keep_days);
    return record(db, shard, &request, why);
}

/* Access */

/* $1 shard, $2 app, $3 names, $4 the app's name, $5 the request. */
static const char answer_sql[] =
    "SELECT jsonb_pretty(jsonb_build_object('app', $4::text, 'request', $5::uuid, 'made_at', now(), 'tables',"
    " coalesce((SELECT jsonb_object_agg(place, said) FROM"
    "   (SELECT place, jsonb_agg(said) AS said FROM state.tell_person($1, $2, $3) GROUP BY place) AS t), '{}')))";

/* Everything about the person, sealed. *sealed is owned by the caller; NULL: the key that came with the request is none. */
static enum result seal_answer(struct db *db, const struct shard *shard, const struct packet_erase *erase,
    const struct pseudonym *names, size_t count, uint8_t **sealed, size_t *length, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = names_params(shard, erase->app, names, count);
    db_text(params, acts_tenant(shard->directory, erase->app));
    db_uuid(params, erase->request);
    enum result result = rows_run(db, "requests.answer", answer_sql, params, &rows, why);
    if (result != RESULT_OK)
        return result;
    const char *text = db_get_text(rows, 0, 0);
    size_t text_length = strlen(text);
    *length = text_length + crypto_box_SEALBYTES;
    *sealed = malloc(*length);
    assert(*sealed != NULL);
    if (crypto_box_seal(*sealed, (const unsigned char *)text, text_length, erase->seal) != 0) {
        free(*sealed);
        *sealed = NULL;
    }
    PQclear(rows);
    return RESULT_OK;
}

static enum result write_answer(struct db *db, const struct request *request, const uint8_t *sealed, size_t length,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_uuid(params, request->id);
    db_bytes(params, sealed, length);
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

/* Delete the person and remember the names. */
static enum result forget_and_mark(struct db *db, struct shard *shard, const struct packet_erase *erase, int64_t applied_ms,
    int64_t keep_days, const struct pseudonym *names, size_t count, struct failure *why)
{
    /* Until no packet under way and no backup can bear one of the names. */
    int64_t days = (keep_days > FOLD_ALIAS_DAYS ? keep_days : FOLD_ALIAS_DAYS) + 1;
    bool objection = erase->kind == PACKET_OBJECTION;
    struct forgotten_mark mark = {.app = erase->app, .objection = objection, .since_ms = erase->at_ms,
        .dies_on = objection ? FORGOTTEN_NO_END : (int32_t)(applied_ms / REQUESTS_DAY_MS + days)};
    memcpy(mark.request, erase->request, sizeof mark.request);
    forgotten_add_names(&shard->fold.forgotten, &mark, names, count);
    return forget_names(db, shard, erase->app, names, count, why);
}

static enum result carry_out(struct db *db, struct shard *shard, const struct packet_erase *erase, int64_t keep_days,
    const struct pseudonym *names, size_t count, struct failure *why)
{
    bool recorded = false;
    int64_t now_ms = 0;
    uint8_t *sealed = NULL;
    size_t length = 0;
    enum result result = is_recorded(db, erase->request, &recorded, &now_ms, why);
    if (result == RESULT_OK && (erase->kind == PACKET_ERASURE || erase->kind == PACKET_OBJECTION))
        result = forget_and_mark(db, shard, erase, now_ms, keep_days, names, count, why);
    if (result == RESULT_OK && erase->kind == PACKET_WITHDRAWAL)
        result = withdraw(db, shard, erase->app, names, count, why);
    if (result != RESULT_OK || recorded)
        return result;
    struct request request =
        request_of(erase->request, erase->app, kind_name(erase->kind), erase->at_ms, now_ms, keep_days);
    if (erase->kind == PACKET_ACCESS)
        result = seal_answer(db, shard, erase, names, count, &sealed, &length, why);
    if (erase->kind == PACKET_ACCESS && sealed == NULL)
        request.out = LEAF_FAILED;
    if (result == RESULT_OK)
        result = record(db, shard, &request, why);
    if (result == RESULT_OK && sealed != NULL)
        result = write_answer(db, &request, sealed, length, why);
    free(sealed);
    return result;
}

enum result requests_apply(struct db *db, struct shard *shard, const struct packet_erase *erase, int64_t keep_days,
    struct failure *why)
{
    struct pseudonym *names = NULL;
    size_t count = 0;
    enum result result = all_names(db, shard, erase->app, erase->name, erase->names, &names, &count, why);
    if (result == RESULT_OK)
        result = carry_out(db, shard, erase, keep_days, names, count, why);
    free(names);
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
