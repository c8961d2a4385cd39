#include "api/describe.h"

#include <stdio.h>
#include <string.h>

#include "anonymizer/release/family.h"
#include "anonymizer/release/plan.h"
#include "anonymizer/release/policy.h"
#include "api/series/items.h"
#include "api/series/rows.h"
#include "api/tenant.h"
#include "service/catalogue/definition.h"

/* --- definitions --------------------------------------------------------------------------------------------------- */

static const struct concept {
    const char *id;
    int version;
    const char *text;
} concepts[] = {
#define CONCEPT(id, version, text) {#id, version, text},
#include "api/concepts.def"
#undef CONCEPT
};
#define CONCEPTS (sizeof concepts / sizeof concepts[0])

/* A released number's meaning has one version, whatever the interval. */
static int version_of(const struct metric *metric)
{
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT && metric->version == 0; interval++) {
        enum family_number found = family_number_named(metric->above, interval);
        if (found != NUMBER_COUNT)
            return family_number(found)->version;
    }
    return metric->version;
}

json_t *describe_definition_of(const struct metric *metric)
{
    return json_pack("{s:s,s:i}", "id", metric->name, "version", version_of(metric));
}

static json_t *parts_json(const struct metric *metric)
{
    json_t *parts = json_array();
    json_array_append_new(parts, json_string(metric->above));
    if (metric->below != NULL && strcmp(metric->below, metric->above) != 0)
        json_array_append_new(parts, json_string(metric->below));
    return parts;
}

static json_t *metric_definition(const struct metric *metric)
{
    return json_pack("{s:s,s:i,s:s,s:s?,s:s,s:o}", "id", metric->name, "version", version_of(metric), "kind",
        metric->version == 0 ? "released" : "computed", "unit", metric->unit[0] == '\0' ? NULL : metric->unit, "text", metric->text, "released_numbers",
        parts_json(metric));
}

static json_t *concept_definition(const struct concept *concept)
{
    return json_pack("{s:s,s:i,s:s,s:n,s:s,s:[]}", "id", concept->id, "version", concept->version, "kind", "concept", "unit",
        "text", concept->text, "released_numbers");
}

enum MHD_Result describe_definitions(struct call *call)
{
    json_t *list = json_array();
    for (size_t i = 0; i < CONCEPTS; i++)
        json_array_append_new(list, concept_definition(&concepts[i]));
    for (size_t i = 0; metric_at(i) != NULL; i++)
        json_array_append_new(list, metric_definition(metric_at(i)));
    return call_send_json(call, json_pack("{s:o}", "definitions", list));
}

enum MHD_Result describe_definition(struct call *call, const char *id)
{
    const struct metric *metric = metric_named(id);
    if (metric != NULL)
        return call_send_json(call, metric_definition(metric));
    for (size_t i = 0; i < CONCEPTS; i++) {
        if (strcmp(concepts[i].id, id) == 0)
            return call_send_json(call, concept_definition(&concepts[i]));
    }
    return call_not_found(call);
}

/* --- protection ---------------------------------------------------------------------------------------------------- */

/* What a preset promises for everything released about one user's month (δ is 1e-9); NULL: nothing. */
static json_t *promised_epsilon(const char *preset)
{
    static const struct {
        const char *preset;
        int epsilon;
    } promises[] = {{"strict", 3}, {"standard", 8}, {"small", 16}};
    for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++) {
        if (strcmp(promises[i].preset, preset) == 0)
            return json_integer(promises[i].epsilon);
    }
    return json_null();
}

static json_t *text_or_null(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *protection_json(const char *kind, const char *preset, const char *mechanism, const struct answer *answer,
    int32_t k)
{
    bool private = strcmp(kind, "dp") == 0;
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:i}", "kind", kind, "preset", preset, "mechanism", mechanism, "unit",
        private ? json_string("user_month") : json_null(), "epsilon", private ? promised_epsilon(preset) : json_null(), "delta",
        private ? json_real(1e-9) : json_null(), "sigma2", text_or_null(answer->sigma2), "rho", text_or_null(answer->rho), "k",
        (int)k);
}

