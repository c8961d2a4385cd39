/*
 * A black-box audit of what noise really hides: the real plan and the real release of cells, on two neighbouring vectors of
 * exact values (a person's month more or less, by as much as families.def allows), very many times with real randomness.
 *
 * From what came out an attacker reckons the log-likelihood ratio L of the two neighbours, the best statistic that there is.
 * P[L > ε] with the person (p) and without (q) is known exactly from sums of discrete Gaussians, hence δ(ε) = p - e^ε·q, the
 * exact trade-off curve. The counts must fit it, for each family and for all of them together, at ε = 0, 0.5, 1 and in the other
 * direction, and where L is 1.5 standard deviations from its mean: a binomial test each, together wrong once in ALARM (α =
 * 1/1000). The real mechanism is refused only if it fails twice. Planted defects must be refused; their power is not guessed
 * from runs but reckoned from their own exact curves, and must be 0.99 or more for every family that they can touch.
 *
 * Also seen: what the ledger debits is what all cells that leave cost; a cell of k - 1 people is shown once in 1000 at most.
 */
#include <math.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/cell.h"
#include "anonymizer/release/plan.h"
#include "anonymizer/release/threshold.h"

#define ALARM 1000.0
#define LEVELS 7
#define RUNS 10000
#define RUNS_LONG 200000
#define BASE 1000000000 /* exact values far above every threshold, so that every cell is shown */
#define GRID 0.001      /* of L, for the sum over families */
#define CELLS_MAX 64

static int failures;

static void expect(bool good, const char *what, const char *who)
{
    if (good)
        return;
    failures++;
    printf("FAILED: %s: %s\n", who, what);
}

static void must(enum result result, const char *what)
{
    if (result == RESULT_OK)
        return;
    printf("FAILED: %s\n", what);
    exit(1);
}

/* --- exact distributions on the integers ---------------------------------------------------------------------------- */

/* p[i] is the probability of low + i. */
struct distribution {
    int64_t low;
    size_t size;
    double *p;
};

static struct distribution distribution_new(int64_t low, size_t size)
{
    if (size == 0 || size > SIZE_MAX / 16)
        abort();
    struct distribution out = {low, size, calloc(size, sizeof(double))};
    if (out.p == NULL)
        abort();
    return out;
}

/* The discrete Gaussian, times weight; what is beyond 9 σ is less than 10^-18. */
static struct distribution noise_of(double sigma2, int64_t weight)
{
    int64_t reach = (int64_t)(9 * sqrt(sigma2)) + 2;
    struct distribution out = distribution_new(-reach * weight, (size_t)(2 * reach * weight + 1));
    double sum = 0;
    for (int64_t z = -reach; z <= reach; z++)
        sum += out.p[(z + reach) * weight] = exp(-(double)z * (double)z / (2 * sigma2));
    for (size_t i = 0; i < out.size; i++)
        out.p[i] /= sum;
    return out;
}

static size_t values_of(const struct distribution *of)
{
    size_t count = 0;
    for (size_t i = 0; i < of->size; i++)
        count += of->p[i] > 1e-18 ? 1 : 0;
    return count;
}

/* The distribution of a + b, of which both are freed; ends of no weight are cut. */
static struct distribution add(struct distribution a, struct distribution b)
{
    if (values_of(&a) > values_of(&b)) {
        struct distribution more = a;
        a = b;
        b = more;
    }
    struct distribution sum = distribution_new(a.low + b.low, a.size + b.size - 1);
    for (size_t i = 0; i < a.size; i++)
        for (size_t j = 0; a.p[i] > 1e-18 && j < b.size; j++)
            sum.p[i + j] += a.p[i] * b.p[j];
    free(a.p);
    free(b.p);
    size_t first = 0;
    while (first + 1 < sum.size && sum.p[first] < 1e-18)
        first++;
    while (sum.size > first + 1 && sum.p[sum.size - 1] < 1e-18)
        sum.size--;
    memmove(sum.p, sum.p + first, (sum.size - first) * sizeof(double));
    sum.low += (int64_t)first;
    sum.size -= first;
    return sum;
}

/* P[X >= t] */
static double tail(const struct distribution *of, double t)
{
    double sum = 0;
    for (size_t i = of->size; i-- > 0 && (double)(of->low + (int64_t)i) >= t;)
        sum += of->p[i];
    return sum < 1 ? sum : 1;
}

/* P[k of n], 0 < p < 1 */
static double binomial(size_t n, size_t k, double p)
{
    return exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) + (double)k * log(p) +
        (double)(n - k) * log1p(-p));
}

