/* The sequencer with a real PostgreSQL and real files: what it signs, and what a superuser's hand in the database does to it. */
#include "compliance/sequencer/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <time.h>

#include "compliance/audit/checkpoint.h"
#include "service/base/metrics.h"
#include "tests/unit/cluster.h"

static struct {
    char state[64];
    struct db *db;
    struct keystore *keys;
    struct signer signer;
    struct mirror *mirror;
    struct witnesses *witnesses;
    struct sequence *sequence;
} log_;

static void open_log(void)
{
    struct failure why = {0};
    log_.db = cluster_connect("throng_audit", "test audit");
    enum result result = keystore_open(log_.state, "seal", "", &log_.keys, &why);
    if (result == RESULT_NOT_FOUND)
        result = keystore_create(log_.state, "seal", "example.org/log", &log_.keys, NULL);
    assert_int_equal(result, RESULT_OK);
    assert_int_equal(signer_open(log_.state, log_.keys, &log_.signer, NULL), RESULT_OK);
    assert_int_equal(mirror_open(log_.state, &log_.mirror, NULL), RESULT_OK);
    assert_int_equal(witnesses_open("", &log_.witnesses, NULL), RESULT_OK);
    const struct sequence_parts parts = {.db = log_.db, .mirror = log_.mirror, .keys = log_.keys, .signer = &log_.signer,
        .witnesses = log_.witnesses, .heartbeat_ms = 600000, .overlap_ms = 86400000};
    log_.sequence = sequence_new(&parts);
    assert_non_null(log_.sequence);
}

static void close_log(void)
{
    sequence_free(log_.sequence);
    witnesses_close(log_.witnesses);
    mirror_close(log_.mirror);
    keystore_close(log_.keys);
    db_free(log_.db);
}

/* Looks until nothing waits; the result of the last. */
static enum result look(void)
{
    bool more = true;
    enum result result = RESULT_OK;
    while (more && result == RESULT_OK)
        result = sequence_look(log_.sequence, &more);
    return result;
}

static void add_leaves(int count)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
        "SELECT audit.append(u, 'daemon_stopped', convert_to(format('{\"act\":\"daemon_stopped\",\"actor\":{\"id\":\"x\",\"type\":\"daemon\"},"
        "\"at\":1700000000000,\"data\":{},\"id\":\"%%s\",\"nonce\":\"%%s\",\"out\":\"ok\",\"tenant\":\"\",\"v\":1}', u, md5(random()::text)), 'UTF8'))"
        " FROM (SELECT gen_random_uuid() AS u FROM generate_series(1, %d) OFFSET 0) AS g", count);
    cluster_sql(text);
}

/* Statements that only a superuser can run, and only without the triggers. */
static void meddle(const char *text)
{
    static const char *const tables[] = {"outbox", "pending", "entry", "tile", "checkpoint"};
    char statement[128];
    for (size_t on = 0; on < 2; on++) {
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
            (void)snprintf(statement, sizeof statement, "ALTER TABLE audit.%s %s TRIGGER ALL", tables[i], on ? "ENABLE" : "DISABLE");
            cluster_sql(statement);
        }
        if (on == 0)
            cluster_sql(text);
    }
    cluster_sql("DO $$ DECLARE t record; BEGIN FOR t IN SELECT tgrelid::regclass AS r, tgname FROM pg_trigger WHERE NOT tgisinternal"
                " AND tgrelid::regclass::text LIKE 'audit.%' LOOP"
                " EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.r, t.tgname); END LOOP; END $$");
}

/* The root of the entries as the database has them, by no tile. */
static void root_of_entries(struct tree_hash *root)
{
    PGresult *rows = PQexecParams(cluster.reader, "SELECT o.leaf FROM audit.entry e JOIN audit.outbox o USING (id) ORDER BY e.index",
        0, NULL, NULL, NULL, NULL, 1);
    struct tree_frontier frontier = {0};
    struct tree_hash leaf, nodes[TREE_HEIGHTS];
    size_t count;
    for (int i = 0; i < PQntuples(rows); i++) {
        tree_leaf(PQgetvalue(rows, i, 0), (size_t)PQgetlength(rows, i, 0), &leaf);
        assert_int_equal(tree_append(&frontier, &leaf, nodes, &count, NULL), RESULT_OK);
    }
    PQclear(rows);
    tree_root(&frontier, root);
}

/* The newest note is by our newest key, over all entries. */
static uint64_t check_newest(void)
{
    char bytes[SIGNER_NOTE_BYTES];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct checkpoint checkpoint;
    struct note_seal seal;
    struct tree_hash root;
    const struct checkpoint_trust trust = {
        .origin = log_.keys->origin, .keys = &keystore_newest(log_.keys)->signer.key, .count = 1};
    assert_int_equal(sequence_newest(log_.sequence, &out, NULL), RESULT_OK);
    assert_int_equal(checkpoint_open(bytes, out.length, &trust, &seal, &checkpoint, NULL), RESULT_OK);
    root_of_entries(&root);
    assert_int_equal(checkpoint.size, cluster_number("SELECT count(*) FROM audit.entry"));
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.pending"), 0);
    assert_true(tree_equal(&root, &checkpoint.root));
    return checkpoint.size;
}

