/*
 * The aggregator's state in a private PostgreSQL. A random crowd's packets, four and a half months of them in a zone whose
 * clocks change twice, go through fold, store and close in random batches, with repeated entries and requests, late
 * ones, nodes that spool, a change of epoch, lost leases and failing flushes; what is closed must be what the definitions
 * say of the same events. Then what single acts must leave behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/aggregate/close.h"
#include "service/aggregate/requests.h"
#include "service/aggregate/store.h"
#include "service/base/clock.h"
#include "tests/unit/cluster.h"

#define MINUTE_MS 60000LL
#define HOUR_MS 3600000LL
#define DAY_MS 86400000LL
#define TIMEOUT_MS (30 * MINUTE_MS)
#define LATENESS_MS (6 * HOUR_MS)
#define GRACE_MS (48 * HOUR_MS)
#define NODES 2

static struct {
    struct db *state;
    struct config config;
    struct stream *stream; /* leads nowhere: the directory does without */
} server;

/* Randomness */

static uint64_t dice;

static uint32_t roll(uint32_t sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % sides;
}

static struct pseudonym name_of(char kind, uint32_t who, uint32_t epoch)
{
    struct pseudonym name = {{0}};
    uint64_t mixed = ((uint64_t)who << 8 | epoch) * 0x9e3779b97f4a7c15u;
    memcpy(name.bytes, &mixed, sizeof mixed);
    name.bytes[8] = (uint8_t)kind;
    memcpy(name.bytes + 9, &who, sizeof who);
    name.bytes[13] = (uint8_t)epoch;
    return name;
}

/* São Paulo by hand: UTC-3, and UTC-2 from 2017-10-15T03:00Z to 2018-02-18T02:00Z. */

#define SUMMER_MS 1508036400000LL
#define WINTER_MS 1518919200000LL

static int32_t day_at(int64_t ms)
{
    return (int32_t)((ms - (ms >= SUMMER_MS && ms < WINTER_MS ? 2 : 3) * HOUR_MS) / DAY_MS);
}

static int64_t start_of(int32_t day)
{
    int64_t ms = day * DAY_MS + 3 * HOUR_MS;
    return ms > SUMMER_MS && ms < WINTER_MS ? ms - HOUR_MS : ms;
}

/* What clients do: events, in requests, that arrive in packets. */

struct act {
    uint32_t user;
    bool anonymous;
    int64_t ts_ms;
    uint32_t session; /* 0: unnamed */
    bool view, goal;
    uint32_t engaged_ms;
    uint64_t seq;
    bool counted;
};

struct request {
    uint32_t source;
    size_t first, count; /* of its acts */
};

struct copy {
    size_t request;
    int64_t received_ms, arrival_ms;
};

static struct {
    struct act acts[40000];
    struct request requests[20000];
    struct copy copies[40000];
    size_t act_count, request_count, copy_count;
    uint32_t users, visitors, sources, sessions;
    int32_t first, last; /* days */
    int64_t epoch_ms;    /* when epoch 2 begins */
} crowd;

static void send_copy(size_t request, int64_t received_ms)
{
    assert_true(crowd.copy_count < 40000);
    /* More of what the change of epoch overtakes. */
    bool spooled = roll(received_ms < crowd.epoch_ms && received_ms > crowd.epoch_ms - 20 * HOUR_MS ? 2 : 12) == 0;
    crowd.copies[crowd.copy_count++] = (struct copy){request, received_ms,
        received_ms + (spooled ? (int64_t)roll(20 * 60) * MINUTE_MS : 5 + roll(2000))};
}

/* Cut acts [first …) of one user, which are in order of time, into requests and send them, some of them twice. */
static void send_acts(size_t first)
{
    while (first < crowd.act_count) {
        size_t count = 1 + roll(6);
        count = count > crowd.act_count - first ? crowd.act_count - first : count;
        crowd.requests[crowd.request_count] = (struct request){++crowd.sources, first, count};
        int64_t last_ms = crowd.acts[first + count - 1].ts_ms;
        for (size_t i = 0; i < count; i++)
            crowd.acts[first + i].seq = i * (1 + roll(2)) + (i > 0 ? crowd.acts[first + i - 1].seq + 1 : roll(3));
        int64_t delay_ms = roll(10) > 0 ? 100 + roll(20000) : (int64_t)roll(roll(4) > 0 ? 300 : 3000) * MINUTE_MS;
        send_copy(crowd.request_count, last_ms + delay_ms);
        while (roll(8) == 0)
            send_copy(crowd.request_count, last_ms + delay_ms + (int64_t)roll(roll(3) > 0 ? 30 : 600) * MINUTE_MS + 500);
        crowd.request_count++;
        first += count;
    }
}

