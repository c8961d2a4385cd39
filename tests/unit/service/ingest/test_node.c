/* A node's claims: watermarks never run ahead of a request, numbers have no gaps, and incarnations outlive a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/packet.h"
#include "service/ingest/node.h"

static char directory[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/throng-node-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state)
{
    char path[96];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/nodes", directory);
    (void)unlink(path);
    return rmdir(directory);
}

static struct node *open_node(void)
{
    struct node *node = NULL;
    struct failure why = {0};
    assert_int_equal(node_open(directory, &node, &why), RESULT_OK);
    return node;
}

static int64_t nothing_spooled(void *argument)
{
    (void)argument;
    return INT64_MAX;
}

static int64_t spooled_at(void *argument)
{
    return *(int64_t *)argument;
}

static void a_crash_leaves_its_id_to_the_next(void **state)
{
    (void)state;
    struct failure why = {0};
    struct node *node = open_node();
    uint64_t first = node_id(node);
    assert_true(first != 0 && first <= INT64_MAX);
    assert_true(node_earlier(node, 0) == 0);
    node_close(node);
    node = open_node();
    uint64_t second = node_id(node);
    assert_true(second != first);
    assert_true(node_earlier(node, 0) == first);
    node_close(node);
    node = open_node();
    assert_true(node_earlier(node, 0) == first && node_earlier(node, 1) == second);
    assert_int_equal(node_forget(node, first, &why), RESULT_OK);
    assert_int_equal(node_forget(node, node_id(node), &why), RESULT_OK);
    node_close(node);
    node = open_node();
    assert_true(node_earlier(node, 0) == second && node_earlier(node, 1) == 0);
    node_close(node);
}

static void a_damaged_file_is_not_guessed_at(void **state)
{
    static const char *const texts[] = {"xyz\n", "0123456789abcdef!", "0123456789abcde\n\n", "0123456789ABCDEF\n"};
    char path[96];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/nodes", directory);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct node *node = NULL;
        struct failure why = {0};
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(texts[i], file) >= 0 && fclose(file) == 0);
        assert_int_equal(node_open(directory, &node, &why), RESULT_CORRUPT);
        assert_null(node);
    }
}

/* A process that a full disk or a crash stopped while it wrote its line was no node yet; its successor takes the place. */
static void an_unfinished_line_is_written_over(void **state)
{
    static const char *const tails[] = {"0", "fedcba9876543210"};
    char path[96];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/nodes", directory);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fprintf(file, "0000000000000007\n%s", tails[i]) > 0 && fclose(file) == 0);
        struct node *node = open_node();
        uint64_t id = node_id(node);
        assert_true(node_earlier(node, 0) == 7 && node_earlier(node, 1) == 0);
        node_close(node);
        node = open_node();
        assert_true(node_earlier(node, 0) == 7 && node_earlier(node, 1) == id && node_earlier(node, 2) == 0);
        node_close(node);
    }
}

static void the_watermark_waits_for_requests_and_the_spool(void **state)
{
    (void)state;
    struct node *node = open_node();
    struct node_ticket first, second;
    int64_t before = node_watermark(node, nothing_spooled, NULL);
    int64_t at = node_receive(node, &first);
    assert_true(at >= before);
    usleep(5000);
    assert_true(node_receive(node, &second) > at);
    assert_true(node_watermark(node, nothing_spooled, NULL) == at);
    assert_true(node_oldest_ms(node) == at);
    node_settle(node, &first);
    assert_true(node_watermark(node, nothing_spooled, NULL) == second.received_at_ms);
    int64_t spooled = at - 1;
    assert_true(node_watermark(node, spooled_at, &spooled) == spooled);
    node_settle(node, &second);
    assert_true(node_oldest_ms(node) == INT64_MAX);
    assert_true(node_watermark(node, nothing_spooled, NULL) >= second.received_at_ms);
    node_close(node);
}

static void numbers_have_no_gaps(void **state)
{
    (void)state;
    struct node *node = open_node();
    assert_true(node_next_n(node, 3) == 0);
    assert_true(node_assign(node, 3) == 0 && node_assign(node, 3) == 1 && node_assign(node, 4) == 0);
    assert_true(node_next_n(node, 3) == 0); /* under way */
    node_unassign(node, 3, 1);
    node_arrived(node);
    assert_true(node_next_n(node, 3) == 1 && node_next_n(node, 4) == 1);
    assert_true(node_assign(node, 3) == 1);
    node_add_hole(node, 3, 1);
    node_arrived(node);
    assert_true(node_assign(node, 3) == 2);
    node_arrived(node);
    assert_true(node_next_n(node, 3) == 1); /* the hole */
    struct node_hole hole;
    assert_int_equal(node_holes(node, &hole, 1), 1);
    assert_true(hole.shard == 3 && hole.n == 1);
    node_fill_holes(node, 1);
    assert_true(node_next_n(node, 3) == 3);
    node_close(node);
}

static struct node *shared;
static _Atomic int64_t given = INT64_MIN;
static atomic_bool ran_ahead, ending;

static void *receive_and_settle(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100000; i++) {
        struct node_ticket ticket;
        int64_t before = atomic_load(&given);
        if (node_receive(shared, &ticket) < before)
            atomic_store(&ran_ahead, true);
        if (atomic_load(&given) > ticket.received_at_ms)
            atomic_store(&ran_ahead, true);
        node_settle(shared, &ticket);
    }
    return NULL;
}

static void *watch(void *argument)
{
    (void)argument;
    while (!atomic_load(&ending)) {
        int64_t watermark = node_watermark(shared, nothing_spooled, NULL);
        if (watermark < atomic_load(&given))
            atomic_store(&ran_ahead, true);
        atomic_store(&given, watermark);
    }
    return NULL;
}

static void no_watermark_runs_ahead_of_a_request(void **state)
{
    (void)state;
    pthread_t receivers[3], watcher;
    shared = open_node();
    assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&receivers[i], NULL, receive_and_settle, NULL), 0);
    for (size_t i = 0; i < 3; i++)
        (void)pthread_join(receivers[i], NULL);
    atomic_store(&ending, true);
    (void)pthread_join(watcher, NULL);
    node_close(shared);
    assert_false(atomic_load(&ran_ahead));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_crash_leaves_its_id_to_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_not_guessed_at, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unfinished_line_is_written_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_watermark_waits_for_requests_and_the_spool, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_have_no_gaps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_watermark_runs_ahead_of_a_request, set_up, tear_down),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
