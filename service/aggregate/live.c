#include "service/aggregate/live.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/app.h"
#include "service/aggregate/rows.h"

#define MINUTE_MS 60000
#define WHOLE_MAX 9007199254740992.0 /* 2^53 */
#define NAMES_KEPT "10000"           /* people, and sessions, of a twin that keep their number */
#define REFUSALS_MAX (1LL << 40)     /* of one row: sums of what a broken node says must not overflow */

struct live_event {
    int64_t received_at_ms, ts_ms;
    struct pseudonym person, person_before, session, session_before;
    bool has_before; /* person_before is set */
    uint32_t engaged_ms;
    uint8_t flags; /* of struct packet_event */
    char name[NAME_MAX_BYTES + 1];
    char *props; /* a JSON object, owned */
};

struct live_refusal {
    int64_t minute; /* since 1970 */
    enum packet_reason reason;
    int64_t count;
};

struct live_twin {
    uint32_t app;
    int64_t seen; /* events, those included that no longer wait */
    struct live_event *events; /* a ring of `size`, once it is full: the oldest is at `first` */
    size_t first, count, size;
    struct live_refusal *refusals;
    size_t refusal_count;
};

/* --- gathering ----------------------------------------------------------------------------------------------------- */

static struct live_twin *twin_of(struct live *live, uint32_t app)
{
    size_t at = 0;
    while (at < live->count && live->twins[at].app < app)
        at++;
    if (at < live->count && live->twins[at].app == app)
        return &live->twins[at];
    struct live_twin *twins = realloc(live->twins, (live->count + 1) * sizeof *twins);
    assert(twins != NULL);
    memmove(twins + at + 1, twins + at, (live->count - at) * sizeof *twins);
    twins[at] = (struct live_twin){.app = app};
    live->twins = twins;
    live->count++;
    return &twins[at];
}

/* Room for one more event: new, or that of the oldest. */
static struct live_event *next_event(struct live_twin *twin)
{
    twin->seen++;
    if (twin->count == LIVE_WAITING) {
        struct live_event *oldest = &twin->events[twin->first];
        twin->first = (twin->first + 1) % LIVE_WAITING;
        free(oldest->props);
        return oldest;
    }
    if (twin->count == twin->size) {
        size_t size = twin->size == 0 ? 16 : twin->size * 2;
        size = size > LIVE_WAITING ? LIVE_WAITING : size;
        struct live_event *events = realloc(twin->events, size * sizeof *events);
        assert(events != NULL);
        twin->events = events;
        twin->size = size;
    }
    return &twin->events[twin->count++];
}

static const struct live_event *event_at(const struct live_twin *twin, size_t i)
{
    return &twin->events[(twin->first + i) % LIVE_WAITING];
}

