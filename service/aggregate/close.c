#include "service/aggregate/close.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/family.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/session.h"

#define DAY_MS 86400000LL
#define PAGE_ROWS 20000

/* How far each stage may go now. FOLD_NO_DAY: not at all. */
struct due {
    int32_t activity, sessions;
};

/* The last day that ended at least wait_ms before watermark_ms. */
static int32_t last_day_before(const struct calendar *calendar, int64_t watermark_ms, int64_t wait_ms)
{
    if (watermark_ms < TS_MIN_MS + wait_ms || watermark_ms - wait_ms >= TS_MAX_MS)
        return FOLD_NO_DAY;
    return calendar_day(calendar, watermark_ms - wait_ms) - 1;
}

/* at: index of the app in shard->apps, which stand in the directory's order. */
static struct due due_of(const struct shard *shard, size_t at, int64_t watermark_ms)
{
    struct due due = {FOLD_NO_DAY, FOLD_NO_DAY};
    size_t count;
    const struct directory_app *known = &directory_apps(shard->directory, &count)[at];
    const struct app *definition = known->definition;
    assert(at < count && definition->id == shard->apps[at].app);
    if (!known->importing) {
        int64_t lateness = definition->lateness_ms;
        due.activity = last_day_before(known->calendar, watermark_ms, lateness);
        due.sessions = last_day_before(known->calendar, watermark_ms,
            lateness + SESSION_MAX_MS + definition->session_timeout_ms);
        /* Around a day of 23 or 25 hours that is not enough: every day that a session may reach takes no more events. */
        while (due.sessions > CALENDAR_FIRST_DAY &&
            calendar_day(known->calendar, calendar_end_ms(known->calendar, due.sessions) + SESSION_MAX_MS - 1) > due.activity)
            due.sessions--;
    }
    /* Until the day an app was made is over, its history may still be imported. */
    if (shard->apps[at].activity_through == FOLD_NO_DAY && due.activity < known->created_day)
        due.activity = FOLD_NO_DAY;
    bool ordered = known->seal_through_day >= CALENDAR_FIRST_DAY && known->seal_through_day < CALENDAR_LAST_DAY &&
        (known->seal_force || known->seal_requested_ms < watermark_ms);
    if (ordered && known->seal_through_day > due.activity)
        due.activity = known->seal_through_day;
    if (ordered && known->seal_through_day > due.sessions)
        due.sessions = known->seal_through_day;
    /* Sessions of a day are closed after its activity. */
    due.sessions = due.sessions > due.activity ? due.activity : due.sessions;
    return due;
}

bool close_is_due(struct shard *shard, int64_t watermark_ms)
{
    for (size_t i = 0; i < shard->app_count; i++) {
        const struct fold_app *app = &shard->apps[i];
        struct due due = due_of(shard, i, watermark_ms);
        if (due.activity > app->activity_through || due.sessions > app->sessions_through)
            return true;
    }
    return false;
}

static struct db_params *app_params(const struct shard *shard, const struct fold_app *app)
{
    struct db_params *params = rows_params(shard);
    db_int4(params, (int32_t)app->app);
    return params;
}

/* Activity */

/* A day costs its active users: each one's first day, and the last active day before, from the month's bit mask or, if it
 * has no earlier bit, the month before's. $1 shard, $2 app, $3 last day, $4 most events of a person and day that count. */
