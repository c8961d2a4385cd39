/* Content negotiation: the most specific range counts, with its quality. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/accept.h"

static void test_quality(void **state)
{
    (void)state;
    assert_int_equal(accept_quality(NULL, "text/csv"), 1000);
    assert_int_equal(accept_quality("text/csv", "text/csv"), 1000);
    assert_int_equal(accept_quality("TEXT/CSV", "text/csv"), 1000);
    assert_int_equal(accept_quality("text/csvx", "text/csv"), 0);
    assert_int_equal(accept_quality("text/*;q=0.25", "text/csv"), 250);
    assert_int_equal(accept_quality("*/*;q=0.1, text/*;q=0.2, text/csv;q=0.345", "text/csv"), 345);
    assert_int_equal(accept_quality("text/csv;q=0, */*", "text/csv"), 0);
    assert_int_equal(accept_quality("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
                         "application/openmetrics-text"), 500);
    assert_int_equal(accept_quality("application/*", "text/csv"), 0);
    assert_int_equal(accept_quality("text/csv ; q=0.7", "text/csv"), 700);
}

static void test_garbage_is_harmless(void **state)
{
    (void)state;
    static const char *const garbage[] = {"", ",", ";", "text/csv;q", "text/csv;q=", "text/csv;;;q=0.", "t", "*", "*/", "/,;/"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        int quality = accept_quality(garbage[i], "text/csv");
        assert_true(quality >= 0 && quality <= 1000);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_true(accept_names("*/*, text/csv;q=0.1", "text/csv"));
    assert_false(accept_names("*/*", "text/csv"));
    assert_false(accept_names(NULL, "text/csv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quality),
        cmocka_unit_test(test_garbage_is_harmless),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
