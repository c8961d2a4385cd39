/*
 * Releases exact cells with the real plan and mechanism: lines "metric interval value" on standard input, each released ROUNDS
 * times; a line "value …" for each on standard output, - for a suppressed one. Arguments: a definition, a preset, rounds.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/cell.h"
#include "anonymizer/release/plan.h"
#include "service/catalogue/definition.h"

static enum result random_bytes(void *context, void *out, size_t n)
{
    (void)context;
    randombytes_buf(out, n);
    return RESULT_OK;
}

static int fail(const char *what, const struct failure *why)
{
    (void)fprintf(stderr, "draw: %s: %s %s\n", what, why->field, why->text);
    return 1;
}

static int draw(const struct plan *plan, enum family_number number, int64_t value, int rounds)
{
    const struct noise_source source = {.bytes = random_bytes};
    const struct cell cell = {.value = value, .people = value};
    struct failure why = {0};
    for (int i = 0; i < rounds; i++) {
        struct released released;
        if (cell_protect(&plan->levels[number], &source, number, &cell, NULL, &released, &why) != RESULT_OK)
            return fail("a cell", &why);
        if (released.suppressed)
            (void)printf("%s-", i == 0 ? "" : " ");
        else
            (void)printf("%s%lld", i == 0 ? "" : " ", (long long)released.value);
    }
    (void)putchar('\n');
    return 0;
}

static int draw_all(const struct plan *plan, int rounds)
{
    char metric[64], interval[16];
    long long value;
    int status = 0;
    while (status == 0 && scanf("%63s %15s %lld", metric, interval, &value) == 3) {
        enum family_interval found = family_interval_named(interval);
        enum family_number number = family_number_named(metric, found);
        struct failure why = {0};
        if (found == INTERVAL_COUNT || number == NUMBER_COUNT || plan_reason(plan, number, found) != NULL)
            return fail(metric, &why);
        status = draw(plan, number, value, rounds);
    }
    return status;
}

static enum app_preset preset_named(const char *name)
{
    enum app_preset preset = APP_PRESET_STRICT;
    while (preset < APP_PRESET_EXACT && strcmp(policy_preset_name(preset), name) != 0)
        preset++;
    return preset;
}

int main(int argc, char **argv)
{
    struct app app;
    struct plan plan;
    struct failure why = {0};
    if (argc != 4 || sodium_init() < 0)
        return 2;
    json_t *root = json_load_file(argv[1], 0, NULL);
    enum result result = definition_compile(root, &app, &why);
    json_decref(root);
    if (result != RESULT_OK)
        return fail("the definition", &why);
    result = plan_make(&app, preset_named(argv[2]), 0, &plan, &why);
    definition_free(&app);
    return result == RESULT_OK ? draw_all(&plan, atoi(argv[3])) : fail("the plan", &why);
}