json_t *describe_protection(const struct app *app, const struct answer *answer)
{
    struct policy policy;
    struct failure why = {0};
    if (answer->version != 0)
        return protection_json(answer->protection, answer->preset, answer->mechanism, answer, answer->k);
    if (policy_make(app->preset, app->allow_unprotected, app->k, &policy, &why) == RESULT_OK)
        return protection_json(policy_protection_name(policy.protection), policy_preset_name(app->preset),
            policy_mechanism(&policy), answer, policy.k);
    return protection_json("unreleased", policy_preset_name(app->preset), "none", answer, (int32_t)app->k);
}

/* --- apps ---------------------------------------------------------------------------------------------------------- */

static json_t *app_json(const struct app *app)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:i,s:i}", "app", app->name, "title", app->title, "time_zone", app->time_zone, "preset",
        policy_preset_name(app->preset), "definition_version", (int)app->version, "linkable_days",
        (int)tenant_linkable_days(app));
}

enum MHD_Result describe_apps(struct call *call)
{
    struct failure why = {0};
    struct tenant_list tenants = {NULL, 0};
    struct db *db = call_db(call, &why);
    if (db == NULL || tenant_list_read(db, &call->identity, &tenants, &why) != RESULT_OK)
        return call_unavailable(call);
    json_t *list = json_array();
    for (size_t i = 0; i < tenants.count; i++)
        json_array_append_new(list, app_json(&tenants.apps[i]));
    tenant_list_free(&tenants);
    return call_send_json(call, json_pack("{s:o}", "apps", list));
}

/* Find the app called name for the call. False: *answer is to be returned. */
static bool find_app(struct call *call, const char *name, struct app *app, enum MHD_Result *answer)
{
    struct failure why = {0};
    struct db *db = call_db(call, &why);
    enum result result = db == NULL ? RESULT_UNAVAILABLE : tenant_find(db, &call->identity, name, app, &why);
    if (result == RESULT_OK)
        return true;
    if (result == RESULT_NOT_FOUND && call->identity.app != 0)
        journal_count(call->service->journal, &call->identity, JOURNAL_APP, "");
    *answer = result == RESULT_NOT_FOUND ? call_not_found(call) : call_unavailable(call);
    return false;
}

/* --- the catalogue ------------------------------------------------------------------------------------------------- */

/* What an app's preset lets leave. */
struct funding {
    const struct app *app;
    struct policy policy;
    struct plan plan; /* of a differentially private preset */
    bool releases, private;
    struct failure why; /* it does not */
};

static void find_funding(const struct app *app, struct funding *out)
{
    *out = (struct funding){.app = app};
    out->private = app->preset != APP_PRESET_EXACT && app->preset != APP_PRESET_THRESHOLD;
    out->releases = policy_make(app->preset, app->allow_unprotected, app->k, &out->policy, &out->why) == RESULT_OK;
    if (out->releases && out->private)
        out->releases = plan_make(app, app->preset, app->k, &out->plan, &out->why) == RESULT_OK;
}

/* Whether the declared thing at position item leaves where its family does. */
static bool has_item(const struct funding *funding, enum family_number number, size_t item)
{
    uint64_t items = funding->private ? funding->plan.families[family_number(number)->family].items : 0;
    return items == 0 || (item < 64 && (items >> item & 1u) != 0);
}

/* Why number is not released in interval under the app's preset; NULL: it is. */
static const char *unfunded(const struct funding *funding, enum family_number number, enum family_interval interval)
{
    bool rolling = interval != INTERVAL_DAY && interval != INTERVAL_WEEK && interval != INTERVAL_MONTH;
    if (!funding->releases)
        return "the app's preset releases nothing: see `protection`";
    if (funding->private)
        return plan_reason(&funding->plan, number, interval);
    if (policy_allows(&funding->policy, number, interval))
        return NULL;
    return rolling ? "the preset does not release this interval"
                   : "the preset releases no breakdowns: its threshold does not protect one class against the others";
}

