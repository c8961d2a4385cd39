#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/base/log.h"

static int saved_stderr;
static FILE *lines;

/* Standard error goes to a pipe that the test reads. */
static int capture(void **state)
{
    (void)state;
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    fcntl(ends[1], F_SETPIPE_SZ, 1024 * 1024);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    lines = fdopen(ends[0], "r");
    return lines == NULL ? -1 : 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(lines);
    return 0;
}

static json_t *next_line(void)
{
    char line[8192];
    assert_non_null(fgets(line, sizeof line, lines));
    json_error_t error;
    json_t *parsed = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (parsed == NULL)
        fail_msg("%s in %s", error.text, line);
    return parsed;
}

static void assert_text(const json_t *object, const char *key, const char *expected)
{
    assert_non_null(json_string_value(json_object_get(object, key)));
    assert_string_equal(json_string_value(json_object_get(object, key)), expected);
}

static void test_one_event(void **state)
{
    (void)state;
    log_init("ingest", LOG_LEVEL_INFO);
    log_event(LOG_LEVEL_WARN, "stream.retry", LOG_INT("attempt", -3), LOG_UINT("most", UINT64_C(9223372036854775807)),
        LOG_DOUBLE("share", 0.25), LOG_STR("kind", "literal"), LOG_NAME("app", "shop"));
    json_t *line = next_line();
    assert_text(line, "level", "warn");
    assert_text(line, "daemon", "ingest");
    assert_text(line, "event", "stream.retry");
    assert_text(line, "kind", "literal");
    assert_text(line, "app", "shop");
    assert_int_equal(strlen(json_string_value(json_object_get(line, "at"))), 24);
    assert_int_equal(json_integer_value(json_object_get(line, "attempt")), -3);
    assert_true(json_integer_value(json_object_get(line, "most")) == INT64_MAX);
    assert_true(json_real_value(json_object_get(line, "share")) == 0.25);
    json_decref(line);
}

static void test_no_fields_and_failure(void **state)
{
    (void)state;
    log_event(LOG_LEVEL_INFO, "ready");
    json_t *line = next_line();
    assert_text(line, "event", "ready");
    assert_int_equal(json_object_size(line), 4);
    json_decref(line);

    struct failure why = {0};
    failure_set(&why, "redis.port", "must be a whole number");
    log_event(LOG_LEVEL_ERROR, "config", LOG_FAILURE(RESULT_INVALID, &why));
    line = next_line();
    assert_text(line, "result", "invalid");
    assert_text(line, "field", "redis.port");
    assert_text(line, "why", "must be a whole number");
    json_decref(line);
}

static void test_escapes(void **state)
{
    (void)state;
    log_event(LOG_LEVEL_INFO, "odd", LOG_NAME("name", "a\"b\\c\nd\x01\xff\x7f"), LOG_NAME("none", NULL),
        LOG_DOUBLE("nan", (double)NAN), LOG_DOUBLE("inf", (double)INFINITY));
    json_t *line = next_line();
    assert_text(line, "name", "a\"b\\c\nd\x01??");
    assert_true(json_is_null(json_object_get(line, "none")));
    assert_true(json_is_null(json_object_get(line, "nan")));
    assert_true(json_is_null(json_object_get(line, "inf")));
    json_decref(line);
}

static void test_too_long_stays_json(void **state)
{
    (void)state;
    char text[5000];
    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_event(LOG_LEVEL_INFO, "long", LOG_INT("kept", 1), LOG_NAME("dropped", text), LOG_INT("after", 2));
    json_t *line = next_line();
    assert_int_equal(json_integer_value(json_object_get(line, "kept")), 1);
    assert_null(json_object_get(line, "dropped"));
    assert_true(json_is_true(json_object_get(line, "truncated")));
    json_decref(line);
    /* every length around the bound */
    for (size_t length = 3900; length < 4100; length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        log_event(LOG_LEVEL_INFO, "long", LOG_NAME("text", text));
        json_decref(next_line());
    }
}

static void test_levels(void **state)
{
    (void)state;
    log_init("ingest", LOG_LEVEL_WARN);
    log_event(LOG_LEVEL_DEBUG, "no");
    log_event(LOG_LEVEL_INFO, "no");
    log_event(LOG_LEVEL_ERROR, "yes");
    json_t *line = next_line();
    assert_text(line, "event", "yes");
    json_decref(line);

    enum log_level level = LOG_LEVEL_INFO;
    assert_true(log_level_named("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_false(log_level_named("loud", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void *chatter(void *number)
{
    for (int i = 0; i < 500; i++)
        log_event(LOG_LEVEL_ERROR, "chatter", LOG_INT("thread", *(const int *)number), LOG_INT("i", i),
            LOG_STR("padding",
                "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"));
    return NULL;
}

/* Lines of many threads come whole, and each thread's in order. */
static void test_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[4];
    int numbers[4] = {0, 1, 2, 3};
    int next[4] = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, chatter, &numbers[i]), 0);
    for (int n = 0; n < 2000; n++) {
        json_t *line = next_line();
        json_int_t thread = json_integer_value(json_object_get(line, "thread"));
        assert_in_range(thread, 0, 3);
        assert_int_equal(json_integer_value(json_object_get(line, "i")), next[thread]++);
        json_decref(line);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_event, capture, release),
        cmocka_unit_test_setup_teardown(test_no_fields_and_failure, capture, release),
        cmocka_unit_test_setup_teardown(test_escapes, capture, release),
        cmocka_unit_test_setup_teardown(test_too_long_stays_json, capture, release),
        cmocka_unit_test_setup_teardown(test_levels, capture, release),
        cmocka_unit_test_setup_teardown(test_threads_do_not_mix, capture, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