static void test_first_look(void **state)
{
    (void)state;
    assert_int_equal(look(), RESULT_OK);
    assert_true(check_newest() >= 1); /* the key's own act */
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.entry WHERE act = 'log_key_rotated'"), 1);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.log_key"), 1);
}

static void test_many_leaves(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    add_leaves(5);
    assert_int_equal(look(), RESULT_OK);
    add_leaves(9000);
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(check_newest(), before + 9005);
    assert_int_equal(cluster_number("SELECT max(index) + 1 - count(*) FROM audit.entry"), 0);
    assert_int_equal(mirror_size(log_.mirror, 0), before + 9005);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.tile WHERE level = 0"), (int)((before + 9005 + 255) / 256));
    assert_int_equal(cluster_number("SELECT octet_length(hashes) / 32 FROM audit.tile WHERE level = 1"), (int)((before + 9005) / 256));
}

static void test_opened_again(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    close_log();
    open_log();
    add_leaves(300);
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(check_newest(), before + 300);
}

static void test_heartbeat_is_same_text(void **state)
{
    (void)state;
    int64_t before = cluster_number("SELECT count(*) FROM audit.checkpoint");
    close_log();
    open_log();
    assert_int_equal(look(), RESULT_OK);
    assert_true(cluster_number("SELECT count(*) FROM audit.checkpoint") > before);
    assert_int_equal(cluster_number("SELECT count(*) FROM (SELECT size FROM audit.checkpoint GROUP BY size HAVING count(DISTINCT note) > 1) x"), 0);
}

/* What an older backup has: the last entries are missing, their leaves pending, or gone altogether. */
static void test_restored_database(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    meddle("DELETE FROM audit.checkpoint WHERE size > 5000; DELETE FROM audit.entry WHERE index >= 5000;"
           "INSERT INTO audit.pending SELECT id, written_at FROM audit.outbox o WHERE NOT EXISTS (SELECT FROM audit.entry e WHERE e.id = o.id)"
           " ORDER BY id LIMIT 700;"
           "DELETE FROM audit.outbox o WHERE NOT EXISTS (SELECT FROM audit.entry e WHERE e.id = o.id) AND NOT EXISTS"
           " (SELECT FROM audit.pending p WHERE p.id = o.id);"
           "DELETE FROM audit.tile WHERE level = 0 AND index > 19; DELETE FROM audit.tile WHERE level > 1;"
           "UPDATE audit.tile SET hashes = substr(hashes, 1, 19 * 32) WHERE level = 1;"
           "UPDATE audit.tile SET hashes = substr(hashes, 1, 136 * 32) WHERE level = 0 AND index = 19");
    add_leaves(10);
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(check_newest(), before + 10 + 1); /* and the act of it */
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.entry WHERE act = 'restored'"), 1);
}

static void test_all_gone(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    meddle("DELETE FROM audit.checkpoint; DELETE FROM audit.entry; DELETE FROM audit.tile; DELETE FROM audit.pending;"
           " DELETE FROM audit.outbox");
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(check_newest(), before + 1);
}

/* Refused until it is put right. */
static void refuse(const char *wrong, const char *right)
{
    uint64_t before = check_newest();
    int64_t notes = cluster_number("SELECT count(*) FROM audit.checkpoint");
    meddle(wrong);
    add_leaves(1);
    /* It may be signed before the place is come to, but what is signed holds. */
    enum result result = RESULT_OK;
    for (int i = 0; i < 40 && result == RESULT_OK; i++)
        result = look();
    assert_int_equal(result, RESULT_CORRUPT);
    assert_int_equal(metrics_get(METRIC_AUDIT_REFUSED), 1);
    assert_true(cluster_number("SELECT count(*) FROM audit.checkpoint") <= notes + 1);
    add_leaves(1);
    assert_int_equal(look(), RESULT_CORRUPT);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.pending") > 0, 1);
    meddle(right);
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(metrics_get(METRIC_AUDIT_REFUSED), 0);
    assert_int_equal(check_newest(), before + 2);
}

static void test_rewritten_leaf(void **state)
{
    (void)state;
    refuse("UPDATE audit.outbox SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '\"out\":\"ok\"', '\"out\":\"no\"'), 'UTF8')"
           " WHERE id = (SELECT id FROM audit.entry WHERE index = 4242)",
        "UPDATE audit.outbox SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '\"out\":\"no\"', '\"out\":\"ok\"'), 'UTF8')"
        " WHERE id = (SELECT id FROM audit.entry WHERE index = 4242)");
}

