#include "service/release/store.h"

#include <string.h>

#include "service/release/declared.h"
#include "service/release/record.h"

enum result store_progress(struct db *db, const struct store_day *day, struct failure *why)
{
    static const char activity_sql[] =
        "INSERT INTO release.progress AS p (app, first_day, activity_through) VALUES ($1, $2, $3)"
        " ON CONFLICT (app) DO UPDATE SET activity_through = excluded.activity_through"
        " WHERE coalesce(p.activity_through + 1, p.first_day) <= excluded.activity_through RETURNING first_day";
    static const char sessions_sql[] =
        "INSERT INTO release.progress AS p (app, first_day, sessions_through) VALUES ($1, $2, $3)"
        " ON CONFLICT (app) DO UPDATE SET sessions_through = excluded.sessions_through"
        " WHERE coalesce(p.sessions_through + 1, p.first_day) <= excluded.sessions_through RETURNING first_day";
    struct db_params *params = db_params_new();
    db_int4(params, (int32_t)day->app->id);
    db_date(params, day->first_day);
    db_date(params, day->day);
    PGresult *result = NULL;
    enum result code = day->stage == STAGE_ACTIVITY
                           ? db_run(db, "release_progress_activity", activity_sql, params, &result, why)
                           : db_run(db, "release_progress_sessions", sessions_sql, params, &result, why);
    db_params_free(params);
    if (code == RESULT_OK && (PQntuples(result) != 1 || db_get_date(result, 0, 0) != day->first_day)) {
        failure_set(why, "", "another process released this day");
        code = RESULT_FULL;
    }
    PQclear(result);
    return code;
}

static const char *row_item(const struct store_day *day, const struct sheet_row *row)
{
    return declared_name(day->app, row->number, row->item);
}

/* Append the act's leaves leaves[0 … count - 1], which are freed here. With a head, it moves on by each, to hashes[]. */
static enum result append_leaves(struct db *db, const char *act, struct leaf *leaves[], uint8_t ids[][16], size_t count,
    struct head *head, uint8_t hashes[][HEAD_HASH_BYTES], struct failure *why)
{
    static const char sql[] = "SELECT count(audit.append(id, $3, leaf)) FROM unnest($1::uuid[], $2::bytea[]) AS l (id, leaf)";
    struct db_params *params = db_params_new();
    enum result code = RESULT_OK;
    db_array_begin(params, DB_ELEMENT_UUID);
    for (size_t i = 0; i < count; i++)
        db_array_bytes(params, ids[i], 16);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count && code == RESULT_OK; i++) {
        const char *bytes = NULL;
        size_t length = 0;
        code = leaf_finish(leaves[i], &bytes, &length, why);
        if (code == RESULT_OK && length > RECORD_MAX_BYTES) {
            failure_set(why, "", "a release is too large for the audit trail");
            code = RESULT_INVALID;
        }
        if (code != RESULT_OK)
            break;
        db_array_bytes(params, bytes, length);
        if (head != NULL) {
            head_add(head, bytes, length);
            memcpy(hashes[i], head->hash, HEAD_HASH_BYTES);
        }
    }
    db_array_end(params);
    db_text(params, act);
    if (code == RESULT_OK && count > 0)
        code = db_run(db, "release_leaves", sql, params, NULL, why);
    db_params_free(params);
    for (size_t i = 0; i < count; i++)
        leaf_free(leaves[i]);
    return code;
}

enum result store_leaves(struct db *db, struct store_day *day, struct failure *why)
{
    const struct sheet *sheet = day->sheet;
    struct leaf *leaves[SHEET_RELEASES_MAX] = {NULL};
    struct record_closing closing = {.first_day = day->first_day, .day = day->day, .stage = day->stage,
        .sealed_at_ms = day->sealed_at_ms};
    for (size_t i = 0; i < sheet->release_count; i++) {
        closing.place = day->head.count + (int64_t)i + 1;
        leaves[i] = record_release(day->app, day->policy, sheet, &sheet->releases[i], &closing, day->ids[i]);
    }
    enum result code = append_leaves(db, "aggregates_released", leaves, day->ids, sheet->release_count, &day->head,
        day->hashes, why);
    if (code != RESULT_OK)
        return code;
    for (size_t i = 0; i < sheet->refused_count; i++)
        leaves[i] = record_refused(day->app, day->policy, &sheet->refused[i], &closing, day->refused_ids[i]);
    return append_leaves(db, "aggregates_refused", leaves, day->refused_ids, sheet->refused_count, NULL, NULL, why);
}

static void text_element(struct db_params *params, const char *text)
{
    db_array_bytes(params, text, text == NULL ? 0 : strlen(text));
}

