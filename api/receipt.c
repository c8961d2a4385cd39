#include "api/receipt.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "api/limiter.h"
#include "service/base/clock.h"

#define UUID_BYTES 16

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 8-4-4-4-12 lower-case digits, as we write them. */
static bool read_uuid(const char *text, uint8_t out[UUID_BYTES])
{
    size_t digits = 0;
    for (size_t i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
            continue;
        }
        int value = digit(text[i]);
        if (value < 0)
            return false;
        out[digits / 2] = (uint8_t)(digits % 2 == 0 ? value << 4 : out[digits / 2] | value);
        digits++;
    }
    return text[36] == '\0';
}

static enum result read_rows(struct call *call, const uint8_t id[UUID_BYTES], PGresult **rows, struct failure *why)
{
    struct db *db = call_db(call, why);
    if (db == NULL)
        return RESULT_UNAVAILABLE;
    struct db_params *params = db_params_new();
    db_uuid(params, id);
    db_int4(params, call->identity.app);
    enum result result = db_run(db, "receipt",
        "SELECT r.id::text, r.kind, coalesce(c.name, ''), r.received_at, r.due_at, r.last_due_at, r.applied_at, r.purge_due_at,"
        " r.purged_at, r.received_leaf::text, ri.index, r.applied_leaf::text, ai.index, r.purged_leaf::text, pi.index, a.sealed,"
        " a.expires_at FROM subject.request r LEFT JOIN config.app c USING (app) LEFT JOIN subject.answer a ON a.request = r.id"
        " LEFT JOIN audit.entry ri ON ri.id = r.received_leaf LEFT JOIN audit.entry ai ON ai.id = r.applied_leaf"
        " LEFT JOIN audit.entry pi ON pi.id = r.purged_leaf WHERE r.id = $1::uuid AND ($2 = 0 OR r.app = $2)",
        params, rows, why);
    db_params_free(params);
    return result;
}

static json_t *time_json(const PGresult *rows, int column)
{
    return db_is_null(rows, 0, column) ? json_null() : json_integer((json_int_t)db_get_time(rows, 0, column));
}

/* A leaf by its id in `column`; its index, in the column behind, is there once it is in the log. */
static json_t *leaf_json(const PGresult *rows, int column)
{
    if (db_is_null(rows, 0, column))
        return json_null();
    return json_pack("{s:s,s:o}", "leaf", db_get_text(rows, 0, column), "index",
        db_is_null(rows, 0, column + 1) ? json_null() : json_integer((json_int_t)db_get_int8(rows, 0, column + 1)));
}

static json_t *sealed_json(const PGresult *rows, int column)
{
    if (db_is_null(rows, 0, column))
        return json_null();
    size_t length = 0;
    const uint8_t *bytes = db_get_bytes(rows, 0, column, &length);
    size_t room = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(room);
    if (text == NULL)
        return NULL;
    json_t *json = json_string(sodium_bin2base64(text, room, bytes, length, sodium_base64_VARIANT_ORIGINAL));
    free(text);
    return json;
}

static json_t *receipt_json(const PGresult *rows)
{
    json_t *root = json_pack("{s:s,s:s,s:s,s:s}", "request", db_get_text(rows, 0, 0), "kind", db_get_text(rows, 0, 1), "app",
        db_get_text(rows, 0, 2), "stage", db_is_null(rows, 0, 8) ? "applied" : "purged");
    static const char *const times[] = {"received_at", "due_at", "last_due_at", "applied_at", "purge_due_at", "purged_at"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        json_object_set_new(root, times[i], time_json(rows, 3 + (int)i));
    json_object_set_new(root, "leaves",
        json_pack("{s:o,s:o,s:o}", "received", leaf_json(rows, 9), "applied", leaf_json(rows, 11), "purged", leaf_json(rows, 13)));
    json_object_set_new(root, "answer", sealed_json(rows, 15));
    json_object_set_new(root, "answer_expires_at", time_json(rows, 16));
    return root;
}

enum MHD_Result receipt_answer(struct call *call, const char *id)
{
    struct failure why = {0};
    uint8_t uuid[UUID_BYTES] = {0};
    PGresult *rows = NULL;
    struct reply reply = {.cache_control = NULL}; /* no-store */
    if (!limiter_allow(call->service->receipts, call->identity.actor, clock_steady_ms())) {
        metrics_add(METRIC_RATE_LIMITED, 1);
        return call_problem(call, MHD_HTTP_TOO_MANY_REQUESTS, "rate_limited", "", "this key asks for receipts too often");
    }
    journal_count(call->service->journal, &call->identity, JOURNAL_TRAIL, "receipts");
    if (!read_uuid(id, uuid))
        return call_not_found(call);
    if (read_rows(call, uuid, &rows, &why) != RESULT_OK)
        return call_unavailable(call);
    json_t *root = PQntuples(rows) == 0 ? NULL : receipt_json(rows);
    bool found = PQntuples(rows) > 0;
    PQclear(rows);
    if (!found)
        return call_not_found(call);
    char *body = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return call_send(call, &reply, REPLY_JSON, body);
}
