#include "service/catalogue/counting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"
#include "service/catalogue/shape.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])
#define NAME {"name", SHAPE_NAME, true, 0, 0, NULL}
#define TITLE {"title", SHAPE_TEXT, false, 1, 200, NULL}
#define TYPE_BIT(type) (1u << (type))
#define OTHER "other"

static const char *const aggregates[] = {
    [APP_AGGREGATE_MEAN] = "mean",
    [APP_AGGREGATE_SUM] = "sum",
    [APP_AGGREGATE_MAX] = "max",
    [APP_AGGREGATE_LAST] = "last",
    NULL,
};
/* From APP_SCOPE_ENTRY on. */
static const char *const scopes[] = {"entry", "exit", NULL};
static const char *const boolean_values[] = {"false", "true"};

static const struct shape_member dimension_members[] = {
    NAME,
    TITLE,
    {"property", SHAPE_NAME, true, 0, 0, NULL},
    {"events", SHAPE_NAMES, false, 1, APP_EVENTS_MAX, NULL},
    {"values", SHAPE_TEXTS, false, 1, DIMENSION_VALUES_MAX, NULL},
    {"at", SHAPE_CHOICE, false, 0, 0, scopes},
};

static const struct shape_member path_members[] = {
    NAME,
    TITLE,
    {"property", SHAPE_NAME, true, 0, 0, NULL},
    {"events", SHAPE_NAMES, false, 1, APP_EVENTS_MAX, NULL},
    {"values", SHAPE_TEXTS, false, 1, DIMENSION_VALUES_MAX, NULL},
};

static const struct shape_member entity_members[] = {
    NAME,
    TITLE,
    {"property", SHAPE_NAME, true, 0, 0, NULL},
    {"events", SHAPE_NAMES, false, 1, APP_EVENTS_MAX, NULL},
};

static const struct shape_member source_members[] = {
    {"name", SHAPE_TEXT, true, 1, 200, NULL},
    {"hosts", SHAPE_TEXTS, false, 0, 200, NULL},
    {"utm_sources", SHAPE_TEXTS, false, 0, 200, NULL},
};

static const struct shape_member feature_members[] = {
    NAME,
    TITLE,
    {"events", SHAPE_NAMES, true, 1, APP_EVENTS_MAX, NULL},
};

/* A goal or a segment: a condition with a name. */
static const struct shape_member named_condition_members[] = {
    NAME,
    TITLE,
    {"event", SHAPE_NAME, true, 0, 0, NULL},
    {"property", SHAPE_NAME, false, 0, 0, NULL},
    {"equals", SHAPE_SCALAR, false, 0, 0, NULL},
};

static const struct shape_member condition_members[] = {
    {"event", SHAPE_NAME, true, 0, 0, NULL},
    {"property", SHAPE_NAME, false, 0, 0, NULL},
    {"equals", SHAPE_SCALAR, false, 0, 0, NULL},
};

static const struct shape_member completion_members[] = {
    {"start", SHAPE_NAME, true, 0, 0, NULL},
    {"done", SHAPE_NAME, true, 0, 0, NULL},
};

static const struct shape_member funnel_members[] = {
    NAME,
    TITLE,
    {"steps", SHAPE_LIST, true, 2, FUNNEL_STEPS_MAX, NULL},
    {"window_days", SHAPE_INTEGER, false, 1, 90, NULL},
};

static const struct shape_member measure_members[] = {
    NAME,
    TITLE,
    {"event", SHAPE_NAME, true, 0, 0, NULL},
    {"property", SHAPE_NAME, true, 0, 0, NULL},
    {"unit", SHAPE_TEXT, false, 1, 20, NULL},
};

static const struct shape_member outcome_members[] = {
    NAME,
    TITLE,
    {"measure", SHAPE_NAME, true, 0, 0, NULL},
    {"aggregate", SHAPE_CHOICE, false, 0, 0, aggregates},
    {"tiers", SHAPE_OBJECTS, false, 2, OUTCOME_TIERS_MAX, NULL},
};

static const struct shape_member tier_members[] = {
    NAME,
    TITLE,
    {"sessions_from", SHAPE_INTEGER, true, 0, 1000, NULL},
};

