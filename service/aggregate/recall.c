#include "service/aggregate/recall.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/live.h"
#include "service/aggregate/requests.h"
#include "service/aggregate/rows.h"
#include "service/base/clock.h"
#include "service/db/trail.h"

#define VALUE_BYTES 96
#define PURGE_FIELD "purge:"

/* Loading */

static void get_fixed(const PGresult *rows, int row, int column, uint8_t *out, size_t size)
{
    size_t length;
    const uint8_t *bytes = db_get_bytes(rows, row, column, &length);
    assert(length == size);
    memcpy(out, bytes, size);
}

static enum result load_marks(struct db *db, struct shard *shard, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(db, "recall.marks",
        "SELECT app, tag, kind = 'objection', request, since_ms, dies_on FROM subject.mark WHERE shard = $1 ORDER BY app, tag, kind",
        rows_params(shard), &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct forgotten_mark mark = {.app = (uint32_t)db_get_int4(rows, i, 0), .objection = db_get_bool(rows, i, 2),
            .since_ms = db_get_int8(rows, i, 4), .dies_on = db_is_null(rows, i, 5) ? FORGOTTEN_NO_END : db_get_date(rows, i, 5),
            .told = true};
        get_fixed(rows, i, 1, mark.tag, sizeof mark.tag);
        get_fixed(rows, i, 3, mark.request, sizeof mark.request);
        (void)forgotten_add(&shard->fold.forgotten, &mark);
    }
    PQclear(rows);
    return result;
}

static enum result load_purges(struct db *db, struct shard *shard, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(db, "recall.purges", "SELECT app, purge, since_ms FROM subject.purged_shard WHERE shard = $1",
        rows_params(shard), &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct forgotten_purge purge = {.app = (uint32_t)db_get_int4(rows, i, 0), .since_ms = db_get_int8(rows, i, 2), .told = true};
        get_fixed(rows, i, 1, purge.request, sizeof purge.request);
        (void)forgotten_add_purge(&shard->fold.forgotten, &purge);
    }
    PQclear(rows);
    return result;
}

enum result recall_load(struct db *db, struct shard *shard, struct failure *why)
{
    PGresult *rows = NULL;
    forgotten_clear(&shard->fold.forgotten);
    enum result result = db_run(db, "recall.key", "SELECT key FROM subject.mark_key", NULL, &rows, why);
    if (result == RESULT_OK && PQntuples(rows) == 1) {
        get_fixed(rows, 0, 0, shard->fold.forgotten.key, FORGOTTEN_KEY_BYTES);
    } else if (result == RESULT_OK) {
        failure_set(why, "subject.mark_key", "the key of the marks is missing");
        result = RESULT_FAILED;
    }
    PQclear(rows);
    if (result == RESULT_OK)
        result = load_marks(db, shard, why);
    return result == RESULT_OK ? load_purges(db, shard, why) : result;
}

/* Writing */

/* $2 apps, $3 tags, $4 kinds, $5 requests, $6 since, $7 dies_on: of what was not told. */
static struct db_params *mark_params(const struct shard *shard, size_t *count)
{
    static const enum db_element elements[] = {DB_ELEMENT_INT4, DB_ELEMENT_BYTEA, DB_ELEMENT_TEXT, DB_ELEMENT_UUID, DB_ELEMENT_INT8,
        DB_ELEMENT_DATE};
    const struct forgotten *forgotten = &shard->fold.forgotten;
    struct db_params *params = rows_params(shard);
    *count = 0;
    for (int column = 0; column < 6; column++) {
        db_array_begin(params, elements[column]);
        for (size_t i = 0; i < forgotten->count; i++) {
            const struct forgotten_mark *mark = &forgotten->marks[i];
            const char *kind = mark->objection ? "objection" : "erasure";
            if (mark->told)
                continue;
            *count += column == 0 ? 1 : 0;
            if (column == 1)
                db_array_bytes(params, mark->tag, sizeof mark->tag);
            else if (column == 2)
                db_array_bytes(params, kind, strlen(kind));
            else if (column == 3)
                db_array_bytes(params, mark->request, sizeof mark->request);
            else if (column == 5 && mark->dies_on == FORGOTTEN_NO_END)
                db_array_bytes(params, NULL, 0);
            else
                db_array_int(params, column == 0 ? (int64_t)mark->app : column == 4 ? mark->since_ms : mark->dies_on);
        }
        db_array_end(params);
    }
    return params;
}

