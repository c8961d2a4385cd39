#include "api/series/interval.h"

#include <math.h>

#define Z2 3.841458820694124 /* the square of the two-sided 5 % point of the standard normal distribution */

static bool is_sound(struct interval_value a)
{
    return isfinite(a.value) && isfinite(a.variance) && a.variance >= 0;
}

static bool give(double middle, double half, double *low, double *high)
{
    if (!isfinite(middle) || !isfinite(half))
        return false;
    *low = middle - half;
    *high = middle + half;
    return true;
}

/* Of above/below whose noises have this covariance: R²·lead - 2·R·middle + a² - z²·va <= 0, an interval only if lead > 0. */
static bool fieller(struct interval_value above, struct interval_value below, double covariance, double *low, double *high)
{
    double a = above.value;
    double b = below.value;
    double lead = b * b - Z2 * below.variance;
    if (!(lead > 0))
        return false;
    double middle = a * b - Z2 * covariance;
    /* middle² - lead·(a² - z²·va) without the terms that cancel, and would take the digits with them. */
    double inner = a * a * below.variance + above.variance * lead - 2 * a * b * covariance + Z2 * covariance * covariance;
    return give(middle / lead, sqrt(Z2 * fmax(inner, 0)) / lead, low, high);
}

bool interval_of_ratio(struct interval_value above, struct interval_value below, double *low, double *high)
{
    return is_sound(above) && is_sound(below) && fieller(above, below, 0, low, high);
}

bool interval_of_part(struct interval_value part, struct interval_value rest, double *low, double *high)
{
    const struct interval_value whole = {part.value + rest.value, part.variance + rest.variance};
    return is_sound(part) && is_sound(rest) && fieller(part, whole, part.variance, low, high);
}

bool interval_of_difference(struct interval_value above, struct interval_value below, double *low, double *high)
{
    if (!is_sound(above) || !is_sound(below))
        return false;
    return give(above.value - below.value, sqrt(Z2 * (above.variance + below.variance)), low, high);
}