static void test_rewritten_tile(void **state)
{
    (void)state;
    refuse("UPDATE audit.tile SET hashes = set_byte(hashes, 33, 255 - get_byte(hashes, 33)) WHERE level = 0 AND index = 7",
        "UPDATE audit.tile SET hashes = set_byte(hashes, 33, 255 - get_byte(hashes, 33)) WHERE level = 0 AND index = 7");
}

static void test_rewritten_top(void **state)
{
    (void)state;
    refuse("UPDATE audit.tile SET hashes = set_byte(hashes, 33, 255 - get_byte(hashes, 33)) WHERE level = 1",
        "UPDATE audit.tile SET hashes = set_byte(hashes, 33, 255 - get_byte(hashes, 33)) WHERE level = 1");
}

static void test_swapped_entries(void **state)
{
    (void)state;
    static const char swap[] = "UPDATE audit.entry SET index = 1000000 - index WHERE index IN (100, 101);"
                               "UPDATE audit.entry SET index = CASE index WHEN 999900 THEN 101 ELSE 100 END WHERE index > 900000";
    refuse(swap, swap);
}

/* Both an older end and another content: nothing of it can be what was signed. */
static void test_fork(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    cluster_sql("CREATE TABLE public.kept AS SELECT * FROM audit.entry WHERE index >= 6000;"
                "CREATE TABLE public.tiles AS SELECT * FROM audit.tile");
    meddle("DELETE FROM audit.entry WHERE index >= 6000;"
           "UPDATE audit.tile SET hashes = set_byte(hashes, 1, 255 - get_byte(hashes, 1)) WHERE level = 0 AND index = 23;");
    assert_int_equal(look(), RESULT_CORRUPT);
    meddle("DELETE FROM audit.tile; INSERT INTO audit.tile SELECT * FROM public.tiles;"
           "INSERT INTO audit.entry SELECT * FROM public.kept; DROP TABLE public.kept, public.tiles");
    add_leaves(1);
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(check_newest(), before + 1);
}

static void test_damaged_copy(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    close_log();
    cluster_shell("rm -r %s/log", log_.state);
    open_log();
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(check_newest(), before);
    assert_int_equal(mirror_size(log_.mirror, 0), before);
}

static void test_lost_state(void **state)
{
    (void)state;
    char kept[80];
    (void)snprintf(kept, sizeof kept, "%s.kept", log_.state);
    close_log();
    cluster_shell("mv %s %s && mkdir %s", log_.state, kept, log_.state);
    open_log();
    assert_int_equal(look(), RESULT_CORRUPT); /* who signed those checkpoints? */
    close_log();
    cluster_shell("rm -r %s && mv %s %s", log_.state, kept, log_.state);
    open_log();
    assert_int_equal(look(), RESULT_OK);
    (void)check_newest();
}

static void test_rotation(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    const struct note_key old = keystore_newest(log_.keys)->signer.key;
    assert_int_equal(sequence_rotate(log_.sequence, NULL), RESULT_OK);
    assert_int_equal(look(), RESULT_OK);
    assert_int_equal(check_newest(), before + 1);
    char bytes[SIGNER_NOTE_BYTES];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct checkpoint checkpoint;
    struct note_seal seal;
    const struct checkpoint_trust trust = {.origin = log_.keys->origin, .keys = &old, .count = 1};
    assert_int_equal(sequence_newest(log_.sequence, &out, NULL), RESULT_OK);
    assert_int_equal(checkpoint_open(bytes, out.length, &trust, &seal, &checkpoint, NULL), RESULT_OK); /* both sign for a while */
    close_log();
    open_log();
    assert_int_equal(look(), RESULT_OK);
    (void)check_newest();
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.log_key"), 2);
    log_.keys->keys[0].until_ms = 1;
    add_leaves(1);
    assert_int_equal(look(), RESULT_OK);
    out.length = 0;
    assert_int_equal(sequence_newest(log_.sequence, &out, NULL), RESULT_OK);
    assert_int_equal(checkpoint_open(bytes, out.length, &trust, &seal, &checkpoint, NULL), RESULT_NOT_FOUND);
}

