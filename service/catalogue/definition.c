#include "service/catalogue/definition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/counting.h"
#include "service/catalogue/shape.h"
#include "service/catalogue/succession.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])
#define TITLE {"title", SHAPE_TEXT, false, 1, 200, NULL}
#define DEFINITION_MAX_BYTES (4 * 1024 * 1024)
#define NUMBER_STEPS_MAX 1e9
#define NUMBER_MAX 9007199254740992.0 /* 2^53: larger ones come back from the database as integers that JSON readers refuse */
#define MONTH_MAX_DAYS 31

static const char *const consents[] = {"none", "required", NULL};
static const char *const bases[] = {"consent", "contract", "legal_obligation", "vital_interests", "public_task",
    "legitimate_interests", NULL};
static const char *const kinds[] = {"action", "view", NULL};
static const char *const types[] = {
    [APP_PROP_ENUM] = "enum",
    [APP_PROP_NUMBER] = "number",
    [APP_PROP_BOOLEAN] = "boolean",
    [APP_PROP_ROUTE] = "route",
    [APP_PROP_ENTITY] = "entity",
    NULL,
};
static const char *const origins_of_values[] = {"user_agent", NULL};
static const char *const devices[] = {"desktop", "mobile", "tablet", "other", NULL};

static const struct {
    const char *name;
    uint32_t least_k, most_k; /* the least is also the default */
    bool protects;            /* by noise */
} presets[] = {
    [APP_PRESET_STRICT] = {"strict", 20, 10000, true},
    [APP_PRESET_STANDARD] = {"standard", 11, 10000, true},
    [APP_PRESET_SMALL] = {"small", 11, 10000, true},
    [APP_PRESET_THRESHOLD] = {"threshold-only", 11, 10000, false},
    [APP_PRESET_EXACT] = {"exact", 1, 1, false},
};
static const char *const preset_names[] = {"strict", "standard", "small", "threshold-only", "exact", NULL};

static const struct shape_member root_members[] = {
    {"$schema", SHAPE_TEXT, false, 1, 200, NULL},
    {"name", SHAPE_HYPHEN_NAME, true, 0, 0, NULL},
    TITLE,
    {"population", SHAPE_HYPHEN_NAME, false, 0, 0, NULL},
    {"time_zone", SHAPE_TEXT, true, 1, 63, NULL},
    {"origins", SHAPE_TEXTS, false, 0, APP_ORIGINS_MAX, NULL},
    {"session_timeout_minutes", SHAPE_INTEGER, false, 1, 1440, NULL},
    {"epoch_days", SHAPE_INTEGER, false, 7, 366, NULL},
    {"link_epochs", SHAPE_INTEGER, false, 1, LINK_EPOCHS_MAX, NULL},
    {"horizon_days", SHAPE_INTEGER, false, 62, 800, NULL},
    {"lateness_minutes", SHAPE_INTEGER, false, 0, 10080, NULL},
    {"respect_gpc", SHAPE_BOOLEAN, false, 0, 0, NULL},
    {"respect_dnt", SHAPE_BOOLEAN, false, 0, 0, NULL},
    {"anonymous_visitors", SHAPE_BOOLEAN, false, 0, 0, NULL},
    {"consent", SHAPE_CHOICE, false, 0, 0, consents},
    {"controller", SHAPE_TEXT, false, 1, 500, NULL},
    {"dpo_contact", SHAPE_TEXT, false, 1, 500, NULL},
    {"purposes", SHAPE_TEXTS, false, 0, 20, NULL},
    {"legal_basis", SHAPE_CHOICE, false, 0, 0, bases},
    {"recipients", SHAPE_TEXTS, false, 0, 50, NULL},
    {"events", SHAPE_OBJECTS, true, 1, APP_EVENTS_MAX, NULL},
    {"routes", SHAPE_TEXTS, false, 0, APP_ROUTES_MAX, NULL},
    {"dimensions", SHAPE_OBJECTS, false, 0, DIMENSIONS_MAX, NULL},
    {"sources", SHAPE_OBJECTS, false, 0, DIMENSION_VALUES_MAX, NULL},
    {"features", SHAPE_OBJECTS, false, 0, FEATURES_MAX, NULL},
    {"goals", SHAPE_OBJECTS, false, 0, GOALS_MAX, NULL},
    {"completion", SHAPE_OBJECT, false, 0, 0, NULL},
    {"funnels", SHAPE_OBJECTS, false, 0, FUNNELS_MAX, NULL},
    {"measures", SHAPE_OBJECTS, false, 0, MEASURES_MAX, NULL},
    {"outcomes", SHAPE_OBJECTS, false, 0, OUTCOMES_MAX, NULL},
    {"entities", SHAPE_OBJECTS, false, 0, ENTITIES_MAX, NULL},
    {"paths", SHAPE_OBJECTS, false, 0, PATHS_MAX, NULL},
    {"segments", SHAPE_OBJECTS, false, 0, SEGMENTS_MAX, NULL},
    {"retention", SHAPE_OBJECT, false, 0, 0, NULL},
    {"privacy", SHAPE_OBJECT, false, 0, 0, NULL},
};

