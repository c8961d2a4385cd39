/*
 * Declared things on their way into a private PostgreSQL: a random crowd's events, in any order and any batches, leave the
 * same marks, steps, measures, entities and fragments, and these are what a plain reckoning in SQL says of the same
 * events. Then: a change of epochs moves all of it, and nothing of it outlives an erasure or a purge.
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

#include "service/aggregate/rows.h"
#include "service/aggregate/requests.h"
#include "service/aggregate/store.h"
#include "service/base/clock.h"
#include "tests/unit/cluster.h"

#define HOUR_MS 3600000LL
#define DAY_MS (24 * HOUR_MS)
#define TIMEOUT_MS (HOUR_MS / 2)
#define FIRST_DAY 17600
#define DAYS 3
#define USERS 12
#define EVENTS 4000
#define MOST 2000 /* steps of the measure */

static struct {
    struct db *state;
    struct config config;
    struct stream *stream; /* leads nowhere: the directory does without */
    struct shard shard;
    uint32_t app;
    uint64_t next_n;
    size_t read;
} server;

__attribute__((format(printf, 1, 2))) static void sql(const char *format, ...)
{
    static char text[8192];
    struct failure why = {0};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (db_script(cluster.owner, text, &why) != RESULT_OK)
        fail_msg("%s", why.text);
}

static uint64_t dice = 5;

static uint32_t roll(uint32_t sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % sides;
}

static struct pseudonym name_of(uint32_t who, uint32_t epoch)
{
    struct pseudonym name = {{0}};
    uint64_t mixed = ((uint64_t)who << 8 | epoch) * 0x9e3779b97f4a7c15u;
    memcpy(name.bytes, &mixed, sizeof mixed);
    name.bytes[8] = (uint8_t)who;
    name.bytes[9] = (uint8_t)epoch;
    return name;
}

/* Bytes as SQL writes them. */
static const char *hex_of(const struct pseudonym *name)
{
    static char text[2 * PSEUDONYM_BYTES + 3];
    (void)strcpy(text, "\\x");
    for (size_t i = 0; i < PSEUDONYM_BYTES; i++)
        (void)snprintf(text + 2 + 2 * i, 3, "%02x", name->bytes[i]);
    return text;
}

/* What is declared. Event 0 has a page (-1 … 5) and a device (0 … 2), 1 a number, 2 the id of a campaign. Pages 0 and 1 are
 * class 0, 2 is class 1, 3 class 2, all else is other. */

static const uint8_t classes[] = {DIMENSION_VALUES_MAX, 0, 0, 1, 2};

#define OF_PAGE .prop = 0, .classes = classes, .class_count = sizeof classes
static struct app_use view_uses[] = {{.kind = APP_USE_DIMENSION, .item = 0, OF_PAGE},
    {.kind = APP_USE_DIMENSION, .item = 6, OF_PAGE}, {.kind = APP_USE_DIMENSION, .item = 7, OF_PAGE},
    {.kind = APP_USE_PATH, .item = 1, OF_PAGE}, {.kind = APP_USE_FEATURE, .item = 3, .prop = -1},
    {.kind = APP_USE_SEGMENT, .item = 31, .prop = 1, .value = 2}, {.kind = APP_USE_STEP, .item = 4, .step = 0, .prop = -1},
    {.kind = APP_USE_STEP, .item = 4, .step = 9, .prop = 1, .value = 1}};
static struct app_use buy_uses[] = {{.kind = APP_USE_MEASURE, .item = 2, .prop = 0},
    {.kind = APP_USE_GOAL, .item = 49, .prop = -1}, {.kind = APP_USE_DONE, .prop = -1},
    {.kind = APP_USE_STEP, .item = 4, .step = 2, .prop = -1}};
static struct app_use play_uses[] = {{.kind = APP_USE_ENTITY, .item = 5, .prop = 0}, {.kind = APP_USE_START, .prop = -1}};
static struct app_event declared_events[] = {{.uses = view_uses, .use_count = 8}, {.uses = buy_uses, .use_count = 4},
    {.uses = play_uses, .use_count = 2}};
