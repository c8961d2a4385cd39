/* What may be a note. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "api/series/annotation.h"

static void test_control_characters_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "a\nb", "a\tb", "\x7f", "\xc2\x85", "\xe2\x80\xae turned", "\xe2\x80\xa8", "\xff", "\xc0\xaf",
        "\xed\xa0\x80", "cut \xe2\x80", "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(annotation_is_text(wrong[i]));
    assert_true(annotation_is_text("Release 2.4 <b>"));
    assert_true(annotation_is_text("Größer – \xf0\x9f\x9a\x80"));
}

static void test_two_hundred_characters_are_the_most(void **state)
{
    (void)state;
    char text[2 * ANNOTATION_CHARACTERS_MAX + 3] = "";
    for (int i = 0; i < ANNOTATION_CHARACTERS_MAX; i++)
        strcat(text, "\xc3\xa4");
    assert_true(annotation_is_text(text));
    strcat(text, "a");
    assert_false(annotation_is_text(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_characters_are_refused),
        cmocka_unit_test(test_two_hundred_characters_are_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