static json_t *number_json(const struct app_prop *declared, int64_t steps)
{
    double value = declared->min + (double)steps * declared->step;
    bool whole = !(floor(value) < value) && fabs(value) < WHOLE_MAX;
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

/* What the packet's value stands for; NULL if the definition here is older than the packet's and does not know it. */
static json_t *value_json(const struct app *app, const struct app_prop *declared, int64_t value)
{
    switch (declared->type) {
    case APP_PROP_ENUM:
        return value >= 0 && (uint64_t)value < declared->count ? json_string(declared->values[value]) : NULL;
    case APP_PROP_NUMBER:
        return number_json(declared, value);
    case APP_PROP_BOOLEAN:
        return json_boolean(value != 0);
    case APP_PROP_ROUTE:
        if (value < 0)
            return json_string("other");
        return (uint64_t)value < app->route_count ? json_string(app->routes[value]) : NULL;
    case APP_PROP_ENTITY:
        return json_string("(id)"); /* what the packet has is a piece of a pseudonym */
    }
    return NULL;
}

static char *props_text(const struct app *app, const struct app_event *declared, const struct packet_event *event)
{
    json_t *props = json_object();
    for (size_t i = 0; i < event->props; i++) {
        const struct packet_prop *prop = &event->prop[i];
        if (prop->index >= declared->prop_count)
            continue;
        json_t *value = value_json(app, &declared->props[prop->index], prop->value);
        if (value != NULL)
            (void)json_object_set_new(props, declared->props[prop->index].name, value);
    }
    char *text = json_dumps(props, JSON_COMPACT | JSON_REAL_PRECISION(15));
    assert(text != NULL);
    json_decref(props);
    return text;
}

static void take_event(struct live *live, const struct app *app, int64_t received_at_ms, const struct packet_user *user,
    const struct packet_event *event)
{
    if (event->name >= app->event_count)
        return;
    const struct app_event *declared = &app->events[event->name];
    struct live_event *row = next_event(twin_of(live, app->id));
    *row = (struct live_event){.received_at_ms = received_at_ms,
        .ts_ms = event->ts_ms,
        .person = user->name[0],
        .person_before = user->name[user->names > 1],
        .has_before = user->names > 1,
        .session = event->session,
        .session_before = event->session_before,
        .engaged_ms = event->engaged_ms,
        .flags = event->flags,
        .props = props_text(app, declared, event)};
    memcpy(row->name, declared->name, sizeof row->name);
}

/* The definition of the twin app; NULL if it is none. */
static const struct app *find_twin(const struct directory *directory, uint32_t app)
{
    size_t low = 0;
    size_t high = 0;
    const struct directory_app *apps = directory_apps(directory, &high);
    size_t count = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (apps[middle].definition->id < app)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && apps[low].definition->id == app && apps[low].twin ? apps[low].definition : NULL;
}

void live_take(struct live *live, const struct directory *directory, struct forgotten *forgotten, const uint8_t *bytes,
    size_t length)
{
    struct packet_reader reader;
    struct packet_header header;
    struct packet_part part;
    struct packet_user user;
    struct packet_event event;
    /* Most installations have no twin at most times: their packets are not read a second time. */
    if (!directory_has_twins(directory) || packet_open(&reader, bytes, length, &header) != RESULT_OK)
        return;
    while (packet_next_part(&reader, &part)) {
        const struct app *app = find_twin(directory, part.app);
        bool marked = app != NULL && !forgotten_is_empty(forgotten) && forgotten_concerns(forgotten, part.app);
        for (unsigned i = 0; i < part.users && packet_next_user(&reader, &user); i++) {
            bool shown = app != NULL && (!marked || forgotten_judge(forgotten, &part, &user) == FORGOTTEN_NOT);
            for (unsigned j = 0; j < user.events && packet_next_event(&reader, &event); j++) {
                if (shown)
                    take_event(live, app, part.received_at_ms, &user, &event);
            }
        }
    }
}

static void add_refusal(struct live_twin *twin, int64_t minute, enum packet_reason reason, int64_t count)
{
    for (size_t i = 0; i < twin->refusal_count; i++) {
        struct live_refusal *known = &twin->refusals[i];
        if (known->minute == minute && known->reason == reason) {
            known->count += count;
            return;
        }
    }
    struct live_refusal *refusals = realloc(twin->refusals, (twin->refusal_count + 1) * sizeof *refusals);
    assert(refusals != NULL);
    twin->refusals = refusals;
    refusals[twin->refusal_count++] = (struct live_refusal){minute, reason, count};
}

void live_refuse(struct live *live, const struct directory *directory, int64_t at_ms, const struct packet_count *rows,
    size_t count)
{
    if (!directory_has_twins(directory))
        return;
    for (size_t i = 0; i < count; i++) {
        int64_t refused = rows[i].count < REFUSALS_MAX ? (int64_t)rows[i].count : REFUSALS_MAX;
        if (find_twin(directory, rows[i].app) != NULL)
            add_refusal(twin_of(live, rows[i].app), at_ms / MINUTE_MS, rows[i].reason, refused);
    }
}

bool live_waits(const struct live *live)
{
    return live->count > 0;
}

void live_clear(struct live *live)
{
    for (size_t i = 0; i < live->count; i++) {
        struct live_twin *twin = &live->twins[i];
        for (size_t j = 0; j < twin->count; j++)
            free(twin->events[j].props);
        free(twin->events);
        free(twin->refusals);
    }
    free(live->twins);
    *live = (struct live){NULL, 0};
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

static struct db_params *app_params(uint32_t app)
{
    struct db_params *params = db_params_new();
    db_int4(params, (int32_t)app);
    return params;
}

/* Lock the twin's row and count its events. *alive is false if its time is over. */
static enum result open_twin(struct db *db, const struct live_twin *twin, bool *alive, struct failure *why)
{
    struct db_params *params = app_params(twin->app);
    PGresult *rows = NULL;
    db_int8(params, twin->seen);
    enum result result = rows_run(db, "live.open",
        "INSERT INTO live.twin AS t (app, twin_of, events, people, sessions)"
        " SELECT app, twin_of, $2, 0, 0 FROM config.app WHERE app = $1 AND twin_of IS NOT NULL AND lives_until > now()"
        " ON CONFLICT (app) DO UPDATE SET events = t.events + $2 RETURNING true",
        params, &rows, why);
    if (result == RESULT_OK)
        *alive = PQntuples(rows) == 1;
    PQclear(rows);
    return result;
}

/* $1 app, $2 names, $3 the same people's or sessions' names of the epoch before, or null. Numbers are given in the order
 * of appearance. */
#define NUMBER_SQL(counter, is_session) \
    "WITH given AS (SELECT DISTINCT ON (name) name, before, at" \
    "   FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS g (name, before, at) ORDER BY name, at)," \
    " known AS (SELECT g.*, coalesce((SELECT number FROM live.name WHERE app = $1 AND name = g.name)," \
    "   (SELECT number FROM live.name WHERE app = $1 AND name = g.before)) AS number FROM given AS g)," \
    " named AS (INSERT INTO live.name (app, name, is_session, number, seen_at)" \
    "   SELECT $1, k.name, " is_session ", coalesce(k.number, t." counter \
    "     + (row_number() OVER (PARTITION BY k.number IS NULL ORDER BY k.at))::int), now()" \
    "   FROM known AS k JOIN live.twin AS t ON t.app = $1" \
    "   ON CONFLICT (app, name) DO UPDATE SET seen_at = excluded.seen_at)" \
    " UPDATE live.twin SET " counter " = " counter " + (SELECT count(*) FROM known WHERE number IS NULL)::int WHERE app = $1"

static void add_people(struct db_params *params, const struct live_twin *twin)
{
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < twin->count; i++)
        rows_add_name(params, &event_at(twin, i)->person);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < twin->count; i++) {
        const struct live_event *event = event_at(twin, i);
        db_array_bytes(params, event->has_before ? event->person_before.bytes : NULL, PSEUDONYM_BYTES);
    }
    db_array_end(params);
}

