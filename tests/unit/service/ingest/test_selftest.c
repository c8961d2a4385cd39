/* The self-test's scanner finds a canary in every form, and nothing where none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/ingest/keep.h"
#include "service/ingest/purges.h"
#include "service/ingest/selftest.h"

static uint8_t canary[SELFTEST_CANARY_BYTES];
static char text[2 * SELFTEST_CANARY_BYTES + 1];
static struct selftest_forms forms;
static char folder[64];

static int set_up(void **state)
{
    (void)state;
    if (sodium_init() < 0)
        return -1;
    randombytes_buf(canary, sizeof canary);
    sodium_bin2hex(text, sizeof text, canary, sizeof canary);
    selftest_forms(canary, &forms);
    strcpy(folder, "/tmp/throng-selftest-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void assert_base64(const void *data, size_t length, int variant)
{
    for (size_t before = 0; before < 4; before++) {
        uint8_t all[128] = "abcd";
        char encoded[256];
        memcpy(all + before, data, length);
        memcpy(all + before + length, "xyz", 3);
        sodium_bin2base64(encoded, sizeof encoded, all, before + length + 3, variant);
        assert_true(selftest_is_in(&forms, encoded, strlen(encoded)));
    }
}

static void every_form_is_found(void **state)
{
    (void)state;
    char page[600] = "a page of something else";
    char capitals[sizeof text], twice[2 * sizeof text];
    assert_false(selftest_is_in(&forms, page, sizeof page));
    memcpy(page + 100, text, sizeof text);
    assert_true(selftest_is_in(&forms, page, sizeof page));
    assert_true(selftest_is_in(&forms, canary, sizeof canary));
    assert_false(selftest_is_in(&forms, canary, sizeof canary - 1));
    for (size_t i = 0; i < sizeof text; i++)
        capitals[i] = (char)toupper((unsigned char)text[i]);
    assert_true(selftest_is_in(&forms, capitals, sizeof capitals));
    sodium_bin2hex(twice, sizeof twice, (const uint8_t *)text, sizeof text - 1);
    assert_true(selftest_is_in(&forms, twice, sizeof twice));
    assert_base64(canary, sizeof canary, sodium_base64_VARIANT_ORIGINAL);
    assert_base64(canary, sizeof canary, sodium_base64_VARIANT_URLSAFE);
    assert_base64(text, sizeof text - 1, sodium_base64_VARIANT_ORIGINAL);
    assert_base64(text, sizeof text - 1, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void write_file(const char *path, size_t before, const char *planted)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < before; i++)
        (void)fputc('.', file);
    (void)fputs(planted, file);
    assert_int_equal(fclose(file), 0);
}

static void files_are_looked_through(void **state)
{
    (void)state;
    char inner[80], clean[96], across[128];
    size_t places = 0;
    (void)snprintf(inner, sizeof inner, "%s/spool", folder);
    (void)snprintf(clean, sizeof clean, "%s/clean", folder);
    (void)snprintf(across, sizeof across, "%s/across", inner);
    assert_int_equal(mkdir(inner, 0700), 0);
    write_file(clean, 1000000, "nothing");
    assert_int_equal(selftest_scan(&forms, folder, 0, &places), 0);
    assert_int_equal(places, 1);
    write_file(across, 256 * 1024 - 5, text); /* where one block that is read ends */
    assert_int_equal(selftest_scan(&forms, folder, 0, &places), 1);
    assert_int_equal(places, 3);
    write_file(across, 17u * 1024 * 1024, text); /* longer than what is read: the end is */
    assert_int_equal(selftest_scan(&forms, folder, 0, &places), 1);
    assert_int_equal(selftest_scan(&forms, folder, INT64_C(9999999999), &places), 0); /* old files */
    assert_int_equal(unlink(clean) + unlink(across) + rmdir(inner), 0);
}

/* A run against a state directory in which something keeps the canary: its generator is fixed for that. */

static uint32_t fixed_random(void)
{
    return 0x41424344u;
}

static void fixed_bytes(void *const bytes, const size_t length)
{
    memset(bytes, 0xa7, length);
}