/* Why metric is not known in interval; NULL: it is. What was released under no noise is computed of others under one. */
static const char *unknown(const struct funding *funding, const struct metric *metric, enum family_number above,
    enum family_number below, enum family_interval interval)
{
    if (metric->kind == METRIC_KIND_RETURNING && funding->private) {
        above = NUMBER_ACTIVE_USERS;
        below = NUMBER_NEW_USERS;
    }
    const char *why = unfunded(funding, above, interval);
    return why == NULL ? unfunded(funding, below, interval) : why;
}

/* item: of a declared metric its position, else -1. */
static json_t *interval_json(const struct funding *funding, const struct metric *metric, int32_t item,
    enum family_interval interval)
{
    enum family_number above = family_number_named(metric->above, interval);
    enum family_number below = metric->below == NULL ? above : family_number_named(metric->below, interval);
    if (above == NUMBER_COUNT || below == NUMBER_COUNT || (metric_is_monthly(metric) && interval != INTERVAL_MONTH))
        return NULL;
    const char *why = unknown(funding, metric, above, below, interval);
    if (why == NULL && item >= 0 && !has_item(funding, above, (size_t)item))
        why = "the preset's privacy budget has no share for this one";
    return json_pack("{s:s,s:b,s:s?,s:s}", "interval", family_interval_name(interval), "funded", why == NULL, "why", why, "family",
        family_name(family_number(above)->family));
}

static json_t *intervals_json(const struct funding *funding, const struct metric *metric, int32_t item)
{
    json_t *intervals = json_array();
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++) {
        json_t *entry = interval_json(funding, metric, item, interval);
        if (entry != NULL)
            json_array_append_new(intervals, entry);
    }
    return intervals;
}

/* The classes of a dimension or path, in order. */
static json_t *classes_json(const struct app_dimension *dimension)
{
    json_t *classes = json_array();
    for (size_t i = 0; i < dimension->count; i++)
        json_array_append_new(classes, json_string(dimension->values[i]));
    if (dimension->has_other)
        json_array_append_new(classes, json_string(items_class_name(dimension, DIMENSION_VALUES_MAX)));
    return classes;
}

/* Whether the metric's item at position leaves in any interval. */
static bool is_funded(const struct funding *funding, const struct metric *metric, size_t position)
{
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++) {
        enum family_number number = family_number_named(metric->above, interval);
        if (number != NUMBER_COUNT && unfunded(funding, number, interval) == NULL && has_item(funding, number, position))
            return true;
    }
    return false;
}

/* What the metric's rows are told apart by. */
static json_t *items_json(const struct funding *funding, const struct metric *metric)
{
    const struct app *app = funding->app;
    enum metric_list list = metric->list;
    const struct app_item *item;
    json_t *items = json_array();
    for (size_t i = 0; (item = items_at(app, list, i)) != NULL; i++) {
        if (!items_is(app, list, i))
            continue;
        const struct app_dimension *classes = items_classes(app, list, (int32_t)i);
        json_array_append_new(items, json_pack("{s:s,s:s?,s:b,s:o}", "name", item->name, "title", item->title,
                                         "funded", is_funded(funding, metric, i), "classes",
                                         classes == NULL ? json_null() : classes_json(classes)));
    }
    return items;
}

/* The dimensions that the metric can be broken down by. */
static json_t *by_json(const struct app *app, const struct metric *metric)
{
    json_t *by = json_array();
    for (size_t i = 0; strcmp(metric->name, "active_users") == 0 && i < app->dimension_count; i++)
        json_array_append_new(by, json_string(app->dimensions[i].item.name));
    return by;
}