static const char activity_sql[] =
    "WITH gone AS (DELETE FROM state.person_day WHERE shard = $1 AND app = $2 AND day <= $3"
    "   RETURNING usr, day, events, views),"
    " active AS (SELECT g.day, g.events, g.views, p.first_day, CASE"
    "     WHEN p.first_day = g.day THEN NULL"
    "     WHEN b.earlier <> 0 THEN m.month + (32 - position(B'1' IN b.earlier::bit(32)))"
    "     ELSE (SELECT o.month + (32 - position(B'1' IN o.days::bit(32))) FROM state.person_month o"
    "       WHERE o.shard = $1 AND o.app = $2 AND o.usr = g.usr AND o.month < m.month ORDER BY o.month DESC LIMIT 1)"
    "     END AS previous_day"
    "   FROM gone g JOIN state.person p ON p.shard = $1 AND p.app = $2 AND p.usr = g.usr"
    "   JOIN state.person_month m ON m.shard = $1 AND m.app = $2 AND m.usr = g.usr"
    "     AND m.month = date_trunc('month', g.day)::date"
    "   CROSS JOIN LATERAL (SELECT m.days & ((1 << (extract(day FROM g.day)::int - 1)) - 1) AS earlier) b),"
    " triples AS (INSERT INTO state.triple (shard, app, day, first_day, previous_day, people)"
    "   SELECT $1, $2, day, first_day, previous_day, count(*) FROM active GROUP BY day, first_day, previous_day)"
    " INSERT INTO state.day_sum (shard, app, day, people, events, views, viewers, visitors, visitor_events)"
    " SELECT $1, $2, day, count(*), sum(least(events, $4::bigint)), sum(least(views, $4::bigint)),"
    " count(*) FILTER (WHERE views > 0), 0, 0 FROM active GROUP BY day";

static const char visitors_sql[] =
    "WITH gone AS (DELETE FROM state.visitor_day WHERE shard = $1 AND app = $2 AND day <= $3 RETURNING day, events)"
    " INSERT INTO state.day_sum AS s (shard, app, day, people, events, views, viewers, visitors, visitor_events)"
    " SELECT $1, $2, day, 0, 0, 0, 0, count(*), sum(least(events, $4::bigint)) FROM gone GROUP BY day"
    " ON CONFLICT (shard, app, day) DO UPDATE SET visitors = excluded.visitors,"
    " visitor_events = excluded.visitor_events";

static enum result close_activity(struct db *db, struct shard *shard, const struct fold_app *app, int32_t through,
    struct failure *why)
{
    struct db_params *params = app_params(shard, app);
    db_date(params, through);
    db_int8(params, family_clamp(FAMILY_EVENTS, app->definition->preset));
    enum result result = db_run(db, "close.activity", activity_sql, params, NULL, why);
    if (result == RESULT_OK)
        result = db_run(db, "close.visitors", visitors_sql, params, NULL, why);
    db_params_free(params);
    return result;
}

/* Sessions */

/* The sums of one day. */
struct session_day {
    int64_t people, sessions, engaged, engaged_people, single_event, single_event_people, duration_ms, engaged_ms, events;
    int64_t durations[SESSION_DURATION_BINS], duration_people[SESSION_DURATION_BINS];
    /* To count people once: the last person met on this day, and what of theirs was. */
    size_t person; /* + 1; 0: none yet */
    int64_t of_person;
    bool engaged_met, single_event_met;
    uint32_t bins_met;
};

struct carry {
    struct pseudonym usr;
    struct session_fragment last; /* its names; end_ms: until when */
};

/* One pass over an app's fragments. */
struct session_pass {
    struct shard *shard;
    const struct fold_app *app;
    int32_t first, through; /* days */
    int64_t clamp;          /* sessions of one person and day that count */
    struct session_day *days;
    struct carry *carried;  /* over from sealed days, sorted by user */
    size_t carried_count;
    struct carry *next; /* over to the days after */
    size_t next_count, next_size;
    struct session_fragment *pieces; /* of one user */
    struct session *sessions;
    size_t pieces_size;
};

/* Whether this is the first time that something is met; it is met now. */
static int64_t first_time(bool *met)
{
    bool first = !*met;
    *met = true;
    return first ? 1 : 0;
}

