#include "anonymizer/release/epsilon.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

_Static_assert(LDBL_MANT_DIG >= 64, "the margins are made for long double of at least 64 bits");

#define MARGIN 0x1p-52L
#define HALVINGS 200 /* of the logarithm of α - 1, between these: */
#define LOG_MIN -100.0L
#define LOG_MAX 200.0L
#define PARAMETER_MAX 1000000
#define EPSILON_UNIT 1000000 /* 10 to the EPSILON_PLACES */

/* α is carried as β = α - 1, which is exact where α is near 1: α·ln(1-1/α) - ln(α-1) = -(1+β)·ln(1+1/β) - ln β. */
static long double log_ratio(long double beta)
{
    return log1pl(1 / beta);
}

/* The β where a rising function crosses 0, or the end it is nearest to. */
static long double crossing(bool (*above)(long double beta, long double a, long double b), long double a, long double b)
{
    long double low = LOG_MIN;
    long double high = LOG_MAX;
    for (int i = 0; i < HALVINGS; i++) {
        long double middle = (low + high) / 2;
        if (above(expl(middle), a, b))
            high = middle;
        else
            low = middle;
    }
    return expl((low + high) / 2);
}

/* Whether ε as a function of α rises at β: β² times its derivative. */
static bool epsilon_rises(long double beta, long double rho, long double log_inverse_delta)
{
    return rho * beta * beta + log_ratio(beta) + logl(beta) - log_inverse_delta > 0;
}

/* Whether ln δ as a function of α rises at β. */
static bool delta_rises(long double beta, long double rho, long double epsilon)
{
    return (2 * beta + 1) * rho - epsilon - log_ratio(beta) > 0;
}

static long double upper_epsilon(long double rho, long double delta)
{
    long double log_inverse_delta = -logl(delta);
    long double beta = crossing(epsilon_rises, rho, log_inverse_delta);
    long double first = (1 + beta) * rho;
    long double second = (1 + beta) * log_ratio(beta);
    long double third = logl(beta);
    long double value = first + (log_inverse_delta - second - third) / beta;
    long double sizes = first + (fabsl(log_inverse_delta) + second + fabsl(third)) / beta;
    value += sizes * MARGIN;
    return value > 0 ? value : 0;
}

double epsilon_bound(double rho, double delta)
{
    /* Rounding to nearest takes away half of the margin at most. */
    return (double)upper_epsilon(rho, delta);
}

double epsilon_delta_bound(double rho, double epsilon)
{
    long double beta = crossing(delta_rises, rho, epsilon);
    long double first = beta * (1 + beta) * rho;
    long double second = beta * epsilon;
    long double third = (1 + beta) * log_ratio(beta);
    long double fourth = logl(beta);
    long double sizes = first + second + third + fabsl(fourth) + 1;
    long double value = expl(first - second - third - fourth) * (1 + sizes * MARGIN);
    /* A value that is too small for a double is no 0. */
    return value < 1 ? nextafter((double)value, 1) : 1;
}

static double lower_rho(long double epsilon, long double delta)
{
    /* low is safe at every step; where high is too small a start, the answer is only smaller than it could be. */
    long double low = 0;
    long double high = epsilon + 1;
    for (int i = 0; i < HALVINGS; i++) {
        long double middle = (low + high) / 2;
        if (middle > 0 && upper_epsilon(middle, delta) <= epsilon)
            low = middle;
        else
            high = middle;
    }
    return nextafter((double)low, 0);
}

double epsilon_rho_bound(double epsilon, double delta)
{
    return lower_rho(epsilon, delta);
}

static long double value_of(struct rational a)
{
    return (long double)a.numerator / (long double)a.denominator;
}

static enum result check(struct rational a, struct rational delta, struct failure *why)
{
    if (a.denominator == 0 || rational_compare(a, (struct rational){PARAMETER_MAX, 1}) > 0) {
        failure_set(why, "epsilon", "epsilon and rho must be at most %d", PARAMETER_MAX);
        return RESULT_INVALID;
    }
    if (delta.numerator == 0 || delta.numerator >= delta.denominator) {
        failure_set(why, "delta", "must be above 0 and below 1");
        return RESULT_INVALID;
    }
    return RESULT_OK;
}

enum result epsilon_of_rho(struct rational rho, struct rational delta, struct rational *out, struct failure *why)
{
    enum result result = check(rho, delta, why);
    if (result != RESULT_OK)
        return result;
    if (rho.numerator == 0) {
        *out = (struct rational){0, 1};
        return RESULT_OK;
    }
    long double value = ceill(upper_epsilon(value_of(rho), value_of(delta)) * EPSILON_UNIT);
    return rational_make((rational_wide)value, EPSILON_UNIT, out, why);
}

enum result epsilon_to_rho(struct rational epsilon, struct rational delta, uint64_t unit, struct rational *out,
    struct failure *why)
{
    enum result result = check(epsilon, delta, why);
    if (result != RESULT_OK)
        return result;
    if (epsilon.numerator == 0 || unit == 0) {
        failure_set(why, "epsilon", "must be above 0");
        return RESULT_INVALID;
    }
    /* The margin inside upper_epsilon covers what the two divisions lose. */
    long double value = floorl((long double)lower_rho(value_of(epsilon), value_of(delta)) * (long double)unit);
    if (value >= 0x1p64L) {
        failure_set(why, "epsilon", "rho does not fit its unit");
        return RESULT_FULL;
    }
    return rational_make((rational_wide)value, unit, out, why);
}
