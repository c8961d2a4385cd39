/*
 * The live view of test apps in a private PostgreSQL: what it takes and what not, who has which number, how much it holds,
 * and that an erasure, a purge and the end of the test app leave nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/aggregate/live.h"
#include "service/base/clock.h"
#include "tests/unit/cluster.h"

static struct {
    struct db *state;
    struct config config;
    struct stream *stream; /* leads nowhere: the directory does without */
    const struct directory *directory;
    uint32_t app, twin;
    struct live live;
    struct forgotten forgotten; /* nobody */
} view;

/* --- a shop and its twin -------------------------------------------------------------------------------------------- */

static uint32_t add_app(const char *name, const char *twin_of)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
        "INSERT INTO audit.outbox (id, act, leaf) VALUES (gen_random_uuid(), 'app_added', '{}');"
        "INSERT INTO config.app (name, population, time_zone, twin_of, lives_until, leaf)"
        " SELECT '%s', '%s', 'UTC', %s, CASE WHEN %s IS NULL THEN NULL ELSE now() + interval '1 day' END, id"
        " FROM audit.outbox LIMIT 1;"
        "INSERT INTO config.definition (app, version, body, hash, leaf) SELECT app, 1, '{\"name\":\"%s\",\"population\":\"%s\","
        "\"time_zone\":\"UTC\",\"routes\":[\"/item/:id\"],\"events\":[{\"name\":\"seen\",\"properties\":["
        "{\"name\":\"page\",\"type\":\"route\"},{\"name\":\"cost\",\"type\":\"number\",\"min\":-1,\"max\":9,\"step\":0.1},"
        "{\"name\":\"gift\",\"type\":\"boolean\"},{\"name\":\"kind\",\"type\":\"enum\",\"values\":[\"a\",\"b \\\"c\\\"\"]}]}],"
        "\"privacy\":{\"preset\":\"exact\",\"allow_unprotected\":true}}',"
        " decode(repeat('00', 32), 'hex'), leaf FROM config.app WHERE name = '%s'",
        name, name, twin_of, twin_of, name, name, name);
    cluster_sql(text);
    return (uint32_t)cluster_number("SELECT max(app)::bigint FROM config.app");
}

static void refresh(void)
{
    struct failure why = {0};
    directory_release(view.directory);
    enum result result = directory_refresh(view.state, view.stream, &why);
    assert_true(result == RESULT_OK || result == RESULT_UNAVAILABLE);
    view.directory = directory_current();
    assert_non_null(view.directory);
}

static int start(void **state)
{
    char id[16];
    if (cluster_start(state) != 0)
        return -1;
    view.state = cluster_connect("throng_state", "throng-aggregate");
    view.config.redis_socket = "/nonexistent/redis.sock";
    view.config.redis_timeout_ms = 100;
    view.stream = stream_new(&view.config);
    cluster_sql("INSERT INTO config.installation (shards) VALUES (4)");
    view.app = add_app("shop", "NULL::int");
    (void)snprintf(id, sizeof id, "%u", (unsigned)view.app);
    view.twin = add_app("shop-test", id);
    refresh();
    return 0;
}

static int stop(void **state)
{
    live_clear(&view.live);
    directory_release(view.directory);
    db_free(view.state);
    stream_free(view.stream);
    return cluster_stop(state);
}

static int empty(void **state)
{
    (void)state;
    live_clear(&view.live);
    cluster_sql("DELETE FROM live.twin");
    return 0;
}

/* --- packets -------------------------------------------------------------------------------------------------------- */

static struct pseudonym name_of(char kind, uint32_t who)
{
    struct pseudonym name = {{0}};
    name.bytes[0] = (uint8_t)kind;
    memcpy(name.bytes + 1, &who, sizeof who);
    return name;
}

static int64_t ahead_ms; /* by how much the node's clock is */

/* One request of one user: `count` events at now and after. before: the user's name of the epoch before, 0: none. */
static void take(uint32_t app, uint32_t user, uint32_t before, uint32_t session, unsigned count)
{
    static uint8_t bytes[ENTRY_MAX_BYTES];
    struct packet_writer writer;
    const struct packet_header header = {.type = PACKET_EVENTS, .node = 1, .shard = 3, .n = 0};
    const struct packet_part part = {.app = app, .definition = 1, .received_at_ms = clock_now_ms() + ahead_ms};
    const struct packet_user person = {.names = before != 0 ? 2 : 1, .name = {name_of('u', user), name_of('u', before)}};
    packet_begin(&writer, bytes, sizeof bytes, &header);
    assert_int_equal(packet_add_part(&writer, &part), RESULT_OK);
    assert_int_equal(packet_add_user(&writer, &person), RESULT_OK);
    for (unsigned i = 0; i < count; i++) {
        const struct packet_event event = {.ts_ms = part.received_at_ms + i,
            .flags = (uint8_t)(EVENT_VIEW | EVENT_ENGAGED | (session != 0 ? EVENT_SESSION : 0u)),
            .session = name_of('s', session),
            .engaged_ms = i,
            .seq = i,
            .props = 4,
            .prop = {{0, i % 2 == 0 ? 0 : -1}, {1, 13}, {2, 1}, {3, 1}}};
        assert_int_equal(packet_add_event(&writer, &event), RESULT_OK);
    }
    live_take(&view.live, view.directory, &view.forgotten, bytes, writer.length);
}

