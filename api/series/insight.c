#include "api/series/insight.h"

#include <math.h>
#include <stdlib.h>

#define LEVEL_WEIGHT 0.2
#define SLOPE_WEIGHT 0.02
#define DAMPING 0.9 /* of 0.8 to 0.98, what is usual: a beginning's slope is forgotten in three weeks, a lasting one is learned again */
#define SEASON_WEIGHT 0.15
#define SCALE_WEIGHT 0.1
#define BOUND 2.0        /* errors count as if they were not further off, in deviations: the paper's k */
#define BOUND_SCALE 2.52 /* the paper's c_k: that the scale is right for normal errors */
#define Z 1.959963984540054
#define FIRST_MAX ((size_t)INSIGHT_FIRST_ROUNDS * INSIGHT_SEASON_MAX)

struct smoother {
    size_t season;
    double level, slope;
    double seasons[INSIGHT_SEASON_MAX]; /* by place in the season */
    double scale2; /* variance of one step, noise included */
    double noise;
};

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The median of list[0 … count - 1], which is sorted by it; 0 for none. */
static double median(double *list, size_t count)
{
    if (count == 0)
        return 0;
    qsort(list, count, sizeof *list, compare);
    return (list[(count - 1) / 2] + list[count / 2]) / 2;
}

static size_t first_count(size_t season)
{
    return INSIGHT_FIRST_ROUNDS * (season == 1 ? 2 : season);
}

/* The median slope between known values whole seasons apart (H. Theil 1950, P. K. Sen 1968). count <= FIRST_MAX. */
static double median_slope(const struct insight_value *values, size_t count, size_t season)
{
    double slopes[FIRST_MAX * FIRST_MAX / 2];
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + season; j < count; j += season)
            if (values[i].known && values[j].known)
                slopes[found++] = (values[j].value - values[i].value) / (double)(j - i);
    return median(slopes, found);
}

/* The median of what is known of the values at places first, first + step, …, without the slope and what offset takes away. */
static double median_at(const struct insight_value *values, size_t count, size_t first, size_t step, double slope, double offset)
{
    double list[FIRST_MAX];
    size_t found = 0;
    for (size_t i = first; i < count; i += step)
        if (values[i].known)
            list[found++] = values[i].value - slope * (double)i - offset;
    return median(list, found);
}

/* How many of the values at first, first + step, … are known. */
static size_t known_at(const struct insight_value *values, size_t count, size_t first, size_t step)
{
    size_t found = 0;
    for (size_t i = first; i < count; i += step)
        found += values[i].known;
    return found;
}

/* The level at place -1, slope and season of the first values, and how far they lie off. */
static void begin(struct smoother *smoother, const struct insight_value *values, size_t count)
{
    double off[FIRST_MAX], mean = 0, noise = 0;
    size_t found = 0, season = smoother->season;
    smoother->slope = median_slope(values, count, season);
    double level = median_at(values, count, 0, 1, smoother->slope, 0);
    for (size_t place = 0; season > 1 && place < season; place++) {
        /* of one or two values an odd one would be the median */
        smoother->seasons[place] = known_at(values, count, place, season) < 3 ? 0
            : median_at(values, count, place, season, smoother->slope, level);
        mean += smoother->seasons[place] / (double)season;
    }
    for (size_t place = 0; season > 1 && place < season; place++)
        smoother->seasons[place] -= mean;
    level += mean;
    for (size_t i = 0; i < count; i++) {
        if (!values[i].known)
            continue;
        off[found++] = fabs(values[i].value - level - smoother->slope * (double)i - smoother->seasons[i % season]);
        noise += values[i].variance;
    }
    smoother->noise = found == 0 ? 0 : noise / (double)found;
    /* of so few values fitted by so many parameters the rest is too small; a step into the unknown is further off */
    double deviation = 1.4826 * median(off, found) * sqrt((double)INSIGHT_FIRST_ROUNDS / (INSIGHT_FIRST_ROUNDS - 1));
    smoother->scale2 = fmax(deviation * deviation, smoother->noise);
    smoother->level = level - DAMPING * smoother->slope;
}