/* Counts of n that a chance of p explains: outside [low, high] with less than alarm in all. */
static void binomial_range(size_t n, double p, double alarm, size_t *low, size_t *high)
{
    *low = 0;
    *high = n;
    if (p <= 0 || p >= 1) {
        *low = p <= 0 ? 0 : n;
        *high = *low;
        return;
    }
    double sum = 0;
    for (size_t k = 0; k <= n && sum <= alarm / 2; k++) {
        *low = k;
        sum += binomial(n, k, p);
    }
    sum = 0;
    for (size_t k = n + 1; k-- > 0 && sum <= alarm / 2;) {
        *high = k;
        sum += binomial(n, k, p);
    }
}

/* The chance that a count of n, of chance p each, is outside [low, high]. */
static double chance_outside(size_t n, double p, size_t low, size_t high)
{
    double inside = 0;
    if (p <= 0 || p >= 1)
        return (p <= 0 ? 0 : n) >= low && (p <= 0 ? 0 : n) <= high ? 0 : 1;
    for (size_t k = low; k <= high; k++)
        inside += binomial(n, k, p);
    return inside < 1 ? 1 - inside : 0;
}

/* --- the mechanism, as it is and with defects ------------------------------------------------------------------------ */

/* What is wrong: the noise drawn has σ² / thinner, the person is in each cell so many times. */
struct defect {
    const char *name;
    uint64_t thinner;
    int64_t times;
};

static const struct defect sound = {"the real mechanism", 1, 1};

/* A family as a vector: cells of its numbers in turn, as many as its L2² has clamps. */
struct family_case {
    enum family_id family;
    const char *name;
    const struct plan *plan;
    size_t cells;
    int64_t widest; /* the largest clamp: U is in units of 1 / widest of a clamp */
    double sigma2;  /* in clamps, as planned */
    enum family_number numbers[CELLS_MAX];
};

/* libsodium's, some at once: a system call for each coin would be most of the time. */
static enum result random_bytes(void *context, void *out, size_t n)
{
    static uint8_t pool[65536];
    static size_t used = sizeof pool;
    (void)context;
    if (n > sizeof pool - used) {
        randombytes_buf(pool, sizeof pool);
        used = 0;
    }
    memcpy(out, pool + used, n);
    used += n;
    return RESULT_OK;
}

static struct family_case case_of(const struct plan *plan, enum family_id family)
{
    const struct plan_family *planned = &plan->families[family];
    struct family_case out = {family, family_name(family), plan, (size_t)planned->l2_month, 1,
        (double)planned->sigma2.numerator / (double)planned->sigma2.denominator, {0}};
    enum family_number numbers[CELLS_MAX];
    size_t count = 0;
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        if (family_number(number)->family != family || plan->levels[number].sigma2.numerator == 0)
            continue;
        numbers[count++] = number;
        if (plan->levels[number].clamp > out.widest)
            out.widest = plan->levels[number].clamp;
    }
    expect(count > 0 && out.cells <= CELLS_MAX, "has cells", out.name);
    for (size_t i = 0; i < out.cells; i++)
        out.numbers[i] = numbers[i % count];
    return out;
}

/* Release the vector once, with the person or without. Returns U = sum of (what came out - the vector without), each in its own
 * direction and in clamps / widest. */
static int64_t release(const struct family_case *of, const struct defect *defect, bool with)
{
    const struct noise_source source = {.bytes = random_bytes};
    int64_t sum = 0;
    struct released released = {0};
    for (size_t i = 0; i < of->cells; i++) {
        enum family_number number = of->numbers[i];
        struct plan_level level = of->plan->levels[number];
        level.sigma2.denominator *= defect->thinner;
        int64_t sign = i / 2 % 2 == 0 ? 1 : -1;
        const struct cell cell = {BASE + (with ? sign * level.clamp * defect->times : 0), BASE};
        const struct released governor = released;
        must(cell_protect(&level, &source, number, &cell, plan_governor(number) != number ? &governor : NULL, &released, NULL),
            "a cell was not released");
        if (released.suppressed) {
            printf("FAILED: a cell of %d people is suppressed\n", BASE);
            exit(1);
        }
        sum += sign * (released.value - BASE) * (of->widest / level.clamp);
    }
    return sum;
}

/* The exact distribution of U without the person. */
static struct distribution distribution_of(const struct family_case *of, uint64_t thinner)
{
    struct distribution sum = distribution_new(0, 1);
    sum.p[0] = 1;
    for (size_t i = 0; i < of->cells; i++) {
        int64_t clamp = of->plan->levels[of->numbers[i]].clamp;
        sum = add(noise_of(of->sigma2 * (double)(clamp * clamp) / (double)thinner, of->widest / clamp), sum);
    }
    return sum;
}