static void add_act(uint32_t user, bool anonymous, int64_t ts_ms, uint32_t session)
{
    assert_true(crowd.act_count < 40000);
    crowd.acts[crowd.act_count++] = (struct act){.user = user, .anonymous = anonymous, .ts_ms = ts_ms, .session = session,
        .view = roll(3) == 0, .goal = roll(20) == 0, .engaged_ms = roll(4) > 0 ? 0 : roll(12000)};
}

static void make_crowd(uint32_t seed)
{
    dice = seed;
    memset(&crowd, 0, sizeof crowd);
    crowd.first = clock_days_from_civil(2017, 10, 2);
    crowd.last = clock_days_from_civil(2018, 2, 25);
    crowd.users = 40;
    crowd.epoch_ms = start_of(clock_days_from_civil(2017, 12, 10)) + 15 * HOUR_MS;
    for (uint32_t user = 0; user < crowd.users; user++) {
        uint32_t often = 1 + roll(40);
        bool names = roll(3) == 0;
        for (int32_t day = crowd.first; day <= crowd.last; day++) {
            bool busy = day >= day_at(crowd.epoch_ms) - 1 && day <= day_at(crowd.epoch_ms) + 1;
            for (int visits = roll(100) < (busy ? 60 : often) ? 1 + (int)roll(2) : 0; visits > 0; visits--) {
                size_t first = crowd.act_count;
                int64_t at = start_of(day) + (roll(3) == 0 ? -40 * MINUTE_MS : 0) + (int64_t)roll(25 * 60) * MINUTE_MS;
                uint32_t session = names ? ++crowd.sessions : 0;
                for (uint32_t left = roll(4) == 0 ? 1 + roll(12) : 1 + roll(4); left > 0; left--) {
                    add_act(user, false, at, session);
                    at += roll(3) > 0 ? (int64_t)roll(90000) : roll(9) == 0 ? TIMEOUT_MS + roll(2) : (int64_t)roll(40) * MINUTE_MS;
                }
                send_acts(first);
            }
        }
    }
    /* Machines that never rest, over both changes of the clocks: sessions are cut after 24 hours. */
    for (int i = 0; i < 4; i++) {
        uint32_t user = crowd.users++;
        size_t first = crowd.act_count;
        int64_t at = (i % 2 == 0 ? SUMMER_MS : WINTER_MS) - (int64_t)roll(50) * HOUR_MS - roll(3600000);
        for (int event = 0; event < 260; event++, at += (int64_t)(5 + roll(26)) * MINUTE_MS)
            add_act(user, false, at, i < 2 ? 0 : 1000000 + user);
        send_acts(first);
    }
    for (int32_t day = crowd.first; day <= crowd.last; day++) {
        for (int i = (int)roll(4); i > 0; i--) {
            size_t first = crowd.act_count;
            add_act(++crowd.visitors, true, start_of(day) + (int64_t)roll(22 * 60) * MINUTE_MS, 0);
            send_acts(first);
        }
    }
}

/* What the definitions say of it. */

static bool is_late(const struct copy *copy, const struct act *act)
{
    return copy->received_ms > start_of(day_at(act->ts_ms) + 1) + LATENESS_MS;
}

struct account {
    int64_t counted, duplicate, late;
};

static struct account settle_account(void)
{
    struct account account = {0};
    for (size_t i = 0; i < crowd.copy_count; i++) {
        const struct request *request = &crowd.requests[crowd.copies[i].request];
        for (size_t j = request->first; j < request->first + request->count; j++) {
            struct act *act = &crowd.acts[j];
            if (is_late(&crowd.copies[i], act))
                account.late++;
            else if (act->counted)
                account.duplicate++;
            else
                account.counted++;
            act->counted = act->counted || !is_late(&crowd.copies[i], act);
        }
    }
    return account;
}

static int by_user_session_time(const void *left, const void *right)
{
    const struct act *a = *(struct act *const *)left;
    const struct act *b = *(struct act *const *)right;
    if (a->anonymous != b->anonymous)
        return a->anonymous ? 1 : -1;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    if (a->session != b->session)
        return a->session < b->session ? -1 : 1;
    return (a->ts_ms > b->ts_ms) - (a->ts_ms < b->ts_ms);
}

__attribute__((format(printf, 1, 2))) static void expect(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cluster_sql(text);
}

struct whole {
    int64_t start_ms, end_ms, events, views, goals, engaged_ms;
};

static void expect_session(uint32_t user, const struct whole *w)
{
    if (w->events == 0)
        return;
    int64_t seconds = (w->end_ms - w->start_ms) / 1000;
    int bin = 1;
    for (; seconds > 0 && bin < SESSION_DURATION_BINS; bin++)
        seconds >>= 1;
    expect("INSERT INTO want.session VALUES (%u, date '1970-01-01' + %d, %lld, %lld, %d, %d, %d)", user,
        (int)day_at(w->start_ms), (long long)(w->end_ms - w->start_ms), (long long)w->engaged_ms, (int)w->events,
        w->engaged_ms >= 10000 || w->goals > 0 || w->views >= 2, bin);
}

