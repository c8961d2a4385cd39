#include "service/release/publish.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "schema/limits.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/release/declared.h"
#include "service/release/ledger.h"
#include "service/release/period.h"
#include "service/release/record.h"
#include "service/release/sheet.h"

/* Days whose cells are read at once when catching up, fewer where an app declares much: bounds memory, and reads a sum once
 * for its week and month. */
#define CHUNK_DAYS 128
#define CHUNK_CELLS 100000 /* of declared things, about */

/* One (app, day, stage) on its way into the database. */
struct day {
    const struct app *app; /* what it is released of; with noise, once its month is planned, what that was planned by */
    const struct policy *policy;
    const struct cells *cells;
    struct ledger *ledger;
    struct sheet *sheet;
    enum family_stage stage;
    int32_t first_day, day;
    int32_t month; /* the last one whose data can change what is released */
    int64_t sealed_at_ms;
    struct head head; /* before, then after */
    uint8_t ids[SHEET_RELEASES_MAX][16], refused_ids[SHEET_RELEASES_MAX][16];
    uint8_t hashes[SHEET_RELEASES_MAX][HEAD_HASH_BYTES];
};

static enum result random_bytes(void *context, void *out, size_t n)
{
    (void)context;
    randombytes_buf(out, n);
    return RESULT_OK;
}

/* RESULT_FULL if the row is not where this run expects it: another process released the day. */
static enum result write_progress(struct db *db, const struct day *day, struct failure *why)
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

static const char *row_item(const struct day *day, const struct sheet_row *row)
{
    return declared_name(day->app, row->number, row->item);
}

