#include "service/aggregate/fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/uses.h"
#include "service/base/clock.h"

#define DAY_MS 86400000LL
#define REFUSALS_MAX (1LL << 40) /* of one row: sums of what a broken node says must not overflow */
#define KEEP_BYTES ((size_t)4 << 20) /* a list larger than this is given back when cleared */

void *fold_grow(void *list, size_t *size, size_t item_bytes)
{
    *size = *size == 0 ? 256 : *size * 2;
    void *grown = realloc(list, *size * item_bytes);
    assert(grown != NULL);
    return grown;
}

static int32_t utc_day(int64_t ms)
{
    return (int32_t)(ms / DAY_MS);
}

/* Sources */

static uint32_t find_source(const struct fold *fold, const struct packet_part *part)
{
    uint32_t at = table_find(&fold->table, part->app, TABLE_SOURCE, &part->source);
    if (at == TABLE_NONE && part->flags & PART_SOURCE_BEFORE)
        at = table_find(&fold->table, part->app, TABLE_SOURCE, &part->source_before);
    return at;
}

static void register_source(struct fold *fold, const struct packet_part *part)
{
    uint32_t at = find_source(fold, part);
    if (at == TABLE_NONE) {
        at = (uint32_t)fold->sources_count;
        struct fold_source *source = FOLD_APPEND(fold, sources);
        source->app = part->app;
        source->name = part->source;
        table_put(&fold->table, part->app, TABLE_SOURCE, &part->source, at);
    }
    struct fold_source *source = &fold->sources[at];
    source->receipt_day = utc_day(part->received_at_ms);
    if (!(part->flags & PART_SOURCE_BEFORE) || source->has_before)
        return;
    /* Known by a passed epoch's name so far, or new: from now on by both. */
    source->has_before = true;
    source->before = part->source_before;
    source->name = part->source;
    uint32_t other = table_find(&fold->table, part->app, TABLE_SOURCE, &part->source_before);
    if (other != TABLE_NONE && other != at) /* met by each name alone before: what counted by either is known by both */
        ranges_add_all(&source->known, &fold->sources[other].known);
    if (at < fold->sources_loaded)
        fold->sources_loaded = at;
    table_put(&fold->table, part->app, TABLE_SOURCE, &part->source, at);
    table_put(&fold->table, part->app, TABLE_SOURCE, &part->source_before, at);
}

/* Users */

static void register_stranger(struct fold *fold, uint32_t app, const struct packet_user *user)
{
    if (table_find(&fold->table, app, TABLE_USER, &user->name[0]) != TABLE_NONE ||
        table_find(&fold->table, app, TABLE_STRANGER, &user->name[0]) != TABLE_NONE)
        return;
    table_put(&fold->table, app, TABLE_STRANGER, &user->name[0], (uint32_t)fold->strangers_count);
    struct fold_stranger *stranger = FOLD_APPEND(fold, strangers);
    stranger->app = app;
    stranger->name = user->name[0];
}

static void add_old_name(struct fold_user *user, const struct pseudonym *name)
{
    for (size_t i = 0; i < user->older; i++) {
        if (memcmp(user->old[i].bytes, name->bytes, PSEUDONYM_BYTES) == 0)
            return;
    }
    if (user->older < NAMES_MAX)
        user->old[user->older++] = *name;
}

/* Where a user of a passed epoch lives now, by the aliases the store looked up; NULL: nowhere else. */
static const struct pseudonym *present_name(const struct fold *fold, uint32_t app, const struct pseudonym *name)
{
    uint32_t at = table_find(&fold->table, app, TABLE_STRANGER, name);
    return at != TABLE_NONE && fold->strangers[at].known ? &fold->strangers[at].usr : NULL;
}

static uint32_t add_user(struct fold *fold, const struct packet_part *part, const struct packet_user *from,
    const struct pseudonym *present)
{
    uint32_t at = (uint32_t)fold->users_count;
    struct fold_user *user = FOLD_APPEND(fold, users);
    user->app = part->app;
    user->anonymous = from->flags & USER_ANONYMOUS;
    user->epoch = part->epoch;
    user->marks = FOLD_NONE;
    user->name = present != NULL ? *present : from->name[0];
    enum table_kind kind = user->anonymous ? TABLE_VISITOR : TABLE_USER;
    table_put(&fold->table, part->app, kind, &user->name, at);
    if (present != NULL) {
        table_put(&fold->table, part->app, kind, &from->name[0], at);
        return at;
    }
    for (size_t i = 1; i < from->names; i++) {
        add_old_name(user, &from->name[i]);
        if (table_find(&fold->table, part->app, kind, &from->name[i]) == TABLE_NONE)
            table_put(&fold->table, part->app, kind, &from->name[i], at);
    }
    return at;
}