/* Sessions of the sorted acts of one user and name: stretches cut at UTC hours, joined while they fit in 24 hours. */
static void expect_sessions(struct act *const *acts, size_t count)
{
    struct whole open = {0};
    for (size_t i = 0; i < count;) {
        struct whole piece = {.start_ms = acts[i]->ts_ms, .end_ms = acts[i]->ts_ms};
        for (; i < count && acts[i]->ts_ms / HOUR_MS == piece.start_ms / HOUR_MS &&
             acts[i]->ts_ms - piece.end_ms <= TIMEOUT_MS; i++) {
            piece.end_ms = acts[i]->ts_ms;
            piece.events++;
            piece.views += acts[i]->view;
            piece.goals += acts[i]->goal;
            piece.engaged_ms += acts[i]->engaged_ms;
        }
        if (open.events > 0 && piece.start_ms - open.end_ms <= TIMEOUT_MS && piece.end_ms - open.start_ms <= 24 * HOUR_MS) {
            open = (struct whole){open.start_ms, piece.end_ms, open.events + piece.events, open.views + piece.views,
                open.goals + piece.goals, open.engaged_ms + piece.engaged_ms};
        } else {
            expect_session(acts[0]->user, &open);
            open = piece;
        }
    }
    expect_session(acts[0]->user, &open);
}

static void write_expectations(void)
{
    cluster_sql("DROP SCHEMA IF EXISTS want CASCADE; CREATE SCHEMA want;"
        "CREATE TABLE want.day (usr int, anonymous bool, day date, views int);"
        "CREATE TABLE want.session (usr int, day date, duration bigint, engaged_ms bigint, events int, engaged int, bin int);"
        "BEGIN");
    static struct act *sorted[40000];
    size_t count = 0;
    for (size_t i = 0; i < crowd.act_count; i++) {
        if (crowd.acts[i].counted)
            sorted[count++] = &crowd.acts[i];
    }
    qsort(sorted, count, sizeof *sorted, by_user_session_time);
    for (size_t i = 0; i < count;) {
        size_t first = i;
        for (; i < count && sorted[i]->user == sorted[first]->user && sorted[i]->anonymous == sorted[first]->anonymous &&
             sorted[i]->session == sorted[first]->session; i++)
            expect("INSERT INTO want.day VALUES (%u, %s, date '1970-01-01' + %d, %d)", sorted[i]->user,
                sorted[i]->anonymous ? "true" : "false", (int)day_at(sorted[i]->ts_ms), sorted[i]->view);
        if (!sorted[first]->anonymous)
            expect_sessions(sorted + first, i - first);
    }
    cluster_sql("COMMIT");
}

/* Driving the shard as a worker does. */

static struct {
    uint8_t (*entries)[2048];
    size_t *lengths;
    int64_t *arrivals;
    size_t count;
    uint64_t next_n[NODES];
    struct shard shard;
    uint32_t app;
} stream;


static void start_entry(struct packet_writer *writer, unsigned node)
{
    struct packet_header header = {.type = PACKET_EVENTS, .node = 100 + node, .shard = 3, .n = stream.next_n[node]++};
    packet_begin(writer, stream.entries[stream.count], sizeof stream.entries[0], &header);
}

static bool add_request(struct packet_writer *writer, const struct request *request, int64_t received_ms)
{
    uint32_t epoch = received_ms >= crowd.epoch_ms ? 2 : 1;
    bool grace = epoch == 2 && received_ms < crowd.epoch_ms + GRACE_MS;
    struct packet_part part = {.app = stream.app, .definition = 1, .epoch = epoch, .received_at_ms = received_ms,
        .flags = (uint8_t)(PART_SOURCE | (grace ? PART_SOURCE_BEFORE : 0u)), .source = name_of('s', request->source, epoch),
        .source_before = name_of('s', request->source, epoch - 1)};
    const struct act *first = &crowd.acts[request->first];
    struct packet_user user = {.flags = first->anonymous ? USER_ANONYMOUS : 0,
        .names = epoch == 2 && !first->anonymous ? 2 : 1,
        .name = {name_of(first->anonymous ? 'v' : 'u', first->user, first->anonymous ? 0 : epoch),
            name_of('u', first->user, epoch - 1)}};
    if (packet_add_part(writer, &part) != RESULT_OK || packet_add_user(writer, &user) != RESULT_OK)
        return false;
    for (size_t i = request->first; i < request->first + request->count; i++) {
        const struct act *act = &crowd.acts[i];
        unsigned flags = (act->view ? EVENT_VIEW : 0u) | (act->goal ? EVENT_GOAL : 0u) | (act->engaged_ms ? EVENT_ENGAGED : 0u) |
            (act->session ? EVENT_SESSION | (grace ? EVENT_SESSION_BEFORE : 0u) : 0u);
        struct packet_event event = {.flags = (uint8_t)flags, .ts_ms = act->ts_ms, .seq = act->seq,
            .engaged_ms = act->engaged_ms, .session = name_of('n', act->session, epoch),
            .session_before = name_of('n', act->session, epoch - 1)};
        if (packet_add_event(writer, &event) != RESULT_OK)
            return false;
    }
    return true;
}

