#include "service/catalogue/succession.h"

#include <string.h>

#include "service/catalogue/shape.h"

#define RULE "counted things keep their place and meaning; give a new one a new name"

/* The list that what an event counts for is declared in; completion is none. */
static const char *const lists[] = {
    [APP_USE_FEATURE] = "features",
    [APP_USE_SEGMENT] = "segments",
    [APP_USE_GOAL] = "goals",
    [APP_USE_START] = "completion",
    [APP_USE_DONE] = "completion",
    [APP_USE_STEP] = "funnels",
    [APP_USE_DIMENSION] = "dimensions",
    [APP_USE_MEASURE] = "measures",
    [APP_USE_PATH] = "paths",
    [APP_USE_ENTITY] = "entities",
};

static enum result fail_at(const char *list, size_t index, const char *member, struct failure *why)
{
    struct shape_place at = {.member = list};
    struct shape_place item = {.above = &at, .index = index};
    return shape_fail(&item, member, why, "differs: " RULE);
}

/* Lists of one name each: items lie `size` bytes apart. */
static enum result check_names(const char *list, const struct app_item *now, size_t now_count, const struct app_item *next,
    size_t next_count, size_t size, struct failure *why)
{
    for (size_t i = 0; i < now_count; i++) {
        struct shape_place at = {.member = list};
        struct shape_place item = {.above = &at, .index = i};
        if (i >= next_count)
            return shape_fail(&item, NULL, why, "is missing: " RULE);
        const struct app_item *before = (const void *)((const char *)now + i * size);
        const struct app_item *after = (const void *)((const char *)next + i * size);
        if (strcmp(before->name, after->name) != 0)
            return shape_fail(&item, "name", why, "differs: " RULE);
    }
    return RESULT_OK;
}

#define CHECK_NAMES(list, items, count) \
    check_names(list, (const struct app_item *)(const void *)now->items, now->count, \
        (const struct app_item *)(const void *)next->items, next->count, sizeof *now->items, why)

