/*
 * App definitions: a text either is refused with an explanation, or compiles to an app whose events, values and routes are
 * found where they are declared, and which may follow itself.
 */
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_prop(const struct app_event *event, size_t index)
{
    const struct app_prop *prop = &event->props[index];
    require(definition_find_prop(event, prop->name) == (int)index);
    for (size_t i = 0; i < prop->count; i++)
        require(definition_find_value(prop, prop->values[i]) == (int)i);
    if (prop->type == APP_PROP_NUMBER)
        require(prop->min < prop->max && (prop->max - prop->min) / prop->step <= 1e9);
}

static void check_use(const struct app *app, const struct app_event *event, const struct app_use *use)
{
    const size_t counts[] = {
        [APP_USE_FEATURE] = app->feature_count,
        [APP_USE_SEGMENT] = app->segment_count,
        [APP_USE_GOAL] = app->goal_count,
        [APP_USE_START] = 1,
        [APP_USE_DONE] = 1,
        [APP_USE_STEP] = app->funnel_count,
        [APP_USE_DIMENSION] = app->dimension_count,
        [APP_USE_MEASURE] = app->measure_count,
        [APP_USE_PATH] = app->path_count,
        [APP_USE_ENTITY] = app->entity_count,
    };
    require(use->item < counts[use->kind] && use->prop < (int)event->prop_count);
    if (use->kind == APP_USE_STEP)
        require(use->step < app->funnels[use->item].steps && app->funnels[use->item].labels[use->step] != NULL);
    if (use->kind >= APP_USE_DIMENSION)
        require(use->prop >= 0);
    for (size_t i = 0; i < use->class_count; i++)
        require(use->classes[i] <= DIMENSION_VALUES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct app app;
    struct failure why = {0};
    if (definition_parse((const char *)data, size, &app, &why) != RESULT_OK) {
        require(why.text[0] != '\0');
        return 0;
    }
    for (size_t i = 0; i < app.event_count; i++) {
        require(definition_find_event(&app, app.events[i].name) == (int)i);
        for (size_t j = 0; j < app.events[i].prop_count; j++)
            check_prop(&app.events[i], j);
        for (size_t j = 0; j < app.events[i].use_count; j++)
            check_use(&app, &app.events[i], &app.events[i].uses[j]);
    }
    for (size_t i = 0; i < app.route_count; i++)
        require(definition_find_route(&app, app.routes[i]) == (int)i);
    require(definition_check_successor(&app, &app, &why) == RESULT_OK);
    definition_free(&app);
    return 0;
}