static enum result write_body(struct db *db, void *context, struct failure *why)
{
    return live_write(db, context, why);
}

static void flush(void)
{
    struct failure why = {0};
    if (db_transaction(view.state, write_body, &view.live, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    live_clear(&view.live);
}

static void expect_rows(const char *query, const char *expected)
{
    char *rows = cluster_rows(query);
    assert_string_equal(rows, expected);
    free(rows);
}

/* --- what it shows -------------------------------------------------------------------------------------------------- */

static void events_are_decoded(void **unused)
{
    (void)unused;
    take(view.twin, 1, 0, 7, 2);
    assert_true(live_waits(&view.live));
    flush();
    assert_false(live_waits(&view.live));
    expect_rows("SELECT id || ' ' || person || ' ' || session || ' ' || name || ' ' || engaged_ms || ' ' || is_view || ' ' || is_goal"
                " || ' ' || (ts - received_at) || ' ' || props::text FROM live.event ORDER BY id",
        "1 1 1 seen 0 true false 00:00:00 {\"cost\": 0.3, \"gift\": true, \"kind\": \"b \\\"c\\\"\", \"page\": \"/item/:id\"}\n"
        "2 1 1 seen 1 true false 00:00:00.001 {\"cost\": 0.3, \"gift\": true, \"kind\": \"b \\\"c\\\"\", \"page\": \"other\"}\n");
}

static void a_real_app_is_not_gathered(void **unused)
{
    (void)unused;
    const struct packet_count counts[] = {{view.app, PACKET_REASON_GPC, 5}, {0, PACKET_REASON_BOT, 1}};
    take(view.app, 1, 0, 1, 3);
    live_refuse(&view.live, view.directory, 60000, counts, 2);
    assert_false(live_waits(&view.live));
}

static void numbers_are_given_in_the_order_of_appearance(void **unused)
{
    (void)unused;
    take(view.twin, 30, 0, 2, 1);
    take(view.twin, 10, 0, 1, 1);
    take(view.twin, 30, 0, 0, 1);
    flush();
    take(view.twin, 20, 0, 1, 1);
    take(view.twin, 31, 30, 0, 1); /* the first one, in the next epoch */
    take(view.twin, 31, 0, 0, 1);
    flush();
    expect_rows("SELECT person || ' ' || coalesce(session, 0) FROM live.event ORDER BY id", "1 1\n2 2\n1 0\n3 2\n1 0\n1 0\n");
    expect_rows("SELECT events || ' ' || people || ' ' || sessions FROM live.twin", "6 3 2\n");
}

static void refusals_add_up(void **unused)
{
    (void)unused;
    const struct packet_count counts[] = {{view.twin, PACKET_REASON_GPC, 5}, {view.twin, PACKET_REASON_UNKNOWN_EVENT, 1}};
    live_refuse(&view.live, view.directory, 120000, counts, 2);
    live_refuse(&view.live, view.directory, 179999, counts, 1);
    flush();
    live_refuse(&view.live, view.directory, 120001, counts, 1);
    live_refuse(&view.live, view.directory, 180000, counts, 1);
    flush();
    expect_rows("SELECT extract(epoch FROM minute)::int || ' ' || reason || ' ' || count FROM live.refused ORDER BY 1",
        "120 gpc 15\n120 unknown_event 1\n180 gpc 5\n");
}

static void a_clock_ahead_keeps_nothing_longer(void **unused)
{
    (void)unused;
    ahead_ms = 3600000;
    take(view.twin, 1, 0, 0, 2);
    ahead_ms = 0;
    flush();
    assert_int_equal(cluster_number("SELECT count(*) FROM live.event WHERE received_at <= now()"), 2);
}

/* What a broken node says neither wraps nor makes the database refuse the flush. */
static void absurd_refusals_are_bounded(void **unused)
{
    (void)unused;
    const struct packet_count counts[] = {{view.twin, PACKET_REASON_GPC, INT64_MAX}, {view.twin, PACKET_REASON_GPC, INT64_MAX}};
    live_refuse(&view.live, view.directory, 120000, counts, 2);
    flush();
    live_refuse(&view.live, view.directory, 120000, counts, 2);
    flush();
    assert_int_equal(cluster_number("SELECT count FROM live.refused"), 4 * (1LL << 40));
}

static void only_the_newest_are_kept(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < 30; i++)
        take(view.twin, 100 + i, 0, 0, 50);
    flush();
    take(view.twin, 1, 0, 0, 3);
    flush();
    expect_rows("SELECT min(id) || ' ' || max(id) || ' ' || count(*) FROM live.event", "504 1503 1000\n");
    expect_rows("SELECT events || ' ' || people FROM live.twin", "1503 21\n"); /* of 500 nothing but the count arrived */
}

static void a_failed_flush_may_be_written_again(void **unused)
{
    (void)unused;
    struct failure why = {0};
    take(view.twin, 1, 0, 0, 2);
    assert_int_equal(db_script(view.state, "BEGIN", &why), RESULT_OK);
    assert_int_equal(live_write(view.state, &view.live, &why), RESULT_OK);
    assert_int_equal(db_script(view.state, "ROLLBACK", &why), RESULT_OK);
    assert_int_equal(cluster_number("SELECT count(*) FROM live.twin"), 0);
    flush();
    assert_int_equal(cluster_number("SELECT count(*) FROM live.event"), 2);
}

/* --- its end -------------------------------------------------------------------------------------------------------- */

static void erasing_takes_a_person_out(void **unused)
{
    (void)unused;
    struct failure why = {0};
    const struct pseudonym names[] = {name_of('u', 5), name_of('u', 1)};
    take(view.twin, 1, 0, 1, 2);
    take(view.twin, 2, 0, 2, 1);
    flush();
    assert_int_equal(live_erase(view.state, view.twin, names, 2, &why), RESULT_OK);
    expect_rows("SELECT person FROM live.event", "2\n");
    expect_rows("SELECT is_session || ' ' || number FROM live.name ORDER BY 1", "false 2\ntrue 2\n");
}

/* Nor does one stay whose number was given so long ago that ten thousand others came since. */
static void erasing_takes_out_the_first_of_many(void **unused)
{
    (void)unused;
    struct failure why = {0};
    const struct pseudonym name = name_of('u', 1);
    take(view.twin, 1, 0, 0, 1);
    flush();
    cluster_sql("UPDATE live.twin SET people = people + 10000, sessions = sessions + 10000");
    take(view.twin, 2, 0, 0, 1);
    flush();
    assert_int_equal(cluster_number("SELECT count(*) FROM live.event"), 2);
    assert_int_equal(live_erase(view.state, view.twin, &name, 1, &why), RESULT_OK);
    assert_int_equal(cluster_number("SELECT sum(person)::bigint FROM live.event"), 10002);
}

static void purging_takes_everything_out(void **unused)
{
    (void)unused;
    struct failure why = {0};
    take(view.twin, 1, 0, 1, 2);
    flush();
    assert_int_equal(live_purge(view.state, view.app, &why), RESULT_OK);
    assert_int_equal(cluster_number("SELECT count(*) FROM live.event"), 2);
    assert_int_equal(live_purge(view.state, view.twin, &why), RESULT_OK);
    assert_int_equal(cluster_number("SELECT (SELECT count(*) FROM live.event) + (SELECT count(*) FROM live.name)"), 0);
}

static void what_comes_after_the_end_is_not_shown(void **unused)
{
    (void)unused;
    struct failure why = {0};
    take(view.twin, 1, 0, 1, 2);
    flush();
    cluster_sql("UPDATE config.app SET lives_until = now() - interval '30 minutes' WHERE twin_of IS NOT NULL;"
                "INSERT INTO state.person SELECT 3, app, decode(repeat('01', 16), 'hex'), '2026-01-01', '2026-01-01' FROM config.app;"
                "INSERT INTO state.person SELECT 2, app, decode(repeat('01', 16), 'hex'), '2026-01-01', '2026-01-01' FROM config.app");
    refresh();
    take(view.twin, 1, 0, 1, 2); /* still known: what is under way is folded */
    flush();
    assert_int_equal(live_sweep(view.state, &why), RESULT_OK);
    take(view.twin, 1, 0, 1, 2);
    flush();
    assert_int_equal(cluster_number("SELECT count(*) FROM live.twin"), 0);
    assert_int_equal(live_forget(view.state, 3, &why), RESULT_OK);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.person"), 4);
    cluster_sql("UPDATE config.app SET lives_until = now() - interval '61 minutes' WHERE twin_of IS NOT NULL");
    refresh();
    assert_false(directory_has_twins(view.directory));
    assert_int_equal(live_forget(view.state, 3, &why), RESULT_OK);
    expect_rows("SELECT p.shard || ' ' || a.name FROM state.person p JOIN config.app a USING (app) ORDER BY 1",
        "2 shop\n2 shop-test\n3 shop\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(events_are_decoded, empty),
        cmocka_unit_test_setup(a_real_app_is_not_gathered, empty),
        cmocka_unit_test_setup(numbers_are_given_in_the_order_of_appearance, empty),
        cmocka_unit_test_setup(a_clock_ahead_keeps_nothing_longer, empty),
        cmocka_unit_test_setup(refusals_add_up, empty),
        cmocka_unit_test_setup(absurd_refusals_are_bounded, empty),
        cmocka_unit_test_setup(only_the_newest_are_kept, empty),
        cmocka_unit_test_setup(a_failed_flush_may_be_written_again, empty),
        cmocka_unit_test_setup(erasing_takes_a_person_out, empty),
        cmocka_unit_test_setup(erasing_takes_out_the_first_of_many, empty),
        cmocka_unit_test_setup(purging_takes_everything_out, empty),
        cmocka_unit_test_setup(what_comes_after_the_end_is_not_shown, empty),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
