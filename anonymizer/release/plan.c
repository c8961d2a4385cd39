#include "anonymizer/release/plan.h"

#include "anonymizer/release/cohort.h"
#include "anonymizer/release/range.h"
#include "anonymizer/release/threshold.h"

#define THOUSANDTHS 1000 /* of a step, in which outcomes are told */

static const struct rational nothing = {0, 1};

struct rational plan_epsilon(enum app_preset preset)
{
    switch (preset) {
    case APP_PRESET_STRICT:
        return (struct rational){3, 1};
    case APP_PRESET_STANDARD:
        return (struct rational){8, 1};
    case APP_PRESET_SMALL:
        return (struct rational){16, 1};
    case APP_PRESET_THRESHOLD:
    case APP_PRESET_EXACT:
        break;
    }
    return nothing;
}

struct rational plan_delta(void)
{
    return (struct rational){1, 1000000000};
}

/* --- what an app declares ------------------------------------------------------------------------------------------ */

/* Bits of the first count positions. */
static uint64_t first_items(size_t count)
{
    return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

static uint64_t dimension_items(const struct app *app)
{
    uint64_t items = 0;
    int found = 0;
    for (size_t i = 0; i < app->dimension_count && found < PLAN_DIMENSIONS; i++)
        if (app->dimensions[i].scope == APP_SCOPE_EVENTS) {
            items |= UINT64_C(1) << i;
            found++;
        }
    return items;
}

static uint64_t funnel_items(const struct app *app)
{
    for (size_t i = 0; i < app->funnel_count; i++)
        if (app->funnels[i].window_days <= PLAN_FUNNEL_DAYS)
            return UINT64_C(1) << i;
    return 0;
}

/* What a family needs that the app does not declare; NULL: nothing. Writes the positions that leave. */
static const char *undeclared(const struct app *app, enum family_id family, uint64_t *items)
{
    *items = 0;
    switch (family) {
    case FAMILY_RETENTION:
        return app->retention_weeks == 0 && app->retention_months == 0 ? "the app declares no retention by week or month" : NULL;
    case FAMILY_LAST_ACTIVE:
        return cohort_matures(app) ? NULL : "the app's horizon ends before a cohort's twelfth month is over";
    case FAMILY_DIMENSIONS:
        *items = dimension_items(app);
        return *items == 0 ? "the app declares no dimension of all events" : NULL;
    case FAMILY_FEATURES:
        *items = first_items(app->feature_count);
        return *items == 0 ? "the app declares no feature" : NULL;
    case FAMILY_GOALS:
        *items = first_items(app->goal_count);
        return *items == 0 ? "the app declares no goal" : NULL;
    case FAMILY_FUNNELS:
        *items = funnel_items(app);
        return *items == 0 ? "the app declares no funnel with a window of at most 7 days" : NULL;
    case FAMILY_OUTCOMES:
        *items = first_items(app->outcome_count > 0 ? 1 : 0);
        return *items == 0 ? "the app declares no outcome" : NULL;
    case FAMILY_ACTIVE:
    case FAMILY_NEW:
    case FAMILY_ROLLING:
    case FAMILY_EVENTS:
    case FAMILY_VISITORS:
    case FAMILY_SESSIONS:
    case FAMILY_DURATIONS:
    case FAMILY_SESSION_DIMENSIONS:
    case FAMILY_SEGMENTS:
    case FAMILY_COMPLETION:
    case FAMILY_MEASURES:
    case FAMILY_PATHS:
    case FAMILY_ENTITIES:
    case FAMILY_COUNT:
        break;
    }
    return NULL;
}

/* --- levels -------------------------------------------------------------------------------------------------------- */

enum family_number plan_governor(enum family_number number)
{
    return number == NUMBER_OUTCOME_SUM ? NUMBER_OUTCOME_USERS : number;
}

int64_t plan_clamp(const struct app *app, enum family_number number)
{
    const struct family_number_row *row = family_number(number);
    if (row->private_intervals == 0)
        return 0;
    if (number == NUMBER_OUTCOME_SUM)
        return app->outcome_count == 0 ? 0 : THOUSANDTHS * range_steps(&app->measures[app->outcomes[0].measure]);
    /* Of all others but sums a person is in a cell or is not. */
    return family_choice(row->family) == CHOICE_SUM ? family_clamp(row->family, APP_PRESET_STANDARD) : 1;
}

/* σ² × clamp². */
static enum result scaled(struct rational sigma2, int64_t clamp, struct rational *out, struct failure *why)
{
    const struct rational once = {(uint64_t)clamp, 1};
    struct rational square;
    enum result result = rational_multiply(once, once, &square, why);
    if (result == RESULT_OK)
        result = rational_multiply(sigma2, square, &square, why);
    if (result == RESULT_OK)
        result = sigma2_check(square, why);
    if (result == RESULT_OK)
        *out = square;
    return result;
}

/* τ of a cell to which a person adds clamp at most. */
static enum result threshold(enum family_number number, struct rational sigma2, int64_t clamp, int32_t k, int64_t *out,
    struct failure *why)
{
    int64_t people;
    int64_t tau;
    if (plan_governor(number) != number) {
        *out = INT64_MIN;
        return RESULT_OK;
    }
    enum result result = threshold_display(sigma2, k, &tau, why);
    if (result != RESULT_OK)
        return result;
    if (__builtin_mul_overflow(clamp - 1, (int64_t)(k - 1), &people) || __builtin_add_overflow(tau, people, &tau)) {
        failure_set(why, "k", "the threshold of a sum does not fit");
        return RESULT_FULL;
    }
    *out = tau;
    return RESULT_OK;
}

enum result plan_level(enum family_number number, struct rational sigma2, int64_t clamp, int32_t k, struct plan_level *out,
    struct failure *why)
{
    struct plan_level level = {.clamp = clamp};
    if (clamp < 1) {
        failure_set(why, "clamp", "must be at least 1");
        return RESULT_INVALID;
    }
    enum result result = scaled(sigma2, clamp, &level.sigma2, why);
    if (result == RESULT_OK)
        result = threshold(number, level.sigma2, clamp, k, &level.tau, why);
    if (result == RESULT_OK)
        result = threshold_half_width(level.sigma2, &level.half_width, why);
    if (result == RESULT_OK)
        *out = level;
    return result;
}

/* --- families ------------------------------------------------------------------------------------------------------ */

/* What the family may spend, the noise that this takes, and what that costs. */
static enum result price(struct rational budget, enum family_id family, struct plan_family *out, struct failure *why)
{
    const struct rational percent = {(uint64_t)family_permille(family), 10};
    struct rational share;
    enum result result = accounting_share(budget, percent, &share, why);
    if (result == RESULT_OK)
        result = accounting_sigma2(out->l2_month, share, &out->sigma2, why);
    if (result != RESULT_OK)
        return result;
    const struct accounting_charge charge = {out->l2_month, out->sigma2};
    return accounting_total(&charge, 1, &out->rho, why);
}

static bool is_of(enum family_number number, enum family_id family)
{
    return family_number(number)->family == family && family_number(number)->private_intervals != 0;
}

/* Whether noise for the widest of the family's numbers can be drawn. */
static bool can_be_drawn(const struct app *app, enum family_id family, struct rational sigma2)
{
    bool can = true;
    struct rational square;
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        if (is_of(number, family)) {
            int64_t clamp = plan_clamp(app, number);
            can = can && clamp > 0 && scaled(sigma2, clamp, &square, NULL) == RESULT_OK;
        }
    return can;
}

static enum result make_family(const struct app *app, struct plan *plan, enum family_id family, struct failure *why)
{
    struct plan_family made = {.rho = nothing, .sigma2 = nothing, .l2_month = (uint64_t)family_l2_month(family),
        .l2_day = (uint64_t)family_l2_day(family)};
    if (family_permille(family) == 0)
        made.reason = "the preset's privacy budget has no share for this family";
    else
        made.reason = undeclared(app, family, &made.items);
    enum result result = made.reason == NULL ? price(plan->budget, family, &made, why) : RESULT_OK;
    if (result != RESULT_OK)
        return result;
    if (made.reason == NULL && !can_be_drawn(app, family, made.sigma2)) {
        made.reason = "the measure of the app's first outcome has too many steps for the noise";
        made.rho = nothing;
        made.sigma2 = nothing;
    }
    made.funded = made.reason == NULL;
    if (!made.funded)
        made.items = 0;
    plan->families[family] = made;
    return RESULT_OK;
}

static enum result make_level(const struct app *app, struct plan *plan, enum family_number number, struct failure *why)
{
    const struct plan_family *family = &plan->families[family_number(number)->family];
    plan->levels[number] = (struct plan_level){.sigma2 = nothing};
    if (!family->funded || family_number(number)->private_intervals == 0)
        return RESULT_OK;
    return plan_level(number, family->sigma2, plan_clamp(app, number), plan->k, &plan->levels[number], why);
}

/* The sum of the families by month, and what that promises. */
static enum result state(struct plan *plan, struct failure *why)
{
    struct rational day = nothing;
    enum result result = RESULT_OK;
    plan->rho = nothing;
    for (enum family_id family = 0; family < FAMILY_COUNT && result == RESULT_OK; family++) {
        const struct plan_family *one = &plan->families[family];
        if (!one->funded)
            continue;
        const struct accounting_charge charge = {one->l2_day, one->sigma2};
        struct rational rho;
        result = accounting_rho(&charge, &rho, why);
        if (result == RESULT_OK)
            result = accounting_add(day, rho, &day, why);
        if (result == RESULT_OK)
            result = accounting_add(plan->rho, one->rho, &plan->rho, why);
    }
    if (result == RESULT_OK)
        result = accounting_statement(day, plan->rho, plan_delta(), &plan->statement, why);
    return result;
}

enum result plan_make(const struct app *app, enum app_preset preset, uint32_t k, struct plan *out, struct failure *why)
{
    struct plan plan = {.preset = preset};
    struct policy policy;
    if (plan_epsilon(preset).numerator == 0) {
        failure_set(why, "privacy.preset", "is not differentially private: there is nothing to plan");
        return RESULT_DENIED;
    }
    enum result result = policy_make(preset, false, k, &policy, why);
    if (result != RESULT_OK)
        return result;
    plan.k = policy.k;
    result = accounting_budget(plan_epsilon(preset), plan_delta(), &plan.budget, why);
    for (enum family_id family = 0; family < FAMILY_COUNT && result == RESULT_OK; family++)
        result = make_family(app, &plan, family, why);
    for (enum family_number number = 0; number < NUMBER_COUNT && result == RESULT_OK; number++)
        result = make_level(app, &plan, number, why);
    if (result == RESULT_OK)
        result = state(&plan, why);
    if (result == RESULT_OK)
        *out = plan;
    return result;
}

/* --- cells --------------------------------------------------------------------------------------------------------- */

const char *plan_reason(const struct plan *plan, enum family_number number, enum family_interval interval)
{
    const struct family_number_row *row = family_number(number);
    const struct plan_family *family = &plan->families[row->family];
    if (!family->funded)
        return family->reason;
    if (row->private_intervals == 0)
        return "the preset's privacy budget has no share for this number";
    if ((row->private_intervals >> interval & 1u) == 0)
        return "the preset's privacy budget has no share for this interval";
    return NULL;
}

/* Whether retention leaves after n periods. */
static bool is_retained(const struct app *app, enum family_interval interval, int32_t n)
{
    if (interval == INTERVAL_WEEK)
        return ((n >= 1 && n <= 4) || n == 8 || n == 12) && (uint32_t)n <= app->retention_weeks;
    return ((n >= 1 && n <= 3) || n == 6 || n == 12) && (uint32_t)n <= app->retention_months;
}

bool plan_has_cell(const struct plan *plan, const struct app *app, enum family_number number, enum family_interval interval,
    int32_t item, int32_t n)
{
    if (plan_reason(plan, number, interval) != NULL)
        return false;
    if (number == NUMBER_RETENTION)
        return is_retained(app, interval, n);
    if (number == NUMBER_LAST_ACTIVE)
        return n >= 0 && n <= PLAN_LAST_ACTIVE_MAX;
    uint64_t items = plan->families[family_number(number)->family].items;
    return items == 0 || (item >= 0 && item < 64 && (items >> item & 1u) != 0);
}