enum result recall_write(struct db *db, const struct shard *shard, struct failure *why)
{
    size_t count = 0;
    if (shard->fold.forgotten.count == 0)
        return RESULT_OK;
    struct db_params *params = mark_params(shard, &count);
    enum result result = RESULT_OK;
    if (count > 0)
        result = db_run(db, "recall.write",
            "INSERT INTO subject.mark AS m (shard, app, tag, kind, request, since_ms, dies_on)"
            " SELECT $1, * FROM unnest($2::int[], $3::bytea[], $4::text[], $5::uuid[], $6::bigint[], $7::date[])"
            " ON CONFLICT (shard, app, tag, kind) DO UPDATE SET request = excluded.request, since_ms = excluded.since_ms,"
            " dies_on = excluded.dies_on",
            params, NULL, why);
    db_params_free(params);
    return result;
}

/* Redis's copy */

/* One field and value in Redis, owned by a list. */
struct copy {
    char field[FORGOTTEN_FIELD_BYTES], value[VALUE_BYTES];
};

struct copies {
    struct copy *copies;
    size_t count;
};

static struct copy *add_copy(struct copies *list)
{
    struct copy *grown = realloc(list->copies, (list->count + 1) * sizeof *grown);
    assert(grown != NULL);
    list->copies = grown;
    grown[list->count] = (struct copy){{0}, {0}};
    return &grown[list->count++];
}

static void copy_mark(struct copies *list, const struct forgotten_mark *mark)
{
    char request[33];
    struct copy *copy = add_copy(list);
    (void)sodium_bin2hex(request, sizeof request, mark->request, sizeof mark->request);
    forgotten_field(mark, copy->field);
    (void)snprintf(copy->value, sizeof copy->value, "%" PRIu32 " %s %" PRId64 " %" PRId32, mark->app, request, mark->since_ms,
        mark->dies_on);
}

static void copy_purge(struct copies *list, const struct forgotten_purge *purge)
{
    char request[33];
    struct copy *copy = add_copy(list);
    (void)sodium_bin2hex(request, sizeof request, purge->request, sizeof purge->request);
    (void)snprintf(copy->field, sizeof copy->field, PURGE_FIELD "%s", request);
    (void)snprintf(copy->value, sizeof copy->value, "%" PRIu32 " %s %" PRId64 " %" PRId32, purge->app, request, purge->since_ms,
        FORGOTTEN_NO_END);
}

static enum result send(struct stream *stream, const struct shard *shard, const struct copies *list, struct failure *why)
{
    if (list->count == 0)
        return RESULT_OK;
    struct stream_mark *marks = calloc(list->count, sizeof *marks);
    assert(marks != NULL);
    for (size_t i = 0; i < list->count; i++)
        marks[i] = (struct stream_mark){list->copies[i].field, list->copies[i].value};
    enum result result = stream_marks_set(stream, shard->number, marks, list->count, why);
    free(marks);
    return result;
}

static enum result delete_gone(struct stream *stream, const struct shard *shard, struct failure *why)
{
    const struct forgotten *forgotten = &shard->fold.forgotten;
    if (forgotten->gone_count == 0)
        return RESULT_OK;
    const char **fields = calloc(forgotten->gone_count, sizeof *fields);
    assert(fields != NULL);
    for (size_t i = 0; i < forgotten->gone_count; i++)
        fields[i] = forgotten->gone[i];
    enum result result = stream_marks_delete(stream, shard->number, fields, forgotten->gone_count, why);
    free(fields);
    return result;
}

enum result recall_tell(struct stream *stream, const struct shard *shard, struct failure *why)
{
    const struct forgotten *forgotten = &shard->fold.forgotten;
    struct copies list = {NULL, 0};
    for (size_t i = 0; i < forgotten->count; i++) {
        if (!forgotten->marks[i].told)
            copy_mark(&list, &forgotten->marks[i]);
    }
    for (size_t i = 0; i < forgotten->purge_count; i++) {
        if (!forgotten->purges[i].told)
            copy_purge(&list, &forgotten->purges[i]);
    }
    enum result result = delete_gone(stream, shard, why);
    if (result == RESULT_OK)
        result = send(stream, shard, &list, why);
    free(list.copies);
    return result;
}

/* Comparing */

static bool parse_value(const char *value, uint32_t *app, uint8_t request[16], int64_t *since_ms, int32_t *dies_on)
{
    char hex[33];
    size_t length = 0;
    if (sscanf(value, "%" SCNu32 " %32[0-9a-f] %" SCNd64 " %" SCNd32, app, hex, since_ms, dies_on) != 4)
        return false;
    return sodium_hex2bin(request, 16, hex, strlen(hex), NULL, &length, NULL) == 0 && length == 16;
}

