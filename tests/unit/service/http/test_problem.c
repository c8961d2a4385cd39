/* Problem documents: their members, and that nothing in an explanation breaks them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/http/problem.h"

static void test_problems(void **state)
{
    (void)state;
    struct failure why = {.field = "events", .text = "at most \"1000\"\n\\ \xc3"};
    char *text = problem_document(413, "too_large", &why);
    assert_string_equal(text, "{\"type\":\"urn:throng:problem:too_large\",\"title\":\"Too large\",\"status\":413,"
                              "\"detail\":\"at most \\\"1000\\\"?\\\\ ?\",\"field\":\"events\"}");
    free(text);
    text = problem_document(418, "tea", NULL);
    assert_string_equal(text, "{\"type\":\"urn:throng:problem:tea\",\"title\":\"Problem\",\"status\":418}");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
