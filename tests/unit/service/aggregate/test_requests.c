/*
 * People's requests, marks, purges, notices and the leaves of days, against a private PostgreSQL and a private Redis: what is
 * gone, what is remembered in both places, what the trail says, and that a database from before forgets again.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "service/aggregate/acts.h"
#include "service/aggregate/caretaker.h"
#include "service/aggregate/notices.h"
#include "service/aggregate/recall.h"
#include "service/aggregate/requests.h"
#include "service/aggregate/store.h"
#include "service/base/clock.h"
#include "tests/unit/cluster.h"

#define DAY_MS 86400000LL
#define SHARD 3
#define KEEP_DAYS 35

static struct {
    struct db *state;
    struct config config;
    struct stream *stream;
    struct shard shard;
    uint32_t app;
    pid_t redis;
    char socket[96];
    int64_t now_ms;
} bed;

/* A private Redis */

static void start_redis(void)
{
    char directory[80];
    (void)snprintf(directory, sizeof directory, "%s/redis", cluster.directory);
    (void)snprintf(bed.socket, sizeof bed.socket, "%s/redis.sock", directory);
    cluster_shell("mkdir %s", directory);
    bed.redis = fork();
    if (bed.redis == 0) {
        char log[96];
        (void)snprintf(log, sizeof log, "%s/log", directory);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", bed.socket, "--dir", directory, "--logfile", log,
            "--save", "", "--appendonly", "yes", "--stream-node-max-entries", "1", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 200 && access(bed.socket, F_OK) != 0; i++)
        usleep(20000);
    bed.config.redis_socket = bed.socket;
    bed.config.redis_timeout_ms = 2000;
    bed.config.redis_user = "";
    bed.config.redis_password = "";
    bed.stream = stream_new(&bed.config);
}

static void check(enum result result, const struct failure *why)
{
    if (result != RESULT_OK)
        fail_msg("%s: %s %s", failure_name(result), why->field, why->text);
}

static void take(void)
{
    struct failure why = {0};
    check(store_take(bed.state, &bed.shard, &why), &why);
    assert_true(bed.shard.held);
}

static void give(void)
{
    const struct directory *directory = bed.shard.directory;
    store_give(bed.state, &bed.shard);
    bed.shard.directory = directory;
}

static int start(void **state)
{
    struct failure why = {0};
    if (cluster_start(state) != 0 || sodium_init() < 0)
        return -1;
    start_redis();
    cluster_add_crowd("UTC", "2026-01-01");
    bed.state = cluster_connect("throng_state", "throng-aggregate");
    bed.app = (uint32_t)cluster_number("SELECT app::bigint FROM config.app");
    bed.shard.number = SHARD;
    bed.now_ms = clock_now_ms();
    check(directory_refresh(bed.state, bed.stream, &why), &why);
    bed.shard.directory = directory_current();
    take();
    return 0;
}

static int stop(void **state)
{
    directory_release(bed.shard.directory);
    shard_reset(&bed.shard);
    stream_free(bed.stream);
    db_free(bed.state);
    kill(bed.redis, SIGKILL);
    (void)waitpid(bed.redis, NULL, 0);
    return cluster_stop(state);
}

/* Nothing of the last test stays, but the trail. */
static int anew(void **state)
{
    (void)state;
    give();
    cluster_sql("DO $$ DECLARE t text; BEGIN FOR t IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                " WHERE schemaname = 'state' OR (schemaname = 'subject' AND tablename NOT IN ('mark_key', 'account')) LOOP"
                " EXECUTE 'TRUNCATE ' || t || ' CASCADE'; END LOOP; END $$; UPDATE subject.account SET through = NULL;"
                "DELETE FROM live.twin; DELETE FROM audit.pending");
    take();
    cluster_shell("redis-cli -s %s DEL 'throng:{3}:marks' 'throng:{3}' > /dev/null", bed.socket);
    return 0;
}

/* What nodes send */

static struct pseudonym name_of(uint32_t who, uint32_t epoch)
{
    struct pseudonym name = {{0}};
    memcpy(name.bytes, &who, sizeof who);
    name.bytes[8] = (uint8_t)epoch;
    name.bytes[15] = 1;
    return name;
}

static void receive(uint32_t user, uint32_t epoch, bool links, int64_t received_ms)
{
    static uint8_t bytes[4096];
    static uint64_t n;
    struct failure why = {0};
    struct packet_writer writer;
    const struct packet_header header = {.type = PACKET_EVENTS, .node = 7, .shard = SHARD, .n = n++};
    const struct packet_part part = {.app = bed.app, .definition = 1, .epoch = epoch, .received_at_ms = received_ms};
    const struct packet_user person = {.names = links ? 2 : 1, .name = {name_of(user, epoch), name_of(user, epoch - 1)}};
    const struct packet_event event = {.ts_ms = received_ms, .flags = EVENT_VIEW};
    packet_begin(&writer, bytes, sizeof bytes, &header);
    check(packet_add_part(&writer, &part), &why);
    check(packet_add_user(&writer, &person), &why);
    check(packet_add_event(&writer, &event), &why);
    fold_prepare(&bed.shard.fold, bytes, writer.length, shard_find_app, &bed.shard);
    check(store_look_up(bed.state, &bed.shard, &why), &why);
    fold_apply(&bed.shard.fold, bytes, writer.length, shard_find_app, &bed.shard);
}

