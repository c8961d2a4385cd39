/*
 * App definitions: the example apps, the table of good and bad ones (tests/unit/schema/definitions.json), succession, and
 * the matching of names, values and routes. The JSON Schema is held against the same table by check_definitions.py.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <jansson.h>

#include "service/catalogue/definition.h"

#define TABLE "tests/unit/schema/definitions.json"

static const char plain[] =
    "{\"name\":\"a\",\"time_zone\":\"UTC\",\"routes\":[\"/s/:id\",\"/s/new\",\"/\",\"/s\",\"/:x/:y\",\"/s/:id/end\",\"/t/:id\"],"
    "\"events\":[{\"name\":\"zoo\",\"properties\":[{\"name\":\"e\",\"type\":\"enum\",\"values\":[\"c\",\"a\",\"b\"]},"
    "{\"name\":\"n\",\"type\":\"number\",\"min\":0,\"max\":10},{\"name\":\"p\",\"type\":\"route\"}]},"
    "{\"name\":\"ant\",\"kind\":\"view\"}],\"goals\":[{\"name\":\"g\",\"event\":\"zoo\",\"property\":\"e\",\"equals\":\"b\"},"
    "{\"name\":\"h\",\"event\":\"zoo\"}],\"privacy\":{\"preset\":\"exact\",\"allow_unprotected\":true}}";

static struct app parse(const char *text)
{
    struct app app;
    struct failure why = {0};
    if (definition_parse(text, strlen(text), &app, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    return app;
}

static json_t *merge(json_t *target, json_t *patch)
{
    const char *name;
    json_t *value;
    if (!json_is_object(patch))
        return json_incref(patch);
    json_t *merged = json_is_object(target) ? json_copy(target) : json_object();
    json_object_foreach(patch, name, value) {
        if (json_is_null(value))
            json_object_del(merged, name);
        else
            json_object_set_new(merged, name, merge(json_object_get(merged, name), value));
    }
    return merged;
}

static void check_case(json_t *base, json_t *row)
{
    const char *why_not = json_string_value(json_object_get(row, "why"));
    const char *field = json_string_value(json_object_get(row, "field"));
    json_t *definition = merge(base, json_object_get(row, "patch"));
    struct app app, untouched;
    struct failure why = {0};
    memset(&app, 0x5a, sizeof app);
    memset(&untouched, 0x5a, sizeof untouched);
    enum result result = definition_compile(definition, &app, &why);
    json_decref(definition);
    if (result != (field == NULL ? RESULT_OK : RESULT_INVALID) || strcmp(why.field, field == NULL ? "" : field) != 0)
        fail_msg("%s: %s at \"%s\": %s", why_not, failure_name(result), why.field, why.text);
    if (result == RESULT_OK)
        definition_free(&app);
    else
        assert_memory_equal(&app, &untouched, sizeof app);
}

static void test_table(void **state)
{
    (void)state;
    json_error_t error;
    json_t *row;
    size_t index;
    json_t *table = json_load_file(TABLE, 0, &error);
    assert_non_null(table);
    assert_true(json_array_size(json_object_get(table, "cases")) > 100);
    json_array_foreach(json_object_get(table, "cases"), index, row)
        check_case(json_object_get(table, "base"), row);
    json_decref(table);
}

static void test_schema_agrees(void **state)
{
    (void)state;
    int status = system("/usr/bin/python3 tests/unit/schema/check_definitions.py");
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_examples(void **state)
{
    (void)state;
    size_t seen = 0;
    struct dirent *entry;
    DIR *folder = opendir("schema/apps");
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char path[300];
        json_error_t error;
        struct app app;
        struct failure why = {0};
        if (strstr(entry->d_name, ".json") == NULL)
            continue;
        snprintf(path, sizeof path, "schema/apps/%s", entry->d_name);
        json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
        assert_non_null(root);
        if (definition_compile(root, &app, &why) != RESULT_OK)
            fail_msg("%s: %s: %s", entry->d_name, why.field, why.text);
        assert_int_equal(strncmp(entry->d_name, app.name, strlen(app.name)), 0);
        assert_int_equal(definition_check_successor(&app, &app, &why), RESULT_OK);
        definition_free(&app);
        json_decref(root);
        seen++;
    }
    closedir(folder);
    assert_int_equal(seen, 6);
}

static void test_defaults(void **state)
{
    (void)state;
    struct app app = parse("{\"name\":\"a\",\"time_zone\":\"UTC\",\"events\":[{\"name\":\"e\"}]}");
    assert_int_equal(app.id, 0);
    assert_string_equal(app.title, "a");
    assert_string_equal(app.population, "default");
    assert_int_equal(app.session_timeout_ms, 30 * 60000);
    assert_int_equal(app.epoch_days, 92);
    assert_int_equal(app.link_epochs, 1);
    assert_int_equal(app.horizon_days, 400);
    assert_int_equal(app.lateness_ms, 6 * 3600000);
    assert_true(app.respect_gpc && app.respect_dnt);
    assert_false(app.anonymous_visitors || app.consent_required || app.allow_unprotected);
    assert_int_equal(app.preset, APP_PRESET_STANDARD);
    assert_int_equal(app.k, 11);
    assert_int_equal(app.retention_days, 30);
    assert_int_equal(app.retention_weeks, 12);
    assert_int_equal(app.retention_months, 12);
    definition_free(&app);
    definition_free(&app); /* freeing what was freed is harmless */
}

