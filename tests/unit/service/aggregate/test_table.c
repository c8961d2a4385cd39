/*
 * The hash table of pseudonyms: against a plain array over many growths, kinds and apps of one name, replacing, forgetting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/aggregate/table.h"

#define NAMES 20000

/* Few different first bytes: the table must live with names that want the same place. */
static struct pseudonym name_of(uint32_t i)
{
    struct pseudonym name = {{0}};
    name.bytes[0] = (uint8_t)(i % 7);
    memcpy(name.bytes + 1, &i, sizeof i);
    memcpy(name.bytes + 10, &i, sizeof i);
    return name;
}

static void finds_what_was_put_and_nothing_else(void **unused)
{
    (void)unused;
    struct table table = {0};
    struct pseudonym name = name_of(1);
    assert_int_equal(table_find(&table, 1, TABLE_USER, &name), TABLE_NONE);
    for (uint32_t i = 0; i < NAMES; i++) {
        name = name_of(i);
        table_put(&table, 1 + i % 3, TABLE_USER, &name, i);
    }
    for (uint32_t i = 0; i < 2 * NAMES; i++) {
        name = name_of(i);
        assert_int_equal(table_find(&table, 1 + i % 3, TABLE_USER, &name), i < NAMES ? i : TABLE_NONE);
        assert_int_equal(table_find(&table, 2 + i % 3, TABLE_USER, &name), TABLE_NONE);
        assert_int_equal(table_find(&table, 1 + i % 3, TABLE_SOURCE, &name), TABLE_NONE);
    }
    assert_int_equal(table.used, NAMES);
    table_free(&table);
}

static void keeps_kinds_and_apps_of_one_name_apart(void **unused)
{
    (void)unused;
    struct table table = {0};
    struct pseudonym name = name_of(5);
    uint32_t index = 0;
    for (uint32_t app = 1; app < 100; app++) {
        for (int kind = TABLE_USER; kind <= TABLE_STRANGER; kind++)
            table_put(&table, app, (enum table_kind)kind, &name, index++);
    }
    index = 0;
    for (uint32_t app = 1; app < 100; app++) {
        for (int kind = TABLE_USER; kind <= TABLE_STRANGER; kind++)
            assert_int_equal(table_find(&table, app, (enum table_kind)kind, &name), index++);
    }
    table_put(&table, 1, TABLE_USER, &name, 12345);
    assert_int_equal(table_find(&table, 1, TABLE_USER, &name), 12345);
    assert_int_equal(table.used, index);
    size_t bytes = table_bytes(&table);
    table_clear(&table);
    assert_int_equal(table_find(&table, 1, TABLE_USER, &name), TABLE_NONE);
    assert_int_equal(table_bytes(&table), bytes);
    table_free(&table);
    assert_int_equal(table_bytes(&table), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_and_nothing_else),
        cmocka_unit_test(keeps_kinds_and_apps_of_one_name_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