/* A user met under a passed epoch's name goes on under the present one. */
static void rename_user(struct fold *fold, uint32_t at, const struct packet_part *part, const struct packet_user *from)
{
    struct fold_user *user = &fold->users[at];
    if (memcmp(user->name.bytes, from->name[0].bytes, PSEUDONYM_BYTES) != 0) {
        add_old_name(user, &user->name);
        user->name = from->name[0];
    }
    user->epoch = part->epoch;
    for (size_t i = 1; i < from->names; i++)
        add_old_name(user, &from->name[i]);
    table_put(&fold->table, part->app, TABLE_USER, &user->name, at);
}

static uint32_t meet_user(struct fold *fold, const struct packet_part *part, const struct packet_user *from)
{
    enum table_kind kind = from->flags & USER_ANONYMOUS ? TABLE_VISITOR : TABLE_USER;
    uint32_t at = table_find(&fold->table, part->app, kind, &from->name[0]);
    for (size_t i = 1; at == TABLE_NONE && i < from->names; i++) {
        at = table_find(&fold->table, part->app, kind, &from->name[i]);
        if (at != TABLE_NONE && fold->users[at].epoch < part->epoch)
            rename_user(fold, at, part, from);
    }
    if (at == TABLE_NONE) {
        const struct pseudonym *present = present_name(fold, part->app, &from->name[0]);
        at = present == NULL ? TABLE_NONE : table_find(&fold->table, part->app, kind, present);
        if (at == TABLE_NONE)
            at = add_user(fold, part, from, present);
        else
            table_put(&fold->table, part->app, kind, &from->name[0], at);
    }
    struct fold_user *user = &fold->users[at];
    int32_t day = utc_day(part->received_at_ms);
    user->last_receipt_day = day > user->last_receipt_day ? day : user->last_receipt_day;
    return at;
}

static uint32_t meet_session(struct fold *fold, uint32_t app, const struct packet_event *event)
{
    if (!(event->flags & EVENT_SESSION))
        return FOLD_NONE;
    uint32_t at = table_find(&fold->table, app, TABLE_SESSION, &event->session);
    if (at == TABLE_NONE) {
        at = (uint32_t)fold->sessions_count;
        struct fold_session *session = FOLD_APPEND(fold, sessions);
        session->name = event->session;
        table_put(&fold->table, app, TABLE_SESSION, &event->session, at);
    }
    if (event->flags & EVENT_SESSION_BEFORE) {
        fold->sessions[at].has_before = true;
        fold->sessions[at].before = event->session_before;
    }
    return at;
}

/* Counting */

static struct fold_tally *tally_of(struct fold *fold, uint32_t app, int64_t received_at_ms)
{
    int32_t day = utc_day(received_at_ms);
    for (size_t i = fold->tallies_count; i > 0; i--) {
        if (fold->tallies[i - 1].app == app && fold->tallies[i - 1].day == day)
            return &fold->tallies[i - 1];
    }
    struct fold_tally *tally = FOLD_APPEND(fold, tallies);
    tally->app = app;
    tally->day = day;
    return tally;
}

/* What is decided once for a part. */
struct part_state {
    struct fold_app *app;
    uint32_t source; /* index, FOLD_NONE: none */
    size_t tally;    /* index */
    bool refused;    /* every event is late: the app is unknown, or the names are of an epoch too long gone */
};

static bool is_late(const struct part_state *state, const struct packet_part *part, int32_t day)
{
    if (state->refused || day <= state->app->activity_through)
        return true;
    if (part->flags & PART_IMPORT)
        return false;
    return part->received_at_ms > calendar_end_ms(state->app->calendar, day) + state->app->definition->lateness_ms;
}