struct control {
    const struct packet_erase *erase;
    size_t erases; /* 0: one, if there is any */
    const struct packet_notice *notice;
    bool fails;
};

static enum result flush_body(struct db *db, void *context, struct failure *why)
{
    const struct control *control = context;
    enum result result = store_write(db, &bed.shard, why);
    if (result == RESULT_OK && control->erase != NULL)
        result = requests_apply(db, &bed.shard, control->erase, control->erases + (control->erases == 0), KEEP_DAYS, why);
    if (result == RESULT_OK && control->notice != NULL)
        result = notices_apply(db, &bed.shard, 7, control->notice, why);
    if (result == RESULT_OK)
        result = recall_write(db, &bed.shard, why);
    if (result == RESULT_OK)
        result = recall_tell(bed.stream, &bed.shard, why);
    return result == RESULT_OK && control->fails ? RESULT_FAILED : result;
}

static void flush(struct control control)
{
    static unsigned read;
    struct failure why = {0};
    (void)snprintf(bed.shard.read, sizeof bed.shard.read, "%u-0", ++read);
    fold_digest(&bed.shard.fold, shard_find_app, &bed.shard);
    enum result result = db_transaction(bed.state, flush_body, &control, &why);
    if (control.fails) {
        assert_int_equal(result, RESULT_FAILED);
        give();
        take();
        return;
    }
    check(result, &why);
    (void)strcpy(bed.shard.off, bed.shard.read);
    for (size_t i = 0; i < bed.shard.app_count; i++)
        bed.shard.apps[i].epoch_changed = false;
    fold_clear(&bed.shard.fold);
    forgotten_settle(&bed.shard.fold.forgotten);
}

static struct packet_erase request(enum packet_erase_kind kind, uint32_t user, uint32_t epoch, uint8_t id)
{
    struct packet_erase erase = {.app = bed.app, .request = {id, 1, 2, 3}, .kind = kind, .at_ms = bed.now_ms, .names = 1,
        .name = {name_of(user, epoch)}};
    return erase;
}

static void ask(enum packet_erase_kind kind, uint32_t user, uint32_t epoch, uint8_t id)
{
    struct packet_erase erase = request(kind, user, epoch, id);
    flush((struct control){.erase = &erase});
}

static size_t compare(void)
{
    struct failure why = {0};
    size_t again = 0;
    check(recall_compare(bed.state, bed.stream, &bed.shard, KEEP_DAYS, &again, &why), &why);
    return again;
}

static void expect(const char *query, const char *want)
{
    char *rows = cluster_rows(query);
    assert_string_equal(rows, want);
    free(rows);
}

