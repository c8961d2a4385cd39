#include "anonymizer/release/accounting.h"

#include "anonymizer/release/epsilon.h"
#include "anonymizer/release/sigma2.h"

enum result accounting_rho(const struct accounting_charge *charge, struct rational *out, struct failure *why)
{
    enum result result = sigma2_check(charge->sigma2, why);
    if (result != RESULT_OK)
        return result;
    return rational_make((rational_wide)charge->l2_squared * charge->sigma2.denominator,
        (rational_wide)2 * charge->sigma2.numerator, out, why);
}

enum result accounting_stored(struct rational rho, struct rational *out, struct failure *why)
{
    return rational_round(rho, ACCOUNTING_UNIT, RATIONAL_UP, out, why);
}

enum result accounting_add(struct rational a, struct rational b, struct rational *out, struct failure *why)
{
    struct rational sum;
    enum result result = accounting_stored(a, &a, why);
    if (result == RESULT_OK)
        result = accounting_stored(b, &b, why);
    if (result == RESULT_OK)
        result = rational_add(a, b, &sum, why);
    /* Changes nothing but to refuse what can no more be counted in units. */
    return result == RESULT_OK ? accounting_stored(sum, out, why) : result;
}

enum result accounting_total(const struct accounting_charge *charges, size_t n, struct rational *out, struct failure *why)
{
    struct rational total = {0, 1};
    for (size_t i = 0; i < n; i++) {
        struct rational rho;
        enum result result = accounting_rho(&charges[i], &rho, why);
        if (result == RESULT_OK)
            result = accounting_add(total, rho, &total, why);
        if (result != RESULT_OK)
            return result;
    }
    *out = total;
    return RESULT_OK;
}

enum result accounting_times(struct rational rho, uint64_t count, struct rational *out, struct failure *why)
{
    struct rational stored;
    enum result result = accounting_stored(rho, &stored, why);
    if (result == RESULT_OK)
        result = rational_multiply(stored, (struct rational){count, 1}, &stored, why);
    return result == RESULT_OK ? accounting_stored(stored, out, why) : result;
}

enum result accounting_share(struct rational rho, struct rational percent, struct rational *out, struct failure *why)
{
    if (percent.denominator == 0 || rational_compare(percent, (struct rational){100, 1}) > 0) {
        failure_set(why, "share", "must be at most 100");
        return RESULT_INVALID;
    }
    struct rational share;
    enum result result = rational_divide(percent, (struct rational){100, 1}, &share, why);
    if (result == RESULT_OK)
        result = rational_multiply(rho, share, &share, why);
    return result == RESULT_OK ? rational_round(share, ACCOUNTING_UNIT, RATIONAL_DOWN, out, why) : result;
}

enum result accounting_sigma2(uint64_t l2_squared, struct rational rho, struct rational *out, struct failure *why)
{
    if (l2_squared == 0 || rho.numerator == 0 || rho.denominator == 0) {
        failure_set(why, "rho", "a variance needs a sensitivity and a budget above 0");
        return RESULT_INVALID;
    }
    rational_wide numerator = (rational_wide)l2_squared * rho.denominator;
    rational_wide denominator = (rational_wide)rho.numerator * 2;
    for (uint64_t unit = ACCOUNTING_SIGMA2_UNIT; unit >= 1; unit /= ACCOUNTING_SIGMA2_UNIT) {
        rational_wide scaled;
        if (__builtin_mul_overflow(numerator, (rational_wide)unit, &scaled))
            continue;
        rational_wide count = scaled / denominator + (scaled % denominator == 0 ? 0 : 1);
        if (count > SIGMA2_MAX)
            continue;
        if (count < SIGMA2_MIN * unit)
            count = SIGMA2_MIN * unit;
        return rational_make(count, unit, out, why);
    }
    failure_set(why, "rho", "the noise for so small a budget exceeds what can be drawn");
    return RESULT_FULL;
}

enum result accounting_budget(struct rational epsilon, struct rational delta, struct rational *out, struct failure *why)
{
    return epsilon_to_rho(epsilon, delta, ACCOUNTING_UNIT, out, why);
}

enum result accounting_guarantee(struct rational rho, struct rational delta, struct accounting_guarantee *out,
    struct failure *why)
{
    struct accounting_guarantee guarantee = {.delta = delta};
    enum result result = accounting_stored(rho, &guarantee.rho, why);
    if (result == RESULT_OK)
        result = epsilon_of_rho(guarantee.rho, delta, &guarantee.epsilon, why);
    if (result == RESULT_OK)
        *out = guarantee;
    return result;
}

enum result accounting_statement(struct rational rho_day, struct rational rho_month, struct rational delta,
    struct accounting_statement *out, struct failure *why)
{
    struct accounting_statement statement;
    struct rational rho_months;
    enum result result = accounting_times(rho_month, ACCOUNTING_LONG_MONTHS, &rho_months, why);
    if (result == RESULT_OK)
        result = accounting_guarantee(rho_day, delta, &statement.day, why);
    if (result == RESULT_OK)
        result = accounting_guarantee(rho_month, delta, &statement.month, why);
    if (result == RESULT_OK)
        result = accounting_guarantee(rho_months, delta, &statement.months, why);
    if (result == RESULT_OK)
        *out = statement;
    return result;
}

enum result accounting_delta(struct rational a, struct rational b, struct rational *out, struct failure *why)
{
    struct rational sum;
    enum result result = rational_add(a, b, &sum, why);
    if (result != RESULT_OK)
        return result;
    if (sum.numerator >= sum.denominator) {
        failure_set(why, "delta", "must be below 1 in all");
        return RESULT_INVALID;
    }
    *out = sum;
    return RESULT_OK;
}
