#include "service/aggregate/sessions.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/family.h"
#include "anonymizer/release/policy.h"
#include "service/aggregate/reached.h"
#include "service/aggregate/rows.h"
#include "service/aggregate/session.h"
#include "service/base/clock.h"

#define PAGE_ROWS 20000

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
    const struct stage *stage;
    int32_t first; /* day */
    int64_t clamp; /* sessions of one person and day that count */
    struct reached reached;
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

/* Returns whether the session is among the first `clamp` of the person's day, which count. */
static bool count_session(struct session_day *day, const struct session *session, size_t person, int64_t clamp)
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
        return false;
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
    return true;
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

/* Merge one user's fragments pieces[0..count-1], and leave out what is of sessions that began on sealed days. Returns how
 * many are left. Merged first: what arrived since goes with what it touches, in whatever batches it came. */
static size_t leave_carried(struct session_pass *pass, const struct pseudonym *usr, struct session_fragment *pieces,
    size_t count)
{
    count = session_merge(pieces, count, pass->stage->app->definition->session_timeout_ms);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_carried(pass, usr, &pieces[i]))
            pieces[kept++] = pieces[i];
    }
    return kept;
}

/* Count the sessions of one user's fragments pieces[0..count-1]. person tells users of this pass apart. */
static void count_pieces(struct session_pass *pass, const struct pseudonym *usr, struct session_fragment *pieces,
    size_t count, size_t person)
{
    const struct calendar *calendar = pass->stage->app->calendar;
    int64_t end_ms = calendar_end_ms(calendar, pass->stage->through);
    count = leave_carried(pass, usr, pieces, count);
    size_t sessions = session_assemble(pieces, count, pass->stage->app->definition->session_timeout_ms, pass->sessions);
    for (size_t i = 0; i < sessions; i++) {
        const struct session_fragment *whole = &pass->sessions[i].whole;
        int32_t day = calendar_day(calendar, whole->start_ms);
        if (day > pass->stage->through)
            continue;
        assert(day >= pass->first);
        bool counts = count_session(&pass->days[day - pass->first], &pass->sessions[i], person, pass->clamp);
        reached_session(&pass->reached, usr, person, day, &pass->sessions[i], counts);
        if (whole->end_ms >= end_ms)
            carry_over(pass, usr, whole);
    }
}

/* The first ms of the month after the one in which ms lies. */
static int64_t month_end_ms(const struct calendar *calendar, int64_t ms)
{
    int year;
    unsigned month, date;
    clock_civil_from_days(calendar_day(calendar, ms), &year, &month, &date);
    int32_t next = clock_days_from_civil(year + (month == 12), month % 12 + 1, 1);
    return next < CALENDAR_LAST_DAY ? calendar_start_ms(calendar, next) : INT64_MAX;
}

/* Count one user's fragments pass->pieces[0..count-1], which come in order of start. Under a differentially private preset
 * a session ends with its month: else who never pauses would, by a month more or less, move every later cut, and so every
 * later session. */
static void count_user(struct session_pass *pass, const struct pseudonym *usr, size_t count, size_t person)
{
    bool cut = policy_is_private(pass->stage->app->definition->preset);
    for (size_t first = 0, next; first < count; first = next) {
        int64_t end_ms = cut ? month_end_ms(pass->stage->app->calendar, pass->pieces[first].start_ms) : INT64_MAX;
        for (next = first + 1; next < count && pass->pieces[next].start_ms < end_ms;)
            next++;
        count_pieces(pass, usr, pass->pieces + first, next - first, person);
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
        for (; next < total && memcmp(PQgetvalue(rows, next, 0), usr.bytes, PSEUDONYM_BYTES) == 0; next++)
            pass->pieces[count++] = rows_get_fragment(rows, next, 1);
        if (next == total && full)
            return any;
        count_user(pass, &usr, count, (*person)++);
        *after = usr;
        any = true;
        row = next;
    }
    return any;
}

