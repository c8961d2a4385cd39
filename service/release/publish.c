#include "service/release/publish.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/leaf.h"
#include "schema/limits.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/release/declared.h"
#include "service/release/period.h"
#include "service/release/sheet.h"

/* Days whose cells are read at once when catching up, fewer where an app declares much: bounds memory, and reads a sum once
 * for its week and month. */
#define CHUNK_DAYS 128
#define CHUNK_CELLS 100000 /* of declared things, about */

/* The daemon and role that a leaf names as its actor. */
#define ACTOR "throng_release"

/* One (app, day, stage) on its way into the database. */
struct day {
    const struct app *app;
    const struct policy *policy;
    const struct sheet *sheet;
    enum family_stage stage;
    int32_t first_day, day;
    int64_t sealed_at_ms;
    uint8_t ids[SHEET_RELEASES_MAX][16];
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

/* "" but for a funnel. */
static const char *release_item(const struct day *day, const struct sheet_release *release)
{
    return declared_name(day->app, NUMBER_FUNNEL_USERS, release->funnel);
}

/* Each row as [metric, item, n, value]. */
static void leaf_rows(struct leaf *leaf, const struct day *day, const struct sheet_release *release)
{
    leaf_array(leaf, "rows");
    for (size_t i = release->first; i < release->first + release->count; i++) {
        const struct sheet_row *row = &day->sheet->rows[i];
        leaf_array(leaf, NULL);
        leaf_text(leaf, NULL, family_number(row->number)->metric);
        leaf_text(leaf, NULL, row_item(day, row));
        leaf_int(leaf, NULL, row->n);
        if (row->released.suppressed)
            leaf_null(leaf, NULL);
        else
            leaf_int(leaf, NULL, row->released.value);
        leaf_close(leaf);
    }
    leaf_close(leaf);
}

/* The leaf of one release, owned by the caller; its id to id. */
static struct leaf *make_leaf(const struct day *day, const struct sheet_release *release, uint8_t id[16])
{
    struct leaf_head head = {
        .at_ms = clock_now_ms(),
        .act = "aggregates_released",
        .actor_type = "daemon",
        .actor_id = ACTOR,
        .tenant = day->app->name,
        .out = LEAF_OK,
    };
    randombytes_buf(head.id, sizeof head.id);
    randombytes_buf(head.nonce, sizeof head.nonce);
    char period[PERIOD_TEXT_BYTES];
    struct leaf *leaf = leaf_begin(&head);
    memcpy(id, head.id, sizeof head.id);
    leaf_int(leaf, "definition", day->app->version);
    leaf_text(leaf, "family", family_name(release->family));
    leaf_text(leaf, "interval", family_interval_name(release->interval));
    if (release->funnel >= 0)
        leaf_text(leaf, "item", release_item(day, release));
    leaf_int(leaf, "k", day->policy->k);
    leaf_text(leaf, "mechanism", policy_mechanism(day->policy));
    leaf_text(leaf, "period", period_format(release->period, period));
    leaf_text(leaf, "preset", policy_preset_name(day->policy->preset));
    leaf_text(leaf, "protection", policy_protection_name(day->policy->protection));
    leaf_rows(leaf, day, release);
    return leaf;
}

static enum result write_leaves(struct db *db, struct day *day, struct failure *why)
{
    static const char sql[] = "SELECT count(audit.append(id, 'aggregates_released', leaf))"
                              " FROM unnest($1::uuid[], $2::bytea[]) AS l (id, leaf)";
    size_t count = day->sheet->release_count;
    struct leaf *leaves[SHEET_RELEASES_MAX] = {NULL};
    struct db_params *params = db_params_new();
    enum result code = RESULT_OK;
    for (size_t i = 0; i < count; i++)
        leaves[i] = make_leaf(day, &day->sheet->releases[i], day->ids[i]);
    db_array_begin(params, DB_ELEMENT_UUID);
    for (size_t i = 0; i < count; i++)
        db_array_bytes(params, day->ids[i], 16);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count && code == RESULT_OK; i++) {
        const char *bytes = NULL;
        size_t length = 0;
        code = leaf_finish(leaves[i], &bytes, &length, why);
        if (code == RESULT_OK)
            db_array_bytes(params, bytes, length);
    }
    db_array_end(params);
    if (code == RESULT_OK)
        code = db_run(db, "release_leaves", sql, params, NULL, why);
    db_params_free(params);
    for (size_t i = 0; i < count; i++)
        leaf_free(leaves[i]);
    return code;
}

static void text_element(struct db_params *params, const char *text)
{
    db_array_bytes(params, text, strlen(text));
}