static void apply_event(struct fold *fold, const struct part_state *state, const struct packet_part *part,
    const struct packet_user *from, uint32_t *user, const struct packet_event *event)
{
    struct fold_tally *tally = &fold->tallies[state->tally];
    int32_t day = state->refused ? 0 : calendar_day(state->app->calendar, event->ts_ms);
    if (is_late(state, part, day)) {
        tally->late++;
        return;
    }
    if (state->source != FOLD_NONE) {
        struct fold_source *source = &fold->sources[state->source];
        if (ranges_add(&source->known, (int64_t)event->seq, (int64_t)event->seq + 1) == 0) {
            tally->duplicate++;
            return;
        }
        (void)ranges_add(&source->added, (int64_t)event->seq, (int64_t)event->seq + 1);
    }
    tally->counted++;
    /* Only now: a user all of whose events were late or repeated leaves no trace. */
    if (*user == FOLD_NONE)
        *user = meet_user(fold, part, from);
    uint32_t session = meet_session(fold, part->app, event);
    struct fold_event *counted = FOLD_APPEND(fold, events);
    *counted = (struct fold_event){.ts_ms = event->ts_ms, .user = *user, .session = session, .day = day,
        .engaged_ms = event->engaged_ms, .flags = event->flags & (EVENT_VIEW | EVENT_GOAL), .entry = FOLD_NO_CLASS,
        .exit = FOLD_NO_CLASS};
    if (!(from->flags & USER_ANONYMOUS))
        uses_apply(fold, state->app->definition, event, fold->events_count - 1);
}

static void note_epoch(struct fold_app *app, const struct packet_part *part)
{
    if ((int64_t)part->epoch <= app->epoch)
        return;
    app->epoch = part->epoch;
    app->epoch_since_ms = part->received_at_ms;
    app->epoch_changed = true;
}

static bool epoch_is_gone(const struct fold_app *app, const struct packet_part *part)
{
    return (int64_t)part->epoch < app->epoch &&
        part->received_at_ms > app->epoch_since_ms + FOLD_ALIAS_DAYS * DAY_MS;
}

void fold_prepare(struct fold *fold, const uint8_t *bytes, size_t length, fold_find_app *find, void *context)
{
    struct packet_reader reader;
    struct packet_header header;
    struct packet_part part;
    struct packet_user user;
    struct packet_event event;
    (void)packet_open(&reader, bytes, length, &header);
    while (packet_next_part(&reader, &part)) {
        struct fold_app *app = find(context, part.app);
        fold->met_unknown_app = fold->met_unknown_app || app == NULL;
        if (app != NULL)
            note_epoch(app, &part);
        if (part.flags & PART_SOURCE)
            register_source(fold, &part);
        for (unsigned u = 0; u < part.users && packet_next_user(&reader, &user); u++) {
            if (app != NULL && (int64_t)part.epoch < app->epoch && !(user.flags & USER_ANONYMOUS))
                register_stranger(fold, part.app, &user);
            for (unsigned e = 0; e < user.events; e++)
                (void)packet_next_event(&reader, &event);
        }
    }
}

static void add_refusal(struct fold *fold, uint32_t app, int32_t day, enum packet_reason reason, int64_t count)
{
    struct fold_refusal *last = fold->refusals_count > 0 ? &fold->refusals[fold->refusals_count - 1] : NULL;
    if (last == NULL || last->app != app || last->day != day || last->reason != reason) {
        last = FOLD_APPEND(fold, refusals);
        *last = (struct fold_refusal){.app = app, .day = day, .reason = reason};
    }
    last->count += count;
}

/* Whether from is somebody to be forgotten; then the events were read past, and counted as dropped. */
static bool drop_user(struct fold *fold, struct packet_reader *reader, const struct packet_part *part,
    const struct packet_user *from)
{
    struct packet_event event;
    enum forgotten_verdict verdict = forgotten_judge(&fold->forgotten, part, from);
    if (verdict == FORGOTTEN_NOT)
        return false;
    for (unsigned e = 0; e < from->events; e++)
        (void)packet_next_event(reader, &event);
    if (from->events > 0)
        add_refusal(fold, part->app, utc_day(part->received_at_ms),
            verdict == FORGOTTEN_OBJECTS ? PACKET_REASON_OBJECTION : PACKET_REASON_ERASED, from->events);
    return true;
}