static void test_manifest(void **state)
{
    (void)state;
    char hex[65], bytes[SIGNER_NOTE_BYTES];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct note note;
    struct note_seal seal;
    uint64_t size = check_newest();
    memset(hex, 'a', 64);
    hex[64] = '\0';
    assert_int_equal(sequence_sign_manifest(log_.sequence, size, hex, &out, NULL), RESULT_OK);
    assert_int_equal(note_parse(bytes, out.length, &note, NULL), RESULT_OK);
    assert_int_equal(note_verify(&note, &keystore_newest(log_.keys)->signer.key, 1, &seal, NULL), RESULT_OK);
    assert_int_equal(strncmp(bytes, "example.org/log/bundle\n", 23), 0);
    assert_int_equal(sequence_sign_manifest(log_.sequence, size + 1, hex, &out, NULL), RESULT_NOT_FOUND);
    assert_int_equal(sequence_sign_manifest(log_.sequence, 17, hex, &out, NULL), RESULT_NOT_FOUND);
    /* A checkpoint that somebody else put into the table is not signed for. */
    cluster_sql("INSERT INTO audit.checkpoint SELECT 17, now(), convert_to(replace(convert_from(note, 'UTF8'), size::text, '17'), 'UTF8')"
                " FROM audit.checkpoint ORDER BY size DESC LIMIT 1");
    assert_int_not_equal(sequence_sign_manifest(log_.sequence, 17, hex, &out, NULL), RESULT_OK);
}

static void test_too_long_a_leaf(void **state)
{
    (void)state;
    PGresult *result = PQexec(cluster.reader, "SELECT audit.append(u, 'x', convert_to(format('{\"act\":\"x\",\"id\":\"%s\",\"v\":1,\"y\":\"%s\"}', u,"
        " repeat('z', 65500)), 'UTF8')) FROM (SELECT gen_random_uuid() AS u OFFSET 0) AS g");
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "23514");
    PQclear(result);
}

static void test_pruned(void **state)
{
    (void)state;
    uint64_t before = check_newest();
    cluster_sql("SELECT audit.append(u, 'trail_pruned', convert_to(format('{\"act\":\"trail_pruned\",\"at\":1,\"data\":{\"below\":2816},\"id\":\"%s\","
                "\"tenant\":\"\",\"v\":1}', u), 'UTF8')) FROM (SELECT gen_random_uuid() AS u OFFSET 0) AS g");
    PGresult *result = PQexec(cluster.reader, "SELECT audit.prune(2816, id) FROM audit.outbox WHERE act = 'trail_pruned'");
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR); /* it is not in the log yet */
    PQclear(result);
    assert_int_equal(look(), RESULT_OK);
    int64_t keys = cluster_number("SELECT count(*) FROM audit.entry WHERE act = 'log_key_rotated' AND index < 2816");
    assert_int_equal(cluster_number("SELECT audit.prune(2816, id) FROM audit.outbox WHERE act = 'trail_pruned'"), 2816 - keys);
    for (int i = 0; i < 60; i++)
        assert_int_equal(look(), RESULT_OK); /* a whole round over the log */
    assert_int_equal(cluster_number("SELECT max(size) FROM audit.checkpoint"), before + 1);
    const uint8_t *bundle;
    size_t length;
    assert_int_equal(mirror_bundle(log_.mirror, 0, 256, &bundle, &length, NULL), RESULT_NOT_FOUND);
    result = PQexec(cluster.reader, "UPDATE audit.outbox SET leaf = NULL WHERE id = (SELECT id FROM audit.entry WHERE index = 4000)");
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
    PQclear(result);
}

/* Leaves a second, of a backlog: THRONG_TEST_LEAVES of them. */
static void test_backlog(void **state)
{
    (void)state;
    const char *wanted = getenv("THRONG_TEST_LEAVES");
    if (wanted == NULL)
        skip();
    for (int left = atoi(wanted); left > 0; left -= 100000)
        add_leaves(left < 100000 ? left : 100000);
    cluster_sql("ANALYZE");
    int64_t start = (int64_t)time(NULL);
    assert_int_equal(look(), RESULT_OK);
    int64_t took = (int64_t)time(NULL) - start;
    print_message("%s leaves in %ld s\n", wanted, (long)took);
    cluster_shell("grep -E 'VmHWM|VmRSS' /proc/%d/status", getpid());
}

static int start(void **state)
{
    if (sodium_init() < 0 || cluster_start(state) != 0)
        return -1;
    (void)strcpy(log_.state, "/tmp/throng-log-XXXXXX");
    if (mkdtemp(log_.state) == NULL)
        return -1;
    open_log();
    return 0;
}

static int stop(void **state)
{
    close_log();
    cluster_shell("rm -r %s", log_.state);
    return cluster_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_look),
        cmocka_unit_test(test_many_leaves),
        cmocka_unit_test(test_opened_again),
        cmocka_unit_test(test_heartbeat_is_same_text),
        cmocka_unit_test(test_restored_database),
        cmocka_unit_test(test_all_gone),
        cmocka_unit_test(test_rewritten_leaf),
        cmocka_unit_test(test_rewritten_tile),
        cmocka_unit_test(test_rewritten_top),
        cmocka_unit_test(test_swapped_entries),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_damaged_copy),
        cmocka_unit_test(test_lost_state),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_too_long_a_leaf),
        cmocka_unit_test(test_pruned),
        cmocka_unit_test(test_backlog),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