static const struct shape_member event_members[] = {
    {"name", SHAPE_NAME, true, 0, 0, NULL},
    TITLE,
    {"kind", SHAPE_CHOICE, false, 0, 0, kinds},
    {"properties", SHAPE_OBJECTS, false, 0, EVENT_PROPS_MAX, NULL},
};

/* clang-format off */
#define PROP_MEMBERS \
    {"name", SHAPE_NAME, true, 0, 0, NULL}, {"type", SHAPE_CHOICE, true, 0, 0, types}, TITLE, \
    {"required", SHAPE_BOOLEAN, false, 0, 0, NULL}
/* clang-format on */

static const struct shape_member enum_members[] = {
    PROP_MEMBERS,
    {"values", SHAPE_TEXTS, false, 1, ENUM_VALUES_MAX, NULL},
    {"from", SHAPE_CHOICE, false, 0, 0, origins_of_values},
};
static const struct shape_member number_members[] = {
    PROP_MEMBERS,
    {"min", SHAPE_NUMBER, true, 0, 0, NULL},
    {"max", SHAPE_NUMBER, true, 0, 0, NULL},
    {"step", SHAPE_NUMBER, false, 0, 0, NULL},
    {"unit", SHAPE_TEXT, false, 1, 20, NULL},
};
static const struct shape_member plain_members[] = {PROP_MEMBERS};

static const struct shape_member retention_members[] = {
    {"days", SHAPE_INTEGER, false, 0, 90, NULL},
    {"weeks", SHAPE_INTEGER, false, 0, 60, NULL},
    {"months", SHAPE_INTEGER, false, 0, 24, NULL},
};

static const struct shape_member privacy_members[] = {
    {"preset", SHAPE_CHOICE, false, 0, 0, preset_names},
    {"allow_unprotected", SHAPE_BOOLEAN, false, 0, 0, NULL},
    {"k", SHAPE_INTEGER, false, 1, 10000, NULL},
};

static enum result no_memory(struct failure *why)
{
    failure_set(why, NULL, "out of memory");
    return RESULT_FAILED;
}

/* Lists of texts */

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts != NULL && i < count; i++)
        free(texts[i]);
    free(texts);
}

/* Copy a checked list of texts (NULL: none) to *texts and *count. */
static enum result copy_texts(const json_t *list, char ***texts, size_t *count, struct failure *why)
{
    size_t items = json_array_size(list);
    if (items == 0)
        return RESULT_OK;
    char **copies = calloc(items, sizeof *copies);
    if (copies == NULL)
        return no_memory(why);
    for (size_t i = 0; i < items; i++) {
        copies[i] = strdup(json_string_value(json_array_get(list, i)));
        if (copies[i] == NULL) {
            free_texts(copies, i);
            return no_memory(why);
        }
    }
    *texts = copies;
    *count = items;
    return RESULT_OK;
}