/* How many rows of state.* name the person, whatever tables there are. */
static int64_t rows_about(uint32_t user)
{
    char query[4096];
    char *tables = cluster_rows("SELECT format('(SELECT count(*) FROM %I.%I WHERE substr(%I, 1, 4) = ', table_schema, table_name,"
                                " column_name) FROM information_schema.columns WHERE table_schema = 'state'"
                                " AND udt_name = 'bytea' ORDER BY 1");
    int64_t sum = 0;
    for (char *line = strtok(tables, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        (void)snprintf(query, sizeof query, "SELECT %s decode('%02x000000', 'hex'))", line, (unsigned)user);
        sum += cluster_number(query);
    }
    free(tables);
    return sum;
}

static void sum_up(const char *reason, int64_t count)
{
    char query[128];
    (void)snprintf(query, sizeof query, "SELECT coalesce(sum(count), 0)::bigint FROM state.refused WHERE reason = '%s'", reason);
    assert_int_equal(cluster_number(query), count);
}

/* Erasure */

#define LEAVES(acts) \
    "SELECT concat_ws(' ', act, body->'data'->>'kind', body->>'tenant', body->>'out', body ? 'ref') FROM" \
    " (SELECT act, written_at, convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.outbox WHERE octet_length(leaf) > 2) o" \
    " WHERE act IN (" acts ") AND body->'data'->>'request' LIKE "

static void an_erasure_leaves_no_row_and_the_trail_says_so(void **unused)
{
    (void)unused;
    receive(1, 1, false, bed.now_ms - 1000);
    receive(2, 1, false, bed.now_ms - 1000);
    flush((struct control){0});
    receive(1, 2, true, bed.now_ms - 500); /* rows move, an alias stays */
    assert_true(rows_about(1) > 3);
    ask(PACKET_ERASURE, 1, 2, 1);
    assert_int_equal(rows_about(1), 0);
    assert_true(rows_about(2) > 2);
    expect(LEAVES("'request_received', 'request_applied'") "'01010203%' ORDER BY act DESC",
        "request_received erasure crowd ok f\nrequest_applied erasure crowd ok t\n");
    expect("SELECT concat_ws(' ', kind, shard, purge_due_at - applied_at BETWEEN '36 days 23:59' AND '37 days', purged_at IS NULL)"
           " FROM subject.request", "erasure 3 t t\n");
    /* Both names are marked, in both places. */
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.mark WHERE kind = 'erasure' AND dies_on > now()"), 2);
    assert_int_equal(compare(), 0);
    /* Who was received before and comes late, by any name, is dropped; who returns is new. */
    receive(1, 1, false, bed.now_ms - 2000);
    receive(1, 2, true, bed.now_ms);
    flush((struct control){0});
    assert_int_equal(rows_about(1), 0);
    sum_up("erased", 2);
    receive(1, 2, true, bed.now_ms + 1);
    flush((struct control){0});
    assert_true(rows_about(1) > 2);
}

static void a_request_is_recorded_once(void **unused)
{
    (void)unused;
    receive(1, 1, false, bed.now_ms - 1000);
    flush((struct control){0});
    ask(PACKET_ERASURE, 1, 1, 9);
    ask(PACKET_ERASURE, 1, 1, 9);
    expect(LEAVES("'request_received', 'request_applied'") "'09010203%' ORDER BY act DESC",
        "request_received erasure crowd ok f\nrequest_applied erasure crowd ok t\n");
}

static void what_failed_is_carried_out_again(void **unused)
{
    (void)unused;
    receive(1, 1, false, bed.now_ms - 1000);
    flush((struct control){0});
    struct packet_erase erase = request(PACKET_ERASURE, 1, 1, 2);
    flush((struct control){.erase = &erase, .fails = true});
    assert_true(rows_about(1) > 0);
    assert_int_equal(compare(), 1); /* Redis knew before the database */
    assert_int_equal(rows_about(1), 0);
    flush((struct control){.erase = &erase});
    expect(LEAVES("'request_received', 'request_applied'") "'02010203%' ORDER BY act DESC",
        "request_received erasure crowd ok f\nrequest_applied erasure crowd ok t\n");
}

/* Many at once */

/* The answer that was sealed for the request, as text, owned by the caller. */
static char *opened(uint8_t id, const unsigned char *public, const unsigned char *secret)
{
    char query[128];
    (void)snprintf(query, sizeof query, "SELECT sealed FROM subject.answer WHERE request::text LIKE '%02x%%'", (unsigned)id);
    PGresult *rows = PQexecParams(cluster.reader, query, 0, NULL, NULL, NULL, NULL, 1);
    assert_int_equal(PQntuples(rows), 1);
    size_t length = (size_t)PQgetlength(rows, 0, 0);
    char *text = calloc(1, length);
    assert_int_equal(crypto_box_seal_open((unsigned char *)text, (const unsigned char *)PQgetvalue(rows, 0, 0), length, public,
        secret), 0);
    PQclear(rows);
    return text;
}

/* In one transaction they do what they did one after the other: also those about one person, by whatever names. */
static void many_requests_are_carried_out_in_their_order(void **unused)
{
    (void)unused;
    unsigned char public[crypto_box_PUBLICKEYBYTES];
    unsigned char secret[crypto_box_SECRETKEYBYTES];
    (void)crypto_box_keypair(public, secret);
    for (uint32_t user = 1; user <= 6; user++)
        receive(user, 1, false, bed.now_ms - 1000);
    flush((struct control){0});
    receive(1, 2, true, bed.now_ms - 500);
    flush((struct control){0});
    int64_t leaves = cluster_number("SELECT count(*) FROM audit.outbox");
    struct packet_erase erases[] = {request(PACKET_ACCESS, 1, 2, 30), request(PACKET_ERASURE, 1, 2, 31),
        request(PACKET_ACCESS, 1, 1, 32), request(PACKET_OBJECTION, 2, 1, 33), request(PACKET_OBJECTION, 3, 1, 34),
        request(PACKET_WITHDRAWAL, 2, 1, 35), request(PACKET_ERASURE, 4, 1, 36), request(PACKET_ERASURE, 4, 1, 36),
        request(PACKET_ACCESS, 5, 1, 37), request(PACKET_ERASURE, 9, 1, 38), request(PACKET_ACCESS, 6, 1, 39)};
    size_t count = sizeof erases / sizeof *erases;
    for (size_t i = 0; i + 1 < count; i++)
        memcpy(erases[i].seal, public, sizeof public); /* the last comes with no key */
    flush((struct control){.erase = erases, .erases = count});
    static const uint8_t gone[] = {1, 2, 3, 4};
    for (size_t i = 0; i < sizeof gone; i++)
        assert_int_equal(rows_about(gone[i]), 0);
    assert_true(rows_about(5) > 2 && rows_about(6) > 2);
    char *first = opened(30, public, secret), *after = opened(32, public, secret), *other = opened(37, public, secret);
    assert_non_null(strstr(first, "\\\\x01000000"));
    assert_null(strstr(after, "\"state.")); /* nothing was left to tell */
    assert_non_null(strstr(other, "\\\\x05000000"));
    free(first);
    free(after);
    free(other);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.answer"), 3);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.request"), (int64_t)count - 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox"), leaves + 2 * ((int64_t)count - 1));
    expect("SELECT concat_ws(' ', left(body->'data'->>'request', 2), act, body->'data'->>'kind', body->>'out', body->>'ref' ="
           " (SELECT received_leaf::text FROM subject.request WHERE id::text = body->'data'->>'request'))"
           " FROM (SELECT p.written_at, p.id, act, convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.pending AS p"
           "   JOIN audit.outbox USING (id)) AS l WHERE body->'data'->>'request' ~ '^(1e|1f|2[0-7])010203' ORDER BY written_at, id",
        "1e request_received access ok\n1e request_applied access ok t\n1f request_received erasure ok\n"
        "1f request_applied erasure ok t\n20 request_received access ok\n20 request_applied access ok t\n"
        "21 request_received objection ok\n21 request_applied objection ok t\n22 request_received objection ok\n"
        "22 request_applied objection ok t\n23 request_received withdrawal ok\n23 request_applied withdrawal ok t\n"
        "24 request_received erasure ok\n24 request_applied erasure ok t\n25 request_received access ok\n"
        "25 request_applied access ok t\n26 request_received erasure ok\n26 request_applied erasure ok t\n"
        "27 request_received access ok\n27 request_applied access failed t\n");
    /* 1 by both names, 3, 4 and 9; the objection of 2 was withdrawn. */
    expect("SELECT kind || ' ' || count(*) FROM subject.mark GROUP BY kind ORDER BY 1", "erasure 4\nobjection 1\n");
    assert_int_equal(compare(), 0);
    cluster_shell("test $(redis-cli -s %s HLEN 'throng:{3}:marks') = 5", bed.socket);
    expect("SELECT count(*) || ' ' || count(*) FILTER (WHERE purge_due_at - applied_at BETWEEN '36 days 23:59' AND '37 days'"
           " AND due_at = received_at + '30 days' AND last_due_at = received_at + '45 days') FROM subject.request"
           " WHERE purge_due_at IS NOT NULL", "5 5\n");
}