/* --- the audit ----------------------------------------------------------------------------------------------------- */

static double loss_unit(const struct family_case *of)
{
    return 1 / ((double)of->widest * of->sigma2);
}

/* ρ: L has the mean -ρ without the person, and ρ with, and the variance 2ρ. */
static double rho_of(const struct family_case *of)
{
    return (double)of->cells / (2 * of->sigma2);
}

static void levels_of(double rho, double levels[LEVELS])
{
    const double fixed[LEVELS] = {0, 0.5, 1, -0.5, -1, 1.5 * sqrt(2 * rho) - rho, rho - 1.5 * sqrt(2 * rho)};
    memcpy(levels, fixed, sizeof fixed);
}

/* One count: of n, how many had L > level; what is expected; what a defect makes of it. */
struct verdict {
    size_t refused;
    double power; /* the largest of any one test */
};

static void judge(struct verdict *verdict, size_t n, size_t count, double expected, double with_defect, double alarm)
{
    size_t low, high;
    binomial_range(n, expected, alarm, &low, &high);
    verdict->refused += count < low || count > high ? 1 : 0;
    double power = chance_outside(n, with_defect, low, high);
    if (power > verdict->power)
        verdict->power = power;
}

static size_t tests_of(size_t families)
{
    return (families + 1) * LEVELS * 2;
}

/* Audit one family. with[i], without[i]: L of each run is added there if not NULL. */
static struct verdict audit_family(const struct family_case *of, const struct defect *defect, size_t n, double alarm, double *with,
    double *without)
{
    double levels[LEVELS];
    size_t counts[2][LEVELS] = {{0}};
    levels_of(rho_of(of), levels);
    for (size_t i = 0; i < 2 * n; i++) {
        bool is_with = i % 2 == 1;
        double loss = (double)release(of, defect, is_with) * loss_unit(of) - rho_of(of);
        for (size_t l = 0; l < LEVELS; l++)
            counts[is_with][l] += loss > levels[l] ? 1 : 0;
        double *all = is_with ? with : without;
        if (all != NULL)
            all[i / 2] += loss;
    }
    struct verdict verdict = {0, 0};
    struct distribution exact = distribution_of(of, 1);
    struct distribution thin = distribution_of(of, defect->thinner);
    for (size_t l = 0; l < LEVELS; l++) {
        /* The least U with L above the level. */
        double t = floor((levels[l] + rho_of(of)) / loss_unit(of)) + 1;
        double person = (double)of->widest * (double)of->cells;
        double p = tail(&exact, t - person), q = tail(&exact, t);
        judge(&verdict, n, counts[1][l], p, tail(&thin, t - person * (double)defect->times), alarm);
        judge(&verdict, n, counts[0][l], q, tail(&thin, t), alarm);
        if (defect == &sound && l < 3)
            printf("  %s: ε = %.1f: δ = %.6f exactly, %.6f seen\n", of->name, levels[l], p - exp(levels[l]) * q,
                (double)counts[1][l] / (double)n - exp(levels[l]) * (double)counts[0][l] / (double)n);
    }
    free(exact.p);
    free(thin.p);
    return verdict;
}

/* The distribution of the sum of all L without the person, in steps of GRID: each value is parted between its two neighbours. */
static struct distribution joint_of(const struct family_case *cases, size_t count, enum family_id left_out)
{
    struct distribution sum = distribution_new(0, 1);
    sum.p[0] = 1;
    for (size_t c = 0; c < count; c++) {
        if (cases[c].family == left_out)
            continue;
        struct distribution exact = distribution_of(&cases[c], 1);
        double unit = loss_unit(&cases[c]) / GRID;
        int64_t low = (int64_t)floor((double)exact.low * unit - rho_of(&cases[c]) / GRID) - 1;
        struct distribution grid = distribution_new(low, (size_t)((double)exact.size * unit) + 4);
        for (size_t i = 0; i < exact.size; i++) {
            double at = (double)(exact.low + (int64_t)i) * unit - rho_of(&cases[c]) / GRID - (double)low;
            size_t below = (size_t)at;
            grid.p[below] += exact.p[i] * (1 - (at - (double)below));
            grid.p[below + 1] += exact.p[i] * (at - (double)below);
        }
        free(exact.p);
        sum = add(grid, sum);
    }
    return sum;
}