static struct app_dimension dimensions[DIMENSIONS_MAX] = {[6] = {.scope = APP_SCOPE_ENTRY}, [7] = {.scope = APP_SCOPE_EXIT}};
static struct app_measure measures[] = {{.step = 1}, {.step = 1}, {.min = -500, .max = 500, .step = 0.5}};
static struct app declared;

/* Reading a definition is not at issue: the shard counts by this one. */
static void declare(void)
{
    struct fold_app *app = shard_find_app(&server.shard, server.app);
    declared = *app->definition;
    declared.events = declared_events;
    declared.event_count = 3;
    declared.dimensions = dimensions;
    declared.dimension_count = DIMENSIONS_MAX;
    declared.measures = measures;
    declared.measure_count = 3;
    app->definition = &declared;
}

/* The crowd */

struct act {
    uint32_t user;
    uint16_t name;
    int64_t ts_ms;
    bool has[2];
    int64_t value[2];
};

static struct act acts[EVENTS];

static struct act make_act(uint32_t user, int64_t ts_ms)
{
    struct act act = {.user = user, .name = (uint16_t)roll(3), .ts_ms = ts_ms, .has = {roll(8) > 0, roll(3) > 0}};
    act.has[1] = act.has[1] && act.name == 0;
    act.value[1] = roll(3);
    if (act.name == 0)
        act.value[0] = (int64_t)roll(7) - 1;
    else if (act.name == 1)
        act.value[0] = roll(6) == 0 ? (int64_t)roll(3 * MOST) : roll(20); /* some beyond what is declared */
    else
        act.value[0] = (int64_t)(((uint64_t)roll(user == 0 ? 200 : 9) - 4) * 0x9e3779b97f4a7c15u); /* negative ones too */
    return act;
}

/* User 0 never rests, and does more than a day may hold; user 1 does all at four times a day, others at times. */
static void make_crowd(void)
{
    for (size_t i = 0; i < EVENTS; i++) {
        int64_t at = FIRST_DAY * DAY_MS + (int64_t)roll(DAYS * 24 * 60) * 60000 + roll(3) * 1000;
        uint32_t user = roll(3) == 0 ? 0 : 1 + roll(USERS - 1);
        if (i > 0 && roll(5) == 0) {
            at = acts[i - 1].ts_ms;
            user = acts[i - 1].user;
        }
        acts[i] = make_act(user, user == 1 ? at - at % (6 * HOUR_MS) : at);
    }
}

static void shuffle(void)
{
    for (size_t i = EVENTS; i > 1; i--) {
        size_t j = roll((uint32_t)i);
        struct act swap = acts[i - 1];
        acts[i - 1] = acts[j];
        acts[j] = swap;
    }
}

/* Driving the shard */