/* Objection */

static void an_objection_holds_over_epochs_until_it_is_withdrawn(void **unused)
{
    (void)unused;
    receive(1, 1, false, bed.now_ms - 1000);
    ask(PACKET_OBJECTION, 1, 1, 3);
    assert_int_equal(rows_about(1), 0);
    receive(1, 1, false, bed.now_ms + 1);
    receive(1, 2, true, bed.now_ms + 2); /* the mark moves on */
    receive(2, 2, false, bed.now_ms + 2);
    flush((struct control){0});
    receive(1, 2, false, bed.now_ms + 3);
    receive(1, 3, true, bed.now_ms + 4);
    flush((struct control){0});
    assert_int_equal(rows_about(1), 0);
    assert_true(rows_about(2) > 0);
    sum_up("objection", 4);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.mark WHERE kind = 'objection' AND dies_on IS NULL"), 3);
    give();
    take();
    assert_int_equal(compare(), 0);
    receive(1, 3, false, bed.now_ms + 5);
    flush((struct control){0});
    sum_up("objection", 5);
    ask(PACKET_WITHDRAWAL, 1, 3, 4);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.mark"), 0);
    receive(1, 3, false, bed.now_ms + 6);
    flush((struct control){0});
    assert_true(rows_about(1) > 0);
    give();
    take();
    assert_int_equal(compare(), 0); /* Redis forgot the objection too */
}

/* Access */

static void an_answer_says_everything_and_only_its_asker_reads_it(void **unused)
{
    (void)unused;
    unsigned char public[crypto_box_PUBLICKEYBYTES];
    unsigned char secret[crypto_box_SECRETKEYBYTES];
    (void)crypto_box_keypair(public, secret);
    receive(1, 1, false, bed.now_ms - 1000);
    receive(2, 1, false, bed.now_ms - 1000);
    struct packet_erase erase = request(PACKET_ACCESS, 1, 1, 5);
    memcpy(erase.seal, public, sizeof public);
    flush((struct control){.erase = &erase});
    PGresult *rows = PQexecParams(
        cluster.reader, "SELECT sealed FROM subject.answer WHERE expires_at > now() + '29 days'", 0, NULL, NULL, NULL, NULL, 1);
    assert_int_equal(PQntuples(rows), 1);
    size_t length = (size_t)PQgetlength(rows, 0, 0);
    unsigned char *text = calloc(1, length);
    assert_int_equal(crypto_box_seal_open(text, (const unsigned char *)PQgetvalue(rows, 0, 0), length, public, secret), 0);
    static const char *const places[] = {"\"state.fragment\"", "\"state.person\"", "\"state.person_month\"", "\"state.person_day\""};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        assert_non_null(strstr((char *)text, places[i]));
    assert_null(strstr((char *)text, "\\\\x02000000"));
    assert_non_null(strstr((char *)text, "\\\\x01000000"));
    assert_null(strstr((char *)text, "\"start_ms\": 1"));
    assert_non_null(strstr((char *)text, "\"start_ms\": \"20"));
    free(text);
    PQclear(rows);
    assert_true(rows_about(1) > 0);
    expect("SELECT purge_due_at IS NULL FROM subject.request WHERE kind = 'access'", "t\n");
}

static void an_answer_to_no_key_fails_visibly(void **unused)
{
    (void)unused;
    ask(PACKET_ACCESS, 1, 1, 6); /* zeros are no public key */
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.answer"), 0);
    expect(LEAVES("'request_applied'") "'06010203%'", "request_applied access crowd failed t\n");
}