/* Audit all families together, of which the ledger knows all but left_out. */
static struct verdict audit_joint(const struct family_case *cases, size_t count, enum family_id left_out, size_t n, double alarm,
    const double *with, const double *without)
{
    struct distribution known = joint_of(cases, count, left_out);
    struct distribution real = joint_of(cases, count, FAMILY_COUNT);
    double rho = 0, rho_real = 0, levels[LEVELS];
    for (size_t c = 0; c < count; c++) {
        rho_real += rho_of(&cases[c]);
        rho += cases[c].family == left_out ? 0 : rho_of(&cases[c]);
    }
    levels_of(rho, levels);
    struct verdict verdict = {0, 0};
    for (size_t l = 0; l < LEVELS; l++) {
        size_t counts[2] = {0};
        for (size_t i = 0; i < n; i++) {
            counts[1] += with[i] > levels[l] ? 1 : 0;
            counts[0] += without[i] > levels[l] ? 1 : 0;
        }
        /* With the person L is 2ρ more. */
        double at = levels[l] / GRID;
        double p = tail(&known, at - 2 * rho / GRID), q = tail(&known, at);
        judge(&verdict, n, counts[1], p, tail(&real, at - 2 * rho_real / GRID), alarm);
        judge(&verdict, n, counts[0], q, tail(&real, at), alarm);
        if (left_out == FAMILY_COUNT && l < 3)
            printf("  together: ε = %.1f: δ = %.6f exactly, %.6f seen\n", levels[l], p - exp(levels[l]) * q,
                (double)counts[1] / (double)n - exp(levels[l]) * (double)counts[0] / (double)n);
    }
    free(known.p);
    free(real.p);
    return verdict;
}

/* The real mechanism: every family, and all of them together. Fills with and without. */
static size_t audit_all(const struct family_case *cases, size_t count, size_t n, double *with, double *without)
{
    double alarm = 1 / ALARM / (double)tests_of(count);
    size_t refused = 0;
    memset(with, 0, n * sizeof *with);
    memset(without, 0, n * sizeof *without);
    for (size_t c = 0; c < count; c++)
        refused += audit_family(&cases[c], &sound, n, alarm, with, without).refused;
    return refused + audit_joint(cases, count, FAMILY_COUNT, n, alarm, with, without).refused;
}

static void audit_defects(const struct family_case *cases, size_t count, size_t n)
{
    static const struct defect defects[] = {{"half of σ", 4, 1}, {"half-charged sensitivity", 2, 1}, {"doubled contribution", 1, 2},
        {"no clamp", 1, 3}};
    double alarm = 1 / ALARM / (double)tests_of(count);
    for (size_t d = 0; d < sizeof defects / sizeof defects[0]; d++) {
        double least = 1;
        for (size_t c = 0; c < count; c++) {
            struct verdict verdict = audit_family(&cases[c], &defects[d], n, alarm, NULL, NULL);
            expect(verdict.power >= 0.99, "the audit's power is below 0.99", defects[d].name);
            expect(verdict.refused > 0, cases[c].name, defects[d].name);
            least = verdict.power < least ? verdict.power : least;
        }
        printf("%s: refused, power %.4f or more\n", defects[d].name, least);
    }
}

/* --- what can be said for certain ------------------------------------------------------------------------------------- */

/* What leaves is what the plan debits: every number that leaves has a family with a cost, that is not less than L2²/(2σ²), and
 * the sum of them is within the budget. Returns how much is wrong. */
static size_t unpaid(const struct plan *plan)
{
    size_t wrong = 0;
    double sum = 0;
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        const struct plan_family *planned = &plan->families[family];
        double rho = (double)planned->rho.numerator / (double)planned->rho.denominator;
        double sigma2 = (double)planned->sigma2.numerator / (double)planned->sigma2.denominator;
        sum += rho;
        wrong += planned->funded && rho < (double)family_l2_month(family) / (2 * sigma2) * (1 - 1e-12) ? 1 : 0;
        for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
            if (family_number(number)->family != family || plan->levels[number].sigma2.numerator == 0)
                continue;
            const struct plan_level *level = &plan->levels[number];
            double drawn = (double)level->sigma2.numerator / (double)level->sigma2.denominator;
            wrong += rho <= 0 || drawn < sigma2 * (double)level->clamp * (double)level->clamp * (1 - 1e-12) ? 1 : 0;
        }
    }
    double budget = (double)plan->budget.numerator / (double)plan->budget.denominator;
    double said = (double)plan->rho.numerator / (double)plan->rho.denominator;
    return wrong + (sum > budget * (1 + 1e-12) ? 1 : 0) + (fabs(sum - said) > 1e-9 ? 1 : 0);
}