/* Names that the read API gives to metrics of its own. */
static const char *const metric_names[] = {"active_users", "new_users", "returning_users", "resurrected_users",
    "retention_on_or_after",
    "sessions", "engaged_sessions", "single_event_sessions", "events", "page_views", "visitors", "session_duration",
    "session_duration_p50", "session_duration_p90", "session_durations", "engaged_time", "engagement_rate",
    "bounce_rate", "interaction_frequency", "stickiness", "growth_rate", "retention", "dimension_users",
    "session_dimension_users", "feature_users", "feature_adoption", "segment_users", "goal_sessions", "goal_rate",
    "completion_rate", "entity_count", "paths"};

/* What everything below works on. */
struct counting {
    const json_t *root;
    struct app *app;
    struct failure *why;
};

/* Check one item of a list and compile it to the app's item of the place's index. */
typedef enum result compile_item(const struct counting *counting, const json_t *item, const struct shape_place *at);

/* A reference to an event, and perhaps to the value that one of its properties must have. */
struct condition {
    int event;
    int prop; /* -1: none */
    int64_t value;
};

static enum result no_memory(const struct counting *counting)
{
    failure_set(counting->why, NULL, "out of memory");
    return RESULT_FAILED;
}

/* Name and title of a declared thing. */
static enum result fill_item(const struct counting *counting, const json_t *object, struct app_item *item)
{
    const char *title = shape_text(object, "title", NULL);
    strcpy(item->name, shape_text(object, "name", ""));
    if (title != NULL && (item->title = strdup(title)) == NULL)
        return no_memory(counting);
    return RESULT_OK;
}

/* Let the event of this index count for one more thing. */
static enum result add_use(const struct counting *counting, size_t event_index, struct app_use use)
{
    struct app_event *event = &counting->app->events[event_index];
    struct app_use *uses = realloc(event->uses, (event->use_count + 1) * sizeof *uses);
    if (uses == NULL)
        return no_memory(counting);
    event->uses = uses;
    uses[event->use_count++] = use;
    return RESULT_OK;
}

/* References */

static enum result find_event(const struct counting *counting, const json_t *object, const char *member,
    const struct shape_place *at, int *out)
{
    *out = definition_find_event(counting->app, shape_text(object, member, ""));
    return *out >= 0 ? RESULT_OK : shape_fail(at, member, counting->why, "is not the name of an event");
}

static int64_t find_value(const struct app *app, const struct app_prop *prop, const json_t *equals)
{
    if (prop->type == APP_PROP_BOOLEAN)
        return json_is_boolean(equals) ? json_is_true(equals) : -1;
    if (!json_is_string(equals))
        return -1;
    if (prop->type == APP_PROP_ENUM)
        return definition_find_value(prop, json_string_value(equals));
    for (size_t i = 0; prop->type == APP_PROP_ROUTE && i < app->route_count; i++) {
        if (strcmp(app->routes[i], json_string_value(equals)) == 0)
            return (int64_t)i;
    }
    return -1;
}

/* Resolve the event, property and equals of object, whose shape is checked. */
static enum result resolve_condition(const struct counting *counting, const json_t *object,
    const struct shape_place *at, struct condition *out)
{
    const char *property = shape_text(object, "property", NULL);
    const json_t *equals = json_object_get(object, "equals");
    *out = (struct condition){.prop = -1};
    enum result result = find_event(counting, object, "event", at, &out->event);
    if (result != RESULT_OK)
        return result;
    if (property == NULL && equals == NULL)
        return RESULT_OK;
    if (property == NULL || equals == NULL)
        return shape_fail(at, property == NULL ? "property" : "equals", counting->why,
            "is required: property and equals come together");
    const struct app_event *event = &counting->app->events[out->event];
    out->prop = definition_find_prop(event, property);
    if (out->prop < 0)
        return shape_fail(at, "property", counting->why, "is not a property of that event");
    out->value = find_value(counting->app, &event->props[out->prop], equals);
    if (out->value < 0)
        return shape_fail(at, "equals", counting->why, "is not a value of that property (an enum, boolean or route)");
    return RESULT_OK;
}