static void add_session_names(struct db_params *params, const struct live_twin *twin)
{
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < twin->count; i++) {
        const struct live_event *event = event_at(twin, i);
        if ((event->flags & EVENT_SESSION) != 0)
            rows_add_name(params, &event->session);
    }
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < twin->count; i++) {
        const struct live_event *event = event_at(twin, i);
        bool before = (event->flags & EVENT_SESSION_BEFORE) != 0;
        if ((event->flags & EVENT_SESSION) != 0)
            db_array_bytes(params, before ? event->session_before.bytes : NULL, PSEUDONYM_BYTES);
    }
    db_array_end(params);
}

static enum result number_names(struct db *db, const struct live_twin *twin, struct failure *why)
{
    struct db_params *params = app_params(twin->app);
    add_people(params, twin);
    enum result result = rows_run(db, "live.people", NUMBER_SQL("people", "false"), params, NULL, why);
    if (result != RESULT_OK)
        return result;
    params = app_params(twin->app);
    add_session_names(params, twin);
    return rows_run(db, "live.sessions", NUMBER_SQL("sessions", "true"), params, NULL, why);
}

/* One array parameter: value, an expression of event, for each event. */
#define ADD_INTEGERS(params, element, twin, value) \
    do { \
        db_array_begin(params, element); \
        for (size_t i = 0; i < (twin)->count; i++) { \
            const struct live_event *event = event_at(twin, i); \
            db_array_int(params, value); \
        } \
        db_array_end(params); \
    } while (0)