/* Every table of which the inventory says that it is about one person is emptied of them. */
static void no_table_about_persons_is_forgotten(void **unused)
{
    (void)unused;
    static const struct {
        const char *schema, *table, *column, *class;
    } columns[] = {
#define COLUMN(schema, table, column, class, retention) {#schema, #table, #column, #class},
#define FIELD(structure, member, class, retention)
#include "schema/inventory.def"
#undef COLUMN
#undef FIELD
    };
    char *known = cluster_rows("SELECT t::text FROM state.person_tables() AS t");
    size_t found = 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        char place[96];
        /* A day's visitors have no user id; a source is a page load, whose person is not told. */
        if (strcmp(columns[i].schema, "state") != 0 || strcmp(columns[i].table, "visitor_day") == 0 ||
            strcmp(columns[i].table, "seen") == 0 || strcmp(columns[i].table, "entity") == 0 ||
            (strcmp(columns[i].class, "personal") != 0 && strcmp(columns[i].class, "pseudonym") != 0))
            continue;
        (void)snprintf(place, sizeof place, "state.%s\n", columns[i].table);
        if (strstr(known, place) == NULL)
            fail_msg("requests do not reach %s", place);
        found++;
    }
    assert_true(found > 30);
    free(known);
}

/* A database from before */

static void a_restored_database_forgets_again(void **unused)
{
    (void)unused;
    receive(1, 1, false, bed.now_ms - 1000);
    receive(2, 1, false, bed.now_ms - 1000);
    receive(3, 1, false, bed.now_ms - 1000);
    flush((struct control){0});
    cluster_sql("DROP SCHEMA IF EXISTS saved CASCADE; CREATE SCHEMA saved;"
                "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'state' LOOP"
                " EXECUTE format('CREATE TABLE saved.%I AS TABLE state.%I', t, t); END LOOP; END $$");
    ask(PACKET_ERASURE, 1, 1, 10);
    ask(PACKET_OBJECTION, 2, 1, 11);
    give();
    cluster_sql("TRUNCATE subject.request CASCADE; TRUNCATE subject.mark;"
                "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'state' LOOP"
                " EXECUTE format('TRUNCATE state.%I; INSERT INTO state.%I TABLE saved.%I', t, t, t); END LOOP; END $$");
    assert_true(rows_about(1) > 0);
    take();
    assert_int_equal(compare(), 2);
    assert_int_equal(rows_about(1), 0);
    assert_int_equal(rows_about(2), 0);
    assert_true(rows_about(3) > 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.request WHERE purge_due_at IS NOT NULL"), 2);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.mark"), 2);
    receive(2, 1, false, bed.now_ms + 1000);
    flush((struct control){0});
    assert_int_equal(rows_about(2), 0);
    assert_int_equal(compare(), 0);
    /* And a Redis that lost its copy gets it again. */
    cluster_shell("redis-cli -s %s DEL 'throng:{3}:marks' > /dev/null", bed.socket);
    assert_int_equal(compare(), 0);
    cluster_shell("test $(redis-cli -s %s HLEN 'throng:{3}:marks') = 2", bed.socket);
}

/* Redis has no mark of it, as if it had lost its copy: in doubt the person is not counted, until it is withdrawn anew. */
static void an_objection_withdrawn_since_the_backup_holds_again(void **unused)
{
    (void)unused;
    ask(PACKET_OBJECTION, 2, 1, 21);
    cluster_sql("DROP TABLE IF EXISTS public.saved; CREATE TABLE public.saved AS TABLE subject.mark");
    ask(PACKET_WITHDRAWAL, 2, 1, 22);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.mark"), 0);
    give();
    cluster_sql("INSERT INTO subject.mark TABLE public.saved; DROP TABLE public.saved");
    take();
    assert_int_equal(compare(), 0);
    cluster_shell("test $(redis-cli -s %s HLEN 'throng:{3}:marks') = 1", bed.socket);
    receive(2, 1, false, bed.now_ms + 1000);
    flush((struct control){0});
    assert_int_equal(rows_about(2), 0);
    ask(PACKET_WITHDRAWAL, 2, 1, 23);
    receive(2, 1, false, bed.now_ms + 2000);
    flush((struct control){0});
    assert_true(rows_about(2) > 0);
}

static void marks_die(void **unused)
{
    (void)unused;
    struct failure why = {0};
    ask(PACKET_ERASURE, 1, 1, 12);
    ask(PACKET_OBJECTION, 2, 1, 13);
    int32_t today = (int32_t)(clock_now_ms() / DAY_MS);
    check(recall_expire(bed.state, bed.stream, &bed.shard, today + KEEP_DAYS, &why), &why);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.mark"), 2);
    check(recall_expire(bed.state, bed.stream, &bed.shard, today + KEEP_DAYS + 2, &why), &why);
    expect("SELECT kind FROM subject.mark", "objection\n");
    cluster_shell("test $(redis-cli -s %s HLEN 'throng:{3}:marks') = 1", bed.socket);
    expect("SELECT convert_from(leaf, 'UTF8')::jsonb->'data' FROM audit.outbox WHERE act = 'mark_expired'", "{\"count\": 1}\n");
}

/* Stage two */

