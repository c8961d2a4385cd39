/*
 * The head: its file, and what a database that lacks releases is told.
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

#include "service/base/clock.h"
#include "service/release/head.h"
#include "tests/unit/service/release/closed.h"

static char state[64];

static void write_file(const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" HEAD_FILE, state);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_the_file(void **unused)
{
    (void)unused;
    struct head head = {.count = 9}, read = {.count = 1};
    char fresh[128];
    (void)snprintf(fresh, sizeof fresh, "%s/below", state);
    assert_int_equal(head_load(fresh, &read, NULL), RESULT_OK); /* made */
    assert_true(read.count == 0 && access(fresh, F_OK) == 0);
    head_add(&head, "leaf", 4);
    assert_int_equal(head_store(state, &head, NULL), RESULT_OK);
    assert_int_equal(head_load(state, &read, NULL), RESULT_OK);
    assert_true(read.count == 10 && memcmp(read.hash, head.hash, sizeof head.hash) == 0);
    static const char *const damaged[] = {"", "10", "10 abc\n", "x",
        "-1 0000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct failure why = {0};
        write_file(damaged[i]);
        assert_int_equal(head_load(state, &read, &why), RESULT_CORRUPT);
        assert_string_equal(why.field, "release.state");
    }
    assert_int_equal(head_load("/proc/none", &read, NULL), RESULT_FAILED);
    assert_int_equal(head_store("/proc/none", &head, NULL), RESULT_FAILED);
}

static void test_a_restored_database(void **unused)
{
    (void)unused;
    int app = closed_app("restored", "exact", "2025-06-02", "");
    struct head before = {0};
    struct failure why = {0};
    closed.head.state = state;
    assert_int_equal(head_check(closed.release, &before, NULL), RESULT_OK);
    closed_through(app, -1, clock_days_from_civil(2025, 6, 5));
    struct schedule_due due = closed_due(app);
    struct publish_count count = {0};
    assert_int_equal(closed_publish(&due, &count), RESULT_OK);
    struct head stored;
    assert_int_equal(head_load(state, &stored, NULL), RESULT_OK);
    assert_true(stored.count == closed.head.known.count && stored.count > 8);
    assert_int_equal(stored.count, cluster_number("SELECT count FROM release.head"));
    assert_int_equal(head_check(closed.release, &stored, NULL), RESULT_OK);
    /* A file that was not written last time. */
    struct head late = {.count = 1};
    closed_leaves();
    char *hash = cluster_rows("SELECT encode(hash, 'hex') FROM release.release WHERE place = 1");
    char text[128];
    (void)snprintf(text, sizeof text, "1 %s", hash);
    write_file(text);
    free(hash);
    assert_int_equal(head_load(state, &late, NULL), RESULT_OK);
    assert_int_equal(head_check(closed.release, &late, NULL), RESULT_OK);
    late.hash[0] ^= 1;
    assert_int_equal(head_check(closed.release, &late, NULL), RESULT_CORRUPT);
    /* The database is that of some days before, and goes on from there. */
    stored.count += 3;
    assert_int_equal(head_check(closed.release, &stored, &why), RESULT_CORRUPT);
    assert_non_null(strstr(why.text, "the database was restored"));
    closed.head.known = stored;
    closed_through(app, -1, clock_days_from_civil(2025, 6, 6));
    due = closed_due(app);
    count = (struct publish_count){0};
    assert_int_equal(closed_publish(&due, &count), RESULT_CORRUPT);
    assert_int_equal(count.transactions, 0);
    assert_int_equal(cluster_number("SELECT count(*) FROM release.release WHERE period = '2025-06-06'"), 0);
}

static int start(void **unused)
{
    (void)strcpy(state, "/tmp/throng-head-XXXXXX");
    return mkdtemp(state) == NULL ? -1 : closed_start(unused);
}

static int stop(void **unused)
{
    cluster_shell("rm -rf %s", state);
    return closed_stop(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_file),
        cmocka_unit_test(test_a_restored_database),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
