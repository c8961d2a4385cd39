/*
 * Plans: the budget of each preset and how it is shared out; noise, thresholds and half-widths as the design's table has them;
 * what leaves of an app, and why the rest does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "anonymizer/release/plan.h"

static struct app_item items[8];
static struct app_dimension dimensions[] = {{.scope = APP_SCOPE_ENTRY}, {.count = 3}, {.count = 2, .has_other = true},
    {.scope = APP_SCOPE_EXIT}, {.count = 4}, {.count = 5}};
static struct app_funnel funnels[] = {{.steps = 3, .window_days = 14}, {.steps = 3, .window_days = 7}, {.steps = 2, .window_days = 1}};
static struct app_measure measures[] = {{.min = 0, .max = 9, .step = 1}, {.min = 0, .max = 1, .step = 0.01, .of_outcome = true}};
static struct app_outcome outcomes[] = {{.measure = 1, .tier_count = 3}, {.measure = 0}};

/* An app that declares everything. */
static struct app whole_app(void)
{
    return (struct app){.dimensions = dimensions, .dimension_count = 6, .features = items, .feature_count = 6, .goals = items,
        .goal_count = 2, .funnels = funnels, .funnel_count = 3, .measures = measures, .measure_count = 2, .outcomes = outcomes,
        .outcome_count = 2, .segments = items, .segment_count = 1, .completion = true, .retention_days = 30,
        .retention_weeks = 12, .retention_months = 12, .horizon_days = 420};
}

static struct plan plan_of(const struct app *app, enum app_preset preset)
{
    struct plan plan;
    assert_int_equal(plan_make(app, preset, 11, &plan, NULL), RESULT_OK);
    return plan;
}

static void expect_decimal(struct rational value, unsigned places, const char *expected)
{
    char text[RATIONAL_TEXT_MAX];
    rational_decimal(value, places, RATIONAL_DOWN, text);
    assert_string_equal(text, expected);
}

/* The budgets are the design's, and no plan exceeds its own; what is lost by rounding is next to nothing. */
static void test_budgets(void **state)
{
    (void)state;
    static const struct { enum app_preset preset; uint64_t myriad; uint64_t epsilon; int32_t k; } presets[] = {
        {APP_PRESET_STRICT, 1206, 3, 20}, {APP_PRESET_STANDARD, 7328, 8, 11}, {APP_PRESET_SMALL, 24687, 16, 11}};
    struct app app = whole_app();
    for (size_t i = 0; i < 3; i++) {
        struct plan plan = plan_of(&app, presets[i].preset);
        struct rational sum = {0, 1};
        /* To the nearest 1/10000. */
        assert_true(rational_compare(plan.budget, (struct rational){2 * presets[i].myriad - 1, 20000}) > 0);
        assert_true(rational_compare(plan.budget, (struct rational){2 * presets[i].myriad + 1, 20000}) < 0);
        assert_int_equal(plan.k, presets[i].k);
        for (enum family_id family = 0; family < FAMILY_COUNT; family++)
            assert_int_equal(accounting_add(sum, plan.families[family].rho, &sum, NULL), RESULT_OK);
        assert_int_equal(rational_compare(sum, plan.rho), 0);
        assert_true(rational_compare(plan.rho, plan.budget) <= 0);
        struct rational lost = {9999 * (plan.budget.numerator / 10000), plan.budget.denominator};
        assert_true(rational_compare(lost, plan.rho) < 0);
        struct rational most = {presets[i].epsilon, 1};
        assert_true(rational_compare(plan.statement.month.epsilon, most) <= 0);
        assert_int_equal(rational_compare(plan.statement.month.rho, plan.rho), 0);
        assert_true(rational_compare(plan.statement.day.epsilon, plan.statement.month.epsilon) < 0);
        assert_true(rational_compare(plan.statement.months.epsilon, most) > 0);
    }
}

/* Each family within its share, with the least σ² that is. */
static void test_shares(void **state)
{
    (void)state;
    struct app app = whole_app();
    struct plan plan = plan_of(&app, APP_PRESET_STANDARD);
    int64_t permille = 0;
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        const struct plan_family *one = &plan.families[family];
        permille += family_permille(family);
        assert_true(one->funded == (family_permille(family) > 0) && one->funded == (one->reason == NULL));
        assert_true((family_permille(family) > 0) == (family_l2_month(family) > 0));
        if (!one->funded)
            continue;
        struct rational share, rho;
        const struct rational percent = {(uint64_t)family_permille(family), 10};
        assert_int_equal(accounting_share(plan.budget, percent, &share, NULL), RESULT_OK);
        assert_true(rational_compare(one->rho, share) <= 0);
        struct accounting_charge less = {one->l2_month, one->sigma2};
        assert_int_equal(rational_round(one->sigma2, 1000, RATIONAL_DOWN, &less.sigma2, NULL), RESULT_OK);
        less.sigma2 = (struct rational){less.sigma2.numerator * (1000 / less.sigma2.denominator) - 1, 1000};
        assert_int_equal(accounting_rho(&less, &rho, NULL), RESULT_OK);
        assert_true(rational_compare(rho, share) > 0);
    }
    assert_int_equal(permille, 1000);
}