static void test_compiled(void **state)
{
    (void)state;
    struct app app = parse(plain);
    assert_int_equal(app.k, 1);
    assert_int_equal(app.event_count, 2);
    assert_true(app.events[1].view && !app.events[0].view);
    assert_true(app.events[0].goal && !app.events[1].goal);
    assert_int_equal(app.events[0].goal_count, 2);
    assert_int_equal(app.events[0].goals[0].prop, 0);
    assert_int_equal(app.events[0].goals[0].value, 2);
    assert_true(app.events[0].goals[1].prop < 0);
    assert_true(app.events[0].props[1].step > 0.99 && app.events[0].props[1].step < 1.01);
    assert_int_equal(definition_find_event(&app, "zoo"), 0);
    assert_int_equal(definition_find_event(&app, "ant"), 1);
    assert_int_equal(definition_find_event(&app, "bee"), -1);
    assert_int_equal(definition_find_prop(&app.events[0], "p"), 2);
    assert_int_equal(definition_find_prop(&app.events[1], "p"), -1);
    assert_int_equal(definition_find_value(&app.events[0].props[0], "c"), 0);
    assert_int_equal(definition_find_value(&app.events[0].props[0], "a"), 1);
    assert_int_equal(definition_find_value(&app.events[0].props[0], "b"), 2);
    assert_int_equal(definition_find_value(&app.events[0].props[0], "d"), -1);
    definition_free(&app);
}

static void test_routes(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int route;
    } rows[] = {{"/", 2}, {"/s", 3}, {"/s/", 3}, {"/s/5", 0}, {"/s/5/", 0}, {"/s/new", 1}, {"/s/newer", 0},
        {"/s/5?q=/x", 0}, {"/s/5#top", 0}, {"/?a", 2}, {"/s/5/end", 5}, {"/s/new/end", 5}, {"/s/5/ende", -1}, {"/q/r", 4},
        {"/t/1", 6}, {"/q", -1}, {"", -1}, {"s", -1}, {"//", 2}, {"/s//end", -1}, {"//s", -1}, {"https://a.example/s", -1},
        {"/s/:id", 0}, {"?", -1}, {"/q/r/s", -1}};
    struct app app = parse(plain);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (definition_find_route(&app, rows[i].path) != rows[i].route)
            fail_msg("%s: %d", rows[i].path, definition_find_route(&app, rows[i].path));
    }
    definition_free(&app);
}

/* plain with one part of its text replaced, as a successor. */
static void check_successor(const char *part, const char *instead, const char *field)
{
    char text[sizeof plain + 200];
    const char *at = strstr(plain, part);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - plain), plain, instead, at + strlen(part));
    struct app now = parse(plain), next = parse(text);
    struct failure why = {0};
    enum result result = definition_check_successor(&now, &next, &why);
    if (result != (field[0] == '\0' ? RESULT_OK : RESULT_INVALID) || strcmp(why.field, field) != 0)
        fail_msg("%s: %s: %s", instead, why.field, why.text);
    definition_free(&now);
    definition_free(&next);
}