/* Indexes sorted by what they stand for */

typedef int compare_at(const void *things, uint16_t a, uint16_t b);

static int compare_values(const void *things, uint16_t a, uint16_t b)
{
    char *const *values = things;
    return strcmp(values[a], values[b]);
}

static int compare_events(const void *things, uint16_t a, uint16_t b)
{
    const struct app_event *events = things;
    return strcmp(events[a].name, events[b].name);
}

/* A parameter goes behind every literal; '/' before everything, so that a segment's end decides first. */
static int route_rank(const char *at, bool segment_starts)
{
    if (*at == '\0')
        return 0;
    if (*at == '/')
        return 1;
    return segment_starts && *at == ':' ? 1000 : 2 + (unsigned char)*at;
}

static int compare_routes(const void *things, uint16_t a, uint16_t b)
{
    char *const *routes = things;
    const char *left = routes[a], *right = routes[b];
    bool starts = false;
    for (;;) {
        int left_rank = route_rank(left, starts), right_rank = route_rank(right, starts);
        if (left_rank != right_rank || left_rank == 0)
            return left_rank - right_rank;
        if (left_rank == 1000) { /* two parameters are one, whatever their names */
            left += strcspn(left, "/");
            right += strcspn(right, "/");
            starts = false;
            continue;
        }
        starts = *left == '/';
        left++;
        right++;
    }
}

struct order {
    compare_at *compare;
    const void *things;
};

static int compare_indexes(const void *a, const void *b, void *context)
{
    const struct order *order = context;
    return order->compare(order->things, *(const uint16_t *)a, *(const uint16_t *)b);
}

/* Make *out the indexes 0 … count - 1 in order. */
static enum result sort_indexes(const void *things, size_t count, compare_at *compare, uint16_t **out,
    struct failure *why)
{
    struct order order = {compare, things};
    uint16_t *indexes = calloc(count + 1, sizeof *indexes);
    if (indexes == NULL)
        return no_memory(why);
    for (size_t i = 0; i < count; i++)
        indexes[i] = (uint16_t)i;
    qsort_r(indexes, count, sizeof *indexes, compare_indexes, &order);
    *out = indexes;
    return RESULT_OK;
}

/* The larger index of two neighbours in order that compare equal, or count if all differ. */
static size_t find_repeated(const void *things, size_t count, compare_at *compare, const uint16_t *order)
{
    for (size_t i = 1; i < count; i++) {
        if (compare(things, order[i - 1], order[i]) == 0)
            return order[i - 1] > order[i] ? order[i - 1] : order[i];
    }
    return count;
}

/* Properties */

static bool is_device(const char *text)
{
    for (size_t i = 0; devices[i] != NULL; i++) {
        if (strcmp(devices[i], text) == 0)
            return true;
    }
    return false;
}

static enum result compile_devices(struct app_prop *prop, const struct shape_place *at, struct failure *why)
{
    struct shape_place list = {.above = at, .member = "values"};
    for (size_t i = 0; i < prop->count; i++) {
        struct shape_place item = {.above = &list, .index = i};
        if (!is_device(prop->values[i]))
            return shape_fail(&item, NULL, why, "a User-Agent gives desktop, mobile, tablet or other, nothing else");
    }
    if (prop->count > 0)
        return RESULT_OK;
    prop->values = calloc(ROWS(devices), sizeof *prop->values);
    if (prop->values == NULL)
        return no_memory(why);
    for (; devices[prop->count] != NULL; prop->count++) {
        prop->values[prop->count] = strdup(devices[prop->count]);
        if (prop->values[prop->count] == NULL)
            return no_memory(why);
    }
    return RESULT_OK;
}

static enum result compile_enum(const json_t *object, const struct shape_place *at, struct app_prop *prop,
    struct failure *why)
{
    enum result result = copy_texts(json_object_get(object, "values"), &prop->values, &prop->count, why);
    if (result != RESULT_OK)
        return result;
    prop->from_user_agent = json_object_get(object, "from") != NULL;
    if (prop->from_user_agent)
        result = compile_devices(prop, at, why);
    else if (prop->count == 0)
        result = shape_fail(at, "values", why, "is required: what values may the property have?");
    if (result != RESULT_OK)
        return result;
    return sort_indexes(prop->values, prop->count, compare_values, &prop->by_value, why);
}

