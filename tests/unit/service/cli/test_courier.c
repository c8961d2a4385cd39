/* What is an address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/cli/courier.h"

static void test_only_one_plain_address_is_one(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "anna", "@example.org", "anna@", "-f@example.org", "a@b@c", "a b@c", "a@b,c@d", "a@b\nBcc: c@d",
        "<a@b>", "a@b;c", "\"a\"@b", "a@b\x7f", "ä@b"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(courier_is_address(wrong[i]));
    assert_true(courier_is_address("anna.b+reports@example.org"));
    assert_true(courier_is_address("root@localhost"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_one_plain_address_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