static void count_session(struct session_day *day, const struct session *session, size_t person, int64_t clamp)
{
    const struct session_fragment *whole = &session->whole;
    if (day->person != person + 1) {
        day->person = person + 1;
        day->of_person = 0;
        day->engaged_met = day->single_event_met = false;
        day->bins_met = 0;
        day->people++;
    }
    if (++day->of_person > clamp)
        return;
    day->sessions++;
    if (session_is_engaged(session)) {
        day->engaged++;
        day->engaged_people += first_time(&day->engaged_met);
    }
    if (whole->events == 1) {
        day->single_event++;
        day->single_event_people += first_time(&day->single_event_met);
    }
    day->duration_ms += whole->end_ms - whole->start_ms;
    day->engaged_ms += whole->engaged_ms;
    day->events += whole->events;
    size_t bin = session_duration_bin(session);
    day->durations[bin]++;
    day->duration_people[bin] += day->bins_met >> bin & 1 ? 0 : 1;
    day->bins_met |= 1u << bin;
}

static bool same_session(const struct session_fragment *a, const struct session_fragment *b)
{
    if (a->named != b->named)
        return false;
    return !a->named || memcmp(a->name.bytes, b->name.bytes, PSEUDONYM_BYTES) == 0 ||
        (b->named_before && memcmp(a->name.bytes, b->name_before.bytes, PSEUDONYM_BYTES) == 0) ||
        (a->named_before && memcmp(a->name_before.bytes, b->name.bytes, PSEUDONYM_BYTES) == 0);
}

/* Whether the fragment belongs to a session that began on a sealed day. */
static bool is_carried(const struct session_pass *pass, const struct pseudonym *usr,
    const struct session_fragment *piece)
{
    size_t low = 0;
    size_t high = pass->carried_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(pass->carried[middle].usr.bytes, usr->bytes, PSEUDONYM_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < pass->carried_count && memcmp(pass->carried[low].usr.bytes, usr->bytes, PSEUDONYM_BYTES) == 0; low++) {
        const struct carry *carry = &pass->carried[low];
        if (piece->start_ms <= carry->last.end_ms && same_session(&carry->last, piece))
            return true;
    }
    return false;
}

static void carry_over(struct session_pass *pass, const struct pseudonym *usr, const struct session_fragment *whole)
{
    if (pass->next_count == pass->next_size) {
        pass->next_size = pass->next_size == 0 ? 64 : pass->next_size * 2;
        pass->next = realloc(pass->next, pass->next_size * sizeof *pass->next);
        assert(pass->next != NULL);
    }
    pass->next[pass->next_count++] = (struct carry){.usr = *usr, .last = *whole};
}

/* Count the sessions of one user's fragments pieces[0..count-1]. person tells users of this pass apart. */
static void count_user(struct session_pass *pass, const struct pseudonym *usr, size_t count, size_t person)
{
    const struct calendar *calendar = pass->app->calendar;
    int64_t end_ms = calendar_end_ms(calendar, pass->through);
    size_t sessions = session_assemble(pass->pieces, count, pass->app->definition->session_timeout_ms, pass->sessions);
    for (size_t i = 0; i < sessions; i++) {
        const struct session_fragment *whole = &pass->sessions[i].whole;
        int32_t day = calendar_day(calendar, whole->start_ms);
        if (day > pass->through)
            continue;
        assert(day >= pass->first);
        count_session(&pass->days[day - pass->first], &pass->sessions[i], person, pass->clamp);
        if (whole->end_ms >= end_ms)
            carry_over(pass, usr, whole);
    }
}

static void reserve_pieces(struct session_pass *pass, size_t count)
{
    if (count <= pass->pieces_size)
        return;
    free(pass->pieces);
    free(pass->sessions);
    pass->pieces = calloc(count, sizeof *pass->pieces);
    pass->sessions = calloc(count, sizeof *pass->sessions);
    assert(pass->pieces != NULL && pass->sessions != NULL);
    pass->pieces_size = count;
}