static void a_request_is_purged_when_no_store_has_a_copy(void **unused)
{
    (void)unused;
    struct failure why = {0};
    struct caretaker caretaker = {.period_ms = 60000, .rewrite_period_ms = 3600000};
    struct stream_append last = {.shard = SHARD, .bytes = (const uint8_t *)"x", .length = 1};
    ask(PACKET_ERASURE, 1, 1, 14);
    check(stream_add(bed.stream, &last, 1, &why), &why);
    check(caretaker_turn(&caretaker, bed.state, bed.stream, bed.shard.directory, 0, &why), &why);
    /* The packet may still be in the stream: its clock is not past the request's. */
    assert_int_equal(caretaker.rewriting_ms, 0);
    cluster_sql("UPDATE subject.request SET applied_at = applied_at - interval '5 s'");
    check(caretaker_turn(&caretaker, bed.state, bed.stream, bed.shard.directory, 60000, &why), &why);
    assert_true(caretaker.rewriting_ms > 0);
    for (int i = 0; i < 100 && caretaker.rewriting_ms > 0; i++) {
        usleep(50000);
        check(caretaker_turn(&caretaker, bed.state, bed.stream, bed.shard.directory, 60001, &why), &why);
    }
    assert_int_equal(caretaker.rewriting_ms, 0);
    expect("SELECT clean_through > (SELECT applied_at FROM subject.request) FROM subject.retention WHERE store = 'redis'", "t\n");
    check(caretaker_finish_requests(bed.state, bed.shard.directory, &why), &why);
    expect("SELECT purged_at IS NULL FROM subject.request", "t\n");
    cluster_sql("INSERT INTO subject.retention VALUES ('postgres', now())");
    cluster_sql("INSERT INTO subject.backup (id, made_at, expires_at, leaf) SELECT gen_random_uuid(), now() - interval '1 day',"
                " now(), id FROM audit.outbox LIMIT 1");
    check(caretaker_finish_requests(bed.state, bed.shard.directory, &why), &why);
    expect("SELECT purged_at IS NULL FROM subject.request", "t\n");
    cluster_sql("UPDATE subject.backup SET gone_at = now(), gone_leaf = leaf");
    check(caretaker_finish_requests(bed.state, bed.shard.directory, &why), &why);
    check(caretaker_finish_requests(bed.state, bed.shard.directory, &why), &why);
    expect(LEAVES("'request_purged'") "'0e010203%'", "request_purged crowd ok t\n");
    expect("SELECT purged_at IS NOT NULL FROM subject.request", "t\n");
}

/* Purge */

static void a_purge_is_done_when_every_shard_and_its_order_say_so(void **unused)
{
    (void)unused;
    struct failure why = {0};
    struct forgotten_purge purge = {.app = bed.app, .request = {20}, .since_ms = bed.now_ms};
    receive(1, 1, false, bed.now_ms - 1000);
    flush((struct control){0});
    cluster_sql("INSERT INTO state.progress SELECT 3, app, '2026-01-05', '2026-01-04' FROM config.app");
    (void)forgotten_add_purge(&bed.shard.fold.forgotten, &purge);
    check(requests_purge(bed.state, &bed.shard, &purge, &why), &why);
    flush((struct control){0});
    assert_int_equal(rows_about(1), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.progress"), 1);
    receive(1, 1, false, bed.now_ms - 500); /* from a spool */
    flush((struct control){0});
    assert_int_equal(rows_about(1), 0);
    sum_up("erased", 1);
    check(caretaker_finish_purges(bed.state, bed.shard.directory, &why), &why);
    cluster_sql("INSERT INTO subject.purged_shard SELECT purge, s, app, since_ms, at FROM subject.purged_shard,"
                " generate_series(0, 2) s");
    check(caretaker_finish_purges(bed.state, bed.shard.directory, &why), &why); /* the order is not there yet */
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox WHERE act = 'purge_done'"), 0);
    cluster_sql("INSERT INTO subject.purge (id, app, ordered_at, reason, intent_leaf) SELECT purge, p.app, now(), 'a reason', o.id"
                " FROM subject.purged_shard p, (SELECT id FROM audit.outbox LIMIT 1) o WHERE shard = 3");
    check(caretaker_finish_purges(bed.state, bed.shard.directory, &why), &why);
    check(caretaker_finish_purges(bed.state, bed.shard.directory, &why), &why);
    expect("SELECT convert_from(leaf, 'UTF8')::jsonb->'data' FROM audit.outbox WHERE act = 'purge_done'", "{\"shards\": 4}\n");
    expect("SELECT done_at IS NOT NULL FROM subject.purge", "t\n");
    /* A database from before purges again. */
    give();
    cluster_sql("DELETE FROM subject.purged_shard; INSERT INTO state.person SELECT 3, app, decode(repeat('01', 16), 'hex'),"
                " '2026-01-05', '2026-01-05' FROM config.app");
    take();
    assert_int_equal(compare(), 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.person"), 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM subject.purged_shard"), 1);
}

/* Notices */

static void tell(enum packet_notice_act act, uint8_t hash, uint8_t former)
{
    const struct packet_notice notice = {.act = act, .app = bed.app, .at_ms = bed.now_ms, .epoch = 5, .count = 3, .ring = {9},
        .hash = {hash}, .former = {former}, .request = {act == PACKET_KEY_ROTATED ? 1 : 0}};
    flush((struct control){.notice = &notice});
}

