#include "service/release/replay.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/plan.h"
#include "anonymizer/release/policy.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/catalogue/definition.h"
#include "service/release/declared.h"
#include "service/release/head.h"
#include "service/release/ledger.h"
#include "service/release/period.h"
#include "service/release/store.h"

#define BATCH_LEAVES 200 /* of a transaction */

/* One leaf on its way back. */
struct replayed {
    json_t *root; /* the leaf */
    json_t *data; /* of root */
    const uint8_t *id;
    const void *bytes;
    size_t length;
};

/* What replay_missing works on. The definition is kept from leaf to leaf. */
struct replay {
    struct replay_count *count;
    struct app app; /* id 0: none is loaded */
    char name[64];
    struct store_day day;
    struct sheet sheet;
    PGresult *leaves;
    int64_t after; /* index of the last leaf that was looked at */
};

/* Reading a leaf */

static enum result not_ours(struct failure *why, const char *member)
{
    failure_set(why, member, "a leaf of the audit trail does not have it as this version of throng writes it");
    return RESULT_CORRUPT;
}

static const char *text_of(const struct replayed *leaf, const char *member)
{
    const char *text = json_string_value(json_object_get(leaf->data, member));
    return text == NULL ? "" : text;
}

static bool read_day(const struct replayed *leaf, const char *member, int32_t *day)
{
    return clock_parse_date(text_of(leaf, member), day);
}

static bool read_int(const struct replayed *leaf, const char *member, int64_t least, int64_t *value)
{
    const json_t *number = json_object_get(leaf->data, member);
    *value = json_integer_value(number);
    return json_is_integer(number) && *value >= least;
}

/* text as an exact number; "": 0/1. */
static bool read_rational(const char *text, struct rational *out)
{
    *out = (struct rational){0, 1};
    return text[0] == '\0' || rational_parse(text, out, NULL) == RESULT_OK;
}

static bool read_preset(const char *name, enum app_preset *preset)
{
    for (enum app_preset at = APP_PRESET_STRICT; at <= APP_PRESET_EXACT; at++) {
        if (strcmp(policy_preset_name(at), name) == 0) {
            *preset = at;
            return true;
        }
    }
    return false;
}

static bool read_family(const char *name, enum family_id *family)
{
    for (*family = 0; *family < FAMILY_COUNT; (*family)++)
        if (strcmp(family_name(*family), name) == 0)
            return true;
    return false;
}

/* The definition that the leaf is of, to replay->app. */
static enum result load_app(struct db *db, struct replay *replay, const struct replayed *leaf, struct failure *why)
{
    static const char sql[] = "SELECT app FROM config.app WHERE name = $1";
    const char *name = json_string_value(json_object_get(leaf->root, "tenant"));
    int64_t version = 0;
    if (name == NULL || strlen(name) >= sizeof replay->name || !read_int(leaf, "definition", 1, &version))
        return not_ours(why, "definition");
    if (replay->app.id != 0 && replay->app.version == version && strcmp(replay->name, name) == 0)
        return RESULT_OK;
    definition_free(&replay->app);
    replay->app = (struct app){0};
    struct db_params *params = db_params_new();
    db_text(params, name);
    PGresult *rows = NULL;
    enum result code = db_run(db, "replay_app", sql, params, &rows, why);
    db_params_free(params);
    struct schedule_due due = {.version = (uint32_t)version};
    if (code == RESULT_OK && PQntuples(rows) == 1)
        due.app = (uint32_t)db_get_int4(rows, 0, 0);
    PQclear(rows);
    if (code == RESULT_OK)
        code = due.app == 0 ? RESULT_NOT_FOUND : schedule_definition(db, &due, &replay->app, why);
    if (code == RESULT_NOT_FOUND)
        failure_set(why, name, "version %lld of its definition is younger than the restored backup: `throng app add` or `apply`"
            " it again, as it was", (long long)version);
    if (code == RESULT_OK)
        (void)strcpy(replay->name, name);
    return code;
}

/* Plans */

/* [name, l2, sigma2, rho, reserved] */
static bool read_planned(const json_t *row, struct ledger_month *month)
{
    enum family_id family;
    const char *name = json_string_value(json_array_get(row, 0));
    const char *sigma2 = json_string_value(json_array_get(row, 2)), *rho = json_string_value(json_array_get(row, 3));
    if (name == NULL || sigma2 == NULL || rho == NULL || month->terms == NULL || !read_family(name, &family))
        return false;
    struct ledger_family *planned = &month->families[family];
    planned->reserved = json_integer_value(json_array_get(row, 4)) == 1;
    return month->terms->plan.families[family].funded &&
        (json_int_t)month->terms->plan.families[family].l2_month == json_integer_value(json_array_get(row, 1)) &&
        read_rational(sigma2, &planned->sigma2) && read_rational(rho, &planned->rho);
}