static enum result check_all_names(const struct app *now, const struct app *next, struct failure *why)
{
    enum result result = CHECK_NAMES("dimensions", dimensions, dimension_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("features", features, feature_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("segments", segments, segment_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("goals", goals, goal_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("funnels", funnels, funnel_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("measures", measures, measure_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("outcomes", outcomes, outcome_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("entities", entities, entity_count);
    if (result == RESULT_OK)
        result = CHECK_NAMES("paths", paths, path_count);
    return result;
}

/* What things are by themselves */

static enum result check_classes(const char *list, const struct app_dimension *now, const struct app_dimension *next,
    size_t count, struct failure *why)
{
    for (size_t i = 0; i < count; i++) {
        if (now[i].scope != next[i].scope)
            return fail_at(list, i, "at", why);
        for (size_t j = 0; j < now[i].count; j++) {
            if (j >= next[i].count || strcmp(now[i].values[j], next[i].values[j]) != 0)
                return fail_at(list, i, "values", why);
        }
    }
    return RESULT_OK;
}

static enum result check_funnels(const struct app *now, const struct app *next, struct failure *why)
{
    for (size_t i = 0; i < now->funnel_count; i++) {
        if (now->funnels[i].steps != next->funnels[i].steps)
            return fail_at("funnels", i, "steps", why);
        if (now->funnels[i].window_days != next->funnels[i].window_days)
            return fail_at("funnels", i, "window_days", why);
    }
    return RESULT_OK;
}

static enum result check_measures(const struct app *now, const struct app *next, struct failure *why)
{
    for (size_t i = 0; i < now->measure_count; i++) {
        if (strcmp(now->measures[i].unit, next->measures[i].unit) != 0)
            return fail_at("measures", i, "unit", why);
    }
    return RESULT_OK;
}

static bool same_tiers(const struct app_outcome *now, const struct app_outcome *next)
{
    if (now->tier_count != next->tier_count)
        return false;
    for (size_t i = 0; i < now->tier_count; i++) {
        if (strcmp(now->tiers[i].item.name, next->tiers[i].item.name) != 0
            || now->tiers[i].sessions_from != next->tiers[i].sessions_from)
            return false;
    }
    return true;
}

static enum result check_outcomes(const struct app *now, const struct app *next, struct failure *why)
{
    for (size_t i = 0; i < now->outcome_count; i++) {
        if (now->outcomes[i].measure != next->outcomes[i].measure)
            return fail_at("outcomes", i, "measure", why);
        if (now->outcomes[i].aggregate != next->outcomes[i].aggregate)
            return fail_at("outcomes", i, "aggregate", why);
        if (!same_tiers(&now->outcomes[i], &next->outcomes[i]))
            return fail_at("outcomes", i, "tiers", why);
    }
    return RESULT_OK;
}

/* What counts for them */

/* How many things of this kind an app declares. */
static size_t count_kind(const struct app *app, enum app_use_kind kind)
{
    switch (kind) {
    case APP_USE_FEATURE:
        return app->feature_count;
    case APP_USE_SEGMENT:
        return app->segment_count;
    case APP_USE_GOAL:
        return app->goal_count;
    case APP_USE_START:
    case APP_USE_DONE:
        return app->completion ? 1 : 0;
    case APP_USE_STEP:
        return app->funnel_count;
    case APP_USE_DIMENSION:
        return app->dimension_count;
    case APP_USE_MEASURE:
        return app->measure_count;
    case APP_USE_PATH:
        return app->path_count;
    case APP_USE_ENTITY:
        return app->entity_count;
    }
    return 0;
}

static enum result fail_use(const struct app_use *use, struct failure *why)
{
    static const char *const members[] = {
        [APP_USE_FEATURE] = "events",
        [APP_USE_STEP] = "steps",
        [APP_USE_DIMENSION] = "property",
        [APP_USE_MEASURE] = "property",
        [APP_USE_PATH] = "property",
        [APP_USE_ENTITY] = "property",
    };
    if (use->kind == APP_USE_START || use->kind == APP_USE_DONE)
        return shape_fail(NULL, lists[use->kind], why, "differs: " RULE);
    return fail_at(lists[use->kind], use->item, members[use->kind], why);
}

static bool has_use(const struct app_event *event, const struct app_use *use)
{
    for (size_t i = 0; i < event->use_count; i++) {
        const struct app_use *own = &event->uses[i];
        if (own->kind == use->kind && own->item == use->item && own->step == use->step && own->prop == use->prop
            && own->value == use->value)
            return true;
    }
    return false;
}

/* Without a list of events, every event that has the property is meant: also one that gets it later. */
static bool takes_new_events(enum app_use_kind kind)
{
    return kind == APP_USE_DIMENSION || kind == APP_USE_PATH || kind == APP_USE_ENTITY;
}

/* An event (`before`: as it was, NULL if it is new) counts for nothing else than before among the things of now. */
static enum result check_uses(const struct app *now, const struct app_event *before, const struct app_event *event,
    struct failure *why)
{
    for (size_t i = 0; before != NULL && i < before->use_count; i++) {
        if (!has_use(event, &before->uses[i]))
            return fail_use(&before->uses[i], why);
    }
    for (size_t i = 0; i < event->use_count; i++) {
        const struct app_use *use = &event->uses[i];
        bool is_new = before == NULL || (use->prop >= 0 && (size_t)use->prop >= before->prop_count);
        if (use->item >= count_kind(now, use->kind) || (before != NULL && has_use(before, use)))
            continue;
        if (!is_new || !takes_new_events(use->kind))
            return fail_use(use, why);
    }
    return RESULT_OK;
}

enum result succession_check(const struct app *now, const struct app *next, struct failure *why)
{
    enum result result = check_all_names(now, next, why);
    for (size_t i = 0; result == RESULT_OK && i < next->event_count; i++)
        result = check_uses(now, i < now->event_count ? &now->events[i] : NULL, &next->events[i], why);
    if (result == RESULT_OK)
        result = check_classes("dimensions", now->dimensions, next->dimensions, now->dimension_count, why);
    if (result == RESULT_OK)
        result = check_classes("paths", now->paths, next->paths, now->path_count, why);
    if (result == RESULT_OK)
        result = check_funnels(now, next, why);
    if (result == RESULT_OK)
        result = check_measures(now, next, why);
    if (result == RESULT_OK)
        result = check_outcomes(now, next, why);
    return result;
}