/* What one step is off for other reasons than noise. */
static double history_of(const struct smoother *smoother)
{
    return fmax(smoother->scale2 - smoother->noise, 0);
}

static void learn(struct smoother *smoother, size_t place, const struct insight_value *value, double expected)
{
    double error = value->known ? value->value - expected : 0;
    double deviation = sqrt(smoother->scale2);
    if (value->known && deviation > 0) {
        double far = fmin(fabs(error) / deviation, BOUND) / BOUND;
        double rho = BOUND_SCALE * (1 - pow(1 - far * far, 3));
        smoother->scale2 *= 1 + SCALE_WEIGHT * (rho - 1);
        smoother->noise += SCALE_WEIGHT * (value->variance - smoother->noise);
        smoother->scale2 = fmax(smoother->scale2, smoother->noise);
        error = fmax(fmin(error, BOUND * deviation), -BOUND * deviation);
    } else if (value->known) {
        smoother->scale2 = error * error * SCALE_WEIGHT;
    }
    smoother->level += DAMPING * smoother->slope + LEVEL_WEIGHT * error;
    smoother->slope = DAMPING * smoother->slope + LEVEL_WEIGHT * SLOPE_WEIGHT * error;
    if (smoother->season > 1)
        smoother->seasons[place] += SEASON_WEIGHT * (1 - LEVEL_WEIGHT) * error;
}

static struct insight_step step_of(const struct smoother *smoother, const struct insight_value *value, double expected)
{
    struct insight_step step = {.scored = value->known, .expected = expected};
    step.deviation = sqrt(value->variance + history_of(smoother));
    double error = value->known ? value->value - expected : 0;
    if (step.deviation > 0)
        step.score = error / step.deviation;
    return step;
}

bool insight_read(const struct insight_value *values, size_t count, size_t season, struct insight_step *steps,
    struct insight_end *end)
{
    struct smoother smoother = {.season = season};
    size_t first = first_count(season), known = 0;
    if (season == 0 || season > INSIGHT_SEASON_MAX || count < first)
        return false;
    for (size_t i = 0; i < first; i++)
        known += values[i].known;
    if (3 * known < 2 * first)
        return false;
    begin(&smoother, values, first);
    for (size_t i = 0; i < count; i++) {
        double expected = smoother.level + DAMPING * smoother.slope + smoother.seasons[i % season];
        steps[i] = step_of(&smoother, &values[i], expected);
        steps[i].scored = steps[i].scored && i >= first;
        learn(&smoother, i % season, &values[i], expected);
    }
    *end = (struct insight_end){.season = season, .level = smoother.level, .drift = DAMPING * smoother.slope,
        .slope = median_slope(values + count - first, first, season), .history = history_of(&smoother), .noise = smoother.noise};
    for (size_t i = 0; i < season; i++)
        end->seasons[i] = smoother.seasons[(count + i) % season];
    return true;
}

void insight_forecast(const struct insight_end *end, size_t ahead, double *value, double *low, double *high)
{
    double grows = 1, drifts = 1; /* how many periods' drift there is so far ahead */
    for (size_t j = 1; j < ahead; j++) {
        double c = LEVEL_WEIGHT * (1 + SLOPE_WEIGHT * DAMPING * drifts);
        if (end->season > 1 && j % end->season == 0)
            c += SEASON_WEIGHT * (1 - LEVEL_WEIGHT);
        grows += c * c;
        drifts = 1 + DAMPING * drifts;
    }
    double expected = end->level + end->drift * drifts + end->seasons[(ahead - 1) % end->season];
    /* what is learned from is noisy too, so that all of one step's variance grows */
    double deviation = sqrt((end->history + end->noise) * grows);
    *value = fmax(expected, 0);
    *low = fmax(expected - Z * deviation, 0);
    *high = fmax(expected + Z * deviation, 0);
}
