/*
 * The catalogue: parsing, looking up apps, keys and origins, references, and the durable local copy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "service/catalogue/catalogue.h"

#define DEFINITION(name, more) "{\"name\":\"" name "\",\"time_zone\":\"UTC\",\"events\":[{\"name\":\"e\"}]" more "}"
#define HEAD "{\"format\":1,\"version\":7,\"shards\":16,\"apps\":["
#define APP(id, definition) \
    "{\"id\":" id ",\"version\":3,\"mode\":\"importing\",\"sealed_until_ms\":1767225600000,\"definition\":" definition "}"
#define TAIL "],\"write_keys\":[],\"ingest_keys\":[]}"

static char document[4096];

static void hex_of_key(const char *text, char hex[65])
{
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    catalogue_hash_key(text, strlen(text), hash);
    sodium_bin2hex(hex, 65, hash, sizeof hash);
}

/* Two apps, out of order; a key of each kind. */
static const char *make_document(void)
{
    char write_key[65], app_key[65], any_key[65], erase_key[65];
    hex_of_key("wk_one", write_key);
    hex_of_key("ik_two", app_key);
    hex_of_key("ik_any", any_key);
    hex_of_key("ak_erase", erase_key);
    snprintf(document, sizeof document,
        HEAD APP("9", DEFINITION("nine", ",\"origins\":[\"https://nine.example\"]")) "," APP("2",
            DEFINITION("two-2", ",\"origins\":[\"https://two.example\",\"https://nine.example\"]"))
        "],\"write_keys\":[{\"hash\":\"%s\",\"app\":9}],"
        "\"ingest_keys\":[{\"hash\":\"%s\",\"app\":2},{\"hash\":\"%s\",\"app\":0}],"
        "\"erase_keys\":[{\"hash\":\"%s\",\"app\":2}]}",
        write_key, app_key, any_key, erase_key);
    return document;
}

