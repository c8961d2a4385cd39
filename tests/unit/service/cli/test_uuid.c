/* UUIDs: made, shown, read, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/cli/uuid.h"

static const char text[] = "0189c0de-1a2b-4c3d-8e4f-5a6b7c8d9e0f";

static void it_reads_what_it_writes(void **state)
{
    (void)state;
    uint8_t id[UUID_BYTES];
    char out[UUID_TEXT_BYTES];
    assert_true(uuid_parse(text, id));
    assert_string_equal(uuid_format(id, out), text);
    assert_true(uuid_parse("0189C0DE-1A2B-4C3D-8E4F-5A6B7C8D9E0F", id));
    assert_string_equal(uuid_format(id, out), text);
}

static void it_refuses_other_forms(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "0189c0de", "0189c0de1a2b4c3d8e4f5a6b7c8d9e0f", "0189c0de-1a2b-4c3d-8e4f-5a6b7c8d9e0g",
        "0189c0de-1a2b-4c3d-8e4f-5a6b7c8d9e0f0", "0189c0de-1a2b-4c3d-8e4f5-a6b7c8d9e0f", "0189c0de-1a2b-4c3d-8e4f--a6b7c8d9e0f"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t id[UUID_BYTES] = {1, 2, 3};
        assert_false(uuid_parse(wrong[i], id));
        assert_int_equal(id[0], 1); /* untouched */
    }
}

static void it_makes_random_ones_of_version_4(void **state)
{
    (void)state;
    uint8_t one[UUID_BYTES], other[UUID_BYTES];
    for (int i = 0; i < 100; i++) {
        uuid_make(one);
        uuid_make(other);
        assert_memory_not_equal(one, other, sizeof one);
        assert_int_equal(one[6] >> 4, 4);
        assert_int_equal(one[8] >> 6, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_what_it_writes),
        cmocka_unit_test(it_refuses_other_forms),
        cmocka_unit_test(it_makes_random_ones_of_version_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
