/*
 * The tag for pages: what a definition declares is in it, quoted as HTML wants it; what a definition lacks is said, and what would
 * have the beacon's events rejected is not in the tag.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/catalogue/definition.h"
#include "service/cli/snippet.h"

#define PAGE "{\"name\":\"page\",\"type\":\"route\",\"required\":true}"
#define SOURCE "{\"name\":\"source\",\"type\":\"enum\",\"values\":[\"direct\",\"search\",\"it's <new>\",\"other\"]}"
#define VIEW "{\"name\":\"page_view\",\"kind\":\"view\",\"properties\":[" PAGE "," SOURCE "]}"
#define START "<script async src=\"http://127.0.0.1:8080/v1/beacon.js\" data-key=\"wk_1\" data-user=\"u\""
#define END "></script>"

/* A definition, compiled, and the tag that a test asks for. */
struct made {
    json_t *root;
    struct app app;
    struct snippet snippet;
};

static void make(const char *events, const char *more, struct made *out)
{
    char text[4096];
    struct failure why = {0};
    (void)snprintf(text, sizeof text, "{\"name\":\"shop\",\"time_zone\":\"UTC\",\"events\":[%s],\"routes\":[\"/\"]%s,\"privacy\":{\"preset\":\"standard\"}}",
        events, more);
    out->root = json_loads(text, 0, NULL);
    assert_non_null(out->root);
    if (definition_compile(out->root, &out->app, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    out->snippet = (struct snippet){.app = &out->app, .root = out->root, .url = "http://127.0.0.1:8080", .beacon = "/v1/beacon.js",
        .events = "/v1/events", .key = "wk_1", .user = "u"};
}

static void unmake(struct made *made)
{
    definition_free(&made->app);
    json_decref(made->root);
}

static void check_tag(const struct made *made, const char *want)
{
    char *tag = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&tag, &length);
    assert_non_null(memory);
    snippet_print(memory, &made->snippet);
    (void)fclose(memory);
    assert_string_equal(tag, want);
    free(tag);
}

/* The remarks are as many as said, and one of them has part in it. */
static void check_remarks(const struct made *made, size_t count, const char *part)
{
    json_t *list = snippet_remarks(&made->snippet), *text;
    size_t index, found = 0;
    json_array_foreach(list, index, text)
        found += strstr(json_string_value(text), part) != NULL;
    assert_int_equal(json_array_size(list), count);
    assert_int_equal(found, count == 0 ? 0 : 1);
    json_decref(list);
}

static void test_least(void **state)
{
    (void)state;
    struct made made;
    make(VIEW, ",\"origins\":[\"https://shop.example\"]", &made);
    check_tag(&made, START END);
    check_remarks(&made, 0, "");
    unmake(&made);
}

static void test_all_that_is_declared(void **state)
{
    (void)state;
    struct made made;
    make("{\"name\":\"seen\",\"kind\":\"view\",\"properties\":[" PAGE "," SOURCE "]},{\"name\":\"engaged\"},"
         "{\"name\":\"scroll\",\"properties\":[{\"name\":\"depth\",\"type\":\"enum\",\"values\":[\"100\",\"50\",\"5\"]}]}",
        ",\"origins\":[\"https://shop.example\"],\"consent\":\"required\",\"sources\":["
        "{\"name\":\"search\",\"hosts\":[\"Google.com\",\"bing.com\"],\"utm_sources\":[\"ads\"]},"
        "{\"name\":\"it's <new>\",\"hosts\":[\"bing.com\",\"news.example\"]}]", &made);
    check_tag(&made, START " data-view=\"seen\" data-engaged=\"engaged\" data-scroll=\"5,50,100\" data-sources='{\"google.com\":\"search\","
        "\"bing.com\":\"search\",\"utm_source=ads\":\"search\",\"news.example\":\"it&#39;s &lt;new>\"}' data-consent=\"required\"" END);
    check_remarks(&made, 1, "throng.consent(true)");
    unmake(&made);
}

/* The beacon looks a source up as the address has it. */
static void test_utm_as_in_links(void **state)
{
    (void)state;
    struct made made;
    make(VIEW, ",\"origins\":[\"https://shop.example\"],\"sources\":[{\"name\":\"search\",\"utm_sources\":[\"a b&c/d\",\"fr\\u00fch\"]}]",
        &made);
    check_tag(&made, START " data-sources='{\"utm_source=a%20b%26c%2Fd\":\"search\",\"utm_source=a+b%26c%2Fd\":\"search\","
        "\"utm_source=a%20b%26c/d\":\"search\",\"utm_source=fr%C3%BCh\":\"search\"}'" END);
    unmake(&made);
}

static void test_longest_source(void **state)
{
    (void)state;
    struct made made;
    char more[2048] = ",\"sources\":[{\"name\":\"search\",\"hosts\":[\"";
    for (int i = 0; i < 200; i++)
        strcat(more, "\xf0\x9f\x98\x80");
    strcat(more, "\"],\"utm_sources\":[\"");
    for (int i = 0; i < 200; i++)
        strcat(more, "\xf0\x9f\x98\x80");
    strcat(more, "\"]}]");
    make(VIEW, more, &made);
    char *tag = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&tag, &length);
    assert_non_null(memory);
    snippet_print(memory, &made.snippet);
    (void)fclose(memory);
    assert_non_null(strstr(tag, "%9F%98%80\":\"search\"}'" END));
    assert_true(length > 200 * 12 + 200 * 12);
    free(tag);
    unmake(&made);
}

