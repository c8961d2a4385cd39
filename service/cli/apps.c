#include "service/cli/apps.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/catalogue/definition.h"
#include "service/cli/act.h"

const char *apps_preset_name(enum app_preset preset)
{
    static const char *const names[] = {"strict", "standard", "small", "threshold-only", "exact"};
    return names[preset];
}

enum result apps_find(struct db *db, const char *name, struct apps_row *out, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, name);
    enum result result = db_run(db, "apps_find",
        "SELECT a.app, a.version, a.mode = 'importing', d.body::text, a.twin_of IS NOT NULL FROM config.app a"
        " JOIN config.definition d USING (app, version) WHERE a.name = $1::text",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 0) {
        failure_set(why, "APP", "there is no such app; `throng app list` shows them, `throng app add` makes one");
        PQclear(rows);
        return RESULT_NOT_FOUND;
    }
    *out = (struct apps_row){.id = db_get_int4(rows, 0, 0),
        .version = db_get_int4(rows, 0, 1),
        .importing = db_get_bool(rows, 0, 2),
        .twin = db_get_bool(rows, 0, 4),
        .body = strdup(db_get_text(rows, 0, 3))};
    PQclear(rows);
    if (out->body == NULL)
        return RESULT_FAILED;
    result = definition_parse(out->body, strlen(out->body), &out->app, why);
    if (result != RESULT_OK) {
        free(out->body);
        out->body = NULL;
        return result;
    }
    out->app.id = (uint32_t)out->id;
    out->app.version = (uint32_t)out->version;
    out->app.mode = out->importing ? APP_MODE_IMPORTING : APP_MODE_LIVE;
    return RESULT_OK;
}

void apps_row_free(struct apps_row *row)
{
    if (row->body == NULL)
        return;
    definition_free(&row->app);
    free(row->body);
    row->body = NULL;
}

void apps_hash_definition(const json_t *root, uint8_t out[APPS_HASH_BYTES])
{
    char *canonical = json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(15));
    const char *text = canonical == NULL ? "" : canonical;
    crypto_hash_sha256(out, (const unsigned char *)text, strlen(text));
    free(canonical);
}

enum result apps_write_definition(struct db *db, int32_t app, int32_t version, const char *text,
    const uint8_t hash[APPS_HASH_BYTES], const uint8_t leaf[16], struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int4(params, app);
    db_int4(params, version);
    db_text(params, text);
    db_bytes(params, hash, APPS_HASH_BYTES);
    db_uuid(params, leaf);
    enum result result = db_run(db, "app_definition",
        "INSERT INTO config.definition (app, version, body, hash, leaf) VALUES ($1, $2, ($3::text)::jsonb, $4, $5)",
        params, NULL, why);
    db_params_free(params);
    return result;
}

struct mode_change {
    const struct apps_row *row;
    bool importing;
};

static enum result change_mode(struct db *db, void *context, struct failure *why)
{
    const struct mode_change *change = context;
    struct act act;
    struct db_params *params = NULL;
    enum result result = act_begin(db, "app_mode_changed", change->row->app.name, &act, why);
    if (result != RESULT_OK)
        goto out;
    const char *mode = change->importing ? "importing" : "live";
    leaf_text(act.leaf, "mode", mode);
    result = act_append(db, &act, why);
    if (result != RESULT_OK)
        goto out;
    params = db_params_new();
    db_int4(params, change->row->id);
    db_text(params, mode);
    db_uuid(params, act.head.id);
    result = db_run(db, "apps_mode", "UPDATE config.app SET mode = $2::text, leaf = $3 WHERE app = $1", params, NULL, why);
out:
    db_params_free(params);
    act_free(&act);
    return result;
}

enum result apps_set_importing(struct db *db, struct apps_row *row, bool importing, struct failure *why)
{
    if (row->importing == importing)
        return RESULT_OK;
    if (row->twin) {
        failure_set(why, "APP", "is a test app: it takes live events only, and nothing of it is released");
        return RESULT_INVALID;
    }
    struct mode_change change = {.row = row, .importing = importing};
    enum result result = db_transaction(db, change_mode, &change, why);
    if (result == RESULT_OK)
        row->importing = importing;
    return result;
}

enum result apps_sealed_until_ms(struct db *db, const struct apps_row *row, int64_t *ms, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, row->id);
    db_text(params, row->app.time_zone);
    enum result result = db_run(db, "apps_sealed",
        "SELECT s.start_ms FROM (SELECT max(activity_through) AS day FROM ("
        "SELECT activity_through FROM release.progress WHERE app = $1 UNION ALL"
        " SELECT activity_through FROM state.progress WHERE app = $1) p) closed,"
        " config.day_starts($2::text, closed.day + 1, closed.day + 1) s WHERE closed.day IS NOT NULL",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *ms = PQntuples(rows) == 0 ? INT64_MIN : db_get_int8(rows, 0, 0);
    PQclear(rows);
    return RESULT_OK;
}

enum result apps_today(struct db *db, const char *zone, int32_t *today, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_time(params, clock_now_ms());
    db_text(params, zone);
    enum result result = db_run(db, "apps_today", "SELECT ($1::timestamptz AT TIME ZONE $2::text)::date", params, &rows,
        why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *today = db_get_date(rows, 0, 0);
    PQclear(rows);
    return RESULT_OK;
}