static void test_successors(void **state)
{
    (void)state;
    check_successor("\"UTC\"", "\"UTC\",\"title\":\"new\"", "");
    check_successor("\"UTC\"", "\"Europe/Paris\"", "time_zone");
    check_successor("\"UTC\"", "\"UTC\",\"population\":\"other\"", "population");
    check_successor("\"name\":\"a\"", "\"name\":\"b\"", "name");
    check_successor("{\"name\":\"ant\",\"kind\":\"view\"}", "{\"name\":\"ant\"},{\"name\":\"bee\"}", "");
    check_successor("{\"name\":\"ant\",\"kind\":\"view\"}", "{\"name\":\"bee\"}", "events[1].name");
    check_successor(",{\"name\":\"ant\",\"kind\":\"view\"}", "", "events[1]");
    check_successor("\"b\"]", "\"b\",\"d\"]", "");
    check_successor("[\"c\",\"a\",", "[\"a\",\"c\",", "events[0].properties[0].values[0]");
    check_successor("\"c\",", "", "events[0].properties[0].values[0]");
    check_successor("\"max\":10", "\"max\":11", "");
    check_successor("\"max\":10", "\"max\":9", "events[0].properties[1].max");
    check_successor("\"min\":0", "\"min\":1", "events[0].properties[1].min");
    check_successor("\"max\":10", "\"max\":10,\"step\":2", "events[0].properties[1].min");
    check_successor("\"name\":\"n\",\"type\":\"number\",\"min\":0,\"max\":10", "\"name\":\"n\",\"type\":\"boolean\"",
        "events[0].properties[1].type");
    check_successor(",{\"name\":\"p\",\"type\":\"route\"}", "", "events[0].properties[2]");
    check_successor("\"/t/:id\"", "\"/t/:id\",\"/u\"", "");
    check_successor("\"/t/:id\"", "\"/u\"", "routes[6]");
    check_successor(",\"/t/:id\"", "", "routes[6]");
}

/* A small definition with this member "privacy". */
static struct app with_privacy(const char *privacy)
{
    char text[512];
    snprintf(text, sizeof text,
        "{\"name\":\"a\",\"time_zone\":\"UTC\",\"events\":[{\"name\":\"ant\"}],\"privacy\":{%s}}", privacy);
    return parse(text);
}

static void check_protection(const char *now_privacy, const char *next_privacy, const char *field)
{
    struct app now = with_privacy(now_privacy), next = with_privacy(next_privacy);
    struct failure why = {0};
    enum result result = definition_check_successor(&now, &next, &why);
    if (result != (field[0] == '\0' ? RESULT_OK : RESULT_INVALID) || strcmp(why.field, field) != 0)
        fail_msg("%s, %s: %s: %s", now_privacy, next_privacy, why.field, why.text);
    definition_free(&now);
    definition_free(&next);
}

static void test_protection_stays(void **state)
{
    (void)state;
    const char *exact = "\"preset\":\"exact\",\"allow_unprotected\":true";
    const char *eleven = "\"preset\":\"threshold-only\",\"allow_unprotected\":true,\"k\":11";
    const char *twelve = "\"preset\":\"threshold-only\",\"allow_unprotected\":true,\"k\":12";
    check_protection(exact, twelve, "");
    check_protection(eleven, twelve, "");
    check_protection(eleven, exact, "privacy.preset");
    check_protection("\"preset\":\"standard\"", eleven, "privacy.preset");
    check_protection(twelve, eleven, "privacy.k");
}

static void test_releasable(void **state)
{
    (void)state;
    struct app app = parse(plain);
    struct failure why = {0};
    assert_int_equal(definition_check_releasable(&app, &why), RESULT_OK);
    app.preset = APP_PRESET_THRESHOLD;
    assert_int_equal(definition_check_releasable(&app, &why), RESULT_OK);
    app.preset = APP_PRESET_SMALL;
    assert_int_equal(definition_check_releasable(&app, &why), RESULT_INVALID);
    assert_string_equal(why.field, "privacy.preset");
    assert_non_null(strstr(why.text, "preset small needs the noise of the release layer"));
    definition_free(&app);
}

static void test_text(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "null", "[]", "{", "{\"name\":\"a\",\"name\":\"b\"}", "{} {}", "\xff", "{\"name\":1e999}"};
    struct app app;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct failure why = {0};
        assert_int_equal(definition_parse(rows[i], strlen(rows[i]), &app, &why), RESULT_INVALID);
        assert_true(why.text[0] != '\0');
    }
    struct failure why = {0};
    assert_int_equal(definition_parse("{\n\n\"a\":}", 8, &app, &why), RESULT_INVALID);
    assert_non_null(strstr(why.text, "line 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_compiled),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_schema_agrees),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_successors),
        cmocka_unit_test(test_protection_stays),
        cmocka_unit_test(test_releasable),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
