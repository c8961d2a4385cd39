/*
 * Accounting: what releases cost a person, in zero-concentrated differential privacy (M. Bun, T. Steinke 2016): noise of
 * variance σ² on a vector of which one unit changes at most L2² costs ρ = L2²/(2σ²), exactly; costs add up. Sums are kept in
 * whole units of 10^-12, each addend rounded up, so that they are exact decimals of at most ACCOUNTING_PLACES places, never too
 * small, and fit 64 bits up to 18 million; beyond, adding fails.
 *
 * One guarantee has one delta, however many costs its rho sums; deltas of separate guarantees add up.
 *
 * Sees:     parameters of a plan; nothing of a person.
 * Uses:     rational.h, sigma2.h, epsilon.h for what it is called; integers only.
 * Threads:  pure functions.
 * Failure:  RESULT_INVALID, RESULT_FULL as rational.h; outputs are untouched on failure.
 */
#ifndef THRONG_RELEASE_ACCOUNTING_H
#define THRONG_RELEASE_ACCOUNTING_H

#include "anonymizer/release/rational.h"

#define ACCOUNTING_PLACES 12                     /* decimals of a rho that is stored */
#define ACCOUNTING_UNIT UINT64_C(1000000000000)  /* of them in 1 */
#define ACCOUNTING_SIGMA2_UNIT 1000              /* a planned σ² has three decimals, unless it is too large for them */
#define ACCOUNTING_LONG_MONTHS 13                /* the long span that is shown beside a month */

/* Something released: the most that one unit (a person's month, or day) changes in it as a squared L2 distance, and its noise. */
struct accounting_charge {
    uint64_t l2_squared;
    struct rational sigma2;
};

/* What one unit is promised: (epsilon, delta)-DP, from rho. */
struct accounting_guarantee {
    struct rational rho, epsilon, delta;
};

/* What is shown together: by a person's day, calendar month, and ACCOUNTING_LONG_MONTHS of them. */
struct accounting_statement {
    struct accounting_guarantee day, month, months;
};

/* The cost of one charge, exactly: l2_squared/(2·sigma2). */
enum result accounting_rho(const struct accounting_charge *charge, struct rational *out, struct failure *why);

/* rho rounded up to what is stored and summed. */
enum result accounting_stored(struct rational rho, struct rational *out, struct failure *why);

/* a + b, each as accounting_stored rounds it. RESULT_FULL beyond 64 bits of units. */
enum result accounting_add(struct rational a, struct rational b, struct rational *out, struct failure *why);

/* The cost of charges[0..n-1] together, each rounded as accounting_stored does; 0 for none. */
enum result accounting_total(const struct accounting_charge *charges, size_t n, struct rational *out, struct failure *why);

/* The cost of count equal units one after another: rho as accounting_stored, times count. */
enum result accounting_times(struct rational rho, uint64_t count, struct rational *out, struct failure *why);

/* The share of rho, as a percentage, rounded down to whole units: what a family may spend. percent <= 100. */
enum result accounting_share(struct rational rho, struct rational percent, struct rational *out, struct failure *why);

/* The least σ² that keeps a cost of l2_squared (1 or more) within rho: rounded up to three decimals (whole, if its terms
 * would exceed SIGMA2_MAX), and at least SIGMA2_MIN. RESULT_FULL if the bounds do not hold it. */
enum result accounting_sigma2(uint64_t l2_squared, struct rational rho, struct rational *out, struct failure *why);

/* The rho that (epsilon, delta) buys, rounded down to whole units. */
enum result accounting_budget(struct rational epsilon, struct rational delta, struct rational *out, struct failure *why);

/* What rho (stored first) is at delta. */
enum result accounting_guarantee(struct rational rho, struct rational delta, struct accounting_guarantee *out,
    struct failure *why);

/* What is promised by day and by month, of the costs of all that a person's day and month can change, each at delta. */
enum result accounting_statement(struct rational rho_day, struct rational rho_month, struct rational delta,
    struct accounting_statement *out, struct failure *why);

/* The delta of two separate guarantees together, exactly. RESULT_INVALID if that is 1 or more. */
enum result accounting_delta(struct rational a, struct rational b, struct rational *out, struct failure *why);

#endif