/* Count the users of one page of rows, but for the last one if the page is full: its rows may go on. *after becomes the
 * last user counted. Returns whether any was. */
static bool count_page(struct session_pass *pass, const PGresult *rows, bool full, struct pseudonym *after,
    size_t *person)
{
    int total = PQntuples(rows);
    bool any = false;
    reserve_pieces(pass, (size_t)total);
    for (int row = 0; row < total;) {
        struct pseudonym usr = rows_get_name(rows, row, 0);
        size_t count = 0;
        int next = row;
        for (; next < total && memcmp(PQgetvalue(rows, next, 0), usr.bytes, PSEUDONYM_BYTES) == 0; next++) {
            struct session_fragment piece = rows_get_fragment(rows, next, 1);
            if (!is_carried(pass, &usr, &piece))
                pass->pieces[count++] = piece;
        }
        if (next == total && full)
            return any;
        count_user(pass, &usr, count, (*person)++);
        *after = usr;
        any = true;
        row = next;
    }
    return any;
}

static enum result count_sessions(struct db *db, struct session_pass *pass, struct failure *why)
{
    /* A session that starts in time may go on for SESSION_MAX_MS. */
    int64_t before_ms = calendar_end_ms(pass->app->calendar, pass->through) + SESSION_MAX_MS;
    struct pseudonym after = {{0}};
    size_t person = 0;
    int32_t limit = PAGE_ROWS;
    bool full = true;
    while (full) {
        struct db_params *params = app_params(pass->shard, pass->app);
        PGresult *rows = NULL;
        db_bytes(params, after.bytes, person == 0 ? 0 : PSEUDONYM_BYTES);
        db_int8(params, before_ms);
        db_int4(params, limit);
        enum result result = rows_run(db, "close.fragments",
            "SELECT usr, session, session_before, start_ms, end_ms, events, views, goals, engaged_ms FROM state.fragment"
            " WHERE shard = $1 AND app = $2 AND usr > $3 AND start_ms < $4 ORDER BY usr, start_ms LIMIT $5",
            params, &rows, why);
        if (result != RESULT_OK)
            return result;
        full = PQntuples(rows) == limit;
        /* One user alone may fill a page: then a larger one. */
        if (!count_page(pass, rows, full, &after, &person) && full)
            limit *= 8;
        PQclear(rows);
    }
    /* What was carried so far goes on over a day of 23 hours. */
    for (size_t i = 0; i < pass->carried_count; i++) {
        if (pass->carried[i].last.end_ms >= before_ms - SESSION_MAX_MS)
            carry_over(pass, &pass->carried[i].usr, &pass->carried[i].last);
    }
    return RESULT_OK;
}

static int by_usr(const void *left, const void *right)
{
    const struct carry *a = left;
    const struct carry *b = right;
    return memcmp(a->usr.bytes, b->usr.bytes, PSEUDONYM_BYTES);
}

static enum result load_carried(struct db *db, struct session_pass *pass, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(db, "close.carried",
        "DELETE FROM state.carry WHERE shard = $1 AND app = $2"
        " RETURNING usr, session, session_before, 0::bigint, until_ms, 0, 0, 0, 0::bigint",
        app_params(pass->shard, pass->app), &rows, why);
    if (result != RESULT_OK)
        return result;
    pass->carried_count = (size_t)PQntuples(rows);
    pass->carried = calloc(pass->carried_count + 1, sizeof *pass->carried);
    assert(pass->carried != NULL);
    for (size_t i = 0; i < pass->carried_count; i++)
        pass->carried[i] = (struct carry){.usr = rows_get_name(rows, (int)i, 0), .last = rows_get_fragment(rows, (int)i, 1)};
    PQclear(rows);
    qsort(pass->carried, pass->carried_count, sizeof *pass->carried, by_usr);
    return RESULT_OK;
}