/* Lists */

static enum result check_names_differ(const struct counting *counting, const json_t *list,
    const struct shape_place *at)
{
    for (size_t i = 1; i < json_array_size(list); i++) {
        struct shape_place item = {.above = at, .index = i};
        for (size_t j = 0; j < i; j++) {
            if (strcmp(shape_text(json_array_get(list, i), "name", ""), shape_text(json_array_get(list, j), "name", "")) == 0)
                return shape_fail(&item, "name", counting->why, "is the name of an earlier item, too");
        }
    }
    return RESULT_OK;
}

/* Check every item of object's list `member` by its table, compile it (compile may be NULL), and check that their names
 * differ. */
static enum result compile_list(const struct counting *counting, const json_t *object, const char *member,
    const struct shape_place *above, const struct shape_member *members, size_t count, compile_item *compile)
{
    const json_t *list = json_object_get(object, member);
    struct shape_place at = {.above = above, .member = member};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct shape_place place = {.above = &at, .index = i};
        enum result result = shape_check(item, members, count, &place, counting->why);
        if (result == RESULT_OK && compile != NULL)
            result = compile(counting, item, &place);
        if (result != RESULT_OK)
            return result;
    }
    return check_names_differ(counting, list, &at);
}

static enum result check_event_names(const struct counting *counting, const json_t *object,
    const struct shape_place *above)
{
    const json_t *names = json_object_get(object, "events");
    struct shape_place at = {.above = above, .member = "events"};
    for (size_t i = 0; i < json_array_size(names); i++) {
        struct shape_place item = {.above = &at, .index = i};
        if (definition_find_event(counting->app, json_string_value(json_array_get(names, i))) < 0)
            return shape_fail(&item, NULL, counting->why, "is not the name of an event");
    }
    return RESULT_OK;
}

/* Uses of one property by several events: dimensions, entities, paths */

static bool same_values(const struct app_prop *a, const struct app_prop *b)
{
    if (a->type != b->type || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->values[i], b->values[i]) != 0)
            return false;
    }
    return true;
}

static bool names_event(const json_t *names, const char *event)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (strcmp(json_string_value(json_array_get(names, i)), event) == 0)
            return true;
    }
    return names == NULL;
}

/* Find the property that object names in all of its events (without "events": in those that have it), of a type whose
 * bit is in types, and alike in all of them. */
static enum result find_use(const struct counting *counting, const json_t *object, const struct shape_place *at,
    unsigned types, const struct app_prop **out)
{
    const json_t *names = json_object_get(object, "events");
    const char *property = shape_text(object, "property", "");
    const struct app_prop *first = NULL;
    enum result result = check_event_names(counting, object, at);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < counting->app->event_count; i++) {
        const struct app_event *event = &counting->app->events[i];
        int index = definition_find_prop(event, property);
        if (!names_event(names, event->name) || (index < 0 && names == NULL))
            continue;
        if (index < 0 || (TYPE_BIT(event->props[index].type) & types) == 0)
            return shape_fail(at, "property", counting->why, "is not a property of type %s in all these events",
                types & TYPE_BIT(APP_PROP_ENUM) ? "enum, boolean or route" : types & TYPE_BIT(APP_PROP_ENTITY) ? "entity" : "route");
        if (first != NULL && !same_values(first, &event->props[index]))
            return shape_fail(at, "property", counting->why, "must have the same type and values in all these events");
        first = &event->props[index];
    }
    if (first == NULL)
        return shape_fail(at, "property", counting->why, "is not a property of any event");
    *out = first;
    return RESULT_OK;
}

/* Let every event that find_use looked at count as `use`, whose prop is filled in. */
static enum result add_uses(const struct counting *counting, const json_t *object, struct app_use use)
{
    const json_t *names = json_object_get(object, "events");
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < counting->app->event_count; i++) {
        const struct app_event *event = &counting->app->events[i];
        use.prop = definition_find_prop(event, shape_text(object, "property", ""));
        if (use.prop >= 0 && names_event(names, event->name))
            result = add_use(counting, i, use);
    }
    return result;
}

