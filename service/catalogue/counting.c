#include "service/catalogue/counting.h"

#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"
#include "service/catalogue/shape.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])
#define NAME {"name", SHAPE_NAME, true, 0, 0, NULL}
#define TITLE {"title", SHAPE_TEXT, false, 1, 200, NULL}
#define TYPE_BIT(type) (1u << (type))
#define TIERS_MAX 6

static const char *const aggregates[] = {"mean", "sum", "max", "last", NULL};

static const struct shape_member dimension_members[] = {
    NAME,
    TITLE,
    {"property", SHAPE_NAME, true, 0, 0, NULL},
    {"events", SHAPE_NAMES, false, 1, APP_EVENTS_MAX, NULL},
    {"values", SHAPE_TEXTS, false, 1, DIMENSION_VALUES_MAX, NULL},
};

/* An entity or a path. */
static const struct shape_member use_members[] = {
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
    {"steps", SHAPE_LIST, true, 2, 10, NULL},
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
    {"tiers", SHAPE_OBJECTS, false, 2, TIERS_MAX, NULL},
};

static const struct shape_member tier_members[] = {
    NAME,
    TITLE,
    {"sessions_from", SHAPE_INTEGER, true, 0, 1000, NULL},
};

/* Names that the read API gives to metrics of its own. */
static const char *const metric_names[] = {"active_users", "new_users", "returning_users", "resurrected_users",
    "stickiness", "growth_rate", "sessions", "engaged_sessions", "bounce_rate", "session_duration", "engaged_time", "events",
    "page_views", "interaction_frequency", "feature_users", "feature_adoption", "goal_rate", "completion_rate"};

/* What every check below works on. */
struct counting {
    const json_t *root;
    struct app *app;
    struct failure *why;
};

typedef enum result check_item(const struct counting *counting, const json_t *item, const struct shape_place *at);

/* A reference to an event, and perhaps to the value that one of its properties must have. */
struct condition {
    int event;
    int prop; /* -1: none */
    int64_t value;
};

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

/* Check every item of object's list `member` by its table and by check (may be NULL), and that their names differ. */
static enum result check_list(const struct counting *counting, const json_t *object, const char *member,
    const struct shape_place *above, const struct shape_member *members, size_t count, check_item *check)
{
    const json_t *list = json_object_get(object, member);
    struct shape_place at = {.above = above, .member = member};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct shape_place place = {.above = &at, .index = i};
        enum result result = shape_check(item, members, count, &place, counting->why);
        if (result == RESULT_OK && check != NULL)
            result = check(counting, item, &place);
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
            return shape_fail(at, "property", counting->why, "is not a property of type%s%s route in all these events",
                types & TYPE_BIT(APP_PROP_ENUM) ? " enum," : "", types & TYPE_BIT(APP_PROP_BOOLEAN) ? " boolean," : "");
        if (first != NULL && !same_values(first, &event->props[index]))
            return shape_fail(at, "property", counting->why, "must have the same type and values in all these events");
        first = &event->props[index];
    }
    if (first == NULL)
        return shape_fail(at, "property", counting->why, "is not a property of any event");
    *out = first;
    return RESULT_OK;
}

static enum result check_dimension_values(const struct counting *counting, const json_t *object,
    const struct shape_place *above, const struct app_prop *prop)
{
    const json_t *values = json_object_get(object, "values");
    struct shape_place at = {.above = above, .member = "values"};
    size_t all = prop->type == APP_PROP_ENUM ? prop->count : counting->app->route_count + 1;
    if (prop->type == APP_PROP_BOOLEAN && values != NULL)
        return shape_fail(&at, NULL, counting->why, "a boolean property has none to choose from");
    if (prop->type != APP_PROP_BOOLEAN && values == NULL && all > DIMENSION_VALUES_MAX)
        return shape_fail(&at, NULL, counting->why, "is required: the property has %zu values and a dimension at most %d; the "
            "rest counts as other", all, DIMENSION_VALUES_MAX);
    for (size_t i = 0; i < json_array_size(values); i++) {
        struct shape_place item = {.above = &at, .index = i};
        if (find_value(counting->app, prop, json_array_get(values, i)) < 0)
            return shape_fail(&item, NULL, counting->why, "is not a value of that property");
    }
    return RESULT_OK;
}

static enum result check_dimension(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const struct app_prop *prop;
    enum result result = find_use(counting, item, at,
        TYPE_BIT(APP_PROP_ENUM) | TYPE_BIT(APP_PROP_BOOLEAN) | TYPE_BIT(APP_PROP_ROUTE), &prop);
    return result == RESULT_OK ? check_dimension_values(counting, item, at, prop) : result;
}

static enum result check_entity(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const struct app_prop *prop;
    return find_use(counting, item, at, TYPE_BIT(APP_PROP_ENUM) | TYPE_BIT(APP_PROP_ROUTE), &prop);
}