static json_t *metric_json(const struct funding *funding, const struct metric *metric)
{
    return json_pack("{s:s,s:o,s:s,s:s,s:o,s:o,s:o,s:o}", "metric", metric->name, "definition", describe_definition_of(metric),
        "unit", metric->unit, "text", metric->text, "released_numbers", parts_json(metric), "intervals",
        intervals_json(funding, metric, -1), "items", items_json(funding, metric), "by", by_json(funding->app, metric));
}

/* A measure is a metric by its own name. */
static json_t *measure_json(const struct funding *funding, size_t position)
{
    const struct app_measure *measure = &funding->app->measures[position];
    const struct metric *metric = metric_named("measure");
    return json_pack("{s:s,s:s?,s:o,s:s,s:s,s:o,s:o,s:[],s:[]}", "metric", measure->item.name, "title", measure->item.title,
        "definition", describe_definition_of(metric), "unit", measure->unit, "text", metric->text, "released_numbers",
        parts_json(metric), "intervals", intervals_json(funding, metric, (int32_t)position), "items", "by");
}

static json_t *metrics_json(const struct funding *funding)
{
    const struct app *app = funding->app;
    json_t *list = json_array();
    for (size_t i = 0; metric_at(i) != NULL; i++) {
        if (!metric_is_declared(metric_at(i)) && items_any(app, metric_at(i)->list))
            json_array_append_new(list, metric_json(funding, metric_at(i)));
    }
    for (size_t i = 0; i < app->measure_count; i++)
        json_array_append_new(list, measure_json(funding, i));
    return list;
}

static json_t *funnels_json(const struct funding *funding)
{
    const struct app *app = funding->app;
    const struct metric *metric = metric_named("funnel");
    json_t *list = json_array();
    for (size_t i = 0; i < app->funnel_count; i++) {
        const struct app_funnel *funnel = &app->funnels[i];
        json_t *steps = json_array();
        for (size_t j = 0; j < funnel->steps; j++)
            json_array_append_new(steps, json_string(funnel->labels[j]));
        json_array_append_new(list, json_pack("{s:s,s:s?,s:o,s:o,s:i,s:o}", "funnel", funnel->item.name, "title",
                                        funnel->item.title, "definition", describe_definition_of(metric), "steps", steps,
                                        "window_days", (int)funnel->window_days, "intervals",
                                        intervals_json(funding, metric, (int32_t)i)));
    }
    return list;
}

static json_t *outcomes_json(const struct funding *funding)
{
    const struct app *app = funding->app;
    const struct metric *metric = metric_named("outcome");
    json_t *list = json_array();
    for (size_t i = 0; i < app->outcome_count; i++) {
        const struct app_outcome *outcome = &app->outcomes[i];
        const struct app_measure *measure = &app->measures[outcome->measure];
        json_array_append_new(list, json_pack("{s:s,s:s?,s:o,s:s,s:s,s:s,s:o,s:o}", "outcome", outcome->item.name, "title",
                                        outcome->item.title, "definition", describe_definition_of(metric), "measure",
                                        measure->item.name, "unit", measure->unit, "aggregate",
                                        rows_aggregate_name(outcome->aggregate), "tiers", rows_tiers(outcome), "intervals",
                                        intervals_json(funding, metric, (int32_t)i)));
    }
    return list;
}

enum MHD_Result describe_metrics(struct call *call, const char *name)
{
    struct app app = {0};
    struct funding funding;
    enum MHD_Result answer;
    if (!find_app(call, name, &app, &answer))
        return answer;
    find_funding(&app, &funding);
    const struct answer none = {.points = NULL};
    json_t *root = app_json(&app);
    json_object_set_new(root, "protection", describe_protection(&app, &none));
    json_object_set_new(root, "explanation", funding.releases ? json_null() : json_string(funding.why.text));
    json_object_set_new(root, "metrics", metrics_json(&funding));
    json_object_set_new(root, "funnels", funnels_json(&funding));
    json_object_set_new(root, "outcomes", outcomes_json(&funding));
    definition_free(&app);
    return call_send_json(call, root);
}