static void take_mark(void *context, const struct stream_mark *given)
{
    struct forgotten *known = context;
    uint32_t app;
    uint8_t request[16];
    int64_t since_ms;
    int32_t dies_on;
    size_t length = 0;
    const char *end = NULL;
    if (!parse_value(given->value, &app, request, &since_ms, &dies_on))
        return;
    if (strncmp(given->field, PURGE_FIELD, strlen(PURGE_FIELD)) == 0) {
        struct forgotten_purge purge = {.app = app, .since_ms = since_ms};
        memcpy(purge.request, request, sizeof request);
        (void)forgotten_add_purge(known, &purge);
        return;
    }
    struct forgotten_mark mark = {.app = app, .since_ms = since_ms, .dies_on = dies_on};
    memcpy(mark.request, request, sizeof request);
    if (sodium_hex2bin(mark.tag, sizeof mark.tag, given->field, strlen(given->field), NULL, &length, &end) != 0 ||
        length != sizeof mark.tag || (strcmp(end, ":o") != 0 && strcmp(end, ":e") != 0))
        return;
    mark.objection = strcmp(end, ":o") == 0;
    (void)forgotten_add(known, &mark);
}

struct again {
    struct shard *shard;
    struct forgotten missing; /* what the database lacks */
    int64_t keep_days;
};

/* The rows of whose names have one of the tags: HMAC by RFC 2104, in SQL. */
static enum result forget_tagged(struct db *db, const struct again *again, uint32_t app, struct failure *why)
{
    uint8_t inner[64] = {0};
    uint8_t outer[64] = {0};
    memcpy(inner, again->shard->fold.forgotten.key, FORGOTTEN_KEY_BYTES);
    memcpy(outer, again->shard->fold.forgotten.key, FORGOTTEN_KEY_BYTES);
    for (size_t i = 0; i < sizeof inner; i++) {
        inner[i] ^= 0x36;
        outer[i] ^= 0x5c;
    }
    struct db_params *params = rows_params(again->shard);
    db_int4(params, (int32_t)app);
    db_bytes(params, inner, sizeof inner);
    db_bytes(params, outer, sizeof outer);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < again->missing.count; i++) {
        if (again->missing.marks[i].app == app)
            db_array_bytes(params, again->missing.marks[i].tag, FORGOTTEN_TAG_BYTES);
    }
    db_array_end(params);
    PGresult *rows = NULL;
    enum result result = db_run(db, "recall.named",
        "SELECT name FROM state.all_names($1, $2) AS name"
        " WHERE sha256($4::bytea || sha256($3::bytea || int4send($2) || name)) = ANY ($5::bytea[]) GROUP BY name",
        params, &rows, why);
    sodium_memzero(inner, sizeof inner);
    sodium_memzero(outer, sizeof outer);
    db_params_free(params);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct pseudonym name = rows_get_name(rows, i, 0);
        result = requests_forget(db, again->shard, app, &name, 1, why);
    }
    PQclear(rows);
    return result;
}

/* A former owner of the shard must not do this any more. */
static enum result check_lease(struct db *db, const struct shard *shard, struct failure *why)
{
    struct db_params *params = rows_params(shard);
    PGresult *rows = NULL;
    db_int8(params, shard->token);
    enum result result = rows_run(db, "recall.lease",
        "UPDATE state.shard SET off = off WHERE shard = $1 AND token = $2 RETURNING 1", params, &rows, why);
    if (result == RESULT_OK && PQntuples(rows) != 1) {
        failure_set(why, "state.shard", "another process owns this shard now");
        result = RESULT_DENIED;
    }
    PQclear(rows);
    return result;
}

static enum result again_body(struct db *db, void *context, struct failure *why)
{
    struct again *again = context;
    enum result result = check_lease(db, again->shard, why);
    for (size_t i = 0; result == RESULT_OK && i < again->missing.count; i++) {
        if (i == 0 || again->missing.marks[i].app != again->missing.marks[i - 1].app)
            result = forget_tagged(db, again, again->missing.marks[i].app, why);
    }
    for (size_t i = 0; result == RESULT_OK && i < again->missing.count; i++)
        result = requests_record_again(db, again->shard, &again->missing.marks[i], again->keep_days, why);
    for (size_t i = 0; result == RESULT_OK && i < again->missing.purge_count; i++)
        result = requests_purge(db, again->shard, &again->missing.purges[i], why);
    return result == RESULT_OK ? recall_write(db, again->shard, why) : result;
}