/* All values of a property in the order of what packets carry. */
static const char *const *list_values(const struct app *app, const struct app_prop *prop, size_t *count)
{
    *count = prop->type == APP_PROP_ENUM ? prop->count : prop->type == APP_PROP_ROUTE ? app->route_count : ROWS(boolean_values);
    if (prop->type == APP_PROP_BOOLEAN)
        return boolean_values;
    return (const char *const *)(prop->type == APP_PROP_ENUM ? prop->values : app->routes);
}

static enum result check_chosen_values(const struct counting *counting, const json_t *object,
    const struct shape_place *above, const struct app_prop *prop)
{
    const json_t *values = json_object_get(object, "values");
    struct shape_place at = {.above = above, .member = "values"};
    size_t count, classes = 0;
    const char *const *all = list_values(counting->app, prop, &count);
    if (prop->type == APP_PROP_BOOLEAN && values != NULL)
        return shape_fail(&at, NULL, counting->why, "a boolean property has none to choose from");
    for (size_t i = 0; i < count; i++)
        classes += strcmp(all[i], OTHER) != 0;
    if (values == NULL && classes > DIMENSION_VALUES_MAX)
        return shape_fail(&at, NULL, counting->why, "is required: the property has %zu values and at most %d are told apart; the "
            "rest counts as other", classes, DIMENSION_VALUES_MAX);
    for (size_t i = 0; i < json_array_size(values); i++) {
        struct shape_place item = {.above = &at, .index = i};
        if (find_value(counting->app, prop, json_array_get(values, i)) < 0)
            return shape_fail(&item, NULL, counting->why, "is not a value of that property");
    }
    return RESULT_OK;
}

/* Make the value that packets carry as `index` the next class. A value that is called other is what everything else is. */
static enum result add_class(const struct counting *counting, struct app_dimension *dimension, const char *text, size_t index)
{
    if (strcmp(text, OTHER) == 0)
        return RESULT_OK;
    dimension->values[dimension->count] = strdup(text);
    if (dimension->values[dimension->count] == NULL)
        return no_memory(counting);
    dimension->classes[index + 1] = (uint8_t)dimension->count++;
    return RESULT_OK;
}

/* The classes of a dimension or path: the chosen values of prop in the order of the choice, else all of them. */
static enum result compile_classes(const struct counting *counting, const json_t *object, const struct app_prop *prop,
    struct app_dimension *dimension)
{
    const json_t *chosen = json_object_get(object, "values");
    size_t count, classes;
    const char *const *all = list_values(counting->app, prop, &count);
    classes = chosen == NULL ? count : json_array_size(chosen);
    dimension->values = calloc(classes + 1, sizeof *dimension->values);
    dimension->classes = malloc(count + 1);
    if (dimension->values == NULL || dimension->classes == NULL)
        return no_memory(counting);
    dimension->class_count = count + 1;
    memset(dimension->classes, DIMENSION_VALUES_MAX, count + 1);
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < classes; i++) {
        size_t index = chosen == NULL ? i : (size_t)find_value(counting->app, prop, json_array_get(chosen, i));
        result = add_class(counting, dimension, all[index], index);
    }
    dimension->has_other = prop->type == APP_PROP_ROUTE || dimension->count < count;
    return result;
}

static enum result compile_classed(const struct counting *counting, const json_t *object, const struct shape_place *at,
    const struct app_prop *prop, struct app_dimension *dimension, enum app_use_kind kind)
{
    enum result result = check_chosen_values(counting, object, at, prop);
    if (result == RESULT_OK)
        result = fill_item(counting, object, &dimension->item);
    if (result == RESULT_OK)
        result = compile_classes(counting, object, prop, dimension);
    if (result != RESULT_OK)
        return result;
    return add_uses(counting, object, (struct app_use){.kind = kind, .item = (uint8_t)at->index, .classes = dimension->classes,
        .class_count = dimension->class_count});
}