/* The columns of release.release and release.refused that a transaction's rows differ in, one array each. */
enum released_column { RELEASED_LEAF, RELEASED_FAMILY, RELEASED_ITEM, RELEASED_INTERVAL, RELEASED_PERIOD, RELEASED_PROTECTION,
    RELEASED_K, RELEASED_SIGMA2, RELEASED_RHO, RELEASED_PLACE, RELEASED_HASH, RELEASED_COLUMNS,
    REFUSED_COLUMNS = RELEASED_PROTECTION };

static const enum db_element released_elements[RELEASED_COLUMNS] = {
    [RELEASED_LEAF] = DB_ELEMENT_UUID,
    [RELEASED_FAMILY] = DB_ELEMENT_TEXT,
    [RELEASED_ITEM] = DB_ELEMENT_TEXT,
    [RELEASED_INTERVAL] = DB_ELEMENT_TEXT,
    [RELEASED_PERIOD] = DB_ELEMENT_DATE,
    [RELEASED_PROTECTION] = DB_ELEMENT_TEXT,
    [RELEASED_K] = DB_ELEMENT_INT4,
    [RELEASED_SIGMA2] = DB_ELEMENT_TEXT,
    [RELEASED_RHO] = DB_ELEMENT_TEXT,
    [RELEASED_PLACE] = DB_ELEMENT_INT8,
    [RELEASED_HASH] = DB_ELEMENT_BYTEA,
};

/* at: the release's place in the sheet, as its hash and id have it. */
static void released_element(struct db_params *params, enum released_column column, const struct store_day *day,
    const struct sheet_release *release, const uint8_t ids[][16], size_t at)
{
    char text[RATIONAL_TEXT_MAX];
    switch (column) {
    case RELEASED_LEAF:
        db_array_bytes(params, ids[at], 16);
        break;
    case RELEASED_FAMILY:
        text_element(params, family_name(release->family));
        break;
    case RELEASED_ITEM:
        text_element(params, record_item(day->app, release));
        break;
    case RELEASED_INTERVAL:
        text_element(params, family_interval_name(release->interval));
        break;
    case RELEASED_PERIOD:
        db_array_int(params, release->period);
        break;
    case RELEASED_PROTECTION:
        text_element(params, record_protection(day->policy, release));
        break;
    case RELEASED_K:
        db_array_int(params, record_k(day->policy, release));
        break;
    case RELEASED_SIGMA2:
        text_element(params, record_sigma2(record_common(day->sheet, release), text));
        break;
    case RELEASED_RHO:
        text_element(params, record_rho(release->grant.rho, text));
        break;
    case RELEASED_PLACE:
        db_array_int(params, day->head.count - (int64_t)day->sheet->release_count + (int64_t)at + 1);
        break;
    case RELEASED_HASH:
    case RELEASED_COLUMNS:
        db_array_bytes(params, day->hashes[at], HEAD_HASH_BYTES);
        break;
    }
}

static void released_arrays(struct db_params *params, const struct store_day *day, const struct sheet_release *releases,
    size_t count, const uint8_t ids[][16], enum released_column columns)
{
    for (enum released_column column = 0; column < columns; column++) {
        db_array_begin(params, released_elements[column]);
        for (size_t i = 0; i < count; i++)
            released_element(params, column, day, &releases[i], ids, i);
        db_array_end(params);
    }
}

enum result store_releases(struct db *db, const struct store_day *day, struct failure *why)
{
    static const char sql[] =
        "INSERT INTO release.release (leaf, family, item, interval, period, protection, k, sigma2, rho, place, hash,"
        " population, app, definition, preset, mechanism, sealed_at)"
        " SELECT r.*, $12, $13, $14, $15, $16, $17 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::date[],"
        " $6::text[], $7::int[], $8::text[], $9::text[], $10::bigint[], $11::bytea[]) AS r";
    struct db_params *params = db_params_new();
    released_arrays(params, day, day->sheet->releases, day->sheet->release_count, day->ids, RELEASED_COLUMNS);
    db_text(params, day->app->population);
    db_int4(params, (int32_t)day->app->id);
    db_int4(params, (int32_t)day->app->version);
    db_text(params, policy_preset_name(day->policy->preset));
    db_text(params, policy_mechanism(day->policy));
    db_time(params, day->sealed_at_ms);
    enum result code = db_run(db, "release_release", sql, params, NULL, why);
    db_params_free(params);
    return code;
}

enum result store_refused(struct db *db, const struct store_day *day, struct failure *why)
{
    static const char sql[] =
        "INSERT INTO release.refused (leaf, family, item, interval, period, population, app, reason, sealed_at)"
        " SELECT r.*, $6, $7, 'not_reserved', $8"
        " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::date[]) AS r";
    if (day->sheet->refused_count == 0)
        return RESULT_OK;
    struct db_params *params = db_params_new();
    released_arrays(params, day, day->sheet->refused, day->sheet->refused_count, day->refused_ids, REFUSED_COLUMNS);
    db_text(params, day->app->population);
    db_int4(params, (int32_t)day->app->id);
    db_time(params, day->sealed_at_ms);
    enum result code = db_run(db, "release_refused", sql, params, NULL, why);
    db_params_free(params);
    return code;
}

