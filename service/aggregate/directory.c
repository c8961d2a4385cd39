#include "service/aggregate/directory.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/limits.h"
#include "service/aggregate/fold.h"
#include "service/base/metrics.h"

struct app_name {
    uint32_t app;
    char name[NAME_MAX_BYTES + 1];
};

struct directory {
    atomic_int references;
    uint64_t version;
    struct catalogue *catalogue;
    struct directory_app *apps;
    size_t app_count;
    bool has_twins;
    struct app_name *names; /* of all apps */
    size_t name_count;
    uint64_t *retired; /* ascending */
    size_t retired_count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct directory *current;

/* Calendars live for ever: zones are few and immutable. Used by the refreshing thread only. */
static struct calendar **calendars;
static size_t calendar_count;

const struct directory *directory_current(void)
{
    pthread_mutex_lock(&lock);
    struct directory *directory = current;
    if (directory != NULL)
        atomic_fetch_add(&directory->references, 1);
    pthread_mutex_unlock(&lock);
    return directory;
}

void directory_release(const struct directory *directory)
{
    /* Snapshots are handed out const; the count inside is ours. */
    struct directory *mine = (struct directory *)(uintptr_t)directory;
    if (mine == NULL || atomic_fetch_sub(&mine->references, 1) != 1)
        return;
    catalogue_release(mine->catalogue);
    free(mine->apps);
    free(mine->names);
    free(mine->retired);
    free(mine);
}

uint64_t directory_version(const struct directory *directory)
{
    return directory->version;
}

const struct directory_app *directory_apps(const struct directory *directory, size_t *count)
{
    *count = directory->app_count;
    return directory->apps;
}

const char *directory_name(const struct directory *directory, uint32_t app)
{
    for (size_t i = 0; i < directory->name_count; i++) {
        if (directory->names[i].app == app)
            return directory->names[i].name;
    }
    return "";
}

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

bool directory_has_twins(const struct directory *directory)
{
    return directory->has_twins;
}

bool directory_is_retired(const struct directory *directory, uint64_t node)
{
    return directory->retired_count > 0 &&
        bsearch(&node, directory->retired, directory->retired_count, sizeof node, compare_u64) != NULL;
}

static enum result load_calendar(struct db *db, const char *zone, const struct calendar **out, struct failure *why)
{
    for (size_t i = 0; i < calendar_count; i++) {
        if (strcmp(calendars[i]->zone, zone) == 0) {
            *out = calendars[i];
            return RESULT_OK;
        }
    }
    struct db_params *params = db_params_new();
    db_text(params, zone);
    db_date(params, CALENDAR_FIRST_DAY);
    db_date(params, CALENDAR_LAST_DAY);
    PGresult *rows = NULL;
    enum result result = db_run(db, "directory.calendar",
        "SELECT start_ms FROM config.day_starts($1, $2, $3) ORDER BY day", params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    assert(PQntuples(rows) == CALENDAR_DAYS);
    struct calendar *calendar = calloc(1, sizeof *calendar);
    struct calendar **list = realloc(calendars, (calendar_count + 1) * sizeof(struct calendar *));
    assert(calendar != NULL && list != NULL && strlen(zone) < sizeof calendar->zone);
    strcpy(calendar->zone, zone);
    for (int i = 0; i < CALENDAR_DAYS; i++)
        calendar->start_ms[i] = db_get_int8(rows, i, 0);
    PQclear(rows);
    calendars = list;
    calendars[calendar_count++] = calendar;
    *out = calendar;
    return RESULT_OK;
}

/* The catalogue document, made by the database in one statement: see service/catalogue/catalogue.h. $1: version. The keys of
 * a test app are in it while the app lives, its write keys for no longer than a day; the app itself for an hour more. */
#define KEY_OF_LIVING "JOIN config.app a USING (app) WHERE k.revoked_at IS NULL AND (a.lives_until IS NULL OR a.lives_until > now())"
static const char catalogue_sql[] =
    "SELECT json_build_object('format', 1, 'version', $1::bigint, 'shards', (SELECT shards FROM config.installation),"
    " 'apps', coalesce((SELECT json_agg(json_build_object('id', a.app, 'version', a.version, 'mode', a.mode,"
    "   'sealed_until_ms', coalesce((SELECT s.start_ms FROM (SELECT max(activity_through) + 1 AS day FROM state.progress"
    "     WHERE app = a.app) p, config.day_starts(a.time_zone, p.day, p.day) s), 0),"
    "   'definition', d.body) ORDER BY a.app)"
    "   FROM config.app a JOIN config.definition d ON d.app = a.app AND d.version = a.version"
    "   WHERE a.lives_until IS NULL OR a.lives_until > now() - interval '1 hour'), '[]'),"
    " 'write_keys', coalesce((SELECT json_agg(json_build_object('hash', encode(hash, 'hex'), 'app', app))"
    "   FROM config.write_key k " KEY_OF_LIVING
    "   AND (a.twin_of IS NULL OR k.created_at > now() - interval '1 day')), '[]'),"
    " 'ingest_keys', coalesce((SELECT json_agg(json_build_object('hash', encode(hash, 'hex'), 'app', coalesce(app, 0)))"
    "   FROM config.api_key k LEFT " KEY_OF_LIVING " AND k.scope = 'ingest'), '[]'),"
    " 'erase_keys', coalesce((SELECT json_agg(json_build_object('hash', encode(hash, 'hex'), 'app', coalesce(app, 0)))"
    "   FROM config.api_key k LEFT " KEY_OF_LIVING " AND k.scope = 'erase'), '[]'))::text";

/* Per app what is not in the document. */
static const char apps_sql[] =
    "SELECT a.app, (a.created_at AT TIME ZONE a.time_zone)::date, s.through, s.requested_at, s.force,"
    "   a.twin_of IS NOT NULL, a.name FROM config.app a LEFT JOIN LATERAL (SELECT through, requested_at, force FROM config.seal_request r"
    "   WHERE r.app = a.app ORDER BY through DESC, requested_at LIMIT 1) s ON true ORDER BY a.app";

static enum result load_apps(struct db *db, struct directory *directory, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "directory.apps", apps_sql, NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    directory->apps = calloc((size_t)PQntuples(rows) + 1, sizeof *directory->apps);
    directory->names = calloc((size_t)PQntuples(rows) + 1, sizeof *directory->names);
    assert(directory->apps != NULL && directory->names != NULL);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct directory_app *app = &directory->apps[directory->app_count];
        struct app_name *name = &directory->names[directory->name_count++];
        name->app = (uint32_t)db_get_int4(rows, i, 0);
        (void)snprintf(name->name, sizeof name->name, "%s", db_get_text(rows, i, 6));
        app->definition = catalogue_app(directory->catalogue, (uint32_t)db_get_int4(rows, i, 0));
        if (app->definition == NULL)
            continue; /* made between the two statements: the next refresh has it */
        app->created_day = db_get_date(rows, i, 1);
        app->importing = app->definition->mode == APP_MODE_IMPORTING;
        app->seal_through_day = db_is_null(rows, i, 2) ? FOLD_NO_DAY : db_get_date(rows, i, 2);
        app->seal_requested_ms = db_is_null(rows, i, 3) ? 0 : db_get_time(rows, i, 3);
        app->seal_force = !db_is_null(rows, i, 4) && db_get_bool(rows, i, 4);
        app->twin = db_get_bool(rows, i, 5);
        directory->has_twins = directory->has_twins || app->twin;
        result = load_calendar(db, app->definition->time_zone, &app->calendar, why);
        directory->app_count++;
    }
    PQclear(rows);
    return result;
}

static enum result load_retired(struct db *db, struct directory *directory, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "directory.retired", "SELECT node FROM config.node_retired", NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    directory->retired_count = (size_t)PQntuples(rows);
    directory->retired = calloc(directory->retired_count + 1, sizeof *directory->retired);
    assert(directory->retired != NULL);
    for (int i = 0; i < PQntuples(rows); i++)
        directory->retired[i] = (uint64_t)db_get_int8(rows, i, 0);
    PQclear(rows);
    qsort(directory->retired, directory->retired_count, sizeof *directory->retired, compare_u64);
    return RESULT_OK;
}

static enum result load(struct db *db, uint64_t version, PGresult **document, struct directory **out,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)version);
    enum result result = db_run(db, "directory.catalogue", catalogue_sql, params, document, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    struct directory *directory = calloc(1, sizeof *directory);
    assert(directory != NULL);
    atomic_init(&directory->references, 1);
    directory->version = version;
    const char *text = db_get_text(*document, 0, 0);
    result = catalogue_parse(text, strlen(text), &directory->catalogue, why);
    if (result == RESULT_OK)
        result = load_apps(db, directory, why);
    if (result == RESULT_OK)
        result = load_retired(db, directory, why);
    if (result == RESULT_OK)
        *out = directory;
    else
        directory_release(directory);
    return result;
}