void fold_apply(struct fold *fold, const uint8_t *bytes, size_t length, fold_find_app *find, void *context)
{
    struct packet_reader reader;
    struct packet_header header;
    struct packet_part part;
    struct packet_user from;
    struct packet_event event;
    (void)packet_open(&reader, bytes, length, &header);
    while (packet_next_part(&reader, &part)) {
        struct part_state state = {.app = find(context, part.app), .source = FOLD_NONE};
        state.refused = state.app == NULL || epoch_is_gone(state.app, &part);
        if (part.flags & PART_SOURCE)
            state.source = find_source(fold, &part);
        bool marked = !forgotten_is_empty(&fold->forgotten) && forgotten_concerns(&fold->forgotten, part.app);
        state.tally = (size_t)(tally_of(fold, part.app, part.received_at_ms) - fold->tallies);
        for (unsigned u = 0; u < part.users && packet_next_user(&reader, &from); u++) {
            uint32_t user = FOLD_NONE;
            if (marked && drop_user(fold, &reader, &part, &from))
                continue;
            for (unsigned e = 0; e < from.events && packet_next_event(&reader, &event); e++)
                apply_event(fold, &state, &part, &from, &user, &event);
        }
    }
}

void fold_refuse(struct fold *fold, int64_t at_ms, const struct packet_count *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fold_refusal *refusal = FOLD_APPEND(fold, refusals);
        *refusal = (struct fold_refusal){.app = rows[i].app, .day = utc_day(at_ms), .reason = rows[i].reason,
            .count = rows[i].count < REFUSALS_MAX ? (int64_t)rows[i].count : REFUSALS_MAX};
    }
}

/* Digest */

static int by_user_session_time(const void *left, const void *right)
{
    const struct fold_event *a = left;
    const struct fold_event *b = right;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    if (a->session != b->session)
        return a->session < b->session ? -1 : 1;
    return (a->ts_ms > b->ts_ms) - (a->ts_ms < b->ts_ms);
}

static void add_to_fragment(struct session_fragment *piece, const struct fold_event *event)
{
    piece->end_ms = event->ts_ms;
    piece->events++;
    piece->views += event->flags & EVENT_VIEW ? 1 : 0;
    piece->goals += event->flags & EVENT_GOAL ? 1 : 0;
    piece->engaged_ms += event->engaged_ms;
    piece->goal_bits |= event->goal_bits;
    if (event->entry != FOLD_NO_CLASS)
        session_add_entry(piece, event->ts_ms, event->entry);
    if (event->exit != FOLD_NO_CLASS)
        session_add_exit(piece, event->ts_ms, event->exit);
}

static void start_fragment(struct fold *fold, const struct fold_event *event)
{
    struct fold_fragment *fragment = FOLD_APPEND(fold, fragments);
    fragment->user = event->user;
    fragment->piece.start_ms = event->ts_ms;
    if (event->session == FOLD_NONE)
        return;
    const struct fold_session *session = &fold->sessions[event->session];
    fragment->piece.named = true;
    fragment->piece.name = session->name;
    fragment->piece.named_before = session->has_before;
    fragment->piece.name_before = session->before;
}

/* Days of one month of the app's zone. */
static bool same_month(int32_t a, int32_t b)
{
    int year_a, year_b;
    unsigned month_a, month_b, date;
    if (a == b)
        return true;
    clock_civil_from_days(a, &year_a, &month_a, &date);
    clock_civil_from_days(b, &year_b, &month_b, &date);
    return year_a == year_b && month_a == month_b;
}

/* Not over the start of a month, which is no full hour of UTC everywhere: a session may be cut there. */
static bool continues(const struct fold_event *last, const struct fold_event *next, int64_t timeout_ms)
{
    return last->user == next->user && last->session == next->session &&
        last->ts_ms / SESSION_HOUR_MS == next->ts_ms / SESSION_HOUR_MS && next->ts_ms - last->ts_ms <= timeout_ms &&
        same_month(last->day, next->day);
}

static int by_user_day(const void *left, const void *right)
{
    const struct fold_day *a = left;
    const struct fold_day *b = right;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    return (a->day > b->day) - (a->day < b->day);
}

static void add_day(struct fold *fold, const struct fold_event *event)
{
    struct fold_day *day = fold->days_count > 0 ? &fold->days[fold->days_count - 1] : NULL;
    if (day == NULL || day->user != event->user || day->day != event->day) {
        day = FOLD_APPEND(fold, days);
        day->user = event->user;
        day->day = event->day;
        day->marks = FOLD_NONE;
    }
    day->events++;
    day->views += event->flags & EVENT_VIEW ? 1 : 0;
}