static const struct {
    enum family_number number;
    int64_t clamp;
    const char *sigma2;
    int64_t half_width, tau;
} standard[] = {
    {NUMBER_ACTIVE_USERS, 1, "64.817", 16, 36},
    {NUMBER_NEW_USERS, 1, "81.875", 18, 39},
    {NUMBER_RETENTION, 1, "68.229", 16, 37},
    {NUMBER_LAST_ACTIVE, 1, "136.457", 23, 47},
    {NUMBER_DIMENSION_USERS, 1, "153.514", 24, 49},
    {NUMBER_SESSIONS, 7, "5014.807", 139, 290},
    {NUMBER_ENGAGED_SESSIONS, 7, "5014.807", 139, 290},
    {NUMBER_SESSION_DURATIONS, 1, "181.943", 26, 53},
    {NUMBER_FEATURE_USERS, 1, "727.769", 53, 94},
    {NUMBER_GOAL_SESSIONS, 1, "1091.654", 65, 113},
    {NUMBER_FUNNEL_USERS, 1, "341.142", 36, 68},
    {NUMBER_OUTCOME_USERS, 1, "136.457", 23, 47},
    {NUMBER_OUTCOME_SUM, 100000, "1364570000000", 2289528, INT64_MIN},
};

/* The design's table: 95 % at ε = 8. */
static void test_golden(void **state)
{
    (void)state;
    struct app app = whole_app();
    struct plan plan = plan_of(&app, APP_PRESET_STANDARD);
    size_t levels = 0;
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        assert_true((plan.levels[number].sigma2.numerator > 0) == (family_number(number)->private_intervals != 0));
        levels += plan.levels[number].sigma2.numerator > 0;
    }
    assert_int_equal(levels, sizeof standard / sizeof *standard);
    for (size_t i = 0; i < levels; i++) {
        const struct plan_level *level = &plan.levels[standard[i].number];
        expect_decimal(level->sigma2, 3, standard[i].sigma2);
        assert_true(level->clamp == standard[i].clamp && level->clamp == plan_clamp(&app, standard[i].number));
        assert_true(level->half_width == standard[i].half_width);
        assert_true(level->tau == standard[i].tau);
    }
}

/* A clamp of 7 takes as much noise as 7 times a count's, and k - 1 people make 7 (k - 1). */
static void test_levels(void **state)
{
    (void)state;
    const struct rational sigma2 = {100, 1};
    struct plan_level one, seven, sum = {.tau = 7};
    assert_int_equal(plan_level(NUMBER_ACTIVE_USERS, sigma2, 1, 11, &one, NULL), RESULT_OK);
    assert_int_equal(plan_level(NUMBER_SESSIONS, sigma2, 7, 11, &seven, NULL), RESULT_OK);
    assert_int_equal(rational_compare(seven.sigma2, (struct rational){4900, 1}), 0);
    assert_true(one.tau == 10 + 32 && seven.tau == 70 + 217);
    assert_int_equal(plan_level(NUMBER_OUTCOME_SUM, sigma2, 1000, 11, &sum, NULL), RESULT_OK);
    assert_true(sum.tau == INT64_MIN);
    assert_int_equal(plan_governor(NUMBER_OUTCOME_SUM), NUMBER_OUTCOME_USERS);
    assert_int_equal(plan_governor(NUMBER_SESSIONS), NUMBER_SESSIONS);
    struct plan_level untouched = {.tau = 77};
    assert_int_equal(plan_level(NUMBER_SESSIONS, sigma2, 0, 11, &untouched, NULL), RESULT_INVALID);
    assert_int_equal(plan_level(NUMBER_SESSIONS, sigma2, INT64_C(1) << 40, 11, &untouched, NULL), RESULT_FULL);
    assert_int_equal(plan_level(NUMBER_SESSIONS, sigma2, INT64_C(1) << 25, 11, &untouched, NULL), RESULT_INVALID);
    assert_int_equal(plan_level(NUMBER_SESSIONS, (struct rational){1, 1}, 1, 11, &untouched, NULL), RESULT_INVALID);
    assert_int_equal(plan_level(NUMBER_SESSIONS, (struct rational){0, 1}, 1, 11, &untouched, NULL), RESULT_INVALID);
    assert_true(untouched.tau == 77);
}