static void replace_current(struct directory *next)
{
    pthread_mutex_lock(&lock);
    struct directory *last = current;
    current = next;
    pthread_mutex_unlock(&lock);
    directory_release(last);
}

/* The version moves when the operator changes something (by triggers) and, here, when more days of an app are sealed: the
 * document says until when; and when a test app or a key of one comes to its end. $2: how many there were last; at the
 * start it is not known whether one ended meanwhile. */
static const char version_sql[] =
    "WITH present AS (SELECT"
    "   (SELECT coalesce(sum(through), 0)::bigint FROM"
    "     (SELECT max(activity_through) - date '1970-01-01' AS through FROM state.progress GROUP BY app) p) AS days,"
    "   (SELECT count(*) FROM config.app WHERE lives_until > now() - interval '1 hour')"
    "     + (SELECT count(*) FROM config.app WHERE lives_until > now())"
    "     + (SELECT count(*) FROM config.write_key k JOIN config.app a USING (app)"
    "         WHERE a.twin_of IS NOT NULL AND k.created_at > now() - interval '1 day') AS living,"
    "   EXISTS (SELECT FROM config.app WHERE twin_of IS NOT NULL) AS twins),"
    " moved AS (UPDATE config.installation SET catalogue_version = catalogue_version + 1 FROM present"
    "   WHERE (days <> $1 AND $1 <> 0) OR CASE WHEN $2 < 0 THEN twins ELSE living <> $2 END RETURNING catalogue_version)"
    " SELECT coalesce((SELECT catalogue_version FROM moved), catalogue_version), days, living"
    " FROM config.installation, present";