static int by_arrival(const void *left, const void *right)
{
    const struct copy *a = left;
    const struct copy *b = right;
    return (a->arrival_ms > b->arrival_ms) - (a->arrival_ms < b->arrival_ms);
}

/* The stream of all copies in order of arrival; a tenth of the entries come twice. */
static void write_stream(void)
{
    qsort(crowd.copies, crowd.copy_count, sizeof crowd.copies[0], by_arrival);
    stream.entries = realloc(stream.entries, 80000 * sizeof *stream.entries);
    stream.lengths = realloc(stream.lengths, 80000 * sizeof *stream.lengths);
    stream.arrivals = realloc(stream.arrivals, 80000 * sizeof *stream.arrivals);
    stream.count = 0;
    memset(stream.next_n, 0, sizeof stream.next_n);
    for (size_t i = 0; i < crowd.copy_count;) {
        struct packet_writer writer;
        size_t first = i;
        start_entry(&writer, roll(NODES));
        for (size_t parts = 1 + roll(3); parts > 0 && i < crowd.copy_count; parts--, i++)
            assert_true(add_request(&writer, &crowd.requests[crowd.copies[i].request], crowd.copies[i].received_ms));
        stream.lengths[stream.count] = writer.length;
        stream.arrivals[stream.count++] = crowd.copies[first].arrival_ms;
        if (roll(10) == 0) {
            memcpy(stream.entries[stream.count], stream.entries[stream.count - 1], writer.length);
            stream.lengths[stream.count] = writer.length;
            stream.arrivals[stream.count] = stream.arrivals[stream.count - 1];
            stream.count++;
        }
    }
}