/* Events were in order of session, so a user's day may stand several times: once it is. */
static void merge_days(struct fold *fold)
{
    if (fold->days_count < 2)
        return;
    qsort(fold->days, fold->days_count, sizeof *fold->days, by_user_day);
    size_t kept = 1;
    for (size_t i = 1; i < fold->days_count; i++) {
        struct fold_day *last = &fold->days[kept - 1];
        const struct fold_day *next = &fold->days[i];
        if (last->user == next->user && last->day == next->day) {
            last->events += next->events;
            last->views += next->views;
        } else {
            fold->days[kept++] = *next;
        }
    }
    fold->days_count = kept;
}

void fold_digest(struct fold *fold, fold_find_app *find, void *context)
{
    fold->fragments_count = 0;
    fold->days_count = 0;
    if (fold->events_count > 1)
        qsort(fold->events, fold->events_count, sizeof *fold->events, by_user_session_time);
    const struct fold_event *last = NULL;
    int64_t timeout_ms = 0;
    for (size_t i = 0; i < fold->events_count; i++) {
        const struct fold_event *event = &fold->events[i];
        const struct fold_user *user = &fold->users[event->user];
        if (last == NULL || last->user != event->user) {
            const struct fold_app *app = find(context, user->app);
            timeout_ms = app == NULL ? 0 : app->definition->session_timeout_ms;
        }
        add_day(fold, event);
        if (!user->anonymous) {
            if (last == NULL || !continues(last, event, timeout_ms))
                start_fragment(fold, event);
            add_to_fragment(&fold->fragments[fold->fragments_count - 1].piece, event);
        }
        last = event;
    }
    merge_days(fold);
    uses_digest(fold);
}

uint32_t fold_find_user(const struct fold *fold, uint32_t app, const struct pseudonym *name)
{
    return table_find(&fold->table, app, TABLE_USER, name);
}

bool fold_is_empty(const struct fold *fold)
{
    return fold->events_count == 0 && fold->tallies_count == 0 && fold->refusals_count == 0 && fold->sources_count == 0;
}

size_t fold_bytes(const struct fold *fold)
{
    /* A digest makes at most one fragment and one day of each event. */
    return table_bytes(&fold->table) + fold->users_count * sizeof *fold->users +
        fold->sources_count * sizeof *fold->sources + fold->sessions_count * sizeof *fold->sessions +
        fold->events_count * sizeof *fold->events + fold->marks_count * sizeof *fold->marks +
        fold->steps_count * sizeof *fold->steps + fold->measures_count * sizeof *fold->measures +
        fold->entities_count * sizeof *fold->entities;
}

/* Empty a list; give back its memory if it is more than keep bytes. */
#define CLEAR(fold, list, keep) \
    do { \
        (fold)->list##_count = 0; \
        if ((fold)->list##_size * sizeof *(fold)->list > (keep)) { \
            free((fold)->list); \
            (fold)->list = NULL; \
            (fold)->list##_size = 0; \
        } \
    } while (0)

static void clear(struct fold *fold, size_t keep_bytes)
{
    for (size_t i = 0; i < fold->sources_count; i++) {
        ranges_clear(&fold->sources[i].known);
        ranges_clear(&fold->sources[i].added);
    }
    if (table_bytes(&fold->table) > keep_bytes)
        table_free(&fold->table);
    else
        table_clear(&fold->table);
    CLEAR(fold, users, keep_bytes);
    CLEAR(fold, sources, keep_bytes);
    CLEAR(fold, sessions, keep_bytes);
    CLEAR(fold, events, keep_bytes);
    CLEAR(fold, tallies, keep_bytes);
    CLEAR(fold, refusals, keep_bytes);
    CLEAR(fold, strangers, keep_bytes);
    CLEAR(fold, marks, keep_bytes);
    CLEAR(fold, steps, keep_bytes);
    CLEAR(fold, measures, keep_bytes);
    CLEAR(fold, entities, keep_bytes);
    CLEAR(fold, fragments, keep_bytes);
    CLEAR(fold, days, keep_bytes);
    fold->sources_loaded = 0;
    fold->strangers_loaded = 0;
}

void fold_clear(struct fold *fold)
{
    clear(fold, KEEP_BYTES);
}

void fold_free(struct fold *fold)
{
    forgotten_clear(&fold->forgotten);
    clear(fold, 0);
}