static enum result read_version(struct db *db, uint64_t *version, struct failure *why)
{
    static int64_t sealed_days;
    static int64_t living = -1;
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_int8(params, sealed_days);
    db_int8(params, living);
    enum result result = db_run(db, "directory.version", version_sql, params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 1) {
        *version = (uint64_t)db_get_int8(rows, 0, 0);
        sealed_days = db_get_int8(rows, 0, 1);
        living = db_get_int8(rows, 0, 2);
    } else {
        result = RESULT_NOT_FOUND;
        failure_set(why, "config.installation", "the database is not set up: run throng migrate");
    }
    PQclear(rows);
    return result;
}

enum result directory_refresh(struct db *db, struct stream *stream, struct failure *why)
{
    uint64_t version = 0;
    uint64_t published = 0;
    enum result result = read_version(db, &version, why);
    metrics_set(METRIC_POSTGRES_UP, result == RESULT_OK);
    if (result != RESULT_OK)
        return result;
    enum result reached = stream_catalogue_version(stream, &published, why);
    metrics_set(METRIC_REDIS_UP, reached == RESULT_OK || reached == RESULT_NOT_FOUND);
    bool publish = reached == RESULT_NOT_FOUND || (reached == RESULT_OK && published != version);
    bool stale = current == NULL || current->version != version;
    if (!publish && !stale)
        return reached == RESULT_OK ? RESULT_OK : reached;
    PGresult *document = NULL;
    struct directory *next = NULL;
    result = load(db, version, &document, &next, why);
    if (result == RESULT_OK) {
        replace_current(next);
        metrics_set(METRIC_CATALOGUE_VERSION, (int64_t)version);
        const char *text = db_get_text(document, 0, 0);
        if (publish)
            result = stream_publish_catalogue(stream, version, text, strlen(text), why);
    }
    PQclear(document);
    return result;
}