static void take(void)
{
    struct failure why = {0};
    if (store_take(server.state, &stream.shard, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    assert_true(stream.shard.held);
}

static void give(void)
{
    const struct directory *directory = stream.shard.directory;
    store_give(server.state, &stream.shard);
    stream.shard.directory = directory;
}

static enum result flush_body(struct db *db, void *context, struct failure *why)
{
    bool *fails = context;
    uint64_t days = 0;
    int64_t watermark_ms = shard_watermark(&stream.shard);
    enum result result = store_write(db, &stream.shard, why);
    if (result == RESULT_OK && close_is_due(&stream.shard, watermark_ms))
        result = close_due(db, &stream.shard, watermark_ms, &days, why);
    return result == RESULT_OK && *fails ? RESULT_FAILED : result;
}

/* Flush; false: it failed as wanted, and the shard was taken anew. */
static bool flush(size_t read, bool fails)
{
    struct failure why = {0};
    struct shard *shard = &stream.shard;
    (void)snprintf(shard->read, sizeof shard->read, "%zu-0", read);
    fold_digest(&shard->fold, shard_find_app, shard);
    enum result result = db_transaction(server.state, flush_body, &fails, &why);
    if (result != RESULT_OK && !fails)
        fail_msg("%s %s", why.field, why.text);
    if (result != RESULT_OK) {
        give();
        take();
        return false;
    }
    (void)strcpy(shard->off, shard->read);
    for (size_t i = 0; i < shard->node_count; i++)
        shard->nodes[i].changed = false;
    for (size_t i = 0; i < shard->app_count; i++)
        shard->apps[i].epoch_changed = false;
    fold_clear(&shard->fold);
    return true;
}

static void look_up(void)
{
    struct failure why = {0};
    if (store_look_up(server.state, &stream.shard, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
}

static void apply(const uint8_t *bytes, size_t length)
{
    struct packet_reader reader;
    struct packet_header header;
    assert_int_equal(packet_open(&reader, bytes, length, &header), RESULT_OK);
    struct shard_node *node = shard_node(&stream.shard, header.node);
    node->changed = true;
    if (ranges_add(&node->applied, (int64_t)header.n, (int64_t)header.n + 1) == 1)
        fold_apply(&stream.shard.fold, bytes, length, shard_find_app, &stream.shard);
}

static void say_watermark(int64_t ms)
{
    for (unsigned node = 0; node < NODES; node++) {
        struct shard_node *known = shard_node(&stream.shard, 100 + node);
        known->watermark_ms = ms > known->watermark_ms ? ms : known->watermark_ms;
        known->changed = true;
    }
}

/* The nodes' watermark once entries [0, read) arrived: the oldest receipt that is not among them. */
static int64_t *make_watermarks(void)
{
    int64_t *watermarks = calloc(stream.count + 1, sizeof *watermarks);
    watermarks[stream.count] = start_of(crowd.last + 5);
    for (size_t i = stream.count; i > 0; i--) {
        struct packet_reader reader;
        struct packet_header header;
        struct packet_part part;
        struct packet_user user;
        struct packet_event event;
        watermarks[i - 1] = watermarks[i];
        (void)packet_open(&reader, stream.entries[i - 1], stream.lengths[i - 1], &header);
        while (packet_next_part(&reader, &part)) {
            if (part.received_at_ms < watermarks[i - 1])
                watermarks[i - 1] = part.received_at_ms;
            for (unsigned u = 0; u < part.users && packet_next_user(&reader, &user); u++) {
                for (unsigned e = 0; e < user.events; e++)
                    (void)packet_next_event(&reader, &event);
            }
        }
    }
    return watermarks;
}

static void expire(int64_t now_ms)
{
    struct failure why = {0};
    if (store_expire(server.state, &stream.shard, now_ms, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
}

static void play_stream(void)
{
    int64_t *watermarks = make_watermarks();
    size_t read = 0;
    while (read < stream.count) {
        int64_t from_epoch_ms = stream.arrivals[read] - crowd.epoch_ms;
        size_t end = read + 1 + roll(from_epoch_ms > -DAY_MS && from_epoch_ms < DAY_MS ? 3 : 40);
        end = end > stream.count ? stream.count : end;
        for (size_t i = read; i < end; i++)
            fold_prepare(&stream.shard.fold, stream.entries[i], stream.lengths[i], shard_find_app, &stream.shard);
        look_up();
        for (; read < end; read++)
            apply(stream.entries[read], stream.lengths[read]);
        if (roll(3) == 0)
            say_watermark(watermarks[read]);
        if (roll(3) == 0) {
            (void)flush(read, roll(10) == 0);
        } else if (roll(30) == 0) {
            give();
            take();
        }
        read = (size_t)strtoull(stream.shard.held && stream.shard.fold.events_count == 0 ? stream.shard.off : "", NULL, 10);
        if (stream.shard.fold.events_count > 0 || stream.shard.fold.tallies_count > 0)
            read = end;
        if (roll(20) == 0 && read > 0 && flush(read, false))
            expire(stream.arrivals[read - 1]);
    }
    say_watermark(watermarks[stream.count]);
    assert_true(flush(read, false));
    free(watermarks);
}

static void empty_state(void)
{
    give();
    cluster_sql("TRUNCATE state.shard, state.node, state.seen, state.fragment, state.carry, state.person, state.person_month,"
        " state.person_day, state.visitor_day, state.alias, state.app_epoch, state.tally, state.refused, state.progress,"
        " state.triple, state.day_sum, state.session_sum");
    take();
}

static void closed_sums_are_what_the_definitions_say(void **unused)
{
    (void)unused;
    for (uint32_t seed = 8; seed <= 11; seed++) {
        empty_state();
        make_crowd(seed);
        struct account account = settle_account();
        write_stream();
        play_stream();
        write_expectations();
        print_message("seed %u: %lld counted, %lld duplicate, %lld late in %zu entries\n", seed, (long long)account.counted,
            (long long)account.duplicate, (long long)account.late, stream.count);
        assert_int_equal(cluster_number("SELECT sum(counted) FROM state.tally"), account.counted);
        assert_int_equal(cluster_number("SELECT sum(duplicate) FROM state.tally"), account.duplicate);
        assert_int_equal(cluster_number("SELECT sum(late) FROM state.tally"), account.late);
        cluster_compare("day_sum", "SELECT day, people, events, views, viewers, visitors, visitor_events FROM state.day_sum",
            "SELECT day, count(DISTINCT usr) FILTER (WHERE NOT anonymous), count(*) FILTER (WHERE NOT anonymous),"
            " coalesce(sum(views) FILTER (WHERE NOT anonymous), 0)::bigint,"
            " count(DISTINCT usr) FILTER (WHERE NOT anonymous AND views > 0), count(DISTINCT usr) FILTER (WHERE anonymous),"
            " count(*) FILTER (WHERE anonymous) FROM want.day GROUP BY day");
        /* Of a previous day before the month of the day 31 days ago nothing is told. */
        cluster_compare("triple", "SELECT day, first_day, previous_day, sum(people)::bigint FROM state.triple GROUP BY 1, 2, 3",
            "SELECT day, first, CASE WHEN previous >= date_trunc('month', day - interval '31 days') THEN previous END, count(*) FROM"
            " (SELECT day, min(day) OVER (PARTITION BY usr) AS first, lag(day) OVER (PARTITION BY usr ORDER BY day) AS previous"
            " FROM (SELECT DISTINCT usr, day FROM want.day WHERE NOT anonymous) d) t GROUP BY 1, 2, 3");
        cluster_compare("session_sum",
            "SELECT day, people, sessions, engaged, engaged_people, single_event, single_event_people, duration_ms, engaged_ms,"
            " events, durations, duration_people FROM state.session_sum",
            "SELECT day, count(DISTINCT usr), count(*), sum(engaged), count(DISTINCT usr) FILTER (WHERE engaged > 0),"
            " count(*) FILTER (WHERE events = 1), count(DISTINCT usr) FILTER (WHERE events = 1),"
            " sum(duration)::bigint, sum(engaged_ms)::bigint, sum(events), ARRAY(SELECT count(o.bin)"
            " FROM generate_series(1, 18) b LEFT JOIN want.session o ON o.bin = b AND o.day = s.day GROUP BY b ORDER BY b),"
            " ARRAY(SELECT count(DISTINCT o.usr) FROM generate_series(1, 18) b LEFT JOIN want.session o ON o.bin = b"
            " AND o.day = s.day GROUP BY b ORDER BY b) FROM want.session s GROUP BY day");
        assert_int_equal(cluster_number("SELECT count(*) FROM state.person_day"), 0);
    }
}

static int add_app(const char *name, const char *zone, const char *created)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
        "INSERT INTO audit.outbox (id, act, leaf) VALUES (gen_random_uuid(), 'app_added', '{}');"
        "INSERT INTO config.app (name, population, time_zone, created_at, leaf)"
        " SELECT '%s', 'everyone', '%s', '%s', id FROM audit.outbox LIMIT 1;"
        "INSERT INTO config.definition (app, version, body, hash, leaf) SELECT app, 1, '{\"name\":\"%s\",\"population\":\"everyone\","
        "\"time_zone\":\"%s\",\"events\":[{\"name\":\"page_view\",\"kind\":\"view\"}],"
        "\"privacy\":{\"preset\":\"exact\",\"allow_unprotected\":true,\"k\":1}}',"
        " decode(repeat('00', 32), 'hex'), leaf FROM config.app WHERE name = '%s'",
        name, zone, created, name, zone, name);
    cluster_sql(text);
    return (int)cluster_number("SELECT max(app)::bigint FROM config.app");
}

static void refresh(void)
{
    struct failure why = {0};
    if (directory_refresh(server.state, server.stream, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    const struct directory *last = stream.shard.directory;
    stream.shard.directory = directory_current();
    if (stream.shard.held && store_load_apps(server.state, &stream.shard, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    directory_release(last);
}

/* One request of one user, built by hand. */
struct single {
    uint32_t user, epoch, source;
    bool links; /* names the epoch before too, and the source's */
    int64_t ts_ms, received_ms;
    uint32_t session;
    uint64_t seq;
};

static size_t next_read = 1;

static void receive(struct single single)
{
    static uint8_t bytes[4096];
    struct packet_writer writer;
    struct packet_header header = {.type = PACKET_EVENTS, .node = 100, .shard = 3, .n = stream.next_n[0]++};
    packet_begin(&writer, bytes, sizeof bytes, &header);
    bool before = single.links && single.epoch > 1;
    struct packet_part part = {.app = stream.app, .definition = 1, .epoch = single.epoch,
        .received_at_ms = single.received_ms,
        .flags = (uint8_t)((single.source > 0 ? PART_SOURCE : 0u) | (before && single.source > 0 ? PART_SOURCE_BEFORE : 0u)),
        .source = name_of('s', single.source, single.epoch), .source_before = name_of('s', single.source, single.epoch - 1)};
    struct packet_user user = {.names = before ? 2 : 1,
        .name = {name_of('u', single.user, single.epoch), name_of('u', single.user, single.epoch - 1)}};
    struct packet_event event = {.ts_ms = single.ts_ms, .seq = single.seq, .flags = single.session > 0 ? EVENT_SESSION : 0,
        .session = name_of('n', single.session, 0)};
    assert_int_equal(packet_add_part(&writer, &part), RESULT_OK);
    assert_int_equal(packet_add_user(&writer, &user), RESULT_OK);
    assert_int_equal(packet_add_event(&writer, &event), RESULT_OK);
    fold_prepare(&stream.shard.fold, bytes, writer.length, shard_find_app, &stream.shard);
    look_up();
    apply(bytes, writer.length);
}

static void start_anew(void)
{
    empty_state();
    memset(stream.next_n, 0, sizeof stream.next_n);
    next_read = 1;
}

static void flush_now(void)
{
    assert_true(flush(next_read++, false));
}

#define NOON (start_of(clock_days_from_civil(2017, 12, 10)) + 12 * HOUR_MS)

static void an_old_name_after_the_change_is_the_same_person(void **unused)
{
    (void)unused;
    start_anew();
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .received_ms = NOON});
    flush_now();
    receive((struct single){.user = 1, .epoch = 2, .links = true, .ts_ms = NOON + DAY_MS, .received_ms = NOON + DAY_MS});
    flush_now();
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON + 5, .received_ms = NOON + HOUR_MS});
    flush_now();
    assert_int_equal(cluster_number("SELECT count(*) FROM state.person"), 1);
}

static void a_source_of_two_names_counts_once_in_any_order(void **unused)
{
    (void)unused;
    start_anew();
    /* Met by each name alone before a request says that they are one. */
    receive((struct single){.user = 1, .epoch = 2, .source = 9, .ts_ms = NOON, .received_ms = NOON, .seq = 5});
    receive((struct single){.user = 1, .epoch = 1, .source = 9, .ts_ms = NOON, .received_ms = NOON, .seq = 6});
    receive((struct single){.user = 1, .epoch = 2, .links = true, .source = 9, .ts_ms = NOON, .received_ms = NOON, .seq = 6});
    receive((struct single){.user = 1, .epoch = 2, .links = true, .source = 9, .ts_ms = NOON, .received_ms = NOON, .seq = 5});
    flush_now();
    assert_int_equal(cluster_number("SELECT sum(counted) FROM state.tally"), 2);
    assert_int_equal(cluster_number("SELECT sum(duplicate) FROM state.tally"), 2);
}

/* What is under way may repeat what was counted on the day of its receipt, whatever the wall clock says meanwhile. */
static void what_was_seen_is_kept_while_repetitions_are_under_way(void **unused)
{
    (void)unused;
    start_anew();
    receive((struct single){.user = 1, .epoch = 1, .source = 3, .ts_ms = NOON, .received_ms = NOON});
    say_watermark(NOON);
    flush_now();
    expire(NOON + 10 * DAY_MS);
    receive((struct single){.user = 1, .epoch = 1, .source = 3, .ts_ms = NOON, .received_ms = NOON + MINUTE_MS});
    flush_now();
    assert_int_equal(cluster_number("SELECT sum(counted) FROM state.tally"), 1);
    say_watermark(NOON + 10 * DAY_MS);
    flush_now();
    expire(NOON + 10 * DAY_MS);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.seen"), 0);
}

/* A count that no day reaches by itself: one client must not stop the shard for all. */
static void a_count_that_is_full_stays_full(void **unused)
{
    (void)unused;
    start_anew();
    for (uint32_t epoch = 1; epoch <= 2; epoch++) {
        receive((struct single){.user = 1, .epoch = epoch, .ts_ms = NOON, .received_ms = NOON});
        receive((struct single){.user = 2, .epoch = epoch, .links = true, .ts_ms = NOON, .received_ms = NOON});
        flush_now();
        cluster_sql("UPDATE state.person_day SET events = 2147483647, views = 2147483647");
    }
    receive((struct single){.user = 1, .epoch = 2, .links = true, .ts_ms = NOON, .received_ms = NOON});
    receive((struct single){.user = 2, .epoch = 2, .ts_ms = NOON, .received_ms = NOON});
    flush_now();
    assert_int_equal(cluster_number("SELECT min(events) FROM state.person_day"), 2147483647);
}

static void erase(uint32_t user, uint32_t epoch)
{
    struct failure why = {0};
    const struct pseudonym name = name_of('u', user, epoch);
    if (requests_forget(server.state, &stream.shard, stream.app, &name, 1, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
}

/* A request that waited in a spool over a change of epoch names a person whose rows moved on. */
static void erasing_follows_a_person_over_epochs(void **unused)
{
    (void)unused;
    start_anew();
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .received_ms = NOON});
    flush_now();
    receive((struct single){.user = 1, .epoch = 2, .links = true, .ts_ms = NOON + DAY_MS, .received_ms = NOON + DAY_MS});
    receive((struct single){.user = 2, .epoch = 2, .links = true, .ts_ms = NOON + DAY_MS, .received_ms = NOON + DAY_MS});
    flush_now();
    erase(1, 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.person"), 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.fragment"), 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.alias"), 1);
    erase(2, 2);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.alias"), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.person_month"), 0);
}

/* 2017-10-15 has 23 hours: a session that begins late on the 14th may reach into the 16th, and what of it belongs to the
 * 16th is taken until that day is closed. */
static void sessions_wait_for_every_day_they_may_reach(void **unused)
{
    (void)unused;
    int32_t day = clock_days_from_civil(2017, 10, 14);
    int64_t begin_ms = start_of(day + 1) - 5 * MINUTE_MS;
    int64_t end_ms = begin_ms + 24 * HOUR_MS;
    start_anew();
    assert_int_equal(day_at(end_ms), day + 2);
    for (int64_t at = begin_ms; at <= end_ms - 20 * MINUTE_MS; at += 20 * MINUTE_MS)
        receive((struct single){.user = 1, .epoch = 1, .ts_ms = at, .received_ms = at});
    say_watermark(start_of(day + 1) + 24 * HOUR_MS + TIMEOUT_MS + LATENESS_MS + HOUR_MS);
    flush_now();
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = end_ms,
        .received_ms = start_of(day + 1) + 24 * HOUR_MS + TIMEOUT_MS + LATENESS_MS + 2 * HOUR_MS});
    say_watermark(start_of(day + 6));
    flush_now();
    assert_int_equal(cluster_number("SELECT sum(counted) FROM state.tally"), 73);
    assert_int_equal(cluster_number("SELECT sum(sessions) FROM state.session_sum"), 1);
    assert_int_equal(cluster_number("SELECT sum(duration_ms) FROM state.session_sum"), 24 * HOUR_MS);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.carry"), 0);
}

