/*
 * Planted files: every form is found, also across the border of two chunks; what is not planted is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "service/cli/storescan.h"

#define ID "Anna.K+7@example.org"

static char folder[] = "/tmp/throng-scan-XXXXXX";
static char last_form[64];

static void remember(void *context, const char *path, const char *form)
{
    (void)context;
    (void)path;
    (void)snprintf(last_form, sizeof last_form, "%s", form);
}

/* Write a file of before zeros, bytes, and some zeros. */
static void plant(size_t before, const void *bytes, size_t length)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/file", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < before; i++)
        (void)fputc(0, file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    for (size_t i = 0; i < 100; i++)
        (void)fputc(0, file);
    assert_int_equal(fclose(file), 0);
}

static uint64_t hits(void)
{
    struct storescan *scan = NULL;
    struct storescan_count count = {0};
    last_form[0] = '\0';
    assert_int_equal(storescan_new(ID, strlen(ID), &scan, NULL), RESULT_OK);
    assert_int_equal(storescan_run(scan, folder, remember, NULL, NULL, &count, NULL), RESULT_OK);
    storescan_free(scan);
    assert_int_equal(count.unreadable, 0);
    return count.found;
}

static void expect(const char *form, const char *text)
{
    plant(10, text, strlen(text));
    assert_true(hits() >= 1);
    assert_string_equal(last_form, form);
}

static void test_forms(void **state)
{
    (void)state;
    uint8_t hash[32];
    char text[200];
    (void)crypto_hash_sha256(hash, (const uint8_t *)ID, strlen(ID));
    plant(10, "anna.K+7@example.com", 20);
    assert_int_equal(hits(), 0);
    expect("as it is", "xx" ID "yy");
    expect("in small letters", "anna.k+7@example.org");
    expect("in capitals", "ANNA.K+7@EXAMPLE.ORG");
    expect("percent-encoded", "?u=Anna.K%2B7%40example.org");
    expect("in hexadecimal", sodium_bin2hex(text, sizeof text, (const uint8_t *)ID, strlen(ID)));
    expect("as a plain SHA-256 in hexadecimal", sodium_bin2hex(text, sizeof text, hash, sizeof hash));
    plant(3, hash, sizeof hash);
    assert_int_equal(hits(), 1);
    assert_string_equal(last_form, "as a plain SHA-256");
    for (size_t shift = 0; shift < 3; shift++) {
        char around[64];
        (void)snprintf(around, sizeof around, "%.*s%s,and more", (int)shift, "{{", ID);
        expect("in base64", sodium_bin2base64(text, sizeof text, (const uint8_t *)around, strlen(around),
            sodium_base64_VARIANT_ORIGINAL));
    }
    char wide[2 * sizeof ID] = "";
    for (size_t i = 0; i < strlen(ID); i++)
        wide[2 * i] = ID[i];
    plant(7, wide, 2 * strlen(ID));
    assert_int_equal(hits(), 1);
}

static void test_borders(void **state)
{
    (void)state;
    const size_t chunk = (size_t)4 * 1024 * 1024;
    for (size_t back = 0; back <= strlen(ID); back++) {
        plant(chunk - back, ID, strlen(ID));
        assert_int_equal(hits(), 1);
    }
    plant(3 * chunk - 5, ID, strlen(ID));
    assert_int_equal(hits(), 1);
}

static void test_too_short(void **state)
{
    (void)state;
    struct storescan *scan = NULL;
    struct failure why = {0};
    assert_int_equal(storescan_new("me", 2, &scan, &why), RESULT_INVALID);
    assert_string_equal(why.field, "id");
    assert_null(strstr(why.text, "me "));
}

static int start(void **state)
{
    (void)state;
    return sodium_init() < 0 || mkdtemp(folder) == NULL ? -1 : 0;
}

static int stop(void **state)
{
    char path[64];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/file", folder);
    (void)unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_too_short),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