static const char *fixed_name(void)
{
    return "fixed";
}

static struct randombytes_implementation fixed = {
    .implementation_name = fixed_name, .random = fixed_random, .buf = fixed_bytes};

struct rig {
    struct keyd *keyd;
    struct purges *purges;
    struct mirror *mirror;
    struct notices *notices;
    struct selftest *selftest;
};

static void start(struct rig *rig, const char *directory)
{
    static const char catalogue[] =
        "{\"format\":1,\"version\":1,\"shards\":4,\"write_keys\":[],\"ingest_keys\":[],\"apps\":[{\"id\":1,\"version\":1,"
        "\"mode\":\"live\",\"sealed_until_ms\":0,\"definition\":{\"name\":\"shop\",\"time_zone\":\"UTC\",\"privacy\":"
        "{\"preset\":\"exact\",\"allow_unprotected\":true},\"events\":[{\"name\":\"view\"}]}}]}";
    static char path[96], copy[96];
    struct failure why = {0};
    (void)snprintf(path, sizeof path, "%s/keys", directory);
    (void)snprintf(copy, sizeof copy, "%s/catalogue.json", directory);
    const struct keyd_options options = {
        .key_file = path, .passphrase = "correct horse", .shards = 4, .may_create = true, .sandbox = false};
    assert_int_equal(keyd_start(&options, &rig->keyd, &why), RESULT_OK);
    assert_int_equal(keep_store(directory, "catalogue.json", catalogue, sizeof catalogue - 1, &why), RESULT_OK);
    assert_int_equal(purges_open(directory, &rig->purges, &why), RESULT_OK);
    rig->mirror = mirror_new(copy, 4, rig->keyd, rig->purges);
    assert_int_equal(mirror_load(rig->mirror, &why), RESULT_OK);
    assert_int_equal(notices_open(directory, rig->keyd, &rig->notices, &why), RESULT_OK);
    const struct selftest_parts parts = {directory, rig->keyd, rig->mirror, rig->notices, 1, 60000};
    rig->selftest = selftest_new(&parts);
    assert_non_null(rig->selftest);
}

static void stop(struct rig *rig, const char *directory)
{
    char path[96];
    static const char *const names[] = {"keys", "catalogue.json", "leak", "told"};
    selftest_free(rig->selftest);
    notices_close(rig->notices);
    mirror_free(rig->mirror);
    purges_close(rig->purges);
    keyd_stop(rig->keyd);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        assert_int_equal(unlink(path), 0);
    }
}

static void a_leak_trips_it(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct failure why = {0};
    size_t places, found;
    char leak[96], fixed_text[2 * SELFTEST_CANARY_BYTES + 1];
    start(&rig, folder);
    assert_int_equal(selftest_run(rig.selftest, &places, &found, &why), RESULT_OK);
    assert_int_equal(found, 0);
    assert_true(places >= 4); /* packet, answer, explanation, catalogue */
    assert_false(selftest_is_failed(rig.selftest));
    memset(canary, 0xa7, sizeof canary);
    sodium_bin2hex(fixed_text, sizeof fixed_text, canary, sizeof canary);
    (void)snprintf(leak, sizeof leak, "%s/leak", folder);
    write_file(leak, 10, fixed_text);
    assert_int_equal(selftest_run(rig.selftest, &places, &found, &why), RESULT_OK);
    assert_int_equal(found, 0);
    (void)randombytes_set_implementation(&fixed);
    assert_int_equal(selftest_run(rig.selftest, &places, &found, &why), RESULT_OK);
    (void)randombytes_set_implementation(&randombytes_sysrandom_implementation);
    assert_int_equal(found, 1);
    assert_true(selftest_is_failed(rig.selftest));
    assert_int_equal(selftest_run(rig.selftest, &places, &found, &why), RESULT_OK);
    assert_int_equal(found, 0);
    assert_true(selftest_is_failed(rig.selftest)); /* until the process ends */
    stop(&rig, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_leak_trips_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_form_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_looked_through, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