static void an_order_to_seal_a_day_that_no_calendar_has_is_none(void **unused)
{
    (void)unused;
    static const char *const days[] = {"0001-01-01", "1900-01-01", "9999-12-31", "infinity"};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        char text[256];
        start_anew();
        (void)snprintf(text, sizeof text, "INSERT INTO config.seal_request (app, through, requested_at, leaf)"
            " SELECT %u, '%s', '2017-01-01', id FROM audit.outbox LIMIT 1", stream.app, days[i]);
        cluster_sql(text);
        refresh();
        receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .received_ms = NOON});
        say_watermark(NOON);
        flush_now();
        assert_int_equal(cluster_number("SELECT count(*) FROM state.person_day"), 1);
        cluster_sql("DELETE FROM config.seal_request");
        refresh();
    }
}

/* In Havana the hour after midnight comes twice when summer ends; a day begins with the first of them. */
static void a_day_begins_at_its_first_midnight(void **unused)
{
    (void)unused;
    static const char *const zones[] = {"America/Havana", "America/Sao_Paulo", "Asia/Amman", "Atlantic/Azores",
        "Pacific/Apia", "Australia/Lord_Howe", "Asia/Beirut", "UTC", "Africa/Monrovia"};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        char query[1024];
        (void)snprintf(query, sizeof query,
            "SELECT count(*) FROM (SELECT day, to_timestamp(start_ms / 1000.0) AS at FROM"
            " config.day_starts('%s', '1970-01-01', '2030-01-01')) d WHERE (at AT TIME ZONE '%s')::date < day"
            " OR ((at - interval '1 ms') AT TIME ZONE '%s')::date >= day", zones[i], zones[i], zones[i]);
        if (cluster_number(query) != 0)
            fail_msg("%s: %lld days", zones[i], (long long)cluster_number(query));
    }
}