static void test_options(void **state)
{
    (void)state;
    struct made made;
    make(VIEW, ",\"origins\":[\"https://shop.example\"],\"anonymous_visitors\":true", &made);
    made.snippet.url = "https://stats.example.org/";
    made.snippet.beacon = "/b.js";
    made.snippet.nonce = "<?= $nonce ?>";
    made.snippet.user = "<%= user[\"id\"] && \"more\" %>";
    made.snippet.key = NULL;
    made.snippet.integrity = "sha384-abc\n";
    check_tag(&made, "<script async nonce=\"<?= $nonce ?>\" src=\"https://stats.example.org/b.js\" integrity=\"sha384-abc\" "
        "crossorigin=\"anonymous\" data-key=\"wk_…\" data-user='<%= user[\"id\"] && \"more\" %>' "
        "data-events=\"https://stats.example.org/v1/events\"" END);
    check_remarks(&made, 1, "throng app key shop");
    made.snippet.key = "wk_1";
    made.snippet.user = NULL;
    check_remarks(&made, 0, "");
    unmake(&made);
}

/* Nothing that the app would reject is asked of the beacon. */
static void test_what_would_be_rejected(void **state)
{
    (void)state;
    struct made made;
    make("{\"name\":\"order\"},{\"name\":\"engaged\",\"properties\":[{\"name\":\"a\",\"type\":\"boolean\",\"required\":true}]},"
         "{\"name\":\"scroll\",\"properties\":[{\"name\":\"depth\",\"type\":\"enum\",\"values\":[\"50\",\"all\"]}]}",
        ",\"origins\":[\"https://shop.example\"]", &made);
    check_tag(&made, START " data-routing=\"manual\"" END);
    check_remarks(&made, 1, "no event of kind view");
    unmake(&made);
    make("{\"name\":\"page_view\",\"kind\":\"view\",\"properties\":[" PAGE
         ",{\"name\":\"source\",\"type\":\"enum\",\"values\":[\"search\",\"other\"]}]}",
        ",\"origins\":[\"https://shop.example\"],\"sources\":[{\"name\":\"search\",\"hosts\":[\"a.example\"]}]", &made);
    check_tag(&made, START END);
    check_remarks(&made, 1, "Sources are left out");
    unmake(&made);
}

static void test_what_is_lacking(void **state)
{
    (void)state;
    struct made made;
    make("{\"name\":\"page_view\",\"kind\":\"view\"}", ",\"origins\":[\"https://shop.example\"]", &made);
    check_remarks(&made, 1, "no property \"page\" of type route");
    made.snippet.user = NULL;
    check_remarks(&made, 2, "Events without a user");
    unmake(&made);
    make("{\"name\":\"page_view\",\"kind\":\"view\",\"properties\":[" PAGE ",{\"name\":\"a\",\"type\":\"boolean\",\"required\":true}]}", "",
        &made);
    check_remarks(&made, 2, "requires \"a\"");
    check_remarks(&made, 2, "lists no origins");
    unmake(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least),
        cmocka_unit_test(test_all_that_is_declared),
        cmocka_unit_test(test_utm_as_in_links),
        cmocka_unit_test(test_longest_source),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_what_would_be_rejected),
        cmocka_unit_test(test_what_is_lacking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