static enum result check_path(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const struct app_prop *prop;
    return find_use(counting, item, at, TYPE_BIT(APP_PROP_ROUTE), &prop);
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

/* The rest */

static enum result check_condition(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    struct condition condition;
    return resolve_condition(counting, item, at, &condition);
}

static enum result add_goal(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    struct condition condition;
    enum result result = resolve_condition(counting, item, at, &condition);
    if (result != RESULT_OK)
        return result;
    struct app_event *event = &counting->app->events[condition.event];
    struct app_goal *goals = realloc(event->goals, (event->goal_count + 1) * sizeof *goals);
    if (goals == NULL) {
        failure_set(counting->why, NULL, "out of memory");
        return RESULT_FAILED;
    }
    struct app_goal *goal = &goals[event->goal_count++];
    *goal = (struct app_goal){.prop = condition.prop, .value = condition.value};
    strcpy(goal->name, shape_text(item, "name", ""));
    event->goals = goals;
    event->goal = true;
    return RESULT_OK;
}

static enum result check_step(const struct counting *counting, const json_t *step, const struct shape_place *at)
{
    if (json_is_string(step))
        return definition_find_event(counting->app, json_string_value(step)) >= 0
            ? RESULT_OK
            : shape_fail(at, NULL, counting->why, "is not the name of an event");
    enum result result = shape_check(step, condition_members, ROWS(condition_members), at, counting->why);
    return result == RESULT_OK ? check_condition(counting, step, at) : result;
}

static enum result check_funnel(const struct counting *counting, const json_t *item, const struct shape_place *above)
{
    const json_t *steps = json_object_get(item, "steps");
    struct shape_place at = {.above = above, .member = "steps"};
    for (size_t i = 0; i < json_array_size(steps); i++) {
        struct shape_place place = {.above = &at, .index = i};
        enum result result = check_step(counting, json_array_get(steps, i), &place);
        if (result != RESULT_OK)
            return result;
    }
    if (shape_integer(item, "window_days", 7) > counting->app->horizon_days)
        return shape_fail(above, "window_days", counting->why, "is longer than horizon_days");
    return RESULT_OK;
}

static enum result check_measure(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    int index;
    const char *name = shape_text(item, "name", "");
    for (size_t i = 0; i < ROWS(metric_names); i++) {
        if (strcmp(metric_names[i], name) == 0)
            return shape_fail(at, "name", counting->why, "is the name of a metric that every app has");
    }
    enum result result = find_event(counting, item, "event", at, &index);
    if (result != RESULT_OK)
        return result;
    const struct app_event *event = &counting->app->events[index];
    index = definition_find_prop(event, shape_text(item, "property", ""));
    if (index < 0 || event->props[index].type != APP_PROP_NUMBER)
        return shape_fail(at, "property", counting->why, "is not a number property of that event");
    return RESULT_OK;
}

static enum result check_tiers(const struct counting *counting, const json_t *item, const struct shape_place *above)
{
    const json_t *tiers = json_object_get(item, "tiers");
    struct shape_place at = {.above = above, .member = "tiers"};
    enum result result = check_list(counting, item, "tiers", above, tier_members, ROWS(tier_members), NULL);
    int64_t before = -1;
    for (size_t i = 0; result == RESULT_OK && i < json_array_size(tiers); i++) {
        struct shape_place place = {.above = &at, .index = i};
        int64_t from = shape_integer(json_array_get(tiers, i), "sessions_from", 0);
        if (i == 0 ? from != 0 : from <= before)
            result = shape_fail(&place, "sessions_from", counting->why, "the first tier starts at 0, every other one after the "
                "one before");
        before = from;
    }
    return result;
}

static enum result check_outcome(const struct counting *counting, const json_t *item, const struct shape_place *at)
{
    const json_t *measures = json_object_get(counting->root, "measures");
    const char *measure = shape_text(item, "measure", "");
    for (size_t i = 0; i < json_array_size(measures); i++) {
        if (strcmp(shape_text(json_array_get(measures, i), "name", ""), measure) == 0)
            return check_tiers(counting, item, at);
    }
    return shape_fail(at, "measure", counting->why, "is not the name of a measure");
}

static enum result check_completion(const struct counting *counting)
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
    return result;
}

enum result counting_compile(const json_t *root, struct app *app, struct failure *why)
{
    static const struct {
        const char *member;
        const struct shape_member *members;
        size_t count;
        check_item *check;
    } lists[] = {
        {"dimensions", dimension_members, ROWS(dimension_members), check_dimension},
        {"sources", source_members, ROWS(source_members), check_source},
        {"features", feature_members, ROWS(feature_members), check_event_names},
        {"goals", named_condition_members, ROWS(named_condition_members), add_goal},
        {"funnels", funnel_members, ROWS(funnel_members), check_funnel},
        {"measures", measure_members, ROWS(measure_members), check_measure},
        {"outcomes", outcome_members, ROWS(outcome_members), check_outcome},
        {"entities", use_members, ROWS(use_members), check_entity},
        {"paths", use_members, ROWS(use_members), check_path},
        {"segments", named_condition_members, ROWS(named_condition_members), check_condition},
    };
    struct counting counting = {root, app, why};
    enum result result = check_completion(&counting);
    for (size_t i = 0; result == RESULT_OK && i < ROWS(lists); i++)
        result = check_list(&counting, root, lists[i].member, NULL, lists[i].members, lists[i].count, lists[i].check);
    return result;
}
