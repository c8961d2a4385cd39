/*
 * Plans: what an app releases under a differentially private preset, with what noise, and what that costs a person's month.
 * Made of a definition and a preset alone, so that everybody can reckon it: the ledger reserves what it says, the release job
 * draws by it, the catalogue and /budget explain it.
 *
 *   preset   ε of a person's month at δ = 10^-9   k at least
 *   strict    3                                   20
 *   standard  8                                   11
 *   small    16                                   11
 *
 * ρ, the budget that ε buys, is shared out by families.def. A family whose things the app does not declare is not funded, and
 * nobody gets its share. σ² of a family in units of its clamp is the least, in thousandths, that keeps its cost within its share.
 *
 * Of what an app declares, these leave: retention by week of N = 1 to 4, 8, 12 and by month of N = 1, 2, 3, 6, 12, if they are
 * declared (N = 0 is the new users); when cohorts were active last, if the horizon is long enough (cohort.h); the first three
 * dimensions of scope EVENTS; all features and goals; the first funnel with a window of at most 7 days; the first outcome, if its
 * measure has few enough steps for the noise.
 *
 * A cell is shown from τ on, so that one of k - 1 people or less is shown at most once in 1000: of what a person adds c to at
 * most, k - 1 people make c·(k - 1), and τ = c·(k - 1) + t with P[noise >= t] <= 1/1000 for the noise of that cell. A sum of
 * values says nothing of how many people it is of: it is shown where the number of people that it is of is (plan_governor).
 *
 * Sees:     a definition; nothing of a person.
 * Uses:     policy.h, accounting.h, threshold.h, range.h, cohort.h; no sampler: the API and the command link it.
 * Threads:  pure functions. Making a plan takes some milliseconds.
 * Failure:  RESULT_DENIED for presets that are not differentially private, RESULT_INVALID for a k out of range; outputs are
 *           untouched on failure.
 */
#ifndef THRONG_RELEASE_PLAN_H
#define THRONG_RELEASE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "anonymizer/release/accounting.h"
#include "anonymizer/release/policy.h"

#define PLAN_DIMENSIONS 3
#define PLAN_FUNNEL_DAYS 7
#define PLAN_LAST_ACTIVE_MAX 12 /* of n: this many months later or more */

/* The noise and threshold of a cell of one number, in that number's unit. */
struct plan_level {
    struct rational sigma2;
    int64_t clamp;      /* what one person adds to the cell at most */
    int64_t tau;        /* shown from here on; INT64_MIN where plan_governor says that another number decides */
    int64_t half_width; /* of the 95 % interval */
};

struct plan_family {
    bool funded;
    const char *reason;     /* why it is not funded; NULL if it is. Static */
    uint64_t l2_month, l2_day;
    struct rational rho;    /* what it costs a month, in whole units of 10^-12; 0/1 if it is not funded */
    struct rational sigma2; /* in units of clamp², to three decimals; 0/1 if it is not funded */
    uint64_t items;         /* bit i: the declared thing at position i leaves; 0 where nothing is declared by name */
};

struct plan {
    enum app_preset preset;
    int32_t k;
    struct rational budget;                  /* ρ that the preset may spend of a month */
    struct rational rho;                     /* the sum of the families' */
    struct accounting_statement statement;   /* what that promises by day, month and 13 months */
    struct plan_family families[FAMILY_COUNT];
    struct plan_level levels[NUMBER_COUNT];  /* of the numbers that leave; else sigma2 is 0/1 */
};

/* The plan of app under preset with the threshold k (raised to the preset's least). Borrows app; *out keeps nothing of it. */
enum result plan_make(const struct app *app, enum app_preset preset, uint32_t k, struct plan *out, struct failure *why);

/* The ε at δ that a differentially private preset promises by month at most, and that δ. */
struct rational plan_epsilon(enum app_preset preset);
/* See plan_epsilon. */
struct rational plan_delta(void);

/* Why number does not leave in interval (one of its own); NULL: it does. Static. */
const char *plan_reason(const struct plan *plan, enum family_number number, enum family_interval interval);

/* Whether the cell of app called so leaves. item: position of the declared thing (ignored where number has none); n: as in
 * release.value, of those that the definition declares. app is the one of which the plan was made. */
bool plan_has_cell(const struct plan *plan, const struct app *app, enum family_number number, enum family_interval interval,
    int32_t item, int32_t n);

/* The number whose cell of the same item, period and n decides whether a cell of number is shown: itself for most. */
enum family_number plan_governor(enum family_number number);

/* The clamp of number's cells in its unit, for app; 0: it never leaves under a differentially private preset, or not of
 * this app. */
int64_t plan_clamp(const struct app *app, enum family_number number);

/* The level of number's cells from its family's σ² in units of clamp² (that of the plan that asks for most noise), a clamp
 * (1 or more) and the threshold k. RESULT_INVALID, RESULT_FULL if the noise exceeds what can be drawn. */
enum result plan_level(enum family_number number, struct rational sigma2, int64_t clamp, int32_t k, struct plan_level *out,
    struct failure *why);

#endif
