/*
 * The leaf of the largest release that an app within the limits can have fits an entry of the transparency log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compliance/audit/tile.h"
#include "service/release/declared.h"
#include "service/release/period.h"
#include "service/release/record.h"

#define LARGEST 9007199254740991 /* 2^53 - 1 */
#define RETENTION_MAX 90         /* app.schema.json */

static char longest[NAME_MAX_BYTES + 1];
static struct app_dimension dimensions[DIMENSIONS_MAX], paths[PATHS_MAX];
static struct app_item features[FEATURES_MAX], segments[SEGMENTS_MAX], goals[GOALS_MAX], entities[ENTITIES_MAX];
static struct app_funnel funnels[FUNNELS_MAX];
static struct app_measure measures[MEASURES_MAX];
static struct app_outcome outcomes[OUTCOMES_MAX];

static void make_app(struct app *app)
{
    memset(longest, 'm', NAME_MAX_BYTES);
    *app = (struct app){.version = UINT32_MAX, .dimensions = dimensions, .dimension_count = DIMENSIONS_MAX, .paths = paths,
        .path_count = PATHS_MAX, .features = features, .feature_count = FEATURES_MAX, .segments = segments,
        .segment_count = SEGMENTS_MAX, .goals = goals, .goal_count = GOALS_MAX, .entities = entities,
        .entity_count = ENTITIES_MAX, .funnels = funnels, .funnel_count = FUNNELS_MAX, .measures = measures,
        .measure_count = MEASURES_MAX, .outcomes = outcomes, .outcome_count = OUTCOMES_MAX, .completion = true};
    (void)strcpy(app->name, longest);
    for (size_t i = 0; i < DIMENSIONS_MAX; i++)
        dimensions[i] = (struct app_dimension){.count = DIMENSION_VALUES_MAX, .has_other = true};
    for (size_t i = 0; i < PATHS_MAX; i++)
        paths[i] = dimensions[0];
    for (size_t i = 0; i < FUNNELS_MAX; i++)
        funnels[i].steps = FUNNEL_STEPS_MAX;
    for (size_t i = 0; i < MEASURES_MAX; i++)
        measures[i] = (struct app_measure){.max = 1e15, .step = 1};
    for (size_t i = 0; i < OUTCOMES_MAX; i++)
        outcomes[i] = (struct app_outcome){.aggregate = APP_AGGREGATE_SUM, .tier_count = OUTCOME_TIERS_MAX};
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        for (int32_t item = 0; item < declared_items(app, number); item++) {
            if (family_number(number)->family == FAMILY_COMPLETION)
                break; /* has no name */
            const char *name = declared_name(app, number, item);
            void *place = NULL; /* the names lie in our own arrays */
            memcpy(&place, &name, sizeof place);
            (void)strcpy(place, longest);
        }
}

static void push(struct sheet *sheet, enum family_number number, int32_t item, int32_t n)
{
    if (sheet->row_count == sheet->row_room) {
        sheet->row_room = sheet->row_room * 2 + 256;
        sheet->rows = realloc(sheet->rows, sheet->row_room * sizeof *sheet->rows);
        assert_non_null(sheet->rows);
    }
    sheet->rows[sheet->row_count++] = (struct sheet_row){.number = number, .item = item, .n = n,
        .sigma2 = {((uint64_t)1 << 54) - 1 - (uint64_t)number, 1}, .released.value = LARGEST};
}

/* Every cell that number can have in a release: of one thing, or of all. */
static void push_number(struct sheet *sheet, const struct app *app, enum family_number number, int32_t item)
{
    int32_t n[DECLARED_CELLS_MAX];
    if (!declared_has_items(number)) {
        bool one = number != NUMBER_RETENTION && number != NUMBER_LAST_ACTIVE && number != NUMBER_SESSION_DURATIONS;
        for (int32_t i = 0; i <= (one ? 0 : RETENTION_MAX); i++)
            push(sheet, number, -1, one ? -1 : i);
        return;
    }
    int32_t last = item >= 0 ? item : declared_items(app, number) - 1;
    for (int32_t at = item >= 0 ? item : 0; at <= last; at++) {
        size_t count = declared_cells(app, number, at, n);
        for (size_t i = 0; i < count; i++)
            push(sheet, number, at, n[i]);
    }
}

static size_t length_of(const struct app *app, enum family_id family, struct sheet *sheet)
{
    static const struct policy policy = {.preset = APP_PRESET_STANDARD, .protection = PROTECTION_DP};
    struct sheet_release release = {.family = family, .interval = INTERVAL_ROLLING_30, .period = 47482,
        .item = declared_split(app, family) >= 0 ? 0 : -1,
        .grant = {.k = INT32_MAX, .rho = {UINT64_C(9999999999999999999), 1000000000000}, .sigma2 = {UINT64_MAX, 1000}}};
    sheet->row_count = 0;
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        if (family_number(number)->family == family)
            push_number(sheet, app, number, release.item);
    release.count = sheet->row_count;
    uint8_t id[16];
    const char *bytes;
    size_t length = 0;
    const struct record_closing closing = {.first_day = 47482, .day = 47482, .stage = STAGE_SESSIONS,
        .sealed_at_ms = INT64_C(4102444800000), .place = (INT64_C(1) << 53) - 1};
    struct leaf *leaf = record_release(app, &policy, sheet, &release, &closing, id);
    struct failure why = {0};
    if (leaf_finish(leaf, &bytes, &length, &why) != RESULT_OK)
        fail_msg("%s: %s", family_name(family), why.text);
    leaf_free(leaf);
    return length;
}

static void test_the_largest_leaf(void **state)
{
    (void)state;
    static struct sheet sheet;
    struct app app;
    make_app(&app);
    size_t largest = 0;
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        size_t length = length_of(&app, family, &sheet);
        if (length > RECORD_MAX_BYTES)
            fail_msg("%s: %zu bytes", family_name(family), length);
        largest = length > largest ? length : largest;
    }
    print_message("the largest leaf has %zu bytes\n", largest);
    assert_int_equal(RECORD_MAX_BYTES, TILE_ENTRY_MAX_BYTES);
    assert_true(largest > 60000); /* it was the largest: a path's */
    sheet_free(&sheet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_largest_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
