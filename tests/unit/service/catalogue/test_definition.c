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

/* Everything that can be counted. */
static const char declared[] =
    "{\"name\":\"all\",\"time_zone\":\"UTC\",\"routes\":[\"/\",\"/s/:id\"],\"events\":[{\"name\":\"view\","
    "\"kind\":\"view\",\"properties\":[{\"name\":\"page\",\"type\":\"route\"},{\"name\":\"way\",\"type\":\"enum\","
    "\"values\":[\"a\",\"other\",\"b\"]},{\"name\":\"room\",\"type\":\"entity\"}]},{\"name\":\"done\","
    "\"properties\":[{\"name\":\"paid\",\"type\":\"boolean\"},{\"name\":\"time\",\"type\":\"number\",\"min\":1,"
    "\"max\":9,\"step\":0.5,\"unit\":\"s\"}]}],\"dimensions\":[{\"name\":\"page\",\"property\":\"page\","
    "\"at\":\"entry\"},{\"name\":\"last\",\"property\":\"page\",\"at\":\"exit\",\"values\":[\"/\"]},"
    "{\"name\":\"way\",\"property\":\"way\"},{\"name\":\"paid\",\"property\":\"paid\"}],"
    "\"features\":[{\"name\":\"f\",\"title\":\"F\",\"events\":[\"view\",\"done\"]}],\"segments\":[{\"name\":\"s\","
    "\"event\":\"done\",\"property\":\"paid\",\"equals\":true}],\"goals\":[{\"name\":\"g\",\"event\":\"view\","
    "\"property\":\"way\",\"equals\":\"b\"}],\"completion\":{\"start\":\"view\",\"done\":\"done\"},"
    "\"funnels\":[{\"name\":\"fu\",\"title\":\"T\",\"steps\":[\"view\",{\"event\":\"done\"},{\"event\":\"done\","
    "\"property\":\"paid\",\"equals\":false}],\"window_days\":3}],\"measures\":[{\"name\":\"m\",\"event\":\"done\","
    "\"property\":\"time\"}],\"outcomes\":[{\"name\":\"o\",\"measure\":\"m\",\"aggregate\":\"last\","
    "\"tiers\":[{\"name\":\"t\",\"sessions_from\":0},{\"name\":\"u\",\"title\":\"U\",\"sessions_from\":3}]}],"
    "\"entities\":[{\"name\":\"rooms\",\"property\":\"room\"}],\"paths\":[{\"name\":\"p\",\"property\":\"page\"}],"
    "\"privacy\":{\"preset\":\"exact\",\"allow_unprotected\":true}}";

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

/* The uses of event e that are of this kind. */
static size_t count_uses(const struct app *app, size_t e, enum app_use_kind kind, const struct app_use **last)
{
    size_t count = 0;
    for (size_t i = 0; i < app->events[e].use_count; i++) {
        if (app->events[e].uses[i].kind != kind)
            continue;
        *last = &app->events[e].uses[i];
        count++;
    }
    return count;
}

static void test_dimensions(void **state)
{
    (void)state;
    const struct app_use none = {.prop = -2}, *use = &none;
    struct app app = parse(declared);
    assert_int_equal(app.dimension_count, 4);
    assert_int_equal(app.dimensions[0].scope, APP_SCOPE_ENTRY);
    assert_int_equal(app.dimensions[1].scope, APP_SCOPE_EXIT);
    assert_int_equal(app.dimensions[2].scope, APP_SCOPE_EVENTS);
    assert_int_equal(app.dimensions[0].count, 2);
    assert_true(app.dimensions[0].has_other);
    /* A value called other is of the class of everything else. */
    assert_int_equal(app.dimensions[2].count, 2);
    assert_string_equal(app.dimensions[2].values[1], "b");
    assert_true(app.dimensions[2].has_other);
    assert_int_equal(count_uses(&app, 0, APP_USE_DIMENSION, &use), 3);
    assert_int_equal(use->item, 2);
    assert_int_equal(use->prop, 1);
    assert_int_equal(use->class_count, 4);
    const uint8_t classes[] = {DIMENSION_VALUES_MAX, 0, DIMENSION_VALUES_MAX, 1};
    assert_memory_equal(use->classes, classes, sizeof classes);
    assert_int_equal(app.dimensions[1].count, 1);
    assert_int_equal(app.dimensions[1].classes[2], DIMENSION_VALUES_MAX);
    assert_int_equal(count_uses(&app, 1, APP_USE_DIMENSION, &use), 1);
    assert_string_equal(app.dimensions[3].values[0], "false");
    assert_string_equal(app.dimensions[3].values[1], "true");
    assert_false(app.dimensions[3].has_other);
    definition_free(&app);
}