static const struct app *cell_app;
static const struct plan *cell_plan;

static bool has(enum family_number number, enum family_interval interval, int32_t item, int32_t n)
{
    return plan_has_cell(cell_plan, cell_app, number, interval, item, n);
}

static void expect_retention(enum family_interval interval, const char *expected)
{
    char seen[64] = "";
    for (int32_t n = -1; n < 40; n++)
        if (has(NUMBER_RETENTION, interval, -1, n)) {
            size_t length = strlen(seen);
            seen[length] = (char)('a' + n);
            seen[length + 1] = '\0';
        }
    assert_string_equal(seen, expected);
}

/* Which cells of an app that declares everything leave. */
static void test_cells(void **state)
{
    (void)state;
    struct app app = whole_app();
    struct plan plan = plan_of(&app, APP_PRESET_STANDARD);
    cell_app = &app;
    cell_plan = &plan;
    for (enum family_interval interval = INTERVAL_DAY; interval <= INTERVAL_MONTH; interval++) {
        assert_true(has(NUMBER_ACTIVE_USERS, interval, -1, -1) && has(NUMBER_NEW_USERS, interval, -1, -1));
        assert_false(has(NUMBER_RETURNING_USERS, interval, -1, -1) || has(NUMBER_RESURRECTED_USERS, interval, -1, -1));
        assert_false(has(NUMBER_EVENTS, interval, -1, -1) || has(NUMBER_ENGAGED_MS, interval, -1, -1));
        assert_true(has(NUMBER_SESSIONS, interval, -1, -1) == (interval == INTERVAL_WEEK));
        assert_true(has(NUMBER_ENGAGED_SESSIONS, interval, -1, -1) == (interval == INTERVAL_WEEK));
        assert_true(has(NUMBER_SESSION_DURATIONS, interval, -1, 17) == (interval == INTERVAL_WEEK));
        assert_true(has(NUMBER_FEATURE_USERS, interval, 5, -1) == (interval == INTERVAL_WEEK));
        assert_true(has(NUMBER_GOAL_SESSIONS, interval, 1, -1) == (interval == INTERVAL_WEEK));
        assert_true(has(NUMBER_DIMENSION_USERS, interval, 2, DIMENSION_VALUES_MAX) == (interval != INTERVAL_DAY));
        assert_true(has(NUMBER_OUTCOME_USERS, interval, 0, 2) == (interval == INTERVAL_MONTH));
        assert_true(has(NUMBER_OUTCOME_SUM, interval, 0, 2) == (interval == INTERVAL_MONTH));
        assert_true(has(NUMBER_LAST_ACTIVE, interval, 0, 12) == (interval == INTERVAL_MONTH));
        assert_false(has(NUMBER_SEGMENT_USERS, interval, 0, -1) || has(NUMBER_START_SESSIONS, interval, 0, -1));
        assert_false(has(NUMBER_MEASURE_SUM, interval, 0, -1) || has(NUMBER_OUTCOME_BINS, interval, 0, 0));
    }
    expect_retention(INTERVAL_DAY, "");
    expect_retention(INTERVAL_WEEK, "bcdeim");
    expect_retention(INTERVAL_MONTH, "bcdgm");
    assert_false(has(NUMBER_LAST_ACTIVE, INTERVAL_MONTH, 0, 13) || has(NUMBER_LAST_ACTIVE, INTERVAL_MONTH, 0, -1));
    /* The first three dimensions of all events, the first short funnel, the first outcome. */
    assert_true(has(NUMBER_DIMENSION_USERS, INTERVAL_WEEK, 1, 0) && has(NUMBER_DIMENSION_USERS, INTERVAL_WEEK, 4, 0));
    assert_false(has(NUMBER_DIMENSION_USERS, INTERVAL_WEEK, 0, 0) || has(NUMBER_DIMENSION_USERS, INTERVAL_WEEK, 5, 0));
    assert_false(has(NUMBER_FUNNEL_USERS, INTERVAL_WEEK, 0, 0) || has(NUMBER_FUNNEL_USERS, INTERVAL_WEEK, 2, 0));
    assert_true(has(NUMBER_FUNNEL_USERS, INTERVAL_WEEK, 1, 0));
    assert_false(has(NUMBER_OUTCOME_USERS, INTERVAL_MONTH, 1, 0) || has(NUMBER_FEATURE_USERS, INTERVAL_WEEK, 6, -1));
    assert_false(has(NUMBER_FEATURE_USERS, INTERVAL_WEEK, -1, -1) || has(NUMBER_ROLLING_USERS, INTERVAL_ROLLING_7, -1, -1));
    app.retention_weeks = 4;
    expect_retention(INTERVAL_WEEK, "bcde");
}