static enum result compile_number(const json_t *object, const struct shape_place *at, struct app_prop *prop,
    struct failure *why)
{
    prop->min = shape_number(object, "min", 0);
    prop->max = shape_number(object, "max", 0);
    prop->step = shape_number(object, "step", 1);
    if (!(prop->min < prop->max))
        return shape_fail(at, "max", why, "must be greater than min");
    if (!(prop->step > 0))
        return shape_fail(at, "step", why, "must be greater than 0");
    if (!((prop->max - prop->min) / prop->step <= NUMBER_STEPS_MAX))
        return shape_fail(at, "step", why, "is too small: at most 1000000000 steps may lie between min and max");
    if ((prop->max - prop->min) / prop->step < 1)
        return shape_fail(at, "step", why, "is greater than max - min");
    if (prop->min < -NUMBER_MAX || prop->max > NUMBER_MAX)
        return shape_fail(at, prop->max > NUMBER_MAX ? "max" : "min", why, "must lie within 9007199254740992 of 0");
    return RESULT_OK;
}

static enum result compile_prop(const json_t *object, const struct shape_place *at, struct app_prop *prop,
    struct failure *why)
{
    static const struct {
        const struct shape_member *members;
        size_t count;
    } tables[] = {
        [APP_PROP_ENUM] = {enum_members, ROWS(enum_members)},
        [APP_PROP_NUMBER] = {number_members, ROWS(number_members)},
        [APP_PROP_BOOLEAN] = {plain_members, ROWS(plain_members)},
        [APP_PROP_ROUTE] = {plain_members, ROWS(plain_members)},
        [APP_PROP_ENTITY] = {plain_members, ROWS(plain_members)},
    };
    /* An unknown or missing type is complained of by any of the tables. */
    int type = shape_choice(object, "type", types, APP_PROP_BOOLEAN);
    enum result result = shape_check(object, tables[type].members, tables[type].count, at, why);
    if (result != RESULT_OK)
        return result;
    prop->type = (enum app_prop_type)type;
    prop->required = shape_boolean(object, "required", false);
    strcpy(prop->name, shape_text(object, "name", ""));
    if (prop->type == APP_PROP_ENUM)
        return compile_enum(object, at, prop, why);
    if (prop->type == APP_PROP_NUMBER)
        return compile_number(object, at, prop, why);
    return RESULT_OK;
}

/* Events */

static enum result compile_event(const json_t *object, const struct shape_place *at, struct app_event *event,
    struct failure *why)
{
    enum result result = shape_check(object, event_members, ROWS(event_members), at, why);
    if (result != RESULT_OK)
        return result;
    strcpy(event->name, shape_text(object, "name", ""));
    event->view = shape_choice(object, "kind", kinds, 0) == 1;
    const json_t *list = json_object_get(object, "properties");
    size_t count = json_array_size(list);
    event->props = calloc(count + 1, sizeof *event->props);
    if (event->props == NULL)
        return no_memory(why);
    struct shape_place props = {.above = at, .member = "properties"};
    for (size_t i = 0; i < count; i++) {
        struct shape_place item = {.above = &props, .index = i};
        struct app_prop *prop = &event->props[i];
        event->prop_count = i + 1;
        result = compile_prop(json_array_get(list, i), &item, prop, why);
        if (result != RESULT_OK)
            return result;
        if ((size_t)definition_find_prop(event, prop->name) != i)
            return shape_fail(&item, "name", why, "is the name of an earlier property, too");
    }
    return RESULT_OK;
}

