#include "api/series/items.h"

#include <math.h>
#include <string.h>

bool items_are_named(enum metric_list list)
{
    return list != METRIC_LIST_NONE && list != METRIC_LIST_COMPLETION;
}

const struct app_item *items_at(const struct app *app, enum metric_list list, size_t position)
{
    switch (list) {
    case METRIC_LIST_NONE:
    case METRIC_LIST_COMPLETION:
        return NULL;
    case METRIC_LIST_DIMENSIONS:
    case METRIC_LIST_SESSION_DIMENSIONS:
        return position < app->dimension_count ? &app->dimensions[position].item : NULL;
    case METRIC_LIST_FEATURES:
        return position < app->feature_count ? &app->features[position] : NULL;
    case METRIC_LIST_SEGMENTS:
        return position < app->segment_count ? &app->segments[position] : NULL;
    case METRIC_LIST_GOALS:
        return position < app->goal_count ? &app->goals[position] : NULL;
    case METRIC_LIST_FUNNELS:
        return position < app->funnel_count ? &app->funnels[position].item : NULL;
    case METRIC_LIST_MEASURES:
        return position < app->measure_count ? &app->measures[position].item : NULL;
    case METRIC_LIST_OUTCOMES:
        return position < app->outcome_count ? &app->outcomes[position].item : NULL;
    case METRIC_LIST_ENTITIES:
        return position < app->entity_count ? &app->entities[position] : NULL;
    case METRIC_LIST_PATHS:
        return position < app->path_count ? &app->paths[position].item : NULL;
    }
    return NULL;
}

bool items_is(const struct app *app, enum metric_list list, size_t position)
{
    if (list == METRIC_LIST_DIMENSIONS)
        return app->dimensions[position].scope == APP_SCOPE_EVENTS;
    if (list == METRIC_LIST_SESSION_DIMENSIONS)
        return app->dimensions[position].scope != APP_SCOPE_EVENTS;
    return true;
}

bool items_any(const struct app *app, enum metric_list list)
{
    if (!items_are_named(list))
        return list == METRIC_LIST_NONE || app->completion;
    for (size_t i = 0; items_at(app, list, i) != NULL; i++) {
        if (items_is(app, list, i))
            return true;
    }
    return false;
}

int32_t items_find(const struct app *app, enum metric_list list, const char *name)
{
    const struct app_item *item;
    for (size_t i = 0; (item = items_at(app, list, i)) != NULL; i++) {
        if (strcmp(item->name, name) == 0)
            return items_is(app, list, i) ? (int32_t)i : -1;
    }
    return -1;
}

const struct app_dimension *items_classes(const struct app *app, enum metric_list list, int32_t position)
{
    if (position < 0)
        return NULL;
    if (list == METRIC_LIST_PATHS)
        return (size_t)position < app->path_count ? &app->paths[position] : NULL;
    if (list != METRIC_LIST_DIMENSIONS && list != METRIC_LIST_SESSION_DIMENSIONS)
        return NULL;
    return (size_t)position < app->dimension_count ? &app->dimensions[position] : NULL;
}

const char *items_class_name(const struct app_dimension *dimension, int32_t class)
{
    return class >= 0 && (size_t)class < dimension->count ? dimension->values[class] : "other";
}

double items_most(const struct app_measure *measure)
{
    return floor((measure->max - measure->min) / measure->step + 0.5);
}