static void receive(const struct act *act, uint32_t epoch, uint8_t names)
{
    static uint8_t bytes[1024];
    struct failure why = {0};
    struct packet_writer writer;
    struct packet_header header = {.type = PACKET_EVENTS, .node = 1, .shard = 3, .n = server.next_n++};
    struct packet_part part = {.app = server.app, .definition = 1, .epoch = epoch, .received_at_ms = act->ts_ms};
    struct packet_user user = {.names = names};
    struct packet_event event = {.name = act->name, .ts_ms = act->ts_ms, .flags = act->name == 0 ? EVENT_VIEW : 0};
    for (uint32_t i = 0; i < names; i++)
        user.name[i] = name_of(act->user, epoch - i);
    for (uint8_t i = 0; i < 2; i++) {
        if (act->has[i])
            event.prop[event.props++] = (struct packet_prop){.index = i, .value = act->value[i]};
    }
    packet_begin(&writer, bytes, sizeof bytes, &header);
    assert_int_equal(packet_add_part(&writer, &part), RESULT_OK);
    assert_int_equal(packet_add_user(&writer, &user), RESULT_OK);
    assert_int_equal(packet_add_event(&writer, &event), RESULT_OK);
    fold_prepare(&server.shard.fold, bytes, writer.length, shard_find_app, &server.shard);
    if (store_look_up(server.state, &server.shard, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    fold_apply(&server.shard.fold, bytes, writer.length, shard_find_app, &server.shard);
}

static enum result write_body(struct db *db, void *context, struct failure *why)
{
    (void)context;
    return store_write(db, &server.shard, why);
}

static void flush(void)
{
    struct failure why = {0};
    struct shard *shard = &server.shard;
    (void)snprintf(shard->read, sizeof shard->read, "%zu-0", ++server.read);
    fold_digest(&shard->fold, shard_find_app, shard);
    if (db_transaction(server.state, write_body, NULL, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    (void)strcpy(shard->off, shard->read);
    fold_clear(&shard->fold);
}

static void take(void)
{
    struct failure why = {0};
    server.shard.directory = directory_current();
    if (store_take(server.state, &server.shard, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    assert_true(server.shard.held);
    directory_release(server.shard.directory);
    declare();
}

static void empty_state(void)
{
    store_give(server.state, &server.shard);
    char *names = cluster_rows("SELECT string_agg(format('%I.%I', table_schema, table_name), ', ') FROM information_schema.tables"
        " WHERE table_schema = 'state' AND table_type = 'BASE TABLE'");
    sql("TRUNCATE %s", names);
    free(names);
    server.read = 0;
    take();
}

/* What is in the database, as whoever reads it may see it: fragments merged, days capped. */

static const char *const views[][2] = {
    {"marks", "SELECT concat_ws(' ', usr, day, events, views, marks) FROM person_day ORDER BY usr, day"},
    {"steps", "SELECT concat_ws(' ', usr, track, at_ms, value) FROM (SELECT *, row_number() OVER (PARTITION BY usr, track,"
        " at_ms / 86400000 ORDER BY at_ms, value) AS i FROM step) s WHERE i <= 200 ORDER BY usr, track, at_ms, value"},
    {"measures", "SELECT concat_ws(' ', usr, day, measure, bin, count, sum, most, last_ms, last) FROM person_measure"
        " ORDER BY usr, day, measure, bin"},
    {"entities", "SELECT concat_ws(' ', usr, day, class, entity) FROM (SELECT *, row_number() OVER (PARTITION BY usr, day,"
        " class ORDER BY entity) AS i FROM person_entity) e WHERE i <= 100 ORDER BY usr, day, class, entity"},
    {"fragments", "SELECT concat_ws(' ', usr, start_ms, end_ms, events, views, goal_bits, coalesce(entry_ms, -1),"
        " coalesce(entry, -1), coalesce(exit_ms, -1), coalesce(exit, -1)) FROM fragment ORDER BY usr, start_ms"},
};
#define VIEWS (sizeof views / sizeof views[0])

static char *read_view(size_t view, const char *schema)
{
    PQclear(PQexec(cluster.reader, strcmp(schema, "have") == 0 ? "SET search_path = have" : "SET search_path = want"));
    return cluster_rows(views[view][1]);
}

static void put_fragment(const struct pseudonym *usr, const struct session_fragment *piece)
{
    char classes_of[64] = "NULL, NULL, NULL, NULL";
    char entry[32] = "NULL, NULL";
    char exit_at[32] = "NULL, NULL";
    if (piece->has_entry)
        (void)snprintf(entry, sizeof entry, "%lld, %u", (long long)(piece->entry_ms - piece->start_ms), piece->entry);
    if (piece->has_exit)
        (void)snprintf(exit_at, sizeof exit_at, "%lld, %u", (long long)(piece->exit_ms - piece->start_ms), piece->exit);
    (void)snprintf(classes_of, sizeof classes_of, "%s, %s", entry, exit_at);
    sql("INSERT INTO have.fragment VALUES (3, %u, '%s', '', NULL, %lld, %lld, %lld, %lld, 0, 0, %lld, %s)", server.app,
        hex_of(usr), (long long)piece->start_ms, (long long)piece->end_ms, (long long)piece->events, (long long)piece->views,
        (long long)piece->goal_bits, classes_of);
}

/* have.*: what is in state.*, fragments merged as closing does. */
static void copy_state(void)
{
    static struct session_fragment pieces[EVENTS * 2];
    struct failure why = {0};
    sql("DROP SCHEMA IF EXISTS have CASCADE; CREATE SCHEMA have; CREATE VIEW have.person_day AS SELECT * FROM state.person_day;"
        "CREATE VIEW have.step AS SELECT * FROM state.step; CREATE VIEW have.person_measure AS SELECT * FROM"
        " state.person_measure; CREATE VIEW have.person_entity AS SELECT * FROM state.person_entity;"
        "CREATE TABLE have.fragment (LIKE state.fragment); BEGIN");
    PGresult *rows = NULL;
    if (db_run(server.state, "test.fragments", "SELECT usr, session, session_before, start_ms, end_ms, events, views, goals,"
        " engaged_ms, goal_bits, entry_ms, entry, exit_ms, exit FROM state.fragment ORDER BY usr", NULL, &rows, &why) != RESULT_OK)
        fail_msg("%s", why.text);
    for (int row = 0; row < PQntuples(rows);) {
        struct pseudonym usr = rows_get_name(rows, row, 0);
        size_t count = 0;
        for (; row < PQntuples(rows) && memcmp(PQgetvalue(rows, row, 0), usr.bytes, PSEUDONYM_BYTES) == 0; row++)
            pieces[count++] = rows_get_fragment(rows, row, 1);
        count = session_merge(pieces, count, TIMEOUT_MS);
        for (size_t i = 0; i < count; i++)
            put_fragment(&usr, &pieces[i]);
    }
    PQclear(rows);
    sql("COMMIT");
}

/* want.*: what a plain reckoning says. */

static void log_acts(uint32_t epoch)
{
    sql("DROP SCHEMA IF EXISTS want CASCADE; CREATE SCHEMA want;"
        "CREATE TABLE want.act (usr bytea, name int, at_ms bigint, day date, p0 bigint, p1 bigint); BEGIN");
    for (size_t i = 0; i < EVENTS; i++) {
        const struct act *act = &acts[i];
        struct pseudonym name = name_of(act->user, epoch);
        char values[2][32] = {"NULL", "NULL"};
        for (size_t j = 0; j < 2; j++) {
            if (act->has[j])
                (void)snprintf(values[j], sizeof values[j], "%lld", (long long)act->value[j]);
        }
        sql("INSERT INTO want.act VALUES ('%s', %u, %lld, date '1970-01-01' + %d, %s, %s)", hex_of(&name), act->name,
            (long long)act->ts_ms, (int)(act->ts_ms / DAY_MS), values[0], values[1]);
    }
    sql("COMMIT");
}

static void reckon(void)
{
    sql("CREATE VIEW want.page AS SELECT *, CASE WHEN p0 IN (0, 1) THEN 0 WHEN p0 IN (2, 3) THEN p0 - 1 ELSE 50 END AS class"
        " FROM want.act WHERE name = 0 AND p0 IS NOT NULL;"
        "CREATE VIEW want.mark AS SELECT usr, day, 64 + class AS bit FROM want.page"
        " UNION ALL SELECT usr, day, 3 FROM want.act WHERE name = 0"
        " UNION ALL SELECT usr, day, 63 FROM want.act WHERE name = 0 AND p1 = 2;"
        "CREATE TABLE want.person_day AS SELECT usr, day, events, views, marks FROM (SELECT usr, day, count(*) AS events,"
        " count(*) FILTER (WHERE name = 0) AS views FROM want.act GROUP BY usr, day) a LEFT JOIN (SELECT usr, day,"
        " bit_or(set_bit(repeat('0', 576)::bit(576), bit::int, 1)) AS marks FROM want.mark GROUP BY usr, day) m"
        " USING (usr, day);"
        "CREATE TABLE want.step AS SELECT usr, 65 AS track, at_ms, class AS value FROM want.page"
        " UNION ALL SELECT usr, 4, at_ms, CASE WHEN name = 1 THEN 4 WHEN p1 = 1 THEN 513 ELSE 1 END FROM want.act"
        " WHERE name IN (0, 1);");
    sql("CREATE TABLE want.person_measure AS SELECT usr, day, 2 AS measure, bin, count(*) AS count, sum(v) AS sum,"
        " max(v) AS most, max(at_ms) AS last_ms, (array_agg(v ORDER BY at_ms DESC, v DESC))[1] AS last FROM (SELECT *,"
        " CASE WHEN v = 0 THEN 0 ELSE floor(log(2.0, v) + 0.0000001)::int + 1 END AS bin FROM (SELECT *, least(p0, %d) AS v"
        "   FROM want.act WHERE name = 1 AND p0 IS NOT NULL) a) b GROUP BY usr, day, bin;"
        "CREATE TABLE want.person_entity AS SELECT DISTINCT usr, day, 5 AS class, p0 AS entity FROM want.act"
        " WHERE name = 2 AND p0 IS NOT NULL;", MOST);
    sql("CREATE TABLE want.fragment AS SELECT usr, start_ms, max(at_ms) AS end_ms, count(*) AS events,"
        " count(*) FILTER (WHERE name = 0) AS views,"
        " bit_or(CASE name WHEN 1 THEN (1::bigint << 63) | (1::bigint << 49) WHEN 2 THEN 1::bigint << 62 ELSE 0 END)"
        "   AS goal_bits,"
        " (min(at_ms) FILTER (WHERE class >= 0) - start_ms)::int AS entry_ms,"
        " (array_agg(class ORDER BY at_ms, class) FILTER (WHERE class >= 0))[1] AS entry,"
        " (max(at_ms) FILTER (WHERE class >= 0) - start_ms)::int AS exit_ms,"
        " (array_agg(class ORDER BY at_ms DESC, class) FILTER (WHERE class >= 0))[1] AS exit"
        " FROM (SELECT *, min(at_ms) OVER (PARTITION BY usr, at_ms / 3600000, cuts) AS start_ms FROM (SELECT *,"
        "   sum(cut) OVER (PARTITION BY usr ORDER BY at_ms) AS cuts FROM (SELECT *, CASE WHEN at_ms - lag(at_ms) OVER"
        "     (PARTITION BY usr ORDER BY at_ms) > %lld THEN 1 ELSE 0 END AS cut, CASE WHEN name <> 0 OR p0 IS NULL THEN NULL"
        "     WHEN p0 IN (0, 1) THEN 0 WHEN p0 IN (2, 3) THEN p0 - 1 ELSE 50 END AS class FROM want.act) a) b) c"
        " GROUP BY usr, start_ms", (long long)TIMEOUT_MS);
}

static void assert_as_reckoned(void)
{
    copy_state();
    for (size_t i = 0; i < VIEWS; i++) {
        char *have = read_view(i, "have");
        char *want = read_view(i, "want");
        assert_true(strlen(want) > 1000);
        if (strcmp(have, want) != 0) {
            size_t at = 0;
            while (have[at] == want[at])
                at++;
            at = at > 100 ? at - 100 : 0;
            fail_msg("%s: have\n%.200s\nwant\n%.200s", views[i][0], have + at, want + at);
        }
        free(have);
        free(want);
    }
}

/* The tests */

static void order_and_batches_leave_the_same_state(void **unused)
{
    (void)unused;
    static const uint32_t batches[] = {EVENTS, 1000, 30, 400};
    make_crowd();
    log_acts(1);
    reckon();
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        empty_state();
        for (size_t j = 0; j < EVENTS; j++) {
            receive(&acts[j], 1, 1);
            if (j + 1 == EVENTS || roll(batches[i]) == 0)
                flush();
        }
        assert_as_reckoned();
        shuffle();
    }
}

/* How often name stands in the columns of state.* that may hold one; aliases aside, if so wanted. */
static int64_t places_of(const struct pseudonym *name, bool aliases)
{
    char query[2048];
    (void)snprintf(query, sizeof query,
        "SELECT 'SELECT sum(n) FROM (' || string_agg(format('SELECT count(*) AS n FROM state.%%I WHERE %%I = ''%s''',"
        " table_name, column_name), ' UNION ALL ') || ') x' FROM information_schema.columns WHERE table_schema = 'state'"
        " AND udt_name = 'bytea' AND (table_name <> 'alias' OR column_name <> 'old' OR %s)", hex_of(name), aliases ? "true" : "false");
    char *sum = cluster_rows(query);
    int64_t places = cluster_number(sum);
    free(sum);
    return places;
}

/* What the closing of days and sessions leaves: one row a name, which must become one of both. */
static void add_period(const struct pseudonym *name, int sessions, int last_ms)
{
    sql("INSERT INTO state.person_period VALUES (3, %u, '%s', 'week', '2018-03-05', set_bit(repeat('0', 576)::bit(576), %d, 1),"
        " %d, %d, %d, %d, %d), (3, %u, '%s', 'month', '2018-03-01', NULL, %d, 0, NULL, NULL, 0)", server.app, hex_of(name), sessions, sessions,
        sessions - 2, 10000 - last_ms, sessions, 1 << sessions, server.app, hex_of(name), sessions);
    sql("INSERT INTO state.person_outcome VALUES (3, %u, '%s', '2018-03-01', 2, 1, %d, %d, %d, %d)", server.app, hex_of(name),
        sessions, sessions, last_ms, sessions);
}

/* Half of the events come under the name of epoch 1, half under that of 2, and neither is known as the other's; then all
 * users come under epoch 3, with all their names. */
static void play_epochs(void)
{
    empty_state();
    for (size_t i = 0; i < EVENTS; i++) {
        receive(&acts[i], 1 + (uint32_t)(i * 2 / EVENTS), 1);
        if (roll(500) == 0 || i == EVENTS / 2 - 1)
            flush();
    }
    flush();
    struct pseudonym first = name_of(1, 1);
    struct pseudonym second = name_of(1, 2);
    add_period(&first, 4, 900);
    add_period(&second, 3, 1000);
    for (uint32_t user = 0; user < USERS; user++)
        receive(&(struct act){.user = user, .name = 9, .ts_ms = (FIRST_DAY + DAYS) * DAY_MS + HOUR_MS / 2}, 3, 3);
    flush();
    sql("DELETE FROM state.person_day WHERE day = date '1970-01-01' + %d; DELETE FROM state.fragment WHERE start_ms >= %lld",
        FIRST_DAY + DAYS, (FIRST_DAY + DAYS) * DAY_MS);
}

static void a_change_of_epochs_moves_everything(void **unused)
{
    (void)unused;
    play_epochs();
    for (uint32_t user = 0; user < USERS; user++) {
        for (uint32_t epoch = 1; epoch <= 2; epoch++) {
            struct pseudonym old = name_of(user, epoch);
            assert_int_equal(places_of(&old, false), 0);
            assert_int_equal(places_of(&old, true), 1);
        }
    }
    log_acts(3);
    reckon();
    assert_as_reckoned();
    char *rows = cluster_rows("SELECT concat_ws(' ', interval, sessions, get_bit(marks, 3), get_bit(marks, 4), bit_count(marks),"
        " engaged, first_ms, first_bin, goal_bits) FROM state.person_period ORDER BY interval DESC");
    assert_string_equal(rows, "week 7 1 1 2 3 9000 3 24\nmonth 7 0 0\n");
    free(rows);
    rows = cluster_rows("SELECT concat_ws(' ', count, sum, most, last_ms, last) FROM state.person_outcome");
    assert_string_equal(rows, "2 7 4 1000 3\n");
    free(rows);
}

static void an_erasure_leaves_nothing_of_any_name(void **unused)
{
    (void)unused;
    struct failure why = {0};
    const struct pseudonym first = name_of(1, 1);
    play_epochs();
    struct pseudonym present = name_of(1, 3);
    assert_true(places_of(&present, true) > 20);
    if (requests_forget(server.state, &server.shard, server.app, &first, 1, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    for (uint32_t epoch = 1; epoch <= 3; epoch++) {
        struct pseudonym name = name_of(1, epoch);
        assert_int_equal(places_of(&name, true), 0);
    }
    present = name_of(2, 3);
    assert_true(places_of(&present, true) > 20);
}

static void a_purge_leaves_no_name_at_all(void **unused)
{
    (void)unused;
    struct failure why = {0};
    play_epochs();
    sql("INSERT INTO state.entity VALUES (3, %u, 5, 'day', '2018-03-05', 77)", server.app);
    const struct forgotten_purge purge = {.app = server.app};
    if (requests_purge(server.state, &server.shard, &purge, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    char *sum = cluster_rows("SELECT 'SELECT sum(n) FROM (' || string_agg(format('SELECT count(*) AS n FROM state.%I', table_name),"
        " ' UNION ALL ') || ') x' FROM information_schema.columns WHERE table_schema = 'state'"
        " AND (udt_name = 'bytea' OR (table_name, column_name) = ('entity', 'entity'))");
    assert_int_equal(cluster_number(sum), 0);
    free(sum);
}

/* A person of whom nothing came for the app's horizon, and sums and entities that were released long ago. */
static void what_has_outlived_its_purpose_goes(void **unused)
{
    (void)unused;
    struct failure why = {0};
    empty_state();
    receive(&acts[0], 1, 1);
    flush();
    struct pseudonym name = name_of(acts[0].user, 1);
    add_period(&name, 1, 1);
    sql("DELETE FROM state.person_day; DELETE FROM state.fragment; DELETE FROM state.person_measure; DELETE FROM"
        " state.person_entity; INSERT INTO release.progress (app, first_day, activity_through, sessions_through) VALUES"
        " (%u, '2018-01-01', '2018-06-30', '2018-06-29');"
        "INSERT INTO state.cell SELECT 3, %u, d, 'feature_users', 'day', d, 0, -1, 1, 1 FROM (VALUES (date '2018-04-19'),"
        " ('2018-04-20')) v (d);"
        "INSERT INTO state.entity SELECT 3, %u, 0, i, d, 1 FROM (VALUES ('day', date '2018-06-22'), ('day', '2018-06-23'),"
        " ('week', '2018-06-11'), ('week', '2018-06-18'), ('month', '2018-05-01'), ('month', '2018-06-01')) v (i, d)",
        server.app, server.app, server.app);
    if (store_expire(server.state, &server.shard, (FIRST_DAY + 2000) * DAY_MS, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    assert_int_equal(places_of(&name, true), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.cell"), 1);
    char *rows = cluster_rows("SELECT interval || ' ' || period FROM state.entity ORDER BY 1");
    assert_string_equal(rows, "day 2018-06-23\nmonth 2018-06-01\nweek 2018-06-18\n");
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
    cluster_add_crowd("UTC", "2018-01-01");
    server.app = (uint32_t)cluster_number("SELECT max(app)::bigint FROM config.app");
    struct failure why = {0};
    if (directory_refresh(server.state, server.stream, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    server.shard.number = 3;
    take();
    return 0;
}

static int stop_server(void **state)
{
    shard_reset(&server.shard);
    fold_free(&server.shard.fold);
    stream_free(server.stream);
    db_free(server.state);
    return cluster_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_batches_leave_the_same_state),
        cmocka_unit_test(a_change_of_epochs_moves_everything),
        cmocka_unit_test(an_erasure_leaves_nothing_of_any_name),
        cmocka_unit_test(a_purge_leaves_no_name_at_all),
        cmocka_unit_test(what_has_outlived_its_purpose_goes),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