static enum result store_carried(struct db *db, const struct session_pass *pass, struct failure *why)
{
    struct db_params *params = app_params(pass->shard, pass->app);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < pass->next_count; i++)
        db_array_bytes(params, pass->next[i].usr.bytes, PSEUDONYM_BYTES);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < pass->next_count; i++)
        db_array_bytes(params, pass->next[i].last.name.bytes, pass->next[i].last.named ? PSEUDONYM_BYTES : 0);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < pass->next_count; i++)
        db_array_bytes(params, pass->next[i].last.named_before ? pass->next[i].last.name_before.bytes : NULL,
            PSEUDONYM_BYTES);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_INT8);
    for (size_t i = 0; i < pass->next_count; i++)
        db_array_int(params, pass->next[i].last.end_ms);
    db_array_end(params);
    return rows_run(db, "close.carry",
        "INSERT INTO state.carry AS c (shard, app, usr, session, session_before, until_ms)"
        " SELECT DISTINCT ON (usr, session) $1, $2, usr, session, before, until FROM"
        " unnest($3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[]) AS w (usr, session, before, until)"
        " ORDER BY usr, session, until DESC",
        params, NULL, why);
}

#define DAY_NUMBERS 9

static int64_t day_number(const struct session_day *day, int column)
{
    const int64_t numbers[DAY_NUMBERS] = {day->people, day->sessions, day->engaged, day->engaged_people,
        day->single_event, day->single_event_people, day->duration_ms, day->engaged_ms, day->events};
    return numbers[column];
}

/* The histograms of all days end to end: the database cuts them. */
static void add_histograms(struct db_params *params, const struct session_pass *pass, bool people)
{
    int32_t count = pass->through - pass->first + 1;
    db_array_begin(params, DB_ELEMENT_INT8);
    for (int32_t i = 0; i < count; i++) {
        const struct session_day *day = &pass->days[i];
        for (size_t bin = 0; bin < SESSION_DURATION_BINS; bin++)
            db_array_int(params, people ? day->duration_people[bin] : day->durations[bin]);
    }
    db_array_end(params);
}

static enum result store_days(struct db *db, const struct session_pass *pass, struct failure *why)
{
    int32_t count = pass->through - pass->first + 1;
    struct db_params *params = app_params(pass->shard, pass->app);
    db_array_begin(params, DB_ELEMENT_DATE);
    for (int32_t i = 0; i < count; i++)
        db_array_int(params, pass->first + i);
    db_array_end(params);
    for (int column = 0; column < DAY_NUMBERS; column++) {
        db_array_begin(params, DB_ELEMENT_INT8);
        for (int32_t i = 0; i < count; i++)
            db_array_int(params, day_number(&pass->days[i], column));
        db_array_end(params);
    }
    add_histograms(params, pass, false);
    add_histograms(params, pass, true);
    db_int4(params, SESSION_DURATION_BINS);
    return rows_run(db, "close.session_sum",
        "INSERT INTO state.session_sum (shard, app, day, people, sessions, engaged, engaged_people, single_event,"
        " single_event_people, duration_ms, engaged_ms, events, durations, duration_people)"
        " SELECT $1, $2, day, people, sessions, engaged, engaged_people, single, single_people, duration, engaged_ms,"
        " events, ($13::bigint[])[(i - 1) * $15::int + 1 : i * $15::int],"
        " ($14::bigint[])[(i - 1) * $15::int + 1 : i * $15::int]"
        " FROM unnest($3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],"
        " $10::bigint[], $11::bigint[], $12::bigint[]) WITH ORDINALITY AS w (day, people, sessions, engaged,"
        " engaged_people, single, single_people, duration, engaged_ms, events, i) WHERE sessions > 0",
        params, NULL, why);
}

static enum result drop_fragments(struct db *db, const struct session_pass *pass, struct failure *why)
{
    struct db_params *params = app_params(pass->shard, pass->app);
    db_int8(params, calendar_end_ms(pass->app->calendar, pass->through));
    return rows_run(db, "close.drop", "DELETE FROM state.fragment WHERE shard = $1 AND app = $2 AND start_ms < $3", params,
        NULL, why);
}

