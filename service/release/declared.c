#include "service/release/declared.h"

#include <math.h>

/* Things in a list of an app, each beginning with its struct app_item. */
struct list {
    const void *first;
    size_t count, each_bytes;
};

#define LIST(array, count) ((struct list){(array), (count), sizeof *(array)})

static struct list list_of(const struct app *app, enum family_id family)
{
    static const struct app_item nameless; /* completion */
    switch (family) {
    case FAMILY_DIMENSIONS:
    case FAMILY_SESSION_DIMENSIONS:
        return LIST(app->dimensions, app->dimension_count);
    case FAMILY_FEATURES:
        return LIST(app->features, app->feature_count);
    case FAMILY_SEGMENTS:
        return LIST(app->segments, app->segment_count);
    case FAMILY_GOALS:
        return LIST(app->goals, app->goal_count);
    case FAMILY_COMPLETION:
        return LIST(&nameless, app->completion ? 1 : 0);
    case FAMILY_FUNNELS:
        return LIST(app->funnels, app->funnel_count);
    case FAMILY_MEASURES:
        return LIST(app->measures, app->measure_count);
    case FAMILY_OUTCOMES:
        return LIST(app->outcomes, app->outcome_count);
    case FAMILY_PATHS:
        return LIST(app->paths, app->path_count);
    case FAMILY_ENTITIES:
        return LIST(app->entities, app->entity_count);
    case FAMILY_ACTIVE:
    case FAMILY_NEW:
    case FAMILY_RETENTION:
    case FAMILY_LAST_ACTIVE:
    case FAMILY_ROLLING:
    case FAMILY_EVENTS:
    case FAMILY_VISITORS:
    case FAMILY_SESSIONS:
    case FAMILY_DURATIONS:
    case FAMILY_COUNT:
        break;
    }
    return (struct list){0};
}

bool declared_has_items(enum family_number number)
{
    /* Of the empty app a family without a list has no size of an element either. */
    static const struct app none;
    return list_of(&none, family_number(number)->family).each_bytes != 0;
}

int32_t declared_items(const struct app *app, enum family_number number)
{
    return (int32_t)list_of(app, family_number(number)->family).count;
}

const char *declared_name(const struct app *app, enum family_number number, int32_t item)
{
    struct list list = list_of(app, family_number(number)->family);
    if (item < 0 || (size_t)item >= list.count)
        return "";
    const void *at = (const char *)list.first + (size_t)item * list.each_bytes;
    const struct app_item *found = at;
    return found->name;
}

int32_t declared_split(const struct app *app, enum family_id family)
{
    bool split = family == FAMILY_DIMENSIONS || family == FAMILY_SESSION_DIMENSIONS || family == FAMILY_FUNNELS ||
        family == FAMILY_MEASURES || family == FAMILY_OUTCOMES || family == FAMILY_PATHS;
    return split ? (int32_t)list_of(app, family).count : -1;
}

int64_t declared_steps(const struct app_measure *measure)
{
    return llround((measure->max - measure->min) / measure->step);
}

/* Bins of values 0 … most: [0] is 0, [i] is 2^(i-1) to below 2^i. */
static int32_t bins_of(int64_t most)
{
    int32_t bins = 1;
    for (; most > 0; most /= 2)
        bins++;
    return bins;
}

static size_t ascending(int32_t n[], int32_t first, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        n[i] = first + i;
    return (size_t)count;
}

static size_t classes(const struct app_dimension *dimension, int32_t n[])
{
    size_t count = ascending(n, 0, (int32_t)dimension->count);
    if (dimension->has_other)
        n[count++] = DIMENSION_VALUES_MAX;
    return count;
}

static size_t pairs(const struct app_dimension *path, int32_t n[])
{
    int32_t class[DIMENSION_VALUES_MAX + 1];
    size_t classes_met = classes(path, class), count = 0;
    for (size_t from = 0; from < classes_met; from++)
        for (size_t to = 0; to < classes_met; to++)
            if (from != to)
                n[count++] = class[from] * DECLARED_PAIR + class[to];
    return count;
}

static size_t tiers(const struct app *app, const struct app_outcome *outcome, bool bins, int32_t n[])
{
    int32_t count = outcome->tier_count == 0 ? 1 : (int32_t)outcome->tier_count;
    if (!bins)
        return ascending(n, 0, count);
    int64_t most = declared_steps(&app->measures[outcome->measure]);
    int32_t each = bins_of(outcome->aggregate == APP_AGGREGATE_SUM ? 1000 * most : most);
    size_t all = 0;
    for (int32_t tier = 0; tier < count; tier++)
        all += ascending(n + all, tier * DECLARED_PAIR, each);
    return all;
}

size_t declared_cells(const struct app *app, enum family_number number, int32_t item, int32_t n[DECLARED_CELLS_MAX])
{
    enum family_id family = family_number(number)->family;
    if (family == FAMILY_DIMENSIONS || family == FAMILY_SESSION_DIMENSIONS) {
        const struct app_dimension *dimension = &app->dimensions[item];
        bool of_events = dimension->scope == APP_SCOPE_EVENTS;
        return of_events == (family == FAMILY_DIMENSIONS) ? classes(dimension, n) : 0;
    }
    if (family == FAMILY_PATHS)
        return pairs(&app->paths[item], n);
    if (family == FAMILY_FUNNELS)
        return ascending(n, 0, (int32_t)app->funnels[item].steps);
    if (family == FAMILY_OUTCOMES)
        return tiers(app, &app->outcomes[item], number == NUMBER_OUTCOME_BINS, n);
    if (number == NUMBER_MEASURE_BINS)
        return ascending(n, 0, bins_of(declared_steps(&app->measures[item])));
    return ascending(n, -1, 1);
}

size_t declared_cells_a_day(const struct app *app)
{
    size_t daily = 0, weekly = 0, monthly = 0;
    int32_t n[DECLARED_CELLS_MAX];
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        for (int32_t item = 0; item < declared_items(app, number); item++) {
            size_t count = declared_cells(app, number, item, n);
            uint32_t intervals = family_number(number)->intervals;
            daily += intervals >> INTERVAL_DAY & 1u ? count : 0;
            weekly += intervals >> INTERVAL_WEEK & 1u ? count : 0;
            monthly += intervals >> INTERVAL_MONTH & 1u ? count : 0;
        }
    return 1 + daily + weekly / 7 + monthly / 30;
}