static struct catalogue *parse(const char *json)
{
    struct catalogue *catalogue = NULL;
    struct failure why = {0};
    if (catalogue_parse(json, strlen(json), &catalogue, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    return catalogue;
}

static void test_apps(void **state)
{
    (void)state;
    size_t count;
    struct catalogue *catalogue = parse(make_document());
    assert_int_equal(catalogue_version(catalogue), 7);
    assert_int_equal(catalogue_shards(catalogue), 16);
    const struct app *const *apps = catalogue_apps(catalogue, &count);
    assert_int_equal(count, 2);
    assert_int_equal(apps[0]->id, 2);
    assert_int_equal(apps[1]->id, 9);
    assert_ptr_equal(catalogue_app(catalogue, 2), apps[0]);
    assert_ptr_equal(catalogue_app_named(catalogue, "nine"), apps[1]);
    assert_null(catalogue_app(catalogue, 3));
    assert_null(catalogue_app_named(catalogue, "two"));
    assert_null(catalogue_app_named(catalogue, ""));
    assert_int_equal(apps[1]->version, 3);
    assert_int_equal(apps[1]->mode, APP_MODE_IMPORTING);
    assert_int_equal(catalogue_sealed_until_ms(catalogue, 9), 1767225600000);
    assert_int_equal(catalogue_sealed_until_ms(catalogue, 8), 0);
    catalogue_release(catalogue);
}

static void check_key(const struct catalogue *catalogue, const char *text, enum catalogue_key_kind kind, uint32_t app)
{
    enum catalogue_key_kind found_kind;
    uint32_t found_app;
    assert_int_equal(catalogue_find_key(catalogue, text, strlen(text), &found_kind, &found_app), RESULT_OK);
    assert_int_equal(found_kind, kind);
    assert_int_equal(found_app, app);
}

static void test_keys(void **state)
{
    (void)state;
    enum catalogue_key_kind kind;
    uint32_t app;
    struct catalogue *catalogue = parse(make_document());
    check_key(catalogue, "wk_one", CATALOGUE_WRITE_KEY, 9);
    check_key(catalogue, "ik_two", CATALOGUE_INGEST_KEY, 2);
    check_key(catalogue, "ik_any", CATALOGUE_INGEST_KEY, 0);
    assert_int_equal(catalogue_find_key(catalogue, "wk_onf", 6, &kind, &app), RESULT_NOT_FOUND);
    assert_int_equal(catalogue_find_key(catalogue, "wk_one", 5, &kind, &app), RESULT_NOT_FOUND);
    assert_int_equal(catalogue_find_key(catalogue, "", 0, &kind, &app), RESULT_NOT_FOUND);
    /* Who may erase may not write, and the other way round. */
    assert_int_equal(catalogue_find_key(catalogue, "ak_erase", 8, &kind, &app), RESULT_NOT_FOUND);
    assert_int_equal(catalogue_find_erase_key(catalogue, "ik_any", 6, &app), RESULT_DENIED);
    assert_int_equal(catalogue_find_erase_key(catalogue, "ak_erasf", 8, &app), RESULT_NOT_FOUND);
    assert_int_equal(catalogue_find_erase_key(catalogue, "ak_erase", 8, &app), RESULT_OK);
    assert_int_equal(app, 2);
    catalogue_release(catalogue);
}

static void test_key_hash(void **state)
{
    (void)state;
    /* BLAKE2b-256 of "abc", as `b2sum -l 256` prints it */
    static const uint8_t known[] = {0xbd, 0xdd, 0x81, 0x3c, 0x63, 0x42, 0x39, 0x72, 0x31, 0x71, 0xef, 0x3f, 0xee, 0x98,
        0x57, 0x9b, 0x94, 0x96, 0x4e, 0x3b, 0xb1, 0xcb, 0x3e, 0x42, 0x72, 0x62, 0xc8, 0xc0, 0x68, 0xd5, 0x23, 0x19};
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    catalogue_hash_key("abc", 3, hash);
    assert_memory_equal(hash, known, sizeof known);
}

static void test_origins(void **state)
{
    (void)state;
    struct catalogue *catalogue = parse(make_document());
    assert_true(catalogue_allows_origin(catalogue, "https://nine.example"));
    assert_true(catalogue_allows_origin(catalogue, "https://two.example"));
    assert_false(catalogue_allows_origin(catalogue, "https://three.example"));
    assert_false(catalogue_allows_origin(catalogue, "null"));
    assert_false(catalogue_app_allows_origin(catalogue_app(catalogue, 9), "https://two.example"));
    assert_true(catalogue_app_allows_origin(catalogue_app(catalogue, 2), "https://two.example"));
    catalogue_release(catalogue);
    catalogue = parse(HEAD APP("1", DEFINITION("a", ",\"origins\":[\"*\"]")) TAIL);
    assert_true(catalogue_allows_origin(catalogue, "https://any.example"));
    assert_true(catalogue_app_allows_origin(catalogue_app(catalogue, 1), "https://any.example"));
    catalogue_release(catalogue);
}

static void test_references(void **state)
{
    (void)state;
    assert_null(catalogue_hold(NULL));
    catalogue_release(NULL);
    struct catalogue *catalogue = parse(HEAD TAIL);
    assert_ptr_equal(catalogue_hold(catalogue), catalogue);
    catalogue_release(catalogue);
    assert_int_equal(catalogue_version(catalogue), 7); /* one reference is left */
    catalogue_release(catalogue);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *field;
    } rows[] = {
        {"", ""},
        {"[]", ""},
        {"{\"format\":2,\"version\":7,\"shards\":16,\"apps\":[" TAIL, "format"},
        {"{\"format\":1,\"version\":7,\"shards\":0,\"apps\":[" TAIL, "shards"},
        {"{\"format\":1,\"version\":7,\"shards\":257,\"apps\":[" TAIL, "shards"},
        {"{\"format\":1,\"shards\":1,\"apps\":[" TAIL, "version"},
        {HEAD APP("0", DEFINITION("a", "")) TAIL, "apps[0].id"},
        {HEAD APP("1", DEFINITION("a", ",\"x\":1")) TAIL, "apps[0].definition.x"},
        {HEAD APP("1", "{}") TAIL, "apps[0].definition.name"},
        {HEAD APP("1", DEFINITION("a", "")) "," APP("1", DEFINITION("b", "")) TAIL, "apps"},
        {HEAD APP("1", DEFINITION("a", "")) "," APP("2", DEFINITION("a", "")) TAIL, "apps"},
        {HEAD "],\"write_keys\":[{\"hash\":\"00\",\"app\":1}],\"ingest_keys\":[]}", "write_keys[0].hash"},
        {HEAD "],\"write_keys\":[{\"hash\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"app\":1}],"
              "\"ingest_keys\":[]}", "write_keys[0].app"},
        {HEAD "],\"write_keys\":[{\"hash\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"app\":0}],"
              "\"ingest_keys\":[]}", "write_keys[0].app"},
        {HEAD "],\"write_keys\":[],\"ingest_keys\":[{\"hash\":"
              "\"zz00000000000000000000000000000000000000000000000000000000000000\",\"app\":0}]}", "ingest_keys[0].hash"},
        {HEAD "],\"write_keys\":[],\"ingest_keys\":[{\"hash\":"
              "\"0000000000000000000000000000000000000000000000000000000000000000\",\"app\":0},{\"hash\":"
              "\"0000000000000000000000000000000000000000000000000000000000000000\",\"app\":0}]}", "ingest_keys[1].hash"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct catalogue *catalogue = NULL;
        struct failure why = {0};
        assert_int_equal(catalogue_parse(rows[i].json, strlen(rows[i].json), &catalogue, &why), RESULT_INVALID);
        assert_null(catalogue);
        assert_string_equal(why.field, rows[i].field);
    }
}

static void test_copy(void **state)
{
    (void)state;
    char folder[] = "/tmp/throng-catalogue-XXXXXX", path[64], leftover[80];
    struct catalogue *catalogue = NULL;
    struct failure why = {0};
    struct stat status;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/catalogue.json", folder);
    snprintf(leftover, sizeof leftover, "%s.new", path);
    assert_int_equal(catalogue_load_copy(path, &catalogue, &why), RESULT_NOT_FOUND);
    const char *json = make_document();
    assert_int_equal(catalogue_store_copy(path, "{}", 2, &why), RESULT_OK);
    assert_int_equal(catalogue_load_copy(path, &catalogue, &why), RESULT_CORRUPT);
    assert_int_equal(catalogue_store_copy(path, json, strlen(json), &why), RESULT_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_not_equal(access(leftover, F_OK), 0);
    assert_int_equal(catalogue_load_copy(path, &catalogue, &why), RESULT_OK);
    assert_int_equal(catalogue_version(catalogue), 7);
    catalogue_release(catalogue);
    catalogue = NULL;
    assert_int_equal(truncate(path, (off_t)strlen(json) - 1), 0);
    assert_int_equal(catalogue_load_copy(path, &catalogue, &why), RESULT_CORRUPT);
    assert_null(catalogue);
    unlink(path);
    rmdir(folder);
    assert_int_equal(catalogue_store_copy(path, json, strlen(json), &why), RESULT_FAILED);
}

static void test_many(void **state)
{
    (void)state;
    char *json, name[16];
    size_t size;
    FILE *file = open_memstream(&json, &size);
    fprintf(file, HEAD);
    for (unsigned i = 1; i <= 2000; i++)
        fprintf(file, "%s{\"id\":%u,\"version\":1,\"mode\":\"live\",\"sealed_until_ms\":0,\"definition\":{\"name\":\"app%u\","
            "\"time_zone\":\"UTC\",\"events\":[{\"name\":\"e\"}]}}", i == 1 ? "" : ",", i * 7, i);
    fprintf(file, TAIL);
    fclose(file);
    struct catalogue *catalogue = parse(json);
    for (unsigned i = 1; i <= 2000; i++) {
        snprintf(name, sizeof name, "app%u", i);
        assert_int_equal(catalogue_app_named(catalogue, name)->id, i * 7);
        assert_string_equal(catalogue_app(catalogue, i * 7)->name, name);
        assert_null(catalogue_app(catalogue, i * 7 + 1));
    }
    catalogue_release(catalogue);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apps),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_key_hash),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