static enum result count_sessions(struct session_pass *pass, struct failure *why)
{
    /* A session that starts in time may go on for SESSION_MAX_MS. */
    int64_t before_ms = calendar_end_ms(pass->stage->app->calendar, pass->stage->through) + SESSION_MAX_MS;
    struct pseudonym after = {{0}};
    size_t person = 0;
    int32_t limit = PAGE_ROWS;
    bool full = true;
    while (full) {
        struct db_params *params = stage_params(pass->stage);
        PGresult *rows = NULL;
        db_bytes(params, after.bytes, person == 0 ? 0 : PSEUDONYM_BYTES);
        db_int8(params, before_ms);
        db_int4(params, limit);
        enum result result = rows_run(pass->stage->db, "sessions.fragments",
            "SELECT usr, session, session_before, start_ms, end_ms, events, views, goals, engaged_ms, goal_bits, entry_ms,"
            " entry, exit_ms, exit FROM state.fragment WHERE shard = $1 AND app = $2 AND usr > $5 AND start_ms < $6"
            " ORDER BY usr, start_ms LIMIT $7",
            params, &rows, why);
        if (result != RESULT_OK)
            return result;
        full = PQntuples(rows) == limit;
        /* One user alone may fill a page: then a larger one. */
        if (!count_page(pass, rows, full, &after, &person) && full)
            limit *= 8;
        PQclear(rows);
        result = reached_flush(&pass->reached, why);
        if (result != RESULT_OK)
            return result;
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

static enum result load_carried(struct session_pass *pass, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(pass->stage->db, "sessions.carried",
        "DELETE FROM state.carry WHERE shard = $1 AND app = $2"
        " RETURNING usr, session, session_before, 0::bigint, until_ms, 0, 0, 0, 0::bigint",
        stage_params(pass->stage), &rows, why);
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

static enum result store_carried(const struct session_pass *pass, struct failure *why)
{
    struct db_params *params = stage_params(pass->stage);
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
    return rows_run(pass->stage->db, "sessions.carry",
        "INSERT INTO state.carry AS c (shard, app, usr, session, session_before, until_ms)"
        " SELECT DISTINCT ON (usr, session) $1, $2, usr, session, before, until FROM"
        " unnest($5::bytea[], $6::bytea[], $7::bytea[], $8::bigint[]) AS w (usr, session, before, until)"
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
    int32_t count = pass->stage->through - pass->first + 1;
    db_array_begin(params, DB_ELEMENT_INT8);
    for (int32_t i = 0; i < count; i++) {
        const struct session_day *day = &pass->days[i];
        for (size_t bin = 0; bin < SESSION_DURATION_BINS; bin++)
            db_array_int(params, people ? day->duration_people[bin] : day->durations[bin]);
    }
    db_array_end(params);
}

static enum result store_days(const struct session_pass *pass, struct failure *why)
{
    int32_t count = pass->stage->through - pass->first + 1;
    struct db_params *params = stage_params(pass->stage);
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
    return rows_run(pass->stage->db, "sessions.session_sum",
        "INSERT INTO state.session_sum (shard, app, day, people, sessions, engaged, engaged_people, single_event,"
        " single_event_people, duration_ms, engaged_ms, events, durations, duration_people)"
        " SELECT $1, $2, day, people, sessions, engaged, engaged_people, single, single_people, duration, engaged_ms,"
        " events, ($15::bigint[])[(i - 1) * $17::int + 1 : i * $17::int],"
        " ($16::bigint[])[(i - 1) * $17::int + 1 : i * $17::int]"
        " FROM unnest($5::date[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],"
        " $12::bigint[], $13::bigint[], $14::bigint[]) WITH ORDINALITY AS w (day, people, sessions, engaged,"
        " engaged_people, single, single_people, duration, engaged_ms, events, i) WHERE sessions > 0",
        params, NULL, why);
}

static enum result drop_fragments(const struct session_pass *pass, struct failure *why)
{
    struct db_params *params = stage_params(pass->stage);
    db_int8(params, calendar_end_ms(pass->stage->app->calendar, pass->stage->through));
    return rows_run(pass->stage->db, "sessions.drop", "DELETE FROM state.fragment WHERE shard = $1 AND app = $2 AND start_ms < $5", params,
        NULL, why);
}

/* The day of the first fragment; `through` if there is none. */
static enum result first_session_day(struct session_pass *pass, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(pass->stage->db, "sessions.first",
        "SELECT min(start_ms) FROM state.fragment WHERE shard = $1 AND app = $2", stage_params(pass->stage),
        &rows, why);
    if (result != RESULT_OK)
        return result;
    pass->first = pass->stage->through;
    if (!db_is_null(rows, 0, 0)) {
        int32_t day = calendar_day(pass->stage->app->calendar, db_get_int8(rows, 0, 0));
        pass->first = day < pass->stage->through ? day : pass->stage->through;
    }
    PQclear(rows);
    return RESULT_OK;
}

static enum result store_reached(const struct session_pass *pass, struct failure *why)
{
    return reached_store(&pass->reached, why);
}

enum result sessions_close(const struct stage *stage, struct failure *why)
{
    struct session_pass pass = {.stage = stage,
        .clamp = family_clamp(FAMILY_SESSIONS, stage->app->definition->preset)};
    enum result result = first_session_day(&pass, why);
    if (result != RESULT_OK)
        return result;
    pass.days = calloc((size_t)(stage->through - pass.first) + 1, sizeof *pass.days);
    assert(pass.days != NULL);
    reached_begin(&pass.reached, stage, pass.first);
    static enum result (*const steps[])(struct session_pass *, struct failure *) = {load_carried, count_sessions};
    static enum result (*const ends[])(const struct session_pass *, struct failure *) = {store_carried, store_days,
        store_reached, drop_fragments};
    for (size_t i = 0; result == RESULT_OK && i < sizeof steps / sizeof steps[0]; i++)
        result = steps[i](&pass, why);
    for (size_t i = 0; result == RESULT_OK && i < sizeof ends / sizeof ends[0]; i++)
        result = ends[i](&pass, why);
    reached_free(&pass.reached);
    free(pass.days);
    free(pass.carried);
    free(pass.next);
    free(pass.pieces);
    free(pass.sessions);
    return result;
}