static void audit_ledger(const struct plan *plan, const struct family_case *cases, size_t count)
{
    expect(unpaid(plan) == 0, "what leaves is not what is debited", "the real plan");
    for (size_t c = 0; c < count; c++) {
        struct plan planted = *plan;
        planted.families[cases[c].family].rho = (struct rational){0, 1};
        expect(unpaid(&planted) > 0, "was not missed", cases[c].name);
        planted = *plan;
        planted.families[cases[c].family].rho.denominator *= 2;
        expect(unpaid(&planted) > 0, "half the cost was not missed", cases[c].name);
    }
}

/* A cell of k - 1 people, each with all that the clamp lets, is shown at most once in 1000. */
static void audit_threshold(const struct plan *plan, size_t n)
{
    const struct noise_source source = {.bytes = random_bytes};
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        const struct plan_level *level = &plan->levels[number];
        if (level->sigma2.numerator == 0 || plan_governor(number) != number)
            continue;
        const struct cell cell = {(plan->k - 1) * level->clamp, plan->k - 1};
        size_t shown = 0, low, high;
        for (size_t i = 0; i < n; i++) {
            struct released released;
            must(cell_protect(level, &source, number, &cell, NULL, &released, NULL), "a small cell was not released");
            shown += released.suppressed ? 0 : 1;
        }
        binomial_range(n, 1.0 / THRESHOLD_ONE_IN, 1e-6, &low, &high);
        expect(shown <= high, "a cell of k - 1 people is shown too often", family_number(number)->metric);
    }
}

/* --- an app that declares everything that is funded ------------------------------------------------------------------- */

static void make_plan(enum app_preset preset, struct plan *plan)
{
    static struct app_item items[8];
    static struct app_dimension dimensions[] = {{.count = 3}, {.count = 2, .has_other = true}, {.count = 4}};
    static struct app_funnel funnels[] = {{.steps = 3, .window_days = 7}};
    static struct app_measure measures[] = {{.min = 0, .max = 1, .step = 1, .of_outcome = true}};
    static struct app_outcome outcomes[] = {{.measure = 0, .tier_count = 3}};
    const struct app app = {.dimensions = dimensions, .dimension_count = 3, .features = items, .feature_count = 8, .goals = items,
        .goal_count = 8, .funnels = funnels, .funnel_count = 1, .measures = measures, .measure_count = 1, .outcomes = outcomes,
        .outcome_count = 1, .horizon_days = 400, .retention_weeks = 12, .retention_months = 12};
    must(plan_make(&app, preset, 0, plan, NULL), "no plan was made");
}

static void audit_preset(enum app_preset preset, size_t n)
{
    static struct plan plan;
    struct family_case cases[FAMILY_COUNT];
    size_t count = 0;
    make_plan(preset, &plan);
    for (enum family_id family = 0; family < FAMILY_COUNT; family++)
        if (plan.families[family].funded)
            cases[count++] = case_of(&plan, family);
    expect(count == 11, "are funded", "not 11 families");
    double *with = calloc(n, sizeof *with);
    double *without = calloc(n, sizeof *without);
    if (with == NULL || without == NULL)
        abort();
    audit_ledger(&plan, cases, count);
    if (audit_all(cases, count, n, with, without) > 0)
        expect(audit_all(cases, count, n, with, without) == 0, "refused twice", sound.name);
    struct verdict verdict = audit_joint(cases, count, FAMILY_ACTIVE, n, 1 / ALARM / (double)tests_of(count), with, without);
    expect(verdict.refused > 0 && verdict.power >= 0.99, "was not seen", "a family left out of the ledger");
    printf("a family left out of the ledger: refused, power %.4f\n", verdict.power);
    audit_threshold(&plan, n);
    audit_defects(cases, count, RUNS);
    free(with);
    free(without);
    printf("%s: %zu families, %zu runs each way\n", policy_preset_name(preset), count, n);
}

int main(void)
{
    bool is_long = getenv("THRONG_LONG") != NULL && strcmp(getenv("THRONG_LONG"), "1") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (sodium_init() < 0)
        return 1;
    audit_preset(APP_PRESET_STANDARD, is_long ? RUNS_LONG : RUNS);
    if (is_long)
        audit_preset(APP_PRESET_SMALL, RUNS_LONG);
    printf("%s\n", failures == 0 ? "sound" : "NOT SOUND");
    return failures == 0 ? 0 : 1;
}
