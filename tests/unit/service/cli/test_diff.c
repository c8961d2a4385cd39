/* What differs between two definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "service/cli/diff.h"

static json_t *json_of(const char *text)
{
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    return document;
}

static void test_differences(void **state)
{
    (void)state;
    json_t *old = json_of("{\"a\":1,\"b\":[1,2],\"events\":[{\"name\":\"x\",\"goal\":true},{\"name\":\"y\"}],\"gone\":1}");
    json_t *new = json_of("{\"a\":1.0,\"b\":[2,1],\"events\":[{\"name\":\"x\",\"goal\":false},{\"name\":\"z\"}]}");
    json_t *found = diff_documents(old, new), *none = diff_documents(old, old);
    char *text = json_dumps(found, JSON_COMPACT);
    assert_string_equal(text, "[{\"member\":\"b\",\"old\":[1,2],\"new\":[2,1]},"
                              "{\"member\":\"events.x.goal\",\"old\":true,\"new\":false},"
                              "{\"member\":\"events.y\",\"old\":{\"name\":\"y\"}},"
                              "{\"member\":\"events.z\",\"new\":{\"name\":\"z\"}},{\"member\":\"gone\",\"old\":1}]");
    assert_int_equal(json_array_size(none), 0);
    free(text);
    json_decref(found);
    json_decref(none);
    json_decref(old);
    json_decref(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