static enum result put_plan(struct db *db, struct replay *replay, const struct replayed *leaf, struct failure *why)
{
    struct ledger ledger = {.app = &replay->app};
    struct ledger_month month = {.planned = true, .version = replay->app.version};
    struct ledger_terms terms = {.version = replay->app.version, .app = replay->app};
    int64_t k = 0;
    int32_t first = 0;
    if (!read_day(leaf, "month", &first) || !read_int(leaf, "k", 1, &k) || k > POLICY_K_MAX ||
        !read_preset(text_of(leaf, "preset"), &month.preset))
        return not_ours(why, "month");
    month.k = (int32_t)k;
    enum result code = RESULT_OK;
    if (policy_is_private(month.preset)) {
        terms.preset = month.preset;
        terms.k = month.k;
        code = plan_make(&replay->app, month.preset, (uint32_t)k, &terms.plan, why);
        month.terms = &terms;
    }
    size_t at;
    json_t *row;
    json_array_foreach(json_object_get(leaf->data, "families"), at, row)
        if (code == RESULT_OK && !read_planned(row, &month))
            code = not_ours(why, "families");
    if (code == RESULT_OK)
        code = ledger_write(db, &ledger, &month, first, leaf->id, why);
    replay->count->plans += code == RESULT_OK;
    return code;
}

/* Releases */

static bool read_number(enum family_id family, const char *metric, enum family_number *number)
{
    for (*number = 0; *number < NUMBER_COUNT; (*number)++)
        if (family_number(*number)->family == family && strcmp(family_number(*number)->metric, metric) == 0)
            return true;
    return false;
}

/* The position of the declared thing called name; -1 for "" where number is not about one. */
static bool read_item(const struct app *app, enum family_number number, const char *name, int32_t *item)
{
    *item = -1;
    if (!declared_has_items(number))
        return name[0] == '\0';
    for (*item = 0; *item < declared_items(app, number); (*item)++)
        if (strcmp(declared_name(app, number, *item), name) == 0)
            return true;
    return false;
}

/* A release of retention has rows of the cohorts, each by its own period. */
static int32_t period_of_row(const struct sheet_release *release, enum family_number number, int32_t n)
{
    if (number == NUMBER_RETENTION)
        return period_add(release->interval, release->period, -n);
    return number == NUMBER_LAST_ACTIVE ? period_add(release->interval, release->period, -PLAN_LAST_ACTIVE_MAX) : release->period;
}

static enum result add_row(struct replay *replay, const struct sheet_row *like, const json_t *pair, struct failure *why)
{
    struct sheet *sheet = &replay->sheet;
    if (sheet->row_count == sheet->row_room) {
        size_t room = sheet->row_room * 2 + 256;
        struct sheet_row *rows = realloc(sheet->rows, room * sizeof *rows);
        if (rows == NULL)
            return RESULT_FULL;
        sheet->rows = rows;
        sheet->row_room = room;
    }
    const json_t *n = json_array_get(pair, 0), *value = json_array_get(pair, 1);
    if (!json_is_integer(n) || !(json_is_integer(value) || json_is_null(value)))
        return not_ours(why, "rows");
    struct sheet_row *row = &sheet->rows[sheet->row_count++];
    *row = *like;
    row->n = (int32_t)json_integer_value(n);
    row->period = period_of_row(&sheet->releases[0], row->number, row->n);
    row->released = cell_suppressed();
    if (json_is_null(value))
        return RESULT_OK;
    return cell_again(replay->day.policy, row->number, row->sigma2, json_integer_value(value), &row->released, why);
}

/* [metric, item, [[n, value], …], sigma2?] */
static enum result add_group(struct replay *replay, const json_t *group, struct rational common, struct failure *why)
{
    struct sheet_row like = {.sigma2 = common};
    const char *metric = json_string_value(json_array_get(group, 0)), *item = json_string_value(json_array_get(group, 1));
    const char *sigma2 = json_string_value(json_array_get(group, 3));
    const json_t *pairs = json_array_get(group, 2), *pair;
    if (metric == NULL || item == NULL || !json_is_array(pairs) ||
        !read_number(replay->sheet.releases[0].family, metric, &like.number) ||
        !read_item(&replay->app, like.number, item, &like.item) || (sigma2 != NULL && !read_rational(sigma2, &like.sigma2)))
        return not_ours(why, "rows");
    enum result code = RESULT_OK;
    size_t at;
    json_array_foreach(pairs, at, pair)
        if (code == RESULT_OK)
            code = add_row(replay, &like, pair, why);
    return code;
}