static void a_key_lives_once(void **unused)
{
    (void)unused;
    int64_t before = cluster_number("SELECT count(*) FROM audit.outbox");
    tell(PACKET_KEY_BORN, 1, 0);
    tell(PACKET_KEY_BORN, 1, 0);
    tell(PACKET_KEY_RATCHETED, 2, 1);
    tell(PACKET_KEY_RATCHETED, 2, 1);
    tell(PACKET_KEY_ROTATED, 3, 0);
    tell(PACKET_KEY_DESTROYED, 2, 0);
    tell(PACKET_KEY_DESTROYED, 2, 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox"), before + 4);
    expect("SELECT concat_ws(' ', get_byte(commitment, 0), died_at IS NOT NULL, b.act, d.act) FROM subject.key_life"
           " JOIN audit.outbox b ON b.id = born_leaf LEFT JOIN audit.outbox d ON d.id = died_leaf ORDER BY 1",
        "1 t key_born key_ratcheted\n2 t key_ratcheted key_destroyed\n3 f key_rotated\n");
    expect("SELECT body->>'ref' || ' ' || (body->'actor'->>'id') || ' ' || jsonb_typeof(body->'data'->'former') || ' '"
           " || (body->'data'->>'node') FROM (SELECT convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.outbox"
           " WHERE act = 'key_rotated') o", "01000000-0000-0000-0000-000000000000 ingest null 0000000000000007\n");
}

static void other_notices_have_their_leaves(void **unused)
{
    (void)unused;
    struct failure why = {0};
    tell(PACKET_SPOOL_REPLAYED, 0, 0);
    tell(PACKET_CLOCK_STEPPED_BACK, 0, 0);
    tell(PACKET_STARTED, 1, 2);
    tell(PACKET_STOPPED, 0, 0);
    tell(PACKET_SELF_TEST_FAILED, 0, 0);
    tell(PACKET_SELF_TEST_PASSED, 0, 0);
    tell(PACKET_SELF_TEST_PASSED, 0, 0);
    int32_t today = (int32_t)(bed.now_ms / DAY_MS);
    check(caretaker_tell_days(bed.state, bed.shard.directory, today, &why), &why);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox WHERE act = 'self_test_passed'"), 0);
    check(caretaker_tell_days(bed.state, bed.shard.directory, today + 1, &why), &why);
    check(caretaker_tell_days(bed.state, bed.shard.directory, today + 1, &why), &why);
    expect("SELECT act || ' ' || string_agg(k, ',' ORDER BY k) FROM (SELECT act, jsonb_object_keys(convert_from(leaf,"
           " 'UTF8')::jsonb->'data') AS k FROM audit.outbox WHERE act IN ('spool_replayed', 'clock_stepped_back',"
           " 'daemon_started', 'node_announced', 'self_test_failed', 'self_test_passed')) l GROUP BY act ORDER BY 1",
        "clock_stepped_back ms,node\ndaemon_started binary,configuration,version\nnode_announced node\nself_test_failed places\n"
        "self_test_passed places,runs\nspool_replayed entries,node\n");
    expect("SELECT convert_from(leaf, 'UTF8')::jsonb->'data'->>'runs' FROM audit.outbox WHERE act = 'self_test_passed'", "2\n");
}

/* Days */

static void a_day_has_one_account(void **unused)
{
    (void)unused;
    struct failure why = {0};
    int32_t day = clock_days_from_civil(2026, 2, 1);
    cluster_sql("INSERT INTO state.tally SELECT s, app, '2026-02-01', 50, 3, 2 FROM config.app, generate_series(0, 1) s;"
                "INSERT INTO state.refused SELECT 0, app, '2026-02-01', r, 5 FROM config.app,"
                " unnest(ARRAY['gpc', 'unknown_event', 'objection', 'missing_field']) r;"
                "INSERT INTO subject.expired SELECT s, app, '2026-02-01', 3 FROM config.app, generate_series(0, 1) s");
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 1, &why), &why);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox WHERE act = 'ingestion'"), 0);
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 2, &why), &why);
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 3, &why), &why);
    expect("SELECT (convert_from(leaf, 'UTF8')::jsonb->'data') - 'exact'::text FROM audit.outbox WHERE act = 'ingestion'",
        "{\"day\": \"2026-02-01\", \"late\": 4, \"dropped\": 4, \"accepted\": 64, \"rejected\": {\"missing_field\": 4,"
        " \"unknown_event\": 4}, \"duplicate\": 4}\n");
    expect("SELECT convert_from(leaf, 'UTF8')::jsonb->'data' FROM audit.outbox WHERE act = 'state_expired'",
        "{\"day\": \"2026-02-01\", \"people\": 4}\n");
    /* Who is shown the exact numbers can check them. */
    char *nonce = cluster_rows("SELECT replace(convert_from(leaf, 'UTF8')::jsonb->>'nonce', '-', '') FROM audit.outbox"
                               " WHERE act = 'ingestion'");
    char *exact = cluster_rows("SELECT convert_from(leaf, 'UTF8')::jsonb->'data'->>'exact' FROM audit.outbox WHERE act = 'ingestion'");
    static const char canonical[] = "{\"accepted\":110,\"dropped\":10,\"duplicate\":6,\"late\":4,\"rejected\":{\"missing_field\":5,"
                                    "\"unknown_event\":5}}";
    uint8_t key[16];
    uint8_t tag[32];
    char hex[65];
    crypto_auth_hmacsha256_state state;
    assert_int_equal(sodium_hex2bin(key, sizeof key, nonce, 32, NULL, NULL, NULL), 0);
    (void)crypto_auth_hmacsha256_init(&state, key, sizeof key);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)canonical, strlen(canonical));
    (void)crypto_auth_hmacsha256_final(&state, tag);
    assert_memory_equal(exact, sodium_bin2hex(hex, sizeof hex, tag, sizeof tag), 64);
    free(nonce);
    free(exact);
}