static void add_texts(struct db_params *params, const struct live_twin *twin, bool names)
{
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < twin->count; i++) {
        const char *text = names ? event_at(twin, i)->name : event_at(twin, i)->props;
        db_array_bytes(params, text, strlen(text));
    }
    db_array_end(params);
}

static void add_names(struct db_params *params, const struct live_twin *twin)
{
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < twin->count; i++)
        rows_add_name(params, &event_at(twin, i)->person);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < twin->count; i++) {
        const struct live_event *event = event_at(twin, i);
        db_array_bytes(params, (event->flags & EVENT_SESSION) != 0 ? event->session.bytes : NULL, PSEUDONYM_BYTES);
    }
    db_array_end(params);
}

static_assert(EVENT_VIEW == 8 && EVENT_GOAL == 16, "the statement below says so");

static enum result write_events(struct db *db, const struct live_twin *twin, struct failure *why)
{
    if (twin->count == 0)
        return RESULT_OK;
    enum result result = number_names(db, twin, why);
    if (result != RESULT_OK)
        return result;
    struct db_params *params = app_params(twin->app);
    db_int8(params, (int64_t)twin->count);
    ADD_INTEGERS(params, DB_ELEMENT_INT8, twin, event->received_at_ms);
    ADD_INTEGERS(params, DB_ELEMENT_INT8, twin, event->ts_ms);
    add_names(params, twin);
    add_texts(params, twin, true);
    add_texts(params, twin, false);
    ADD_INTEGERS(params, DB_ELEMENT_INT8, twin, (event->flags & EVENT_ENGAGED) != 0 ? (int64_t)event->engaged_ms : -1);
    ADD_INTEGERS(params, DB_ELEMENT_INT4, twin, event->flags);
    return rows_run(db, "live.events",
        "INSERT INTO live.event (app, id, received_at, ts, person, session, name, props, engaged_ms, is_view, is_goal)"
        /* A node whose clock is ahead does not make its events stay longer. */
        " SELECT t.app, t.events - $2 + e.at, least('epoch'::timestamptz + e.received_ms * interval '1 ms', now()),"
        "   'epoch'::timestamptz + e.ts_ms * interval '1 ms', p.number, s.number, e.name, e.props::jsonb,"
        "   nullif(e.engaged_ms, -1)::int, e.flags & 8 <> 0, e.flags & 16 <> 0"
        " FROM live.twin AS t CROSS JOIN unnest($3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[], $7::text[], $8::text[],"
        "   $9::bigint[], $10::int[]) WITH ORDINALITY"
        "   AS e (received_ms, ts_ms, person, session, name, props, engaged_ms, flags, at)"
        " JOIN live.name AS p ON p.app = $1 AND p.name = e.person"
        " LEFT JOIN live.name AS s ON s.app = $1 AND s.name = e.session WHERE t.app = $1",
        params, NULL, why);
}

static enum result write_refusals(struct db *db, const struct live_twin *twin, struct failure *why)
{
    if (twin->refusal_count == 0)
        return RESULT_OK;
    struct db_params *params = app_params(twin->app);
    db_array_begin(params, DB_ELEMENT_INT8);
    for (size_t i = 0; i < twin->refusal_count; i++)
        db_array_int(params, twin->refusals[i].minute);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < twin->refusal_count; i++) {
        const char *name = packet_reason_name(twin->refusals[i].reason);
        db_array_bytes(params, name, strlen(name));
    }
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_INT8);
    for (size_t i = 0; i < twin->refusal_count; i++)
        db_array_int(params, twin->refusals[i].count);
    db_array_end(params);
    return rows_run(db, "live.refused",
        "INSERT INTO live.refused AS r (app, minute, reason, count)"
        " SELECT $1, 'epoch'::timestamptz + n.minute * interval '1 minute', n.reason, n.count"
        " FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS n (minute, reason, count)"
        " ON CONFLICT (app, minute, reason) DO UPDATE SET count = r.count + excluded.count",
        params, NULL, why);
}