/* The columns of release.value, one array each. */
enum column { COLUMN_METRIC, COLUMN_VERSION, COLUMN_INTERVAL, COLUMN_PERIOD, COLUMN_ITEM, COLUMN_N, COLUMN_VALUE,
    COLUMN_LOW, COLUMN_HIGH, COLUMN_RELIABILITY, COLUMN_LEAF, COLUMN_SIGMA2, COLUMN_COUNT };

static const enum db_element column_elements[COLUMN_COUNT] = {
    [COLUMN_METRIC] = DB_ELEMENT_TEXT,
    [COLUMN_VERSION] = DB_ELEMENT_INT4,
    [COLUMN_INTERVAL] = DB_ELEMENT_TEXT,
    [COLUMN_PERIOD] = DB_ELEMENT_DATE,
    [COLUMN_ITEM] = DB_ELEMENT_TEXT,
    [COLUMN_N] = DB_ELEMENT_INT4,
    [COLUMN_VALUE] = DB_ELEMENT_INT8,
    [COLUMN_LOW] = DB_ELEMENT_INT8,
    [COLUMN_HIGH] = DB_ELEMENT_INT8,
    [COLUMN_RELIABILITY] = DB_ELEMENT_TEXT,
    [COLUMN_LEAF] = DB_ELEMENT_UUID,
    [COLUMN_SIGMA2] = DB_ELEMENT_TEXT,
};

static void number_element(struct db_params *params, const struct released *released, int64_t value)
{
    if (released->suppressed)
        db_array_bytes(params, NULL, 0);
    else
        db_array_int(params, value);
}

/* Only where it is not the release's. */
static void sigma2_element(struct db_params *params, const struct store_day *day, size_t release, const struct sheet_row *row)
{
    char text[RATIONAL_TEXT_MAX];
    struct rational common = record_common(day->sheet, &day->sheet->releases[release]);
    text_element(params, rational_compare(row->sigma2, common) == 0 ? NULL : record_sigma2(row->sigma2, text));
}

static void value_element(struct db_params *params, enum column column, const struct store_day *day, size_t release,
    const struct sheet_row *row)
{
    const struct released *released = &row->released;
    switch (column) {
    case COLUMN_METRIC:
        text_element(params, family_number(row->number)->metric);
        break;
    case COLUMN_VERSION:
        db_array_int(params, family_number(row->number)->version);
        break;
    case COLUMN_INTERVAL:
        text_element(params, family_interval_name(day->sheet->releases[release].interval));
        break;
    case COLUMN_PERIOD:
        db_array_int(params, row->period);
        break;
    case COLUMN_ITEM:
        text_element(params, row_item(day, row));
        break;
    case COLUMN_N:
        db_array_int(params, row->n);
        break;
    case COLUMN_VALUE:
        number_element(params, released, released->value);
        break;
    case COLUMN_LOW:
        number_element(params, released, released->low);
        break;
    case COLUMN_HIGH:
        number_element(params, released, released->high);
        break;
    case COLUMN_RELIABILITY:
        text_element(params, cell_reliability_name(released->reliability));
        break;
    case COLUMN_LEAF:
        db_array_bytes(params, day->ids[release], 16);
        break;
    case COLUMN_SIGMA2:
    case COLUMN_COUNT:
        sigma2_element(params, day, release, row);
        break;
    }
}

enum result store_values(struct db *db, const struct store_day *day, struct failure *why)
{
    static const char sql[] =
        "INSERT INTO release.value (app, metric, metric_version, interval, period, item, n, value, low, high, reliability,"
        " leaf, sigma2)"
        " SELECT $13, v.* FROM unnest($1::text[], $2::int[], $3::text[], $4::date[], $5::text[], $6::int[], $7::bigint[],"
        " $8::bigint[], $9::bigint[], $10::text[], $11::uuid[], $12::text[]) AS v";
    const struct sheet *sheet = day->sheet;
    struct db_params *params = db_params_new();
    for (enum column column = 0; column < COLUMN_COUNT; column++) {
        db_array_begin(params, column_elements[column]);
        for (size_t i = 0; i < sheet->release_count; i++) {
            const struct sheet_release *release = &sheet->releases[i];
            for (size_t j = release->first; j < release->first + release->count; j++)
                value_element(params, column, day, i, &sheet->rows[j]);
        }
        db_array_end(params);
    }
    db_int4(params, (int32_t)day->app->id);
    enum result code = db_run(db, "release_value", sql, params, NULL, why);
    db_params_free(params);
    return code;
}
