#include "anonymizer/release/cell.h"

#include "anonymizer/release/threshold.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A half width relative to the value, in integers. */
static enum cell_reliability reliability_of(int64_t half, int64_t value)
{
    if (half <= value / 20)
        return CELL_HIGH;
    return half <= value / 5 ? CELL_MEDIUM : CELL_LOW;
}

static struct released rounded(int64_t value, int64_t step)
{
    if (step == 1)
        return (struct released){.value = value, .low = value, .high = value, .reliability = CELL_EXACT};
    int64_t nearest = (value + step / 2) / step * step;
    int64_t low = nearest - step / 2;
    return (struct released){
        .value = nearest,
        .low = low < 0 ? 0 : low,
        .high = low + step - 1,
        .reliability = reliability_of(step / 2, nearest),
    };
}

struct released cell_suppressed(void)
{
    return (struct released){.suppressed = true, .reliability = CELL_SUPPRESSED};
}

/* A second's rounding is 5000 ms, but what is not rounded stays to the millisecond. */
static int64_t step_of(const struct policy *policy, enum family_number number)
{
    return policy->rounding == 1 ? 1 : policy->rounding * family_number(number)->unit;
}

enum result cell_release(const struct policy *policy, const struct noise_source *source, enum family_number number,
    const struct cell *cell, struct released *out, struct failure *why)
{
    const struct family_number_row *row = family_number(number);
    int64_t step = step_of(policy, number);
    if (cell->value < 0 || cell->people < 0 || cell->value > INT64_MAX - step) {
        failure_set(why, row->metric, "a cell is negative or out of range");
        return RESULT_INVALID;
    }
    int64_t value = 0;
    enum result result = noise_apply(policy, source, cell->value, &value, why);
    if (result != RESULT_OK)
        return result;
    int64_t people = row->rule == RULE_AMOUNT ? cell->people : least(cell->people, cell->value);
    if (policy->protection != PROTECTION_NONE && people < policy->k)
        *out = cell_suppressed();
    else
        *out = rounded(value, step);
    return RESULT_OK;
}

/* The value and its interval; RESULT_FULL if an end does not fit. */
static enum result spread(int64_t value, int64_t half, struct released *out, struct failure *why)
{
    struct released spread = {.value = value, .reliability = reliability_of(half, value)};
    if (__builtin_sub_overflow(value, half, &spread.low) || __builtin_add_overflow(value, half, &spread.high)) {
        failure_set(why, "noise", "an interval does not fit");
        return RESULT_FULL;
    }
    *out = spread;
    return RESULT_OK;
}

enum result cell_protect(const struct plan_level *level, const struct noise_source *source, enum family_number number,
    const struct cell *cell, const struct released *governor, struct released *out, struct failure *why)
{
    bool governed = plan_governor(number) != number;
    if (cell->value < 0 || governed != (governor != NULL)) {
        failure_set(why, family_number(number)->metric, "a cell is negative, or released without the one that governs it");
        return RESULT_INVALID;
    }
    int64_t noisy;
    enum result result = noise_add(source, level->sigma2, cell->value, &noisy, why);
    if (result != RESULT_OK)
        return result;
    if (governed ? governor->suppressed : noisy < level->tau) {
        *out = cell_suppressed();
        return RESULT_OK;
    }
    return spread(noisy, level->half_width, out, why);
}

enum result cell_again(const struct policy *policy, enum family_number number, struct rational sigma2, int64_t value,
    struct released *out, struct failure *why)
{
    if (sigma2.numerator == 0) {
        *out = rounded(value, step_of(policy, number));
        return RESULT_OK;
    }
    int64_t half = 0;
    enum result result = threshold_half_width(sigma2, &half, why);
    return result == RESULT_OK ? spread(value, half, out, why) : result;
}

void cell_complement(const struct policy *policy, struct released *one, struct released *other)
{
    if (!policy->complementary || one->suppressed == other->suppressed)
        return;
    *one = cell_suppressed();
    *other = cell_suppressed();
}

void cell_complement_parts(const struct policy *policy, struct released *const parts[], size_t count)
{
    size_t suppressed = 0;
    struct released *smallest = NULL;
    for (size_t i = 0; i < count; i++) {
        if (parts[i]->suppressed)
            suppressed++;
        else if (smallest == NULL || parts[i]->value < smallest->value)
            smallest = parts[i];
    }
    if (policy->complementary && suppressed == 1 && smallest != NULL)
        *smallest = cell_suppressed();
}

const char *cell_reliability_name(enum cell_reliability reliability)
{
    static const char *const names[] = {
        [CELL_EXACT] = "exact",
        [CELL_HIGH] = "high",
        [CELL_MEDIUM] = "medium",
        [CELL_LOW] = "low",
        [CELL_SUPPRESSED] = "suppressed",
    };
    return names[reliability];
}