/* The release that the leaf is of, or was refused, to *release. */
static bool read_release(const struct replay *replay, const struct replayed *leaf, struct sheet_release *release)
{
    int64_t k = 0;
    *release = (struct sheet_release){.item = -1};
    release->interval = family_interval_named(text_of(leaf, "interval"));
    if (!read_family(text_of(leaf, "family"), &release->family) || release->interval == INTERVAL_COUNT ||
        !read_day(leaf, "period", &release->period))
        return false;
    if (json_object_get(leaf->data, "k") != NULL && !read_int(leaf, "k", 1, &k))
        return false;
    release->grant.k = (int32_t)k;
    release->grant.unprotected = strcmp(text_of(leaf, "protection"), "none") == 0;
    if (!read_rational(text_of(leaf, "rho"), &release->grant.rho))
        return false;
    if (json_object_get(leaf->data, "item") == NULL)
        return true;
    enum family_number number = 0;
    while (family_number(number)->family != release->family)
        number++;
    return read_item(&replay->app, number, text_of(leaf, "item"), &release->item);
}

/* How far releasing had come with the leaf, to replay->day. */
static bool read_closing(struct replay *replay, const struct replayed *leaf)
{
    struct store_day *day = &replay->day;
    const char *stage = text_of(leaf, "stage");
    day->app = &replay->app;
    day->sheet = &replay->sheet;
    day->stage = strcmp(stage, "activity") == 0 ? STAGE_ACTIVITY : STAGE_SESSIONS;
    return (day->stage == STAGE_ACTIVITY || strcmp(stage, "sessions") == 0) && read_day(leaf, "day", &day->day) &&
        read_day(leaf, "first_day", &day->first_day) && read_int(leaf, "sealed_at", 0, &day->sealed_at_ms);
}

/* As store_progress, but several releases of one day come one by one. */
static enum result put_progress(struct db *db, const struct store_day *day, struct failure *why)
{
    static const char sql[] =
        "INSERT INTO release.progress AS p (app, first_day, activity_through, sessions_through)"
        " VALUES ($1, $2, CASE WHEN $4 THEN $3 END, CASE WHEN NOT $4 THEN $3 END)"
        " ON CONFLICT (app) DO UPDATE SET"
        " activity_through = greatest(p.activity_through, excluded.activity_through),"
        " sessions_through = greatest(p.sessions_through, excluded.sessions_through)";
    struct db_params *params = db_params_new();
    db_int4(params, (int32_t)day->app->id);
    db_date(params, day->first_day);
    db_date(params, day->day);
    db_bool(params, day->stage == STAGE_ACTIVITY);
    enum result code = db_run(db, "replay_progress", sql, params, NULL, why);
    db_params_free(params);
    return code;
}

static enum result fill(struct replay *replay, const struct replayed *leaf, struct failure *why)
{
    struct rational common;
    replay->sheet.release_count = 1;
    replay->sheet.refused_count = 0;
    replay->sheet.row_count = 0;
    if (!read_release(replay, leaf, &replay->sheet.releases[0]) || !read_rational(text_of(leaf, "sigma_squared"), &common))
        return not_ours(why, "family");
    enum result code = RESULT_OK;
    size_t at;
    json_t *group;
    json_array_foreach(json_object_get(leaf->data, "rows"), at, group)
        if (code == RESULT_OK)
            code = add_group(replay, group, common, why);
    replay->sheet.releases[0].count = replay->sheet.row_count;
    return code;
}

static enum result put_release(struct db *db, struct replay *replay, const struct replayed *leaf, struct failure *why)
{
    struct store_day *day = &replay->day;
    struct policy policy;
    enum app_preset preset;
    int64_t place = 0, k = 0;
    if (!read_closing(replay, leaf) || !read_preset(text_of(leaf, "preset"), &preset) || !read_int(leaf, "k", 1, &k) ||
        !read_int(leaf, "place", 1, &place))
        return not_ours(why, "place");
    if (place != day->head.count + 1) {
        failure_set(why, "release.head", "the database has %lld releases, and the next in the trail is number %lld",
            (long long)day->head.count, (long long)place);
        return RESULT_CORRUPT;
    }
    enum result code = policy_make(preset, true, (uint32_t)k, &policy, why);
    day->policy = &policy;
    if (code == RESULT_OK)
        code = fill(replay, leaf, why);
    memcpy(day->ids[0], leaf->id, sizeof day->ids[0]);
    head_add(&day->head, leaf->bytes, leaf->length);
    memcpy(day->hashes[0], day->head.hash, HEAD_HASH_BYTES);
    if (code == RESULT_OK)
        code = put_progress(db, day, why);
    if (code == RESULT_OK)
        code = store_releases(db, day, why);
    if (code == RESULT_OK && replay->sheet.row_count > 0)
        code = store_values(db, day, why);
    day->policy = NULL;
    replay->count->releases += code == RESULT_OK;
    return code;
}

