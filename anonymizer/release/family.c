#include "anonymizer/release/family.h"

#include <stddef.h>
#include <string.h>

struct family_row {
    const char *name;
    int64_t threshold_clamp, dp_clamp;
    enum family_choice choice;
    int64_t permille, l2_month, l2_day;
};

static const struct family_row families[FAMILY_COUNT] = {
#define FAMILY(id, name, threshold_clamp, dp_clamp, choice, permille, l2_month, l2_day) \
    [FAMILY_##id] = {name, threshold_clamp, dp_clamp, CHOICE_##choice, permille, l2_month, l2_day},
#define NUMBER(id, name, version, family, intervals, private, stage, unit, rule)
#include "anonymizer/release/families.def"
#undef FAMILY
#undef NUMBER
};

#define D (1u << INTERVAL_DAY)
#define W (1u << INTERVAL_WEEK)
#define M (1u << INTERVAL_MONTH)
#define R (1u << INTERVAL_ROLLING_7 | 1u << INTERVAL_ROLLING_28 | 1u << INTERVAL_ROLLING_30)
static const struct family_number_row numbers[NUMBER_COUNT] = {
#define FAMILY(id, name, threshold_clamp, dp_clamp, choice, permille, l2_month, l2_day)
#define NUMBER(id, name, version, family, intervals, private, stage, unit, rule) \
    [NUMBER_##id] = {name, version, FAMILY_##family, intervals, private, STAGE_##stage, unit, RULE_##rule},
#include "anonymizer/release/families.def"
#undef FAMILY
#undef NUMBER
};
#undef D
#undef W
#undef M
#undef R

static const char *const intervals[INTERVAL_COUNT] = {
    [INTERVAL_DAY] = "day",
    [INTERVAL_WEEK] = "week",
    [INTERVAL_MONTH] = "month",
    [INTERVAL_ROLLING_7] = "rolling_7",
    [INTERVAL_ROLLING_28] = "rolling_28",
    [INTERVAL_ROLLING_30] = "rolling_30",
};

const struct family_number_row *family_number(enum family_number number)
{
    return &numbers[number];
}

enum family_number family_number_named(const char *metric, enum family_interval interval)
{
    for (enum family_number i = 0; i < NUMBER_COUNT; i++)
        if ((numbers[i].intervals >> interval & 1u) != 0 && strcmp(numbers[i].metric, metric) == 0)
            return i;
    return NUMBER_COUNT;
}

const char *family_name(enum family_id family)
{
    return families[family].name;
}

const char *family_interval_name(enum family_interval interval)
{
    return intervals[interval];
}

enum family_interval family_interval_named(const char *name)
{
    enum family_interval i = 0;
    while (i < INTERVAL_COUNT && strcmp(intervals[i], name) != 0)
        i++;
    return i;
}

enum family_choice family_choice(enum family_id family)
{
    return families[family].choice;
}

int64_t family_clamp(enum family_id family, enum app_preset preset)
{
    switch (preset) {
    case APP_PRESET_EXACT:
        return INT64_MAX;
    case APP_PRESET_THRESHOLD:
        return families[family].threshold_clamp;
    case APP_PRESET_STRICT:
    case APP_PRESET_STANDARD:
    case APP_PRESET_SMALL:
        break;
    }
    return families[family].dp_clamp;
}

int64_t family_permille(enum family_id family)
{
    return families[family].permille;
}

int64_t family_l2_month(enum family_id family)
{
    return families[family].l2_month;
}

int64_t family_l2_day(enum family_id family)
{
    return families[family].l2_day;
}