/* Of each scope but "all events" there is one dimension, and it tells where sessions begin or end. */
static enum result check_scope(const struct counting *counting, const struct shape_place *at, const struct app_prop *prop,
    enum app_scope scope)
{
    if (scope == APP_SCOPE_EVENTS)
        return RESULT_OK;
    if (prop->type != APP_PROP_ROUTE)
        return shape_fail(at, "at", counting->why, "needs a property of type route");
    for (size_t i = 0; i < at->index; i++) {
        if (counting->app->dimensions[i].scope == scope)
            return shape_fail(at, "at", counting->why, "is that of an earlier dimension, too");
    }
    return RESULT_OK;
}

static enum result compile_dimension(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const struct app_prop *prop;
    struct app_dimension *dimension = &counting->app->dimensions[at->index];
    enum result result = find_use(counting, item, at,
        TYPE_BIT(APP_PROP_ENUM) | TYPE_BIT(APP_PROP_BOOLEAN) | TYPE_BIT(APP_PROP_ROUTE), &prop);
    dimension->scope = (enum app_scope)(APP_SCOPE_EVENTS + 1 + shape_choice(item, "at", scopes, -1));
    if (result == RESULT_OK)
        result = check_scope(counting, at, prop, dimension->scope);
    return result == RESULT_OK ? compile_classed(counting, item, at, prop, dimension, APP_USE_DIMENSION) : result;
}

static enum result compile_path(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const struct app_prop *prop;
    enum result result = find_use(counting, item, at, TYPE_BIT(APP_PROP_ROUTE), &prop);
    return result == RESULT_OK
        ? compile_classed(counting, item, at, prop, &counting->app->paths[at->index], APP_USE_PATH)
        : result;
}

static enum result compile_entity(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const struct app_prop *prop;
    enum result result = find_use(counting, item, at, TYPE_BIT(APP_PROP_ENTITY), &prop);
    if (result == RESULT_OK)
        result = fill_item(counting, item, &counting->app->entities[at->index]);
    if (result != RESULT_OK)
        return result;
    return add_uses(counting, item, (struct app_use){.kind = APP_USE_ENTITY, .item = (uint8_t)at->index});
}

/* A source's class is what the beacon puts into the property "source". */
static enum result check_source(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    bool used = false;
    for (size_t i = 0; i < counting->app->event_count; i++) {
        const struct app_event *event = &counting->app->events[i];
        int index = definition_find_prop(event, "source");
        if (index < 0 || event->props[index].type != APP_PROP_ENUM)
            continue;
        used = true;
        if (definition_find_value(&event->props[index], shape_text(item, "name", "")) < 0)
            return shape_fail(at, "name", counting->why, "is not a value of every enum property called source");
    }
    return used ? RESULT_OK : shape_fail(at, "name", counting->why, "no event has an enum property called source to carry it");
}

/* Events and conditions: features, segments, goals, completion, funnels */

static enum result compile_feature(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const json_t *names = json_object_get(item, "events");
    enum result result = check_event_names(counting, item, at);
    if (result == RESULT_OK)
        result = fill_item(counting, item, &counting->app->features[at->index]);
    for (size_t i = 0; result == RESULT_OK && i < json_array_size(names); i++) {
        int event = definition_find_event(counting->app, json_string_value(json_array_get(names, i)));
        result = add_use(counting, (size_t)event,
            (struct app_use){.kind = APP_USE_FEATURE, .item = (uint8_t)at->index, .prop = -1});
    }
    return result;
}

/* A named condition that counts as the index-th of kind. */
static enum result compile_named(const struct counting *counting, const json_t *object, const struct shape_place *at,
    enum app_use_kind kind, struct app_item *item, struct condition *condition)
{
    enum result result = resolve_condition(counting, object, at, condition);
    if (result == RESULT_OK)
        result = fill_item(counting, object, item);
    if (result != RESULT_OK)
        return result;
    return add_use(counting, (size_t)condition->event, (struct app_use){.kind = kind, .item = (uint8_t)at->index,
        .prop = condition->prop, .value = condition->value});
}

static enum result compile_segment(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    struct condition condition;
    return compile_named(counting, item, at, APP_USE_SEGMENT, &counting->app->segments[at->index], &condition);
}

