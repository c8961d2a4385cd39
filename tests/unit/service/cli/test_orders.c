/* Orders of purges: written, read, removed; a damaged one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/cli/orders.h"
#include "service/cli/trees.h"

static char folder[64];
static struct orders_purge found[ORDERS_MAX];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/test-orders-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return trees_remove(folder, NULL) != RESULT_OK;
}

static struct orders_purge make_order(void)
{
    struct orders_purge order = {.app = "shop", .reason = "someone said \"leak\"\n\xe2\x82\xac", .ordered_ms = 1775037600123};
    uuid_make(order.id);
    return order;
}

static void an_order_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct failure why = {0};
    struct orders_purge order = make_order();
    size_t count = 7;
    assert_int_equal(orders_read(folder, found, &count, &why), RESULT_OK);
    assert_int_equal(count, 0);
    assert_int_equal(orders_write(folder, &order, &why), RESULT_OK);
    order.told = true;
    assert_int_equal(orders_write(folder, &order, &why), RESULT_OK);
    assert_int_equal(orders_read(folder, found, &count, &why), RESULT_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(found[0].id, order.id, sizeof order.id);
    assert_string_equal(found[0].app, order.app);
    assert_string_equal(found[0].reason, order.reason);
    assert_true(found[0].ordered_ms == order.ordered_ms && found[0].told && !found[0].recorded);
    orders_remove(folder, order.id);
    assert_int_equal(orders_read(folder, found, &count, &why), RESULT_OK);
    assert_int_equal(count, 0);
}

static void its_file_is_private(void **state)
{
    (void)state;
    char path[256], id[UUID_TEXT_BYTES];
    struct failure why = {0};
    struct stat status;
    struct orders_purge order = make_order();
    assert_int_equal(orders_write(folder, &order, &why), RESULT_OK);
    (void)snprintf(path, sizeof path, "%s/purge/%s.json", folder, uuid_format(order.id, id));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void a_damaged_file_is_said_and_the_others_are_read(void **state)
{
    (void)state;
    char path[256];
    struct failure why = {0};
    struct orders_purge order = make_order();
    size_t count = 0;
    assert_int_equal(orders_write(folder, &order, &why), RESULT_OK);
    (void)snprintf(path, sizeof path, "%s/purge/damaged.json", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("{\"order\":\"no\"}", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(orders_read(folder, found, &count, &why), RESULT_CORRUPT);
    assert_int_equal(count, 1);
    assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_order_is_read_as_it_was_written, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(its_file_is_private, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_said_and_the_others_are_read, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