/* What an app does not declare is not funded, says so, costs nothing, and gives its share to nobody. */
static void test_undeclared(void **state)
{
    (void)state;
    static const enum family_id declared[] = {FAMILY_RETENTION, FAMILY_DIMENSIONS, FAMILY_FEATURES, FAMILY_GOALS, FAMILY_FUNNELS,
        FAMILY_OUTCOMES};
    struct app app = {.funnels = funnels, .funnel_count = 1, .dimensions = dimensions, .dimension_count = 1};
    struct app whole = whole_app();
    struct plan bare = plan_of(&app, APP_PRESET_STRICT), full = plan_of(&whole, APP_PRESET_STRICT);
    for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
        const struct plan_family *one = &bare.families[declared[i]];
        assert_false(one->funded);
        assert_true(strncmp(one->reason, "the app declares no", 19) == 0);
        assert_true(one->rho.numerator == 0 && one->items == 0);
    }
    assert_false(bare.families[FAMILY_LAST_ACTIVE].funded);
    assert_non_null(strstr(bare.families[FAMILY_LAST_ACTIVE].reason, "horizon"));
    assert_int_equal(rational_compare(bare.families[FAMILY_ACTIVE].sigma2, full.families[FAMILY_ACTIVE].sigma2), 0);
    assert_true(rational_compare(bare.rho, (struct rational){6 * (full.rho.numerator / 10), full.rho.denominator}) < 0);
    assert_true(rational_compare(bare.statement.month.epsilon, full.statement.month.epsilon) < 0);
    assert_null(plan_reason(&bare, NUMBER_SESSIONS, INTERVAL_WEEK));
    assert_non_null(strstr(plan_reason(&bare, NUMBER_SESSIONS, INTERVAL_DAY), "interval"));
    assert_non_null(strstr(plan_reason(&bare, NUMBER_ENGAGED_MS, INTERVAL_WEEK), "number"));
    assert_non_null(strstr(plan_reason(&bare, NUMBER_EVENTS, INTERVAL_WEEK), "family"));
    assert_non_null(strstr(plan_reason(&bare, NUMBER_FUNNEL_USERS, INTERVAL_WEEK), "window"));
}

/* The noise of an outcome of very many steps cannot be drawn: not funded, and no failure. */
static void test_wide_outcome(void **state)
{
    (void)state;
    struct app app = whole_app();
    struct app_measure wide = {.min = 0, .max = 1e6, .step = 1, .of_outcome = true};
    struct app_outcome of_wide = {.measure = 0};
    app.measures = &wide;
    app.outcomes = &of_wide;
    struct plan plan = plan_of(&app, APP_PRESET_SMALL);
    assert_false(plan.families[FAMILY_OUTCOMES].funded);
    assert_non_null(strstr(plan.families[FAMILY_OUTCOMES].reason, "too many steps"));
    assert_true(plan.families[FAMILY_OUTCOMES].rho.numerator == 0 && plan.levels[NUMBER_OUTCOME_SUM].sigma2.numerator == 0);
    assert_false(plan_has_cell(&plan, &app, NUMBER_OUTCOME_USERS, INTERVAL_MONTH, 0, 0));
    wide.max = 2000;
    plan = plan_of(&app, APP_PRESET_STRICT);
    assert_true(plan.families[FAMILY_OUTCOMES].funded);
}

static void test_k(void **state)
{
    (void)state;
    struct app app = {0};
    struct plan plan = {.k = 77};
    struct failure why = {0};
    assert_int_equal(plan_make(&app, APP_PRESET_EXACT, 11, &plan, &why), RESULT_DENIED);
    assert_string_equal(why.field, "privacy.preset");
    assert_int_equal(plan_make(&app, APP_PRESET_THRESHOLD, 11, &plan, NULL), RESULT_DENIED);
    assert_int_equal(plan_make(&app, APP_PRESET_SMALL, POLICY_K_MAX + 1u, &plan, NULL), RESULT_INVALID);
    assert_int_equal(plan.k, 77);
    struct plan low = plan_of(&app, APP_PRESET_SMALL), high;
    assert_int_equal(plan_make(&app, APP_PRESET_SMALL, 61, &high, NULL), RESULT_OK);
    assert_int_equal(low.k, 11);
    assert_int_equal(high.k, 61);
    assert_true(high.levels[NUMBER_ACTIVE_USERS].tau == low.levels[NUMBER_ACTIVE_USERS].tau + 50);
    assert_true(high.levels[NUMBER_SESSIONS].tau == low.levels[NUMBER_SESSIONS].tau + 350);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_undeclared),
        cmocka_unit_test(test_wide_outcome),
        cmocka_unit_test(test_k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