static enum result put_refused(struct db *db, struct replay *replay, const struct replayed *leaf, struct failure *why)
{
    replay->sheet.release_count = 0;
    replay->sheet.refused_count = 1;
    if (!read_closing(replay, leaf) || !read_release(replay, leaf, &replay->sheet.refused[0]))
        return not_ours(why, "family");
    memcpy(replay->day.refused_ids[0], leaf->id, sizeof replay->day.refused_ids[0]);
    enum result code = put_progress(db, &replay->day, why);
    if (code == RESULT_OK)
        code = store_refused(db, &replay->day, why);
    replay->count->refused += code == RESULT_OK;
    return code;
}

/* Batches */

static enum result put_leaf(struct db *db, struct replay *replay, int row, struct failure *why)
{
    size_t unused = 0;
    struct replayed leaf = {.id = db_get_bytes(replay->leaves, row, 0, &unused)};
    const char *act = db_get_text(replay->leaves, row, 1);
    leaf.bytes = db_get_bytes(replay->leaves, row, 2, &leaf.length);
    leaf.root = json_loadb(leaf.bytes, leaf.length, JSON_REJECT_DUPLICATES, NULL);
    leaf.data = json_object_get(leaf.root, "data");
    enum result code = leaf.data == NULL ? not_ours(why, "data") : load_app(db, replay, &leaf, why);
    if (code == RESULT_OK && strcmp(act, "month_planned") == 0)
        code = put_plan(db, replay, &leaf, why);
    else if (code == RESULT_OK && strcmp(act, "aggregates_released") == 0)
        code = put_release(db, replay, &leaf, why);
    else if (code == RESULT_OK)
        code = put_refused(db, replay, &leaf, why);
    json_decref(leaf.root);
    return code;
}

static enum result put_batch(struct db *db, void *context, struct failure *why)
{
    struct replay *replay = context;
    enum result code = head_lock(db, &replay->day.head, why);
    for (int row = 0; row < PQntuples(replay->leaves) && code == RESULT_OK; row++)
        code = put_leaf(db, replay, row, why);
    return code == RESULT_OK ? head_write(db, &replay->day.head, why) : code;
}

/* The next leaves that the database lacks, in the log's order, to replay->leaves. */
static enum result read_batch(struct db *db, struct replay *replay, struct failure *why)
{
    static const char sql[] =
        "SELECT l.id, l.act, l.leaf, l.index FROM audit.released AS l WHERE l.index > $2 AND CASE l.act"
        " WHEN 'month_planned' THEN NOT EXISTS (SELECT FROM release.plan AS p WHERE p.leaf = l.id)"
        " WHEN 'aggregates_released' THEN NOT EXISTS (SELECT FROM release.release AS r WHERE r.leaf = l.id)"
        " ELSE NOT EXISTS (SELECT FROM release.refused AS r WHERE r.leaf = l.id) END"
        " ORDER BY l.index LIMIT $1";
    struct db_params *params = db_params_new();
    db_int4(params, BATCH_LEAVES);
    db_int8(params, replay->after);
    PQclear(replay->leaves);
    replay->leaves = NULL;
    enum result code = db_run(db, "replay_leaves", sql, params, &replay->leaves, why);
    db_params_free(params);
    if (code == RESULT_OK && PQntuples(replay->leaves) > 0)
        replay->after = db_get_int8(replay->leaves, PQntuples(replay->leaves) - 1, 3);
    return code;
}

enum result replay_missing(struct db *db, struct replay_count *count, struct failure *why)
{
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return RESULT_FULL;
    replay->count = count;
    replay->after = -1;
    enum result code = read_batch(db, replay, why);
    while (code == RESULT_OK && PQntuples(replay->leaves) > 0 && !lifecycle_ending()) {
        struct replay_count before = *count;
        code = db_transaction(db, put_batch, replay, why);
        if (code != RESULT_OK)
            *count = before;
        else
            code = read_batch(db, replay, why);
    }
    PQclear(replay->leaves);
    sheet_free(&replay->sheet);
    definition_free(&replay->app);
    free(replay);
    return code;
}