/* Keep what the view holds. */
static enum result trim(struct db *db, uint32_t app, struct failure *why)
{
    struct db_params *params = app_params(app);
    db_int8(params, LIVE_KEPT);
    enum result result = rows_run(db, "live.trim",
        "DELETE FROM live.event WHERE app = $1 AND id <= (SELECT events FROM live.twin WHERE app = $1) - $2", params, NULL, why);
    if (result != RESULT_OK)
        return result;
    params = app_params(app);
    db_int8(params, LIVE_KEPT);
    return rows_run(db, "live.trim_names",
        "DELETE FROM live.name AS n USING live.twin AS t WHERE n.app = $1 AND t.app = $1"
        " AND n.number <= CASE WHEN n.is_session THEN t.sessions ELSE t.people END - " NAMES_KEPT
        /* By its name a person is erased. The bound of ids is said again: rows that were just deleted still cost. */
        " AND (n.is_session OR n.number NOT IN (SELECT person FROM live.event WHERE app = $1"
        "   AND id > (SELECT events FROM live.twin WHERE app = $1) - $2))",
        params, NULL, why);
}

/* In ascending order of apps: two shards that write the same twins wait for each other once. */
enum result live_write(struct db *db, const struct live *live, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < live->count; i++) {
        const struct live_twin *twin = &live->twins[i];
        bool alive = false;
        result = open_twin(db, twin, &alive, why);
        if (result != RESULT_OK || !alive)
            continue;
        result = write_events(db, twin, why);
        if (result == RESULT_OK)
            result = write_refusals(db, twin, why);
        if (result == RESULT_OK)
            result = trim(db, twin->app, why);
    }
    return result;
}

/* --- forgetting ---------------------------------------------------------------------------------------------------- */

enum result live_erase(struct db *db, uint32_t app, const struct pseudonym *names, size_t count, struct failure *why)
{
    struct db_params *params = app_params(app);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count; i++)
        rows_add_name(params, &names[i]);
    db_array_end(params);
    return rows_run(db, "live.erase",
        "WITH person AS (DELETE FROM live.name WHERE app = $1 AND NOT is_session AND name = ANY ($2::bytea[]) RETURNING number),"
        " gone AS (DELETE FROM live.event WHERE app = $1 AND person IN (SELECT number FROM person) RETURNING session)"
        /* Events that the view has dropped no longer say whose their sessions were: names that no event bears go too. */
        " DELETE FROM live.name AS n WHERE app = $1 AND is_session AND (number IN (SELECT session FROM gone)"
        " OR NOT EXISTS (SELECT FROM live.event AS e WHERE e.app = $1 AND e.session = n.number))",
        params, NULL, why);
}

enum result live_purge(struct db *db, uint32_t app, struct failure *why)
{
    return rows_run(db, "live.purge", "DELETE FROM live.twin WHERE app = $1", app_params(app), NULL, why);
}

enum result live_sweep(struct db *db, struct failure *why)
{
    static const char *const statements[][2] = {
        {"live.sweep_twins",
            "DELETE FROM live.twin AS t USING config.app AS a WHERE a.app = t.app AND a.lives_until <= now()"},
        {"live.sweep_events", "DELETE FROM live.event WHERE received_at < now() - interval '24 hours'"},
        {"live.sweep_names", "DELETE FROM live.name WHERE seen_at < now() - interval '24 hours'"},
        {"live.sweep_refused", "DELETE FROM live.refused WHERE minute < now() - interval '24 hours'"},
    };
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < sizeof statements / sizeof statements[0]; i++)
        result = db_run(db, statements[i][0], statements[i][1], NULL, NULL, why);
    return result;
}

enum result live_forget(struct db *db, uint16_t shard, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int4(params, shard);
    return rows_run(db, "live.forget",
        "SELECT state.forget($1, app) FROM config.app WHERE twin_of IS NOT NULL AND lives_until < now() - interval '1 hour'",
        params, NULL, why);
}