static enum result compile_goal(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    struct condition condition;
    struct app_item *named = &counting->app->goals[at->index];
    enum result result = compile_named(counting, item, at, APP_USE_GOAL, named, &condition);
    if (result != RESULT_OK)
        return result;
    struct app_event *event = &counting->app->events[condition.event];
    struct app_goal *goals = realloc(event->goals, (event->goal_count + 1) * sizeof *goals);
    if (goals == NULL)
        return no_memory(counting);
    struct app_goal *goal = &goals[event->goal_count++];
    *goal = (struct app_goal){.prop = condition.prop, .value = condition.value};
    strcpy(goal->name, named->name);
    event->goals = goals;
    event->goal = true;
    return RESULT_OK;
}

static enum result compile_completion(const struct counting *counting)
{
    const json_t *object = json_object_get(counting->root, "completion");
    struct shape_place at = {.member = "completion"};
    int start, done;
    if (object == NULL)
        return RESULT_OK;
    enum result result = shape_check(object, completion_members, ROWS(completion_members), &at, counting->why);
    if (result == RESULT_OK)
        result = find_event(counting, object, "start", &at, &start);
    if (result == RESULT_OK)
        result = find_event(counting, object, "done", &at, &done);
    if (result == RESULT_OK && start == done)
        result = shape_fail(&at, "done", counting->why, "must be another event than start");
    if (result == RESULT_OK)
        result = add_use(counting, (size_t)start, (struct app_use){.kind = APP_USE_START, .prop = -1});
    if (result == RESULT_OK)
        result = add_use(counting, (size_t)done, (struct app_use){.kind = APP_USE_DONE, .prop = -1});
    counting->app->completion = true;
    return result;
}

/* What a step is called: its event, and the value that one of its properties must have. */
static char *label_step(const json_t *step)
{
    const json_t *equals = json_object_get(step, "equals");
    char *label = NULL;
    if (json_is_string(step))
        return strdup(json_string_value(step));
    if (equals == NULL)
        return strdup(shape_text(step, "event", ""));
    const char *value = json_is_string(equals) ? json_string_value(equals) : boolean_values[json_is_true(equals)];
    int wrote = asprintf(&label, "%s %s=%s", shape_text(step, "event", ""), shape_text(step, "property", ""), value);
    return wrote < 0 ? NULL : label;
}

static enum result resolve_step(const struct counting *counting, const json_t *step, const struct shape_place *at,
    struct condition *out)
{
    *out = (struct condition){.prop = -1};
    if (json_is_string(step)) {
        out->event = definition_find_event(counting->app, json_string_value(step));
        return out->event >= 0 ? RESULT_OK : shape_fail(at, NULL, counting->why, "is not the name of an event");
    }
    enum result result = shape_check(step, condition_members, ROWS(condition_members), at, counting->why);
    return result == RESULT_OK ? resolve_condition(counting, step, at, out) : result;
}

static enum result compile_step(const struct counting *counting, const json_t *step, const struct shape_place *at,
    size_t funnel_index)
{
    struct app_funnel *funnel = &counting->app->funnels[funnel_index];
    struct condition condition;
    enum result result = resolve_step(counting, step, at, &condition);
    if (result != RESULT_OK)
        return result;
    funnel->labels[at->index] = label_step(step);
    if (funnel->labels[at->index] == NULL)
        return no_memory(counting);
    funnel->steps++;
    return add_use(counting, (size_t)condition.event, (struct app_use){.kind = APP_USE_STEP, .item = (uint8_t)funnel_index,
        .step = (uint8_t)at->index, .prop = condition.prop, .value = condition.value});
}

static enum result compile_funnel(const struct counting *counting, const json_t *item, const struct shape_place *above)
{
    const json_t *steps = json_object_get(item, "steps");
    struct app_funnel *funnel = &counting->app->funnels[above->index];
    struct shape_place at = {.above = above, .member = "steps"};
    enum result result = fill_item(counting, item, &funnel->item);
    for (size_t i = 0; result == RESULT_OK && i < json_array_size(steps); i++) {
        struct shape_place place = {.above = &at, .index = i};
        result = compile_step(counting, json_array_get(steps, i), &place, above->index);
    }
    funnel->window_days = (uint32_t)shape_integer(item, "window_days", 7);
    if (result == RESULT_OK && funnel->window_days > counting->app->horizon_days)
        return shape_fail(above, "window_days", counting->why, "is longer than horizon_days");
    return result;
}