static void test_uses(void **state)
{
    (void)state;
    const struct app_use none = {.prop = -2}, *use = &none;
    struct app app = parse(declared);
    assert_int_equal(count_uses(&app, 0, APP_USE_FEATURE, &use) + count_uses(&app, 1, APP_USE_FEATURE, &use), 2);
    assert_string_equal(app.features[0].title, "F");
    assert_null(app.goals[0].title);
    assert_int_equal(count_uses(&app, 1, APP_USE_SEGMENT, &use), 1);
    assert_true(use->prop == 0 && use->value == 1);
    assert_int_equal(count_uses(&app, 0, APP_USE_GOAL, &use), 1);
    assert_true(use->prop == 1 && use->value == 2);
    assert_int_equal(count_uses(&app, 0, APP_USE_START, &use), 1);
    assert_true(use->prop < 0);
    assert_int_equal(count_uses(&app, 1, APP_USE_DONE, &use), 1);
    assert_int_equal(count_uses(&app, 0, APP_USE_STEP, &use), 1);
    assert_int_equal(count_uses(&app, 1, APP_USE_STEP, &use), 2);
    assert_true(use->step == 2 && use->prop == 0 && use->value == 0);
    assert_int_equal(app.funnels[0].steps, 3);
    assert_int_equal(app.funnels[0].window_days, 3);
    assert_string_equal(app.funnels[0].labels[1], "done");
    assert_string_equal(app.funnels[0].labels[2], "done paid=false");
    assert_int_equal(count_uses(&app, 1, APP_USE_MEASURE, &use), 1);
    assert_int_equal(use->prop, 1);
    assert_string_equal(app.measures[0].unit, "s");
    assert_true(app.measures[0].of_outcome && app.measures[0].step < 0.6 && app.measures[0].max > 8);
    assert_int_equal(app.outcomes[0].aggregate, APP_AGGREGATE_LAST);
    assert_int_equal(app.outcomes[0].tier_count, 2);
    assert_int_equal(app.outcomes[0].tiers[1].sessions_from, 3);
    assert_int_equal(count_uses(&app, 0, APP_USE_ENTITY, &use), 1);
    assert_int_equal(use->prop, 2);
    assert_int_equal(count_uses(&app, 0, APP_USE_PATH, &use), 1);
    assert_int_equal(app.paths[0].count, 2);
    assert_ptr_equal(use->classes, app.paths[0].classes);
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

/* whole with one part of its text replaced, as a successor. */
static void check_follows(const char *whole, const char *part, const char *instead, const char *field)
{
    char text[sizeof declared + 500];
    const char *at = strstr(whole, part);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, instead, at + strlen(part));
    struct app now = parse(whole), next = parse(text);
    struct failure why = {0};
    enum result result = definition_check_successor(&now, &next, &why);
    if (result != (field[0] == '\0' ? RESULT_OK : RESULT_INVALID) || strcmp(why.field, field) != 0)
        fail_msg("%s: %s: %s", instead, why.field, why.text);
    definition_free(&now);
    definition_free(&next);
}

static void check_successor(const char *part, const char *instead, const char *field)
{
    check_follows(plain, part, instead, field);
}

static void test_counted_successors(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"{\"name\":\"page\",\"property\":\"page\",\"at\":\"entry\"},", "", "dimensions[0].name"},
        {"\"at\":\"entry\"", "\"title\":\"E\"", "dimensions[0].at"},
        {"\"values\":[\"/\"]", "\"values\":[\"/\",\"/s/:id\"]", ""},
        {"\"values\":[\"/\"]", "\"values\":[\"/s/:id\",\"/\"]", "dimensions[1].values"},
        {"\"property\":\"way\"}", "\"property\":\"way\"},{\"name\":\"new\",\"property\":\"way\"}", "dimensions[3].name"},
        {"{\"name\":\"paid\",\"property\":\"paid\"}", "{\"name\":\"paid\",\"property\":\"way\"}", "dimensions[3].property"},
        {"{\"name\":\"paid\",\"property\":\"paid\"}",
            "{\"name\":\"paid\",\"property\":\"paid\"},{\"name\":\"new\",\"property\":\"way\"}", ""},
        {"\"values\":[\"a\",\"other\",\"b\"]", "\"values\":[\"a\",\"other\",\"b\",\"c\"]", ""},
        {"\"unit\":\"s\"}]}]", "\"unit\":\"s\"}]},{\"name\":\"new\",\"properties\":[{\"name\":\"page\",\"type\":\"route\"}]}]", ""},
        {"\"unit\":\"s\"}]}]", "\"unit\":\"h\"}]}]", "measures[0].unit"},
        {"\"title\":\"F\",\"events\":[\"view\",", "\"events\":[", "features[0].events"},
        {"\"equals\":\"b\"", "\"equals\":\"a\"", "goals[0]"},
        {"\"equals\":true", "\"equals\":false", "segments[0]"},
        {"\"completion\":{\"start\":\"view\",\"done\":\"done\"},", "", "completion"},
        {"{\"start\":\"view\",\"done\":\"done\"}", "{\"start\":\"done\",\"done\":\"view\"}", "completion"},
        {"[\"view\",{\"event\":\"done\"},", "[\"view\",\"done\",", ""},
        {"[\"view\",{\"event\":\"done\"},", "[\"done\",\"view\",", "funnels[0].steps"},
        {"\"window_days\":3", "\"window_days\":4", "funnels[0].window_days"},
        {"\"aggregate\":\"last\"", "\"aggregate\":\"sum\"", "outcomes[0].aggregate"},
        {"\"sessions_from\":3", "\"sessions_from\":4", "outcomes[0].tiers"},
        {"{\"name\":\"p\",\"property\":\"page\"}", "{\"name\":\"q\",\"property\":\"page\"}", "paths[0].name"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_follows(declared, rows[i][0], rows[i][1], rows[i][2]);
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
        cmocka_unit_test(test_dimensions),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_schema_agrees),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_successors),
        cmocka_unit_test(test_counted_successors),
        cmocka_unit_test(test_protection_stays),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