/* The day of the first fragment; `through` if there is none. */
static enum result first_session_day(struct db *db, struct session_pass *pass, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(db, "close.first",
        "SELECT min(start_ms) FROM state.fragment WHERE shard = $1 AND app = $2", app_params(pass->shard, pass->app),
        &rows, why);
    if (result != RESULT_OK)
        return result;
    pass->first = pass->through;
    if (!db_is_null(rows, 0, 0)) {
        int32_t day = calendar_day(pass->app->calendar, db_get_int8(rows, 0, 0));
        pass->first = day < pass->through ? day : pass->through;
    }
    PQclear(rows);
    return RESULT_OK;
}

static enum result close_sessions(struct db *db, struct shard *shard, const struct fold_app *app, int32_t through,
    struct failure *why)
{
    struct session_pass pass = {.shard = shard, .app = app, .through = through,
        .clamp = family_clamp(FAMILY_SESSIONS, app->definition->preset)};
    enum result result = first_session_day(db, &pass, why);
    if (result != RESULT_OK)
        return result;
    pass.days = calloc((size_t)(through - pass.first) + 1, sizeof *pass.days);
    assert(pass.days != NULL);
    static enum result (*const steps[])(struct db *, struct session_pass *, struct failure *) = {load_carried,
        count_sessions};
    static enum result (*const ends[])(struct db *, const struct session_pass *, struct failure *) = {store_carried,
        store_days, drop_fragments};
    for (size_t i = 0; result == RESULT_OK && i < sizeof steps / sizeof steps[0]; i++)
        result = steps[i](db, &pass, why);
    for (size_t i = 0; result == RESULT_OK && i < sizeof ends / sizeof ends[0]; i++)
        result = ends[i](db, &pass, why);
    free(pass.days);
    free(pass.carried);
    free(pass.next);
    free(pass.pieces);
    free(pass.sessions);
    return result;
}

static enum result store_progress(struct db *db, const struct shard *shard, const struct fold_app *app,
    struct failure *why)
{
    struct db_params *params = app_params(shard, app);
    bool sessions = app->sessions_through != FOLD_NO_DAY;
    db_date(params, app->activity_through);
    if (sessions)
        db_date(params, app->sessions_through);
    else
        db_null(params);
    return rows_run(db, sessions ? "close.progress" : "close.progress_activity",
        "INSERT INTO state.progress (shard, app, activity_through, sessions_through) VALUES ($1, $2, $3, $4::date)"
        " ON CONFLICT (shard, app) DO UPDATE SET activity_through = excluded.activity_through,"
        " sessions_through = excluded.sessions_through",
        params, NULL, why);
}

static enum result close_app(struct db *db, struct shard *shard, struct fold_app *app, struct due due, uint64_t *days,
    struct failure *why)
{
    bool activity = due.activity > app->activity_through;
    bool sessions = due.sessions > app->sessions_through;
    enum result result = RESULT_OK;
    if (activity)
        result = close_activity(db, shard, app, due.activity, why);
    if (result == RESULT_OK && sessions)
        result = close_sessions(db, shard, app, due.sessions, why);
    if (result != RESULT_OK || (!activity && !sessions))
        return result;
    app->activity_through = activity ? due.activity : app->activity_through;
    app->sessions_through = sessions ? due.sessions : app->sessions_through;
    *days += (uint64_t)activity + (uint64_t)sessions;
    return store_progress(db, shard, app, why);
}

enum result close_due(struct db *db, struct shard *shard, int64_t watermark_ms, uint64_t *days, struct failure *why)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < shard->app_count; i++) {
        struct fold_app *app = &shard->apps[i];
        result = close_app(db, shard, app, due_of(shard, i, watermark_ms), days, why);
    }
    return result;
}
