#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/supervise/environment.h"

static bool has(const struct words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->items[i], word) == 0)
            return true;
    }
    return false;
}

static bool mentions(const struct words *words, const char *text)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strstr(words->items[i], text) != NULL)
            return true;
    }
    return false;
}

static void passes_on_little(void **state)
{
    (void)state;
    struct words words = {0};
    assert_int_equal(setenv("THRONG_TEST_CLOCK_OFFSET_MS", "5", 1), 0);
    assert_int_equal(setenv("SECRET_OF_THE_SHELL", "hidden", 1), 0);
    environment_base(&words);
    assert_true(has(&words, "THRONG_TEST_CLOCK_OFFSET_MS=5"));
    assert_true(has(&words, "LC_ALL=C"));
    assert_false(mentions(&words, "hidden"));
    words_free(&words);
}

static void passes_one_section_without_its_secrets(void **state)
{
    (void)state;
    struct config config;
    struct words words = {0};
    assert_int_equal(config_parse("[redis]\npassword = hidden\nuser = ingest\n[ingest]\nbot_filter = no\n", &config, NULL),
        RESULT_OK);
    environment_section(&words, &config, "redis");
    assert_true(has(&words, "THRONG_REDIS_USER=ingest"));
    assert_true(has(&words, "THRONG_REDIS_PORT=6379"));
    assert_false(mentions(&words, "THRONG_INGEST"));
    environment_section(&words, &config, "ingest");
    assert_true(has(&words, "THRONG_INGEST_BOT_FILTER=false"));
    assert_false(mentions(&words, "hidden"));
    words_free(&words);
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_on_little),
        cmocka_unit_test(passes_one_section_without_its_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
