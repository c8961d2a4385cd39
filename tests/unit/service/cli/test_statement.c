/*
 * Deployment statements: every number of one is the plan's, each family that leaves is told and no other, the form is the registry's,
 * and what is not protected says so.
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
#include "service/cli/statement.h"

static void compile(const char *preset, const char *more, struct app *app)
{
    char text[1024];
    struct failure why = {0};
    (void)snprintf(text, sizeof text, "{\"name\":\"shop\",\"title\":\"A \\\"shop\\\": two\",\"time_zone\":\"UTC\",\"horizon_days\":800,"
        "\"events\":[{\"name\":\"view\",\"kind\":\"view\"},{\"name\":\"order\"}],%s\"privacy\":{\"preset\":\"%s\",\"allow_unprotected\":%s}}",
        more, preset, strcmp(preset, "exact") == 0 || strcmp(preset, "threshold-only") == 0 ? "true" : "false");
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    if (definition_compile(root, app, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    json_decref(root);
}

static const json_t *at(const json_t *tree, const char *path)
{
    char copy[128], *rest = NULL;
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *key = strtok_r(copy, "/", &rest); key != NULL && tree != NULL; key = strtok_r(NULL, "/", &rest))
        tree = json_object_get(tree, key);
    return tree;
}

static void same(const json_t *tree, const char *path, struct rational want)
{
    char text[RATIONAL_TEXT_MAX];
    rational_decimal(want, ACCOUNTING_PLACES, RATIONAL_UP, text);
    double found = json_real_value(at(tree, path)), wanted = strtod(text, NULL);
    if (found < wanted || found > wanted)
        fail_msg("%s is %.15g, and %s is planned", path, found, text);
}

static void holds(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in: %s", part, text);
}

static void check_mechanisms(const struct plan *plan, const char *text)
{
    char line[256], value[RATIONAL_TEXT_MAX];
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        const struct plan_family *one = &plan->families[family];
        (void)snprintf(line, sizeof line, "\n- %s (", family_name(family));
        assert_int_equal(strstr(text, line) != NULL, one->funded);
        rational_decimal(one->rho, ACCOUNTING_PLACES, RATIONAL_UP, value);
        (void)snprintf(line, sizeof line, "): rho = %s, L2^2 = %d clamp^2 a month\n", value, (int)one->l2_month);
        if (one->funded)
            holds(text, line);
    }
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        const struct plan_level *level = &plan->levels[number];
        if (level->sigma2.numerator == 0)
            continue;
        rational_decimal(level->sigma2, ACCOUNTING_PLACES, RATIONAL_UP, value);
        (void)snprintf(line, sizeof line, "\n  - %s: sigma^2 = %s, clamp %d, 95 %% interval +-%d", family_number(number)->metric, value,
            (int)level->clamp, (int)level->half_width);
        holds(text, line);
        (void)snprintf(line, sizeof line, ", shown from %d\n", (int)level->tau);
        if (plan_governor(number) == number)
            holds(text, line);
    }
}

static void test_its_numbers_are_the_plans(void **state)
{
    (void)state;
    static const char *const presets[] = {"strict", "standard", "small"};
    static const char *const declared[] = {"", "\"goals\":[{\"name\":\"bought\",\"event\":\"order\"}],"};
    struct statement_facts facts = {.curator = "A foundation", .since = "2026-01-02"};
    for (int i = 0; i < 6; i++) {
        struct app app;
        struct plan plan;
        compile(presets[i / 2], declared[i % 2], &app);
        assert_int_equal(plan_make(&app, app.preset, app.k, &plan, NULL), RESULT_OK);
        json_t *made = statement_make(&app, &plan, &facts);
        same(made, "deployment/privacy_loss/privacy_parameters/rho", plan.rho);
        same(made, "deployment/privacy_loss/privacy_parameters/rho", plan.statement.month.rho);
        same(made, "deployment/privacy_loss/privacy_parameters/epsilon", plan.statement.month.epsilon);
        same(made, "deployment/privacy_loss/privacy_parameters/delta", plan_delta());
        char text[RATIONAL_TEXT_MAX];
        rational_decimal(plan.statement.months.epsilon, 4, RATIONAL_UP, text);
        holds(json_string_value(at(made, "deployment/privacy_loss/privacy_parameters_description")), text);
        rational_decimal(plan.statement.day.epsilon, 4, RATIONAL_UP, text);
        holds(json_string_value(at(made, "deployment/privacy_loss/privacy_parameters_description")), text);
        check_mechanisms(&plan, json_string_value(at(made, "deployment/implementation/mechanisms")));
        assert_string_equal(json_string_value(at(made, "deployment/product/publication_date")), "2026-01-02");
        assert_null(at(made, "protection"));
        json_decref(made);
        definition_free(&app);
    }
}

static void test_unprotected_is_marked(void **state)
{
    (void)state;
    static const char *const presets[] = {"threshold-only", "exact"};
    static const struct statement_facts facts;
    for (int i = 0; i < 2; i++) {
        struct app app;
        compile(presets[i], "", &app);
        json_t *made = statement_make(&app, NULL, &facts);
        assert_string_equal(json_string_value(at(made, "protection")), "unprotected");
        assert_null(at(made, "deployment/privacy_loss/privacy_parameters"));
        assert_null(at(made, "deployment/implementation"));
        holds(json_string_value(at(made, "deployment/dp_flavor/name")), "UNPROTECTED");
        holds(json_string_value(at(made, "deployment/product/description")), presets[i]);
        json_decref(made);
        definition_free(&app);
    }
}

static void test_unprotected_months_are_told(void **state)
{
    (void)state;
    static const struct statement_facts facts = {.unprotected_months = 3};
    struct app app;
    struct plan plan;
    compile("standard", "", &app);
    assert_int_equal(plan_make(&app, app.preset, app.k, &plan, NULL), RESULT_OK);
    json_t *made = statement_make(&app, &plan, &facts);
    holds(json_string_value(at(made, "deployment/dp_flavor/unprotected_quantities")), "UNPROTECTED: 3 months");
    json_decref(made);
    definition_free(&app);
}

static void test_yaml(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    json_t *tree = json_pack("{s:s,s:i,s:{s:[s,s],s:f,s:f,s:s}}", "name", "a \"b\": c", "tier", 3, "inner", "list", "x", "y: z", "delta",
        1e-9, "rho", 0.25, "lines", "one\n- two\n");
    statement_print(tree, file);
    (void)fclose(file);
    json_decref(tree);
    assert_string_equal(text, "name: \"a \\\"b\\\": c\"\ntier: 3\ninner:\n  list:\n    - \"x\"\n    - \"y: z\"\n  delta: 1.0e-9\n  rho: 0.25\n"
        "  lines: |\n    one\n    - two\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_numbers_are_the_plans),
        cmocka_unit_test(test_unprotected_is_marked),
        cmocka_unit_test(test_unprotected_months_are_told),
        cmocka_unit_test(test_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