static enum result fill(struct db *db, struct day *day, struct failure *why)
{
    const struct noise_source source = {.bytes = random_bytes};
    enum result code = ledger_plan(db, day->ledger, day->month, why);
    if (code != RESULT_OK)
        return code;
    if (day->policy->protection == PROTECTION_DP)
        day->app = &ledger_month(day->ledger, day->month)->terms->app;
    const struct sheet_job job = {.app = day->app, .policy = day->policy, .source = &source, .ledger = day->ledger,
        .cells = day->cells, .first_day = day->first_day, .day = day->day, .month = day->month, .stage = day->stage};
    return sheet_fill(day->sheet, &job, why);
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

static enum result write_leaves(struct db *db, struct day *day, struct failure *why)
{
    const struct sheet *sheet = day->sheet;
    struct leaf *leaves[SHEET_RELEASES_MAX] = {NULL};
    for (size_t i = 0; i < sheet->release_count; i++)
        leaves[i] = record_release(day->app, day->policy, sheet, &sheet->releases[i], day->ids[i]);
    enum result code = append_leaves(db, "aggregates_released", leaves, day->ids, sheet->release_count, &day->head,
        day->hashes, why);
    if (code != RESULT_OK)
        return code;
    for (size_t i = 0; i < sheet->refused_count; i++)
        leaves[i] = record_refused(day->app, day->policy, &sheet->refused[i], day->refused_ids[i]);
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
static void released_element(struct db_params *params, enum released_column column, const struct day *day,
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

static void released_arrays(struct db_params *params, const struct day *day, const struct sheet_release *releases,
    size_t count, const uint8_t ids[][16], enum released_column columns)
{
    for (enum released_column column = 0; column < columns; column++) {
        db_array_begin(params, released_elements[column]);
        for (size_t i = 0; i < count; i++)
            released_element(params, column, day, &releases[i], ids, i);
        db_array_end(params);
    }
}

static enum result write_releases(struct db *db, const struct day *day, struct failure *why)
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

static enum result write_refused(struct db *db, const struct day *day, struct failure *why)
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
static void sigma2_element(struct db_params *params, const struct day *day, size_t release, const struct sheet_row *row)
{
    char text[RATIONAL_TEXT_MAX];
    struct rational common = record_common(day->sheet, &day->sheet->releases[release]);
    text_element(params, rational_compare(row->sigma2, common) == 0 ? NULL : record_sigma2(row->sigma2, text));
}

static void value_element(struct db_params *params, enum column column, const struct day *day, size_t release,
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

static enum result write_values(struct db *db, const struct day *day, struct failure *why)
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

/* RESULT_CORRUPT if the database lacks releases that were made. */
static enum result lock_head(struct db *db, struct day *day, struct failure *why)
{
    struct head found = {0};
    enum result code = head_lock(db, &found, why);
    if (code == RESULT_OK && found.count < day->head.count)
        code = head_check(db, &day->head, why);
    day->head = found;
    return code;
}

static enum result write_day(struct db *db, void *context, struct failure *why)
{
    struct day *day = context;
    enum result code = write_progress(db, day, why);
    if (code == RESULT_OK)
        code = fill(db, day, why);
    if (code == RESULT_OK)
        code = lock_head(db, day, why);
    if (code == RESULT_OK)
        code = write_leaves(db, day, why);
    if (code == RESULT_OK && day->sheet->release_count > 0)
        code = write_releases(db, day, why);
    if (code == RESULT_OK && day->sheet->release_count > 0)
        code = write_values(db, day, why);
    if (code == RESULT_OK)
        code = write_refused(db, day, why);
    return code == RESULT_OK ? head_write(db, &day->head, why) : code;
}

/* The ends of the days days.from … days.to by the app's zone, to ends[]. */
static enum result read_ends(struct db *db, const struct app *app, struct schedule_days days, int64_t ends[CHUNK_DAYS],
    struct failure *why)
{
    static const char sql[] = "SELECT day, start_ms FROM config.day_starts($1, $2, $3)";
    struct db_params *params = db_params_new();
    db_text(params, app->time_zone);
    db_date(params, days.from + 1);
    db_date(params, days.to + 1);
    PGresult *result = NULL;
    enum result code = db_run(db, "release_day_starts", sql, params, &result, why);
    db_params_free(params);
    if (code != RESULT_OK)
        return code;
    for (int row = 0; row < PQntuples(result); row++) {
        int32_t at = db_get_date(result, row, 0) - 1 - days.from;
        if (at >= 0 && at < CHUNK_DAYS)
            ends[at] = db_get_int8(result, row, 1);
    }
    PQclear(result);
    return RESULT_OK;
}

/* The schedule's time, not the moment: what a row says of when must not tell when the system was down. */
static int64_t sealed_at(const struct app *app, enum family_stage stage, int64_t end_ms)
{
    int64_t at = end_ms + app->lateness_ms;
    return stage == STAGE_ACTIVITY ? at : at + SESSION_MAX_MS + app->session_timeout_ms;
}

/* What publish_app works on. */
struct run {
    struct db *db;
    const struct app *app;
    const struct schedule_due *due;
    struct ledger ledger;
    struct publish_head *head;
    struct publish_count *count;
    struct sheet sheet;
};

/* The last month whose data can change what the closing of day releases: a session may run into the next day. */
static int32_t last_month(enum family_stage stage, int32_t day)
{
    return period_of(INTERVAL_MONTH, stage == STAGE_SESSIONS ? day + 1 : day);
}

static enum result publish_day(struct run *run, struct day *day, struct failure *why)
{
    day->head = run->head->known;
    enum result code = db_transaction(run->db, write_day, day, why);
    if (code != RESULT_OK)
        return code;
    run->count->transactions++;
    run->count->rows += run->sheet.row_count;
    run->count->refused += run->sheet.refused_count;
    bool moved = run->head->known.count != day->head.count;
    run->head->known = day->head;
    return moved && run->head->state != NULL ? head_store(run->head->state, &day->head, why) : RESULT_OK;
}

/* The days, all of which are released under what next says. */
static enum result publish_chunk(struct run *run, enum family_stage stage, struct schedule_days days,
    const struct ledger_month *next, struct failure *why)
{
    struct policy policy;
    /* That nobody consents to an unprotected release was found when the definition was read. */
    enum result code = policy_make(next->preset, true, (uint32_t)next->k, &policy, why);
    const struct app *app = next->terms == NULL ? run->app : &next->terms->app;
    const struct cells_range range = {.app = app, .policy = &policy, .shards = run->due->shards, .from = days.from,
        .to = days.to};
    int64_t ends[CHUNK_DAYS] = {0};
    struct cells *cells = NULL;
    if (code == RESULT_OK)
        code = read_ends(run->db, app, days, ends, why);
    if (code == RESULT_OK)
        code = cells_read(run->db, stage, &range, &cells, why);
    for (int32_t day = days.from; day <= days.to && code == RESULT_OK && !lifecycle_ending(); day++) {
        struct day work = {.app = app, .policy = &policy, .cells = cells, .ledger = &run->ledger, .sheet = &run->sheet,
            .stage = stage, .first_day = run->due->first_day, .day = day, .month = last_month(stage, day),
            .sealed_at_ms = sealed_at(app, stage, ends[day - days.from])};
        code = publish_day(run, &work, why);
    }
    cells_free(cells);
    return code;
}

static int32_t chunk_days(const struct app *app)
{
    size_t days = CHUNK_CELLS / declared_cells_a_day(app);
    return days > CHUNK_DAYS ? CHUNK_DAYS : days < 7 ? 7 : (int32_t)days;
}

/* Whether what is released under the one is what is released under the other. */
static bool is_same(const struct ledger_month *a, const struct ledger_month *b)
{
    return a->preset == b->preset && a->k == b->k && (a->version == b->version || plan_epsilon(a->preset).numerator == 0);
}

static enum result publish_stage(struct run *run, enum family_stage stage, struct schedule_days days, struct failure *why)
{
    const int32_t most = chunk_days(run->app);
    enum result code = RESULT_OK;
    while (days.from <= days.to && code == RESULT_OK && !lifecycle_ending()) {
        const struct ledger_month next = ledger_outlook(&run->ledger, last_month(stage, days.from));
        struct schedule_days chunk = {days.from, days.from};
        while (chunk.to < days.to && chunk.to - chunk.from + 1 < most) {
            struct ledger_month after = ledger_outlook(&run->ledger, last_month(stage, chunk.to + 1));
            if (!is_same(&next, &after))
                break;
            chunk.to++;
        }
        code = publish_chunk(run, stage, chunk, &next, why);
        days.from = chunk.to + 1;
    }
    return code;
}

enum result publish_app(struct db *db, const struct app *app, const struct schedule_due *due, struct publish_head *head,
    struct publish_count *count, struct failure *why)
{
    struct run run = {.db = db, .app = app, .due = due, .head = head, .count = count};
    enum result code = ledger_read(db, app, due, &run.ledger, why);
    if (code == RESULT_OK)
        code = publish_stage(&run, STAGE_ACTIVITY, due->activity, why);
    if (code == RESULT_OK)
        code = publish_stage(&run, STAGE_SESSIONS, due->sessions, why);
    sheet_free(&run.sheet);
    ledger_free(&run.ledger);
    return code;
}
