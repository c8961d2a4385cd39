/* Purges: an order survives, and takes what came before it out of packets, nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/packet.h"
#include "service/base/clock.h"
#include "service/ingest/purges.h"

static char folder[64], path[80];
static const uint8_t request[16] = {1, 2, 3};

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/throng-purges-XXXXXX");
    if (sodium_init() < 0 || mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/purged", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static struct purges *open_purges(void)
{
    struct purges *purges = NULL;
    struct failure why = {0};
    assert_int_equal(purges_open(folder, &purges, &why), RESULT_OK);
    return purges;
}

static void an_order_survives(void **state)
{
    (void)state;
    struct failure why = {0};
    struct purges *purges = open_purges();
    assert_false(purges_holds(purges, 5));
    assert_int_equal(purges_order(purges, 5, request, &why), RESULT_OK);
    assert_int_equal(purges_order(purges, 5, request, &why), RESULT_OK);
    assert_true(purges_holds(purges, 5));
    assert_false(purges_holds(purges, 6));
    purges_close(purges);
    purges = open_purges();
    assert_true(purges_holds(purges, 5));
    assert_int_equal(purges_resume(purges, 6, &why), RESULT_NOT_FOUND);
    assert_int_equal(purges_resume(purges, 5, &why), RESULT_UNAVAILABLE); /* not carried out yet */
    purges_close(purges);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

/* What is known changes nothing, least of all what was collected since; another order purges anew. */
static void another_order_purges_again(void **state)
{
    (void)state;
    struct failure why = {0};
    static const uint8_t other[16] = {9};
    write_file("5 01020300000000000000000000000000 12 resumed\n6 01020300000000000000000000000000 12 sent\n");
    struct purges *purges = open_purges();
    assert_int_equal(purges_order(purges, 5, request, &why), RESULT_OK);
    assert_false(purges_holds(purges, 5));
    assert_int_equal(purges_order(purges, 5, other, &why), RESULT_OK);
    assert_true(purges_holds(purges, 5));
    assert_int_equal(purges_order(purges, 5, request, &why), RESULT_UNAVAILABLE); /* one is under way */
    assert_int_equal(purges_order(purges, 6, other, &why), RESULT_OK);
    assert_int_equal(purges_resume(purges, 6, &why), RESULT_UNAVAILABLE); /* to be carried out */
    purges_close(purges);
}

static void a_damaged_file_is_refused(void **state)
{
    (void)state;
    struct purges *purges = NULL;
    struct failure why = {0};
    write_file("5 00 12 ordered\n");
    assert_int_equal(purges_open(folder, &purges, &why), RESULT_CORRUPT);
    assert_null(purges);
}

static void add(struct packet_writer *writer, uint32_t app, int64_t received_at_ms)
{
    const struct packet_part part = {.app = app, .definition = 1, .received_at_ms = received_at_ms};
    const struct packet_user user = {.names = 1, .name = {{.bytes = {(uint8_t)app}}}};
    const struct packet_event event = {.ts_ms = received_at_ms, .seq = 3};
    assert_int_equal(packet_add_part(writer, &part), RESULT_OK);
    assert_int_equal(packet_add_user(writer, &user), RESULT_OK);
    assert_int_equal(packet_add_event(writer, &event), RESULT_OK);
}

/* A packet with parts of apps 5 and 6 from before, and of 5 from after `now_ms`. */
static size_t make(uint8_t *bytes, size_t size, int64_t now_ms, bool with_five, bool after)
{
    struct packet_writer writer;
    const struct packet_header header = {.type = PACKET_EVENTS, .node = 1, .shard = 2, .n = 9};
    packet_begin(&writer, bytes, size, &header);
    if (with_five)
        add(&writer, 5, now_ms - 1000);
    add(&writer, 6, now_ms - 1000);
    if (with_five)
        add(&writer, 5, now_ms - 2000);
    if (after)
        add(&writer, 5, now_ms + 60000);
    return writer.length;
}

static void what_came_before_is_taken_out(void **state)
{
    (void)state;
    uint8_t bytes[1024], wanted[1024];
    struct failure why = {0};
    struct purges *purges = open_purges();
    int64_t now_ms = clock_now_ms();
    size_t length = make(bytes, sizeof bytes, now_ms, true, true), whole = length;
    purges_strip(purges, bytes, &length);
    assert_int_equal(length, whole);
    assert_int_equal(purges_order(purges, 5, request, &why), RESULT_OK);
    purges_strip(purges, bytes, &length);
    size_t expected = make(wanted, sizeof wanted, now_ms, false, true);
    assert_int_equal(length, expected);
    assert_memory_equal(bytes, wanted, expected);
    assert_int_equal(packet_check(bytes, length, &why), RESULT_OK);
    purges_strip(purges, bytes, &length);
    assert_int_equal(length, expected);
    purges_close(purges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_order_survives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_order_purges_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_came_before_is_taken_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