/* Numbers: measures, outcomes */

/* The unit that a measure, or else its property, declares. */
static const char *find_unit(const struct counting *counting, const json_t *measure, int event, int prop)
{
    const json_t *declared = json_array_get(json_object_get(counting->root, "events"), (size_t)event);
    const json_t *property = json_array_get(json_object_get(declared, "properties"), (size_t)prop);
    return shape_text(measure, "unit", shape_text(property, "unit", ""));
}

static enum result compile_measure(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    int index;
    struct app_measure *measure = &counting->app->measures[at->index];
    const char *name = shape_text(item, "name", "");
    for (size_t i = 0; i < ROWS(metric_names); i++) {
        if (strcmp(metric_names[i], name) == 0)
            return shape_fail(at, "name", counting->why, "is the name of a metric that every app has");
    }
    enum result result = find_event(counting, item, "event", at, &index);
    if (result == RESULT_OK)
        result = fill_item(counting, item, &measure->item);
    if (result != RESULT_OK)
        return result;
    const struct app_event *event = &counting->app->events[index];
    int prop = definition_find_prop(event, shape_text(item, "property", ""));
    if (prop < 0 || event->props[prop].type != APP_PROP_NUMBER)
        return shape_fail(at, "property", counting->why, "is not a number property of that event");
    measure->min = event->props[prop].min;
    measure->max = event->props[prop].max;
    measure->step = event->props[prop].step;
    strcpy(measure->unit, find_unit(counting, item, index, prop));
    return add_use(counting, (size_t)index,
        (struct app_use){.kind = APP_USE_MEASURE, .item = (uint8_t)at->index, .prop = prop});
}

static enum result compile_tiers(const struct counting *counting, const json_t *item, const struct shape_place *above)
{
    const json_t *tiers = json_object_get(item, "tiers");
    struct app_outcome *outcome = &counting->app->outcomes[above->index];
    struct shape_place at = {.above = above, .member = "tiers"};
    enum result result = compile_list(counting, item, "tiers", above, tier_members, ROWS(tier_members), NULL);
    int64_t before = -1;
    for (size_t i = 0; result == RESULT_OK && i < json_array_size(tiers); i++) {
        struct shape_place place = {.above = &at, .index = i};
        int64_t from = shape_integer(json_array_get(tiers, i), "sessions_from", 0);
        if (i == 0 ? from != 0 : from <= before)
            return shape_fail(&place, "sessions_from", counting->why, "the first tier starts at 0, every other one after the "
                "one before");
        before = from;
        outcome->tiers[i].sessions_from = (uint32_t)from;
        outcome->tier_count = (uint32_t)i + 1;
        result = fill_item(counting, json_array_get(tiers, i), &outcome->tiers[i].item);
    }
    return result;
}

static enum result compile_outcome(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const struct app *app = counting->app;
    struct app_outcome *outcome = &app->outcomes[at->index];
    const char *measure = shape_text(item, "measure", "");
    size_t position = 0;
    while (position < app->measure_count && strcmp(app->measures[position].item.name, measure) != 0)
        position++;
    if (position == app->measure_count)
        return shape_fail(at, "measure", counting->why, "is not the name of a measure");
    outcome->measure = (uint32_t)position;
    outcome->aggregate = (enum app_aggregate)shape_choice(item, "aggregate", aggregates, APP_AGGREGATE_MEAN);
    app->measures[position].of_outcome = true;
    enum result result = fill_item(counting, item, &outcome->item);
    return result == RESULT_OK ? compile_tiers(counting, item, at) : result;
}

/* All of them */

/* Room for the items of one of root's lists, all empty; NULL (and a count of 0) without memory. */
static void *make_list(const json_t *root, const char *member, size_t size, size_t *count)
{
    size_t length = json_array_size(json_object_get(root, member));
    void *items = calloc(length + 1, size);
    *count = items == NULL ? 0 : length;
    return items;
}

