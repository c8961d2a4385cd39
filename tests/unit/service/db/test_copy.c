/*
 * COPY against a private PostgreSQL: what arrives, and what a COPY that fails leaves behind: nothing of its rows, and a
 * connection that goes on or, where the server is gone, is made anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/db/copy.h"
#include "tests/unit/cluster.h"

#define MANY 200000 /* rows: megabytes, more than any buffer on the way holds */

static struct db *state_db;

static int start(void **state)
{
    if (cluster_start(state) != 0)
        return -1;
    state_db = cluster_connect("throng_state", "throng-aggregate");
    return 0;
}

static int stop(void **state)
{
    db_free(state_db);
    return cluster_stop(state);
}

/* The row at place `bad` has a name that the table refuses. */
static enum result copy_rows(struct db *db, size_t count, size_t bad, struct failure *why)
{
    static const uint8_t name[16] = {1};
    struct copy *copy = copy_new(6);
    for (size_t i = 0; i < count; i++) {
        copy_row(copy);
        copy_int4(copy, 1);
        copy_int4(copy, 1);
        copy_bytes(copy, name, i == bad ? 3 : sizeof name);
        copy_int2(copy, 0);
        copy_int8(copy, (int64_t)i);
        copy_int4(copy, 1);
    }
    return copy_run(copy, db, "test.step", "COPY state.step (shard, app, usr, track, at_ms, value) FROM STDIN BINARY", why);
}

static enum result copy_after_a_row(struct db *db, void *context, struct failure *why)
{
    enum result result = copy_rows(db, 1, 1, why);
    return result == RESULT_OK ? copy_rows(db, MANY, *(const size_t *)context, why) : result;
}

static void expect_rows(int64_t count)
{
    assert_int_equal(cluster_number("SELECT count(*) FROM state.step"), count);
    cluster_sql("TRUNCATE state.step");
}

static void test_refused_row(void **unused)
{
    (void)unused;
    const size_t places[] = {0, MANY / 2, MANY - 1};
    for (size_t i = 0; i < 3; i++) {
        struct failure why = {0};
        size_t bad = places[i];
        assert_int_equal(db_transaction(state_db, copy_after_a_row, &bad, &why), RESULT_INVALID);
        assert_string_equal(why.field, "test.step");
        assert_non_null(strstr(why.text, "23514"));
        assert_int_equal(copy_rows(state_db, 2, 2, &why), RESULT_OK); /* on the same connection */
        expect_rows(2);
    }
    size_t none = MANY;
    assert_int_equal(db_transaction(state_db, copy_after_a_row, &none, NULL), RESULT_OK);
    expect_rows(MANY + 1);
}

static void test_refused_statement(void **unused)
{
    (void)unused;
    struct failure why = {0};
    assert_int_equal(copy_run(copy_new(1), state_db, "test.none", "COPY config.app (app) FROM STDIN BINARY", &why),
        RESULT_DENIED);
    assert_int_equal(copy_rows(state_db, 1, 1, &why), RESULT_OK);
    expect_rows(1);
}

/* What the copy had begun is rolled back by the server's end of the connection. */
static enum result copy_while_killed(struct db *db, void *context, struct failure *why)
{
    (void)context;
    enum result result = copy_rows(db, 1, 1, why);
    if (result != RESULT_OK)
        return result;
    cluster_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'throng-aggregate'");
    return copy_rows(db, MANY, MANY, why);
}

static void test_lost_connection(void **unused)
{
    (void)unused;
    struct failure why = {0};
    (void)db_was_reconnected(state_db);
    assert_int_equal(db_transaction(state_db, copy_while_killed, NULL, &why), RESULT_UNAVAILABLE);
    assert_int_equal(cluster_number("SELECT count(*) FROM state.step"), 0);
    assert_int_equal(copy_rows(state_db, 3, 3, &why), RESULT_OK);
    assert_true(db_was_reconnected(state_db));
    expect_rows(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_row),
        cmocka_unit_test(test_refused_statement),
        cmocka_unit_test(test_lost_connection),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
