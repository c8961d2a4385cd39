/* The edition moves with each thing that answers are made of, for a reader who sees it and for no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/edition.h"
#include "tests/unit/cluster.h"

static struct db *reader;

static struct edition read_now(void)
{
    struct failure why = {0};
    struct edition edition = {0};
    if (edition_read(reader, &edition, &why) != RESULT_OK)
        fail_msg("%s", why.text);
    return edition;
}

/* Whether the statements move the edition, once they are committed. */
static int moves(const char *statements)
{
    struct edition before = read_now();
    cluster_sql("BEGIN");
    cluster_sql(statements);
    struct edition between = read_now();
    assert_true(edition_equal(&before, &between));
    cluster_sql("COMMIT");
    struct edition after = read_now();
    return !edition_equal(&before, &after);
}

static void equal_is_equal_in_all(void **unused)
{
    (void)unused;
    const struct edition one = {.releases = 1, .hash = {1}, .catalogue = 1, .last_index = 1};
    struct edition other = one;
    assert_true(edition_equal(&one, &other));
    other.releases = 2;
    assert_false(edition_equal(&one, &other));
    other = one;
    other.hash[31] = 1;
    assert_false(edition_equal(&one, &other));
    other = one;
    other.catalogue = 2;
    assert_false(edition_equal(&one, &other));
    other = one;
    other.last_index = 2;
    assert_false(edition_equal(&one, &other));
}

static void moved_by_what_answers_are_made_of(void **unused)
{
    (void)unused;
    struct edition empty = read_now();
    assert_int_equal(empty.last_index, -1);
    assert_true(moves("SELECT audit.append('00000000-0000-4000-8000-000000000001', 'app_added',"
                      " '{\"id\":\"00000000-0000-4000-8000-000000000001\",\"act\":\"app_added\",\"v\":1}');"
                      "INSERT INTO config.app (name, population, time_zone, leaf)"
                      " VALUES ('shop', 'everyone', 'UTC', '00000000-0000-4000-8000-000000000001')"));
    assert_true(moves("INSERT INTO config.definition (app, version, body, hash, leaf)"
                      " SELECT app, 1, '{}', decode(repeat('00', 32), 'hex'), leaf FROM config.app"));
    assert_true(moves("UPDATE config.app SET version = 2"));
    assert_true(moves("UPDATE release.head SET count = 1, hash = decode(repeat('01', 32), 'hex')"));
    assert_true(moves("SELECT audit.sequence(0, ARRAY['00000000-0000-4000-8000-000000000001']::uuid[], '{}', '{}', '{}')"));
    assert_int_equal(read_now().last_index, 0);
    assert_false(moves("SELECT 1"));
    assert_false(moves("INSERT INTO config.annotation (app, day, text) SELECT app, '2026-01-01', 'a note' FROM config.app"));
}

static void one_snapshot_has_one_edition(void **unused)
{
    (void)unused;
    struct failure why = {0};
    assert_int_equal(db_script(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ", &why), RESULT_OK);
    struct edition first = read_now();
    cluster_sql("UPDATE release.head SET count = count + 1");
    struct edition again = read_now();
    assert_true(edition_equal(&first, &again));
    assert_int_equal(db_script(reader, "COMMIT", &why), RESULT_OK);
    struct edition after = read_now();
    assert_false(edition_equal(&first, &after));
}

static void without_a_head_there_is_none(void **unused)
{
    (void)unused;
    struct failure why = {0};
    struct edition edition = {.releases = 77};
    cluster_sql("SET session_replication_role = replica; DELETE FROM release.head");
    assert_int_equal(edition_read(reader, &edition, &why), RESULT_CORRUPT);
    assert_int_equal(edition.releases, 77);
}

static int set_up(void **state)
{
    int failed = cluster_start(state);
    cluster_sql("INSERT INTO config.installation (shards) VALUES (16) ON CONFLICT DO NOTHING");
    reader = cluster_connect("throng_read", "test");
    return failed;
}

static int tear_down(void **state)
{
    db_free(reader);
    return cluster_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_is_equal_in_all),
        cmocka_unit_test(moved_by_what_answers_are_made_of),
        cmocka_unit_test(one_snapshot_has_one_edition),
        cmocka_unit_test(without_a_head_there_is_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