static bool make_lists(const json_t *root, struct app *app)
{
    app->dimensions = make_list(root, "dimensions", sizeof *app->dimensions, &app->dimension_count);
    app->features = make_list(root, "features", sizeof *app->features, &app->feature_count);
    app->segments = make_list(root, "segments", sizeof *app->segments, &app->segment_count);
    app->goals = make_list(root, "goals", sizeof *app->goals, &app->goal_count);
    app->funnels = make_list(root, "funnels", sizeof *app->funnels, &app->funnel_count);
    app->measures = make_list(root, "measures", sizeof *app->measures, &app->measure_count);
    app->outcomes = make_list(root, "outcomes", sizeof *app->outcomes, &app->outcome_count);
    app->entities = make_list(root, "entities", sizeof *app->entities, &app->entity_count);
    app->paths = make_list(root, "paths", sizeof *app->paths, &app->path_count);
    return app->dimensions != NULL && app->features != NULL && app->segments != NULL && app->goals != NULL && app->funnels != NULL
        && app->measures != NULL && app->outcomes != NULL && app->entities != NULL && app->paths != NULL;
}

enum result counting_compile(const json_t *root, struct app *app, struct failure *why)
{
    static const struct {
        const char *member;
        const struct shape_member *members;
        size_t count;
        compile_item *compile;
    } lists[] = {
        {"dimensions", dimension_members, ROWS(dimension_members), compile_dimension},
        {"sources", source_members, ROWS(source_members), check_source},
        {"features", feature_members, ROWS(feature_members), compile_feature},
        {"goals", named_condition_members, ROWS(named_condition_members), compile_goal},
        {"funnels", funnel_members, ROWS(funnel_members), compile_funnel},
        {"measures", measure_members, ROWS(measure_members), compile_measure},
        {"outcomes", outcome_members, ROWS(outcome_members), compile_outcome},
        {"entities", entity_members, ROWS(entity_members), compile_entity},
        {"paths", path_members, ROWS(path_members), compile_path},
        {"segments", named_condition_members, ROWS(named_condition_members), compile_segment},
    };
    struct counting counting = {root, app, why};
    if (!make_lists(root, app))
        return no_memory(&counting);
    enum result result = compile_completion(&counting);
    for (size_t i = 0; result == RESULT_OK && i < ROWS(lists); i++)
        result = compile_list(&counting, root, lists[i].member, NULL, lists[i].members, lists[i].count, lists[i].compile);
    return result;
}

/* Freeing */

static void free_items(struct app_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i].title);
    free(items);
}

static void free_dimensions(struct app_dimension *dimensions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < dimensions[i].count; j++)
            free(dimensions[i].values[j]);
        free(dimensions[i].values);
        free(dimensions[i].classes);
        free(dimensions[i].item.title);
    }
    free(dimensions);
}

static void free_funnels(struct app_funnel *funnels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < FUNNEL_STEPS_MAX; j++)
            free(funnels[i].labels[j]);
        free(funnels[i].item.title);
    }
    free(funnels);
}

static void free_outcomes(struct app_outcome *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < OUTCOME_TIERS_MAX; j++)
            free(outcomes[i].tiers[j].item.title);
        free(outcomes[i].item.title);
    }
    free(outcomes);
}

void counting_free(struct app *app)
{
    for (size_t i = 0; i < app->event_count; i++) {
        free(app->events[i].uses);
        free(app->events[i].goals);
    }
    free_dimensions(app->dimensions, app->dimension_count);
    free_dimensions(app->paths, app->path_count);
    free_items(app->features, app->feature_count);
    free_items(app->segments, app->segment_count);
    free_items(app->goals, app->goal_count);
    free_items(app->entities, app->entity_count);
    free_funnels(app->funnels, app->funnel_count);
    free_outcomes(app->outcomes, app->outcome_count);
    for (size_t i = 0; i < app->measure_count; i++)
        free(app->measures[i].item.title);
    free(app->measures);
}
