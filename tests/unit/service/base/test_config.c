#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/config.h"

static char directory[64];
static char path[96];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/throng-config-XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

/* Write text to DIRECTORY/name; a static path. */
static const char *file_with(const char *name, const char *text)
{
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static void assert_refused(const char *text, const char *field, const char *says)
{
    struct config config;
    struct failure why = {0};
    assert_int_equal(config_parse(text, &config, &why), RESULT_INVALID);
    assert_string_equal(why.field, field);
    if (strstr(why.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, says);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config config;
    struct failure why = {0};
    assert_int_equal(config_parse("", &config, &why), RESULT_OK);
    assert_string_equal(config.redis_host, "127.0.0.1");
    assert_int_equal(config.redis_port, 6379);
    assert_true(config.run_sandbox);
    assert_string_equal(config.redis_password, "");
    assert_int_equal(config.aggregate_flush_bytes, 33554432);
    config_free(&config);
    assert_null(config.redis_host);
}

static void test_values(void **state)
{
    (void)state;
    struct config config;
    struct failure why = {0};
    const char *text =
        "# comment\n; another\n[redis]\n  host = redis.internal\nport=7000\r\npassword = a ; b # c\n"
        "[run]\nsandbox = off\n[ingest]\ntrusted_proxies =\n[postgres]\nconninfo = host=/run/x user=y\n";
    assert_int_equal(config_parse(text, &config, &why), RESULT_OK);
    assert_string_equal(config.redis_host, "redis.internal");
    assert_int_equal(config.redis_port, 7000);
    assert_string_equal(config.redis_password, "a ; b # c");
    assert_false(config.run_sandbox);
    assert_string_equal(config.ingest_trusted_proxies, "");
    assert_string_equal(config.postgres_conninfo, "host=/run/x user=y");
    config_free(&config);
}

static void test_booleans(void **state)
{
    (void)state;
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < 8; i++) {
        struct config config;
        char text[64];
        snprintf(text, sizeof text, "[run]\nsandbox = %s\n", words[i]);
        assert_int_equal(config_parse(text, &config, &(struct failure){0}), RESULT_OK);
        assert_int_equal(config.run_sandbox, i % 2);
        config_free(&config);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("[redis]\nprot = 1\n", "redis.prot", "line 2");
    assert_refused("[rediss]\nport = 1\n", "rediss.port", "line 2");
    assert_refused("port = 1\n", "?.port", "line 1");
    assert_refused("[redis]\nport = 0\n", "redis.port", "from 1 to 65535");
    assert_refused("[redis]\nport = 65536\n", "redis.port", "from 1 to 65535");
    assert_refused("[redis]\nport = 99999999999999999999\n", "redis.port", "from 1");
    assert_refused("[redis]\nport = 6379x\n", "redis.port", "whole number");
    assert_refused("[redis]\nport = +1\n", "redis.port", "whole number");
    assert_refused("[redis]\nport =\n", "redis.port", "whole number");
    assert_refused("[run]\nsandbox = maybe\n", "run.sandbox", "true or false");
    assert_refused("[run]\nlog_level = loud\n", "run.log_level", "debug");
    assert_refused("[ingest]\ndurability = best\n", "ingest.durability", "strict");
    assert_refused("[redis]\n\n\nport = 1\nport = 2\n", "redis.port", "line 5: given twice");
    assert_refused("[redis]\nport = 1\n[run]\n[redis]\nport = 2\n", "redis.port", "given twice");
    assert_refused("[redis]\nport\n", "", "line 2");
    assert_refused("[redis\n", "", "line 1");
    assert_refused("[redis]\nhost_file = /etc/hostname\n", "redis.host_file", "no such key");
    assert_refused("[redis]\npassword = x\npassword_file = /etc/hostname\n", "redis.password", "given twice");
    assert_refused(
        "[run]\ndirectory = /0123456789012345678901234567890123456789012345678901234567890123456789/012345678\n",
        "run.directory", "80 bytes");
}

/* A secret on a line that is not understood is not repeated. */
static void test_refusals_show_no_values(void **state)
{
    (void)state;
    static const char *const texts[] = {"[redis]\nHUNTER2 = 1\n", "[redis]\nport = hunter2\n", "[redis]\nhunter2\n",
        "[redis]\npassword hunter2!\n", "[redis]\npassword_file = /hunter2\n", "[redis]\npass hunter2 = 1\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct config config;
        struct failure why = {0};
        assert_int_equal(config_parse(texts[i], &config, &why), RESULT_INVALID);
        assert_null(strcasestr(why.field, "hunter2"));
        assert_null(strcasestr(why.text, "hunter2"));
    }
}

static void test_long_lines(void **state)
{
    (void)state;
    struct config config;
    static char text[10000];
    struct failure why = {0};
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "[redis]\nuser = ", 15);
    strcpy(text + 4000, "\nport = 7\n");
    assert_int_equal(config_parse(text, &config, &why), RESULT_OK);
    assert_int_equal(strlen(config.redis_user), 4000 - 15);
    assert_int_equal(config.redis_port, 7);
    config_free(&config);
    memset(text + 4000, 'x', 5000);
    assert_int_equal(config_parse(text, &config, &why), RESULT_INVALID);
    assert_non_null(strstr(why.text, "line 2: longer"));
}

static void test_precedence(void **state)
{
    (void)state;
    struct config config;
    struct failure why = {0};
    const char *file = file_with("throng.conf", "[redis]\nport = 7000\nhost = from-file\n");
    setenv("THRONG_REDIS_PORT", "7001", 1);
    setenv("THRONG_INGEST_EVENTS_PATH", "/e", 1);
    assert_int_equal(config_load(file, &config, &why), RESULT_OK);
    assert_int_equal(config.redis_port, 7001);
    assert_string_equal(config.redis_host, "from-file");
    assert_string_equal(config.ingest_events_path, "/e");
    assert_int_equal(config.redis_timeout_ms, 1000);
    config_free(&config);
    unsetenv("THRONG_INGEST_EVENTS_PATH");
    setenv("THRONG_REDIS_PORT", "no", 1);
    assert_int_equal(config_load(file, &config, &why), RESULT_INVALID);
    assert_string_equal(why.field, "redis.port");
    assert_non_null(strstr(why.text, "environment"));
    unsetenv("THRONG_REDIS_PORT");
    unlink(file);
}

static void test_environment_names(void **state)
{
    (void)state;
    struct config config;
    struct failure why = {0};
    static const char *const fine[] = {"THRONG_TEST_REDIS", "THRONG_DATA", "THRONG_LISTEN", "THRONG_ADMIN_LISTEN",
        "THRONG_CONFIG", "THRONG_DIE_WITH_PARENT", "THRONG_LONG", "THRONG_SHARED"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        setenv(fine[i], "x", 1);
    assert_int_equal(config_load(NULL, &config, &why), RESULT_OK);
    config_free(&config);
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        unsetenv(fine[i]);
    setenv("THRONG_REDIS_PROT", "1", 1);
    assert_int_equal(config_load(NULL, &config, &why), RESULT_INVALID);
    assert_string_equal(why.field, "redis.prot");
    unsetenv("THRONG_REDIS_PROT");
}

static void assert_password(const char *expected)
{
    struct config config;
    struct failure why = {0};
    assert_int_equal(config_load(NULL, &config, &why), RESULT_OK);
    assert_string_equal(config.redis_password, expected);
    config_free(&config);
}

static void test_secret_files(void **state)
{
    (void)state;
    setenv("THRONG_REDIS_PASSWORD_FILE", file_with("secret", "s3cret\n"), 1);
    assert_password("s3cret");
    file_with("secret", "s3cret\r\n");
    assert_password("s3cret");
    file_with("secret", " two\nlines\n\n");
    assert_password(" two\nlines\n");
    file_with("secret", "");
    assert_password("");

    char text[160];
    struct config config;
    struct failure why = {0};
    file_with("secret", "from a file");
    snprintf(text, sizeof text, "[redis]\npassword_file = %s\n", path);
    unsetenv("THRONG_REDIS_PASSWORD_FILE");
    assert_int_equal(config_parse(text, &config, &why), RESULT_OK);
    assert_string_equal(config.redis_password, "from a file");
    config_free(&config);
    unlink(path);
    assert_refused(text, "redis.password", "does not exist");
    mkdir(path, 0700);
    assert_refused(text, "redis.password", "regular file");
    rmdir(path);
    mkfifo(path, 0600);
    assert_refused(text, "redis.password", "regular file");
    unlink(path);
}

static void test_secret_given_twice(void **state)
{
    (void)state;
    struct config config;
    struct failure why = {0};
    setenv("THRONG_REDIS_PASSWORD_FILE", file_with("secret", "x"), 1);
    setenv("THRONG_REDIS_PASSWORD", "y", 1);
    assert_int_equal(config_load(NULL, &config, &why), RESULT_INVALID);
    assert_string_equal(why.field, "redis.password");
    unsetenv("THRONG_REDIS_PASSWORD");
    unsetenv("THRONG_REDIS_PASSWORD_FILE");
    unlink(path);
}

static void test_files(void **state)
{
    (void)state;
    struct config config;
    struct failure why = {0};
    assert_int_equal(config_load("/nonexistent/throng.conf", &config, &why), RESULT_INVALID);
    assert_non_null(strstr(why.text, "does not exist"));
    memset(&why, 0, sizeof why);
    assert_int_equal(config_load(directory, &config, &why), RESULT_INVALID);
    assert_non_null(strstr(why.text, "regular file"));
}

/* The reference, with every line switched on, is a valid configuration with the defaults. */
static void test_reference_is_valid(void **state)
{
    (void)state;
    char *reference = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&reference, &size);
    config_print_reference(file);
    fclose(file);
    struct config config;
    struct failure why = {0};
    assert_int_equal(config_parse(reference, &config, &why), RESULT_OK);
    config_free(&config);
    for (char *line = reference; line != NULL; line = strchr(line + 1, '\n')) {
        char *start = *line == '\n' ? line + 1 : line;
        size_t name = strcspn(start, " \n");
        bool secret_file = name > 5 && strncmp(start + name - 5, "_file", 5) == 0;
        if (start[0] == '#' && name > 1 && !secret_file)
            start[0] = ' ';
    }
    if (config_parse(reference, &config, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    assert_int_equal(config.redis_port, 6379);
    assert_string_equal(config.ingest_listen, "127.0.0.1:8080");
    config_free(&config);
    free(reference);
}

/* Run config_from_arguments in a child, its output to the void; the exit status, 77 if it returned. */
static int arguments(const char *first, const char *second)
{
    pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        char one[128];
        char two[128];
        snprintf(one, sizeof one, "%s", first == NULL ? "" : first);
        snprintf(two, sizeof two, "%s", second == NULL ? "" : second);
        char name[] = "/usr/bin/throng-test";
        char *argv[] = {name, one, two, NULL};
        struct config config;
        config_from_arguments(first == NULL ? 1 : second == NULL ? 2 : 3, argv, "A test.", &config);
        config_free(&config);
        _exit(77);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_arguments(void **state)
{
    (void)state;
    assert_int_equal(arguments(NULL, NULL), 77);
    assert_int_equal(arguments("--help", NULL), 0);
    assert_int_equal(arguments("--version", NULL), 0);
    assert_int_equal(arguments("--check-config", NULL), 0);
    assert_int_equal(arguments("--chekc-config", NULL), 2);
    assert_int_equal(arguments("stray", NULL), 2);
    assert_int_equal(arguments("--config", NULL), 2);
    assert_int_equal(arguments("--config", "/nonexistent"), 2);
    file_with("throng.conf", "[redis]\nport = x\n");
    assert_int_equal(arguments("--config", path), 2);
    setenv("THRONG_CONFIG", path, 1);
    assert_int_equal(arguments("--check-config", NULL), 2);
    file_with("throng.conf", "[redis]\nport = 7\n");
    assert_int_equal(arguments("--check-config", NULL), 0);
    unsetenv("THRONG_CONFIG");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_show_no_values),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_environment_names),
        cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_secret_given_twice),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_reference_is_valid),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