/* A test app is named in the trail, though its time is over and its definition is not published any more. */
static void a_test_app_of_the_past_has_its_name(void **unused)
{
    (void)unused;
    struct failure why = {0};
    cluster_sql("INSERT INTO config.app (name, population, time_zone, leaf, twin_of, lives_until)"
                " SELECT 'crowd-test', 'crowd-test', time_zone, leaf, app, now() - interval '2 hours' FROM config.app;"
                "UPDATE config.installation SET catalogue_version = catalogue_version + 1");
    check(directory_refresh(bed.state, bed.stream, &why), &why);
    const struct directory *directory = directory_current();
    uint32_t twin = (uint32_t)cluster_number("SELECT app::bigint FROM config.app WHERE twin_of IS NOT NULL");
    assert_string_equal(acts_tenant(directory, twin), "crowd-test");
    assert_string_equal(acts_tenant(directory, bed.app), "crowd");
    assert_string_equal(acts_tenant(directory, twin + 100), "");
    directory_release(directory);
}

/* A database that was restored has its books of before, and the log as it was. */
static void a_restored_database_tells_no_day_twice(void **unused)
{
    (void)unused;
    struct failure why = {0};
    int32_t day = clock_days_from_civil(2026, 3, 1);
    static const char told[] = "SELECT convert_from(leaf, 'UTF8')::jsonb->'data'->>'day' AS day FROM audit.outbox"
                               " WHERE act = 'ingestion' AND convert_from(leaf, 'UTF8')::jsonb->'data'->>'day' > '2026-03' ORDER BY 1";
    cluster_sql("INSERT INTO state.tally SELECT s, app, '2026-03-01', 50, 3, 2 FROM config.app, generate_series(0, 1) s");
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 2, &why), &why);
    expect(told, "2026-03-01\n");
    cluster_sql("INSERT INTO audit.entry (index, id, at, act, tenant) SELECT row_number() OVER () - 1, id, '2026-03-03', act,"
                " convert_from(leaf, 'UTF8')::jsonb->>'tenant' FROM audit.outbox WHERE act = 'ingestion';"
                "DELETE FROM audit.pending; UPDATE subject.account SET through = '2026-02-28';"
                "INSERT INTO state.tally SELECT 0, app, '2026-03-02', 7, 0, 0 FROM config.app");
    /* As long as the log may lack what it had, nothing is told. */
    tell(PACKET_STARTED, 0, 0);
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 3, &why), &why);
    expect(told, "2026-03-01\n");
    cluster_sql("DELETE FROM audit.pending");
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 3, &why), &why);
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 3, &why), &why);
    expect(told, "2026-03-01\n2026-03-02\n");
    /* A leaf without its body holds nothing up. */
    cluster_sql("UPDATE audit.pruned SET below = 256; UPDATE audit.outbox SET leaf = NULL WHERE id IN (SELECT id FROM audit.entry);"
                "INSERT INTO state.tally SELECT 0, app, '2026-03-03', 7, 0, 0 FROM config.app");
    check(caretaker_tell_days(bed.state, bed.shard.directory, day + 4, &why), &why);
    expect(told, "2026-03-02\n2026-03-03\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_erasure_leaves_no_row_and_the_trail_says_so, anew),
        cmocka_unit_test_setup(a_request_is_recorded_once, anew),
        cmocka_unit_test_setup(what_failed_is_carried_out_again, anew),
        cmocka_unit_test_setup(many_requests_are_carried_out_in_their_order, anew),
        cmocka_unit_test_setup(an_objection_holds_over_epochs_until_it_is_withdrawn, anew),
        cmocka_unit_test_setup(an_answer_says_everything_and_only_its_asker_reads_it, anew),
        cmocka_unit_test_setup(an_answer_to_no_key_fails_visibly, anew),
        cmocka_unit_test(no_table_about_persons_is_forgotten),
        cmocka_unit_test_setup(a_restored_database_forgets_again, anew),
        cmocka_unit_test_setup(an_objection_withdrawn_since_the_backup_holds_again, anew),
        cmocka_unit_test_setup(marks_die, anew),
        cmocka_unit_test_setup(a_request_is_purged_when_no_store_has_a_copy, anew),
        cmocka_unit_test_setup(a_purge_is_done_when_every_shard_and_its_order_say_so, anew),
        cmocka_unit_test_setup(a_key_lives_once, anew),
        cmocka_unit_test_setup(other_notices_have_their_leaves, anew),
        cmocka_unit_test_setup(a_day_has_one_account, anew),
        cmocka_unit_test_setup(a_restored_database_tells_no_day_twice, anew),
        cmocka_unit_test_setup(a_test_app_of_the_past_has_its_name, anew),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