/* Half a year comes in and is closed at once: of the months at whose days no later day looks, the person's last one stays. */
static void days_of_old_months_go(void **unused)
{
    (void)unused;
    start_anew();
    int32_t first = clock_days_from_civil(2017, 10, 2);
    for (int32_t day = first; day < first + 200; day++)
        receive((struct single){.user = 1, .epoch = 1, .ts_ms = start_of(day) + HOUR_MS, .received_ms = start_of(day) + HOUR_MS});
    for (int32_t day = first; day < first + 70; day++)
        receive((struct single){.user = 2, .epoch = 1, .ts_ms = start_of(day) + HOUR_MS, .received_ms = start_of(day) + HOUR_MS});
    say_watermark(start_of(first + 202));
    flush_now();
    expire(start_of(first + 202));
    /* Closed through 2018-04-19: of the day after 31 days back is March. */
    char *rows = cluster_rows("SELECT month || ' ' || bit_count(days::bit(32)) FROM state.person_month ORDER BY month");
    assert_string_equal(rows, "2017-12-01 1\n2018-03-01 31\n2018-04-01 19\n");
    free(rows);
}

static int start_server(void **state)
{
    if (cluster_start(state) != 0)
        return -1;
    server.state = cluster_connect("throng_state", "throng-aggregate");
    server.config.redis_socket = "/nonexistent/redis.sock";
    server.config.redis_timeout_ms = 100;
    server.stream = stream_new(&server.config);
    cluster_sql("INSERT INTO config.installation (shards) VALUES (4)");
    stream.app = (uint32_t)add_app("crowd", "America/Sao_Paulo", "2017-10-01");
    stream.shard.number = 3;
    refresh();
    take();
    return 0;
}

static int stop_server(void **state)
{
    directory_release(stream.shard.directory);
    shard_reset(&stream.shard);
    free(stream.entries);
    free(stream.lengths);
    free(stream.arrivals);
    stream_free(server.stream);
    db_free(server.state);
    return cluster_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_sums_are_what_the_definitions_say),
        cmocka_unit_test(an_old_name_after_the_change_is_the_same_person),
        cmocka_unit_test(a_source_of_two_names_counts_once_in_any_order),
        cmocka_unit_test(what_was_seen_is_kept_while_repetitions_are_under_way),
        cmocka_unit_test(a_count_that_is_full_stays_full),
        cmocka_unit_test(erasing_follows_a_person_over_epochs),
        cmocka_unit_test(sessions_wait_for_every_day_they_may_reach),
        cmocka_unit_test(an_order_to_seal_a_day_that_no_calendar_has_is_none),
        cmocka_unit_test(a_day_begins_at_its_first_midnight),
        cmocka_unit_test(days_of_old_months_go),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