/* What of Redis's marks the shard lacks. Those that died are no longer needed anywhere. */
static void find_missing(const struct forgotten *known, const struct shard *shard, struct forgotten *missing)
{
    int32_t today = (int32_t)(clock_now_ms() / 86400000);
    for (size_t i = 0; i < known->count; i++) {
        const struct forgotten_mark *mark = &known->marks[i];
        const struct forgotten_mark *here = forgotten_find(&shard->fold.forgotten, mark->app, mark->tag, mark->objection);
        if (mark->dies_on >= today && (here == NULL || here->since_ms < mark->since_ms))
            (void)forgotten_add(missing, mark);
    }
    for (size_t i = 0; i < known->purge_count; i++) {
        bool here = false;
        for (size_t j = 0; j < shard->fold.forgotten.purge_count; j++)
            here = here || memcmp(shard->fold.forgotten.purges[j].request, known->purges[i].request, 16) == 0;
        if (!here)
            (void)forgotten_add_purge(missing, &known->purges[i]);
    }
}

/* Tell Redis what it lacks. */
static enum result complete(struct stream *stream, const struct shard *shard, const struct forgotten *known, struct failure *why)
{
    const struct forgotten *forgotten = &shard->fold.forgotten;
    struct copies list = {NULL, 0};
    for (size_t i = 0; i < forgotten->count; i++) {
        const struct forgotten_mark *mark = &forgotten->marks[i];
        const struct forgotten_mark *there = forgotten_find(known, mark->app, mark->tag, mark->objection);
        if (there == NULL || there->since_ms < mark->since_ms)
            copy_mark(&list, mark);
    }
    for (size_t i = 0; i < forgotten->purge_count; i++) {
        bool there = false;
        for (size_t j = 0; j < known->purge_count; j++)
            there = there || memcmp(known->purges[j].request, forgotten->purges[i].request, 16) == 0;
        if (!there)
            copy_purge(&list, &forgotten->purges[i]);
    }
    enum result result = send(stream, shard, &list, why);
    free(list.copies);
    return result;
}

enum result recall_compare(struct db *db, struct stream *stream, struct shard *shard, int64_t keep_days, size_t *again,
    struct failure *why)
{
    struct forgotten known = {0};
    struct again work = {.shard = shard, .keep_days = keep_days};
    *again = 0;
    enum result result = stream_marks_read(stream, shard->number, take_mark, &known, why);
    if (result == RESULT_OK)
        find_missing(&known, shard, &work.missing);
    if (result == RESULT_OK && work.missing.count + work.missing.purge_count > 0) {
        *again = work.missing.count + work.missing.purge_count;
        for (size_t i = 0; i < work.missing.count; i++)
            (void)forgotten_add(&shard->fold.forgotten, &work.missing.marks[i]);
        for (size_t i = 0; i < work.missing.purge_count; i++)
            (void)forgotten_add_purge(&shard->fold.forgotten, &work.missing.purges[i]);
        result = db_transaction(db, again_body, &work, why);
    }
    if (result == RESULT_OK)
        result = complete(stream, shard, &known, why);
    /* Else what the fold added since the last flush is still to be written. */
    if (result == RESULT_OK && *again > 0)
        forgotten_settle(&shard->fold.forgotten);
    forgotten_clear(&known);
    forgotten_clear(&work.missing);
    return result;
}

/* Expiring */

struct expiry {
    struct shard *shard;
    struct stream *stream;
    int32_t today;
    size_t count;
};

static bool is_dead(const struct forgotten_mark *mark, const void *context)
{
    return mark->dies_on < *(const int32_t *)context;
}

static enum result expire_body(struct db *db, void *context, struct failure *why)
{
    const struct expiry *expiry = context;
    struct trail trail;
    enum result result = check_lease(db, expiry->shard, why);
    struct db_params *params = rows_params(expiry->shard);
    db_date(params, expiry->today);
    if (result == RESULT_OK)
        result = db_run(db, "recall.expire", "DELETE FROM subject.mark WHERE shard = $1 AND dies_on < $2", params, NULL, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    result = trail_begin("mark_expired", "", "aggregate", LEAF_OK, NULL, &trail);
    if (result == RESULT_OK) {
        leaf_int(trail.leaf, "count", (int64_t)expiry->count);
        result = trail_append(db, &trail, why);
    }
    trail_free(&trail);
    return result == RESULT_OK ? delete_gone(expiry->stream, expiry->shard, why) : result;
}

enum result recall_expire(struct db *db, struct stream *stream, struct shard *shard, int32_t today, struct failure *why)
{
    struct expiry expiry = {.shard = shard, .stream = stream, .today = today};
    expiry.count = forgotten_drop(&shard->fold.forgotten, is_dead, &today);
    if (expiry.count == 0)
        return RESULT_OK;
    enum result result = db_transaction(db, expire_body, &expiry, why);
    if (result == RESULT_OK)
        forgotten_settle(&shard->fold.forgotten);
    return result;
}