static enum result compile_events(const json_t *root, struct app *app, struct failure *why)
{
    const json_t *list = json_object_get(root, "events");
    size_t count = json_array_size(list);
    struct shape_place at = {.member = "events"};
    app->events = calloc(count, sizeof *app->events);
    if (app->events == NULL)
        return no_memory(why);
    for (size_t i = 0; i < count; i++) {
        struct shape_place item = {.above = &at, .index = i};
        app->event_count = i + 1;
        enum result result = compile_event(json_array_get(list, i), &item, &app->events[i], why);
        if (result != RESULT_OK)
            return result;
    }
    enum result result = sort_indexes(app->events, count, compare_events, &app->by_name, why);
    if (result != RESULT_OK)
        return result;
    struct shape_place twin = {.above = &at, .index = find_repeated(app->events, count, compare_events, app->by_name)};
    if (twin.index < count)
        return shape_fail(&twin, "name", why, "is the name of an earlier event, too");
    return RESULT_OK;
}

/* Routes */

static bool is_route(const char *text)
{
    static const char literal[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~%@!$&'()+,;=-";
    if (strcmp(text, "/") == 0)
        return true;
    if (*text == '\0')
        return false;
    while (*text == '/') {
        bool parameter = text[1] == ':';
        text += parameter ? 2 : 1;
        size_t length = parameter ? strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") : strspn(text, literal);
        if (length == 0 || (parameter && (*text < 'a' || *text > 'z')))
            return false;
        text += length;
    }
    return *text == '\0';
}

static enum result compile_routes(const json_t *root, struct app *app, struct failure *why)
{
    struct shape_place at = {.member = "routes"};
    enum result result = copy_texts(json_object_get(root, "routes"), &app->routes, &app->route_count, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < app->route_count; i++) {
        struct shape_place item = {.above = &at, .index = i};
        if (!is_route(app->routes[i]))
            return shape_fail(&item, NULL, why, "must be a path such as /story/:id, without query, fragment or last slash");
    }
    result = sort_indexes(app->routes, app->route_count, compare_routes, &app->by_specificity, why);
    if (result != RESULT_OK)
        return result;
    struct shape_place twin = {.above = &at,
        .index = find_repeated(app->routes, app->route_count, compare_routes, app->by_specificity)};
    if (twin.index < app->route_count)
        return shape_fail(&twin, NULL, why, "matches the same paths as an earlier route");
    return RESULT_OK;
}

static enum result check_route_props(const struct app *app, struct failure *why)
{
    if (app->route_count > 0)
        return RESULT_OK;
    for (size_t i = 0; i < app->event_count; i++) {
        for (size_t j = 0; j < app->events[i].prop_count; j++) {
            if (app->events[i].props[j].type == APP_PROP_ROUTE)
                return shape_fail(NULL, "routes", why, "is required: an event has a property of type route");
        }
    }
    return RESULT_OK;
}

/* What stands at the root */

static bool is_time_zone(const char *text)
{
    bool part_starts = true;
    for (size_t i = 0; text[i] != '\0'; i++) {
        char c = text[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool other = (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-';
        if (i == 0 ? !letter : !(letter || other || (c == '/' && !part_starts)))
            return false;
        part_starts = c == '/';
    }
    return !part_starts;
}

static bool is_origin(const char *text)
{
    if (strcmp(text, "*") == 0)
        return true;
    size_t scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    if (scheme == 0)
        return false;
    text += scheme;
    size_t host = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    if (*text == '[') {
        host = 1 + strspn(text + 1, "0123456789abcdef:.");
        if (host < 3 || text[host++] != ']')
            return false;
    }
    if (host == 0)
        return false;
    text += host;
    if (*text == '\0')
        return true;
    size_t digits = *text == ':' ? strspn(text + 1, "0123456789") : 0;
    return digits >= 1 && digits <= 5 && text[1 + digits] == '\0';
}

static enum result compile_origins(const json_t *root, struct app *app, struct failure *why)
{
    struct shape_place at = {.member = "origins"};
    enum result result = copy_texts(json_object_get(root, "origins"), &app->origins, &app->origin_count, why);
    for (size_t i = 0; result == RESULT_OK && i < app->origin_count; i++) {
        struct shape_place item = {.above = &at, .index = i};
        if (!is_origin(app->origins[i]))
            result = shape_fail(&item, NULL, why, "must be as browsers send it: https://example.org, in small letters, "
                                                  "without a path; or *");
    }
    return result;
}

static enum result compile_scalars(const json_t *root, struct app *app, struct failure *why)
{
    const char *zone = shape_text(root, "time_zone", "");
    if (!is_time_zone(zone))
        return shape_fail(NULL, "time_zone", why, "must be an IANA name such as Europe/Berlin or UTC");
    strcpy(app->time_zone, zone);
    strcpy(app->name, shape_text(root, "name", ""));
    strcpy(app->population, shape_text(root, "population", "default"));
    app->title = strdup(shape_text(root, "title", app->name));
    if (app->title == NULL)
        return no_memory(why);
    app->session_timeout_ms = shape_integer(root, "session_timeout_minutes", 30) * 60000;
    app->epoch_days = (uint32_t)shape_integer(root, "epoch_days", 92);
    app->link_epochs = (uint32_t)shape_integer(root, "link_epochs", 1);
    app->horizon_days = (uint32_t)shape_integer(root, "horizon_days", 400);
    app->lateness_ms = shape_integer(root, "lateness_minutes", 360) * 60000;
    app->respect_gpc = shape_boolean(root, "respect_gpc", true);
    app->respect_dnt = shape_boolean(root, "respect_dnt", true);
    app->anonymous_visitors = shape_boolean(root, "anonymous_visitors", false);
    app->consent_required = shape_choice(root, "consent", consents, 0) == 1;
    return RESULT_OK;
}

/* Periods of interval_days each, as asked for, or at most usual and no more than the horizon has. */
static enum result compile_periods(const json_t *retention, const char *member, uint32_t interval_days, uint32_t usual,
    struct app *app, uint32_t *out, struct failure *why)
{
    struct shape_place at = {.member = "retention"};
    uint32_t most = app->horizon_days / interval_days;
    *out = (uint32_t)shape_integer(retention, member, usual < most ? usual : most);
    if (*out > most)
        return shape_fail(&at, member, why, "is more than horizon_days allows: at most %u of %u days each", most,
            interval_days);
    return RESULT_OK;
}

static enum result compile_retention(const json_t *root, struct app *app, struct failure *why)
{
    struct shape_place at = {.member = "retention"};
    const json_t *object = json_object_get(root, "retention");
    enum result result = RESULT_OK;
    if (object != NULL)
        result = shape_check(object, retention_members, ROWS(retention_members), &at, why);
    if (result == RESULT_OK)
        result = compile_periods(object, "days", 1, 30, app, &app->retention_days, why);
    if (result == RESULT_OK)
        result = compile_periods(object, "weeks", 7, 12, app, &app->retention_weeks, why);
    if (result == RESULT_OK)
        result = compile_periods(object, "months", MONTH_MAX_DAYS, 12, app, &app->retention_months, why);
    return result;
}

static enum result compile_privacy(const json_t *root, struct app *app, struct failure *why)
{
    struct shape_place at = {.member = "privacy"};
    const json_t *object = json_object_get(root, "privacy");
    if (object != NULL) {
        enum result result = shape_check(object, privacy_members, ROWS(privacy_members), &at, why);
        if (result != RESULT_OK)
            return result;
    }
    app->preset = (enum app_preset)shape_choice(object, "preset", preset_names, APP_PRESET_STANDARD);
    app->allow_unprotected = shape_boolean(object, "allow_unprotected", false);
    app->k = (uint32_t)shape_integer(object, "k", presets[app->preset].least_k);
    if (!presets[app->preset].protects && !app->allow_unprotected)
        return shape_fail(&at, "allow_unprotected", why, "must be true: preset %s adds no noise, so its numbers are not "
            "protected against those who know or send some of the events", presets[app->preset].name);
    if (app->k < presets[app->preset].least_k || app->k > presets[app->preset].most_k)
        return shape_fail(&at, "k", why, "must be from %u to %u with preset %s", presets[app->preset].least_k,
            presets[app->preset].most_k, presets[app->preset].name);
    return RESULT_OK;
}

static enum result compile_root(const json_t *root, struct app *app, struct failure *why)
{
    enum result (*const steps[])(const json_t *, struct app *, struct failure *) = {compile_scalars, compile_origins,
        compile_routes, compile_events, compile_retention, compile_privacy, counting_compile};
    enum result result = shape_check(root, root_members, ROWS(root_members), NULL, why);
    for (size_t i = 0; result == RESULT_OK && i < ROWS(steps); i++)
        result = steps[i](root, app, why);
    return result == RESULT_OK ? check_route_props(app, why) : result;
}

enum result definition_compile(const json_t *root, struct app *out, struct failure *why)
{
    struct app app = {0};
    enum result result = compile_root(root, &app, why);
    if (result == RESULT_OK)
        *out = app;
    else
        definition_free(&app);
    return result;
}

enum result definition_parse(const char *text, size_t length, struct app *out, struct failure *why)
{
    json_error_t error;
    if (length > DEFINITION_MAX_BYTES) {
        failure_set(why, NULL, "longer than %d bytes", DEFINITION_MAX_BYTES);
        return RESULT_INVALID;
    }
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        failure_set(why, NULL, "not JSON at line %d, column %d%s", error.line, error.column,
            json_error_code(&error) == json_error_duplicate_key ? ": a member is there twice" : "");
        return RESULT_INVALID;
    }
    enum result result = definition_compile(root, out, why);
    json_decref(root);
    return result;
}

void definition_free(struct app *app)
{
    counting_free(app);
    for (size_t i = 0; i < app->event_count; i++) {
        struct app_event *event = &app->events[i];
        for (size_t j = 0; j < event->prop_count; j++) {
            free_texts(event->props[j].values, event->props[j].count);
            free(event->props[j].by_value);
        }
        free(event->props);
    }
    free(app->events);
    free(app->by_name);
    free_texts(app->routes, app->route_count);
    free(app->by_specificity);
    free_texts(app->origins, app->origin_count);
    free(app->title);
    *app = (struct app){0};
}

/* Succession */

static enum result check_prop_follows(const struct app_prop *now, const struct app_prop *next,
    const struct shape_place *at, struct failure *why)
{
    if (strcmp(now->name, next->name) != 0)
        return shape_fail(at, "name", why, "differs: earlier properties keep their places, new ones go to the end");
    if (now->type != next->type || now->from_user_agent != next->from_user_agent)
        return shape_fail(at, "type", why, "of an earlier property does not change: add a new property");
    if (now->type == APP_PROP_NUMBER) {
        if (now->min < next->min || now->min > next->min || now->step < next->step || now->step > next->step)
            return shape_fail(at, "min", why, "and step of an earlier property do not change");
        if (next->max < now->max)
            return shape_fail(at, "max", why, "of an earlier property may grow, not shrink");
    }
    struct shape_place values = {.above = at, .member = "values"};
    for (size_t i = 0; i < now->count; i++) {
        struct shape_place item = {.above = &values, .index = i};
        if (i >= next->count || strcmp(now->values[i], next->values[i]) != 0)
            return shape_fail(&item, NULL, why, "differs: earlier values keep their places, new ones go to the end");
    }
    return RESULT_OK;
}

static enum result check_event_follows(const struct app_event *now, const struct app_event *next,
    const struct shape_place *at, struct failure *why)
{
    if (strcmp(now->name, next->name) != 0)
        return shape_fail(at, "name", why, "differs: earlier events keep their places, new ones go to the end");
    struct shape_place props = {.above = at, .member = "properties"};
    for (size_t i = 0; i < now->prop_count; i++) {
        struct shape_place item = {.above = &props, .index = i};
        if (i >= next->prop_count)
            return shape_fail(&item, NULL, why, "is missing: properties are not taken back");
        enum result result = check_prop_follows(&now->props[i], &next->props[i], &item, why);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

static enum result check_routes_follow(const struct app *now, const struct app *next, struct failure *why)
{
    struct shape_place at = {.member = "routes"};
    for (size_t i = 0; i < now->route_count; i++) {
        struct shape_place item = {.above = &at, .index = i};
        if (i >= next->route_count || strcmp(now->routes[i], next->routes[i]) != 0)
            return shape_fail(&item, NULL, why, "differs: earlier routes keep their places, new ones go to the end "
                "(the order does not matter for matching)");
    }
    return RESULT_OK;
}

/* What is collected and not released yet was promised the protection in force, and a week or month that closes later would
 * tell of its days without it. Presets stand in the order of their protection. */
static enum result check_protection_kept(const struct app *now, const struct app *next, struct failure *why)
{
    const struct shape_place at = {.member = "privacy"};
    if (next->preset > now->preset)
        return shape_fail(&at, "preset", why, "does not become weaker, %s instead of %s: what is collected was promised it. "
            "Add another app", presets[next->preset].name, presets[now->preset].name);
    if (next->preset == now->preset && next->preset != APP_PRESET_EXACT && next->k < now->k)
        return shape_fail(&at, "k", why, "does not become smaller, %u instead of %u: what is collected was promised it. "
            "Add another app", next->k, now->k);
    return RESULT_OK;
}

enum result definition_check_successor(const struct app *now, const struct app *next, struct failure *why)
{
    struct shape_place at = {.member = "events"};
    if (strcmp(now->name, next->name) != 0)
        return shape_fail(NULL, "name", why, "of an app does not change: add another app");
    if (strcmp(now->time_zone, next->time_zone) != 0)
        return shape_fail(NULL, "time_zone", why, "of an app does not change: add another app");
    if (strcmp(now->population, next->population) != 0)
        return shape_fail(NULL, "population", why, "of an app does not change: add another app");
    enum result kept = check_protection_kept(now, next, why);
    if (kept != RESULT_OK)
        return kept;
    for (size_t i = 0; i < now->event_count; i++) {
        struct shape_place item = {.above = &at, .index = i};
        if (i >= next->event_count)
            return shape_fail(&item, NULL, why, "is missing: events are not taken back");
        enum result result = check_event_follows(&now->events[i], &next->events[i], &item, why);
        if (result != RESULT_OK)
            return result;
    }
    kept = check_routes_follow(now, next, why);
    return kept == RESULT_OK ? succession_check(now, next, why) : kept;
}

/* Looking up */

int definition_find_event(const struct app *app, const char *name)
{
    size_t low = 0, high = app->event_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, app->events[app->by_name[middle]].name);
        if (order == 0)
            return app->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

int definition_find_prop(const struct app_event *event, const char *name)
{
    for (size_t i = 0; i < event->prop_count; i++) {
        if (strcmp(event->props[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

int definition_find_value(const struct app_prop *prop, const char *text)
{
    size_t low = 0, high = prop->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(text, prop->values[prop->by_value[middle]]);
        if (order == 0)
            return prop->by_value[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

/* Whether pattern takes path[0..length-1], which begins with '/' and does not end with one unless it is "/". */
static bool route_takes(const char *pattern, const char *path, size_t length)
{
    const char *end = path + length;
    while (*pattern != '\0' && path < end) {
        if (pattern[0] == '/' && pattern[1] == ':') {
            const char *segment = path;
            if (*path++ != '/')
                return false;
            while (path < end && *path != '/')
                path++;
            if (path - segment == 1)
                return false;
            pattern += 1 + strcspn(pattern + 1, "/");
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == '\0' && path == end;
}

int definition_find_route(const struct app *app, const char *path)
{
    size_t length = strcspn(path, "?#");
    if (path[0] != '/')
        return -1;
    if (length > 1 && path[length - 1] == '/')
        length--;
    for (size_t i = 0; i < app->route_count; i++) {
        if (route_takes(app->routes[app->by_specificity[i]], path, length))
            return app->by_specificity[i];
    }
    return -1;
}