static enum result write_releases(struct db *db, const struct day *day, struct failure *why)
{
    static const char sql[] =
        "INSERT INTO release.release (leaf, population, app, family, interval, period, item, definition, preset, protection,"
        " mechanism, k, sealed_at)"
        " SELECT r.leaf, $6, $7, r.family, r.interval, r.period, r.item, $8, $9, $10, $11, $12, $13"
        " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::date[], $5::text[])"
        " AS r (leaf, family, interval, period, item)";
    const struct sheet *sheet = day->sheet;
    struct db_params *params = db_params_new();
    db_array_begin(params, DB_ELEMENT_UUID);
    for (size_t i = 0; i < sheet->release_count; i++)
        db_array_bytes(params, day->ids[i], 16);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < sheet->release_count; i++)
        text_element(params, family_name(sheet->releases[i].family));
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < sheet->release_count; i++)
        text_element(params, family_interval_name(sheet->releases[i].interval));
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_DATE);
    for (size_t i = 0; i < sheet->release_count; i++)
        db_array_int(params, sheet->releases[i].period);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < sheet->release_count; i++)
        text_element(params, release_item(day, &sheet->releases[i]));
    db_array_end(params);
    db_text(params, day->app->population);
    db_int4(params, (int32_t)day->app->id);
    db_int4(params, (int32_t)day->app->version);
    db_text(params, policy_preset_name(day->policy->preset));
    db_text(params, policy_protection_name(day->policy->protection));
    db_text(params, policy_mechanism(day->policy));
    db_int4(params, day->policy->k);
    db_time(params, day->sealed_at_ms);
    enum result code = db_run(db, "release_release", sql, params, NULL, why);
    db_params_free(params);
    return code;
}

/* The columns of release.value, one array each. */
enum column { COLUMN_METRIC, COLUMN_VERSION, COLUMN_INTERVAL, COLUMN_PERIOD, COLUMN_ITEM, COLUMN_N, COLUMN_VALUE,
    COLUMN_LOW, COLUMN_HIGH, COLUMN_RELIABILITY, COLUMN_LEAF, COLUMN_COUNT };

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
};

static void number_element(struct db_params *params, const struct released *released, int64_t value)
{
    if (released->suppressed)
        db_array_bytes(params, NULL, 0);
    else
        db_array_int(params, value);
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
    case COLUMN_COUNT:
        db_array_bytes(params, day->ids[release], 16);
        break;
    }
}

static enum result write_values(struct db *db, const struct day *day, struct failure *why)
{
    static const char sql[] =
        "INSERT INTO release.value (app, metric, metric_version, interval, period, item, n, value, low, high, reliability,"
        " leaf)"
        " SELECT $12, v.* FROM unnest($1::text[], $2::int[], $3::text[], $4::date[], $5::text[], $6::int[], $7::bigint[],"
        " $8::bigint[], $9::bigint[], $10::text[], $11::uuid[]) AS v";
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

static enum result write_day(struct db *db, void *context, struct failure *why)
{
    struct day *day = context;
    enum result code = write_progress(db, day, why);
    if (code == RESULT_OK)
        code = write_leaves(db, day, why);
    if (code == RESULT_OK)
        code = write_releases(db, day, why);
    if (code == RESULT_OK)
        code = write_values(db, day, why);
    return code;
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
    const struct policy *policy;
    const struct schedule_due *due;
    struct publish_count *count;
    struct sheet sheet;
};

static enum result publish_chunk(struct run *run, enum family_stage stage, struct schedule_days days, struct failure *why)
{
    const struct noise_source source = {.bytes = random_bytes};
    const struct app *app = run->app;
    const struct cells_range range = {.app = app, .policy = run->policy, .shards = run->due->shards, .from = days.from,
        .to = days.to};
    int64_t ends[CHUNK_DAYS] = {0};
    struct cells *cells = NULL;
    enum result code = read_ends(run->db, app, days, ends, why);
    if (code == RESULT_OK)
        code = cells_read(run->db, stage, &range, &cells, why);
    for (int32_t day = days.from; day <= days.to && code == RESULT_OK && !lifecycle_ending(); day++) {
        code = sheet_fill(&run->sheet, app, run->policy, &source, run->due->first_day, day, stage, cells, why);
        if (code != RESULT_OK)
            break;
        struct day work = {.app = app, .policy = run->policy, .sheet = &run->sheet, .stage = stage,
            .first_day = run->due->first_day, .day = day,
            .sealed_at_ms = sealed_at(app, stage, ends[day - days.from])};
        code = db_transaction(run->db, write_day, &work, why);
        if (code != RESULT_OK)
            break;
        run->count->transactions++;
        run->count->rows += run->sheet.row_count;
    }
    cells_free(cells);
    return code;
}

static int32_t chunk_days(const struct app *app)
{
    size_t days = CHUNK_CELLS / declared_cells_a_day(app);
    return days > CHUNK_DAYS ? CHUNK_DAYS : days < 7 ? 7 : (int32_t)days;
}

static enum result publish_stage(struct run *run, enum family_stage stage, struct schedule_days days, struct failure *why)
{
    const int32_t most = chunk_days(run->app);
    enum result code = RESULT_OK;
    while (days.from <= days.to && code == RESULT_OK && !lifecycle_ending()) {
        struct schedule_days chunk = days;
        if (chunk.to - chunk.from >= most)
            chunk.to = chunk.from + most - 1;
        code = publish_chunk(run, stage, chunk, why);
        days.from = chunk.to + 1;
    }
    return code;
}

enum result publish_app(struct db *db, const struct app *app, const struct policy *policy, const struct schedule_due *due,
    struct publish_count *count, struct failure *why)
{
    struct run run = {.db = db, .app = app, .policy = policy, .due = due, .count = count};
    enum result code = publish_stage(&run, STAGE_ACTIVITY, due->activity, why);
    if (code == RESULT_OK)
        code = publish_stage(&run, STAGE_SESSIONS, due->sessions, why);
    sheet_free(&run.sheet);
    return code;
}
