/*
 * An app definition, compiled: what an app's events may look like and how they are counted. service/catalogue/definition
 * makes it from JSON (schema/app.schema.json); everything here is read-only afterwards and shared between threads.
 *
 * Sees:     nothing of a person.
 * Uses:     libc.
 */
#ifndef THRONG_SCHEMA_APP_H
#define THRONG_SCHEMA_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/limits.h"

enum app_prop_type {
    APP_PROP_ENUM,
    APP_PROP_NUMBER,
    APP_PROP_BOOLEAN,
    APP_PROP_ROUTE,
    APP_PROP_ENTITY, /* an opaque id, of a campaign say, that becomes a pseudonym while the request is read */
};

struct app_prop {
    char name[NAME_MAX_BYTES + 1];
    enum app_prop_type type;
    bool from_user_agent; /* enum only: ingest fills it with the coarse device class; clients may not send it */
    bool required;
    char **values; /* enum: `count` values, their index is what a packet carries */
    size_t count;
    uint16_t *by_value; /* enum: indexes of values in strcmp order; definition_find_value uses it */
    double min, max, step; /* number: carried as round((x - min) / step), min <= x <= max */
};

/* A goal, as the event that reaches it knows it. */
struct app_goal {
    char name[NAME_MAX_BYTES + 1];
    int prop;      /* index of the property that narrows it; < 0: every such event reaches it */
    int64_t value; /* packet value which that property must have */
};

/* What an event counts for besides itself, one use each. `item` is the position in the app's list of that kind. */
enum app_use_kind {
    APP_USE_FEATURE,
    APP_USE_SEGMENT,
    APP_USE_GOAL,
    APP_USE_START,     /* of what `completion` counts; item is 0 */
    APP_USE_DONE,
    APP_USE_STEP,      /* of funnel `item`: its step `step` */
    APP_USE_DIMENSION, /* the class of its property in dimension `item` */
    APP_USE_MEASURE,   /* the value of its property, in steps above the least one */
    APP_USE_PATH,      /* the class of its property */
    APP_USE_ENTITY,    /* the id of its property */
};

struct app_use {
    enum app_use_kind kind;
    uint8_t item;
    uint8_t step;
    int prop;      /* index in the event's props: which narrows it (FEATURE to STEP) or is read (the others); < 0: every
                    * such event counts */
    int64_t value; /* FEATURE to STEP: packet value which that property must have */
    const uint8_t *classes; /* DIMENSION, PATH: class of packet value v in classes[v + 1], v = -1 … class_count - 2; other
                             * values are of class DIMENSION_VALUES_MAX. Owned by the app's dimension or path */
    size_t class_count;
};

struct app_event {
    char name[NAME_MAX_BYTES + 1];
    bool view; /* a page or screen view */
    struct app_use *uses;
    size_t use_count;
    bool goal; /* some goal of the app may be reached by it: goal_count > 0 */
    struct app_goal *goals;
    size_t goal_count;
    struct app_prop *props;
    size_t prop_count;
};

/* A declared thing that is counted, by its name; its position in its list never changes. */
struct app_item {
    char name[NAME_MAX_BYTES + 1];
    char *title; /* NULL: none */
};

/* Of which of a person's events a dimension takes the value. */
enum app_scope { APP_SCOPE_EVENTS, APP_SCOPE_ENTRY, APP_SCOPE_EXIT }; /* all; the first, the last of a session that has it */

/* A dimension or path: values of one property, in classes. Class i of values[0..count-1], or DIMENSION_VALUES_MAX for
 * everything else. */
struct app_dimension {
    struct app_item item;
    enum app_scope scope; /* paths: EVENTS */
    char **values;
    size_t count;
    bool has_other; /* something else can occur */
    uint8_t *classes;
    size_t class_count;
};

struct app_funnel {
    struct app_item item;
    uint32_t steps; /* 2 to FUNNEL_STEPS_MAX */
    char *labels[FUNNEL_STEPS_MAX]; /* "signup" or "signup method=email" */
    uint32_t window_days;
};

struct app_measure {
    struct app_item item;
    char unit[81]; /* "" if none was declared */
    double min, max, step;
    bool of_outcome; /* some outcome is made of it */
};

enum app_aggregate { APP_AGGREGATE_MEAN, APP_AGGREGATE_SUM, APP_AGGREGATE_MAX, APP_AGGREGATE_LAST };

struct app_tier {
    struct app_item item;
    uint32_t sessions_from; /* a week */
};

struct app_outcome {
    struct app_item item;
    uint32_t measure; /* position */
    enum app_aggregate aggregate; /* of one person's month */
    struct app_tier tiers[OUTCOME_TIERS_MAX];
    uint32_t tier_count; /* 0: people are not told apart */
};

enum app_preset { APP_PRESET_STRICT, APP_PRESET_STANDARD, APP_PRESET_SMALL, APP_PRESET_THRESHOLD, APP_PRESET_EXACT };

enum app_mode { APP_MODE_LIVE, APP_MODE_IMPORTING };

struct app {
    uint32_t id;      /* 1 …; 0 until the database gave one */
    uint32_t version; /* of the definition, 1 … */
    char name[NAME_MAX_BYTES + 1];
    char *title;
    char population[NAME_MAX_BYTES + 1];
    char time_zone[64]; /* IANA name */
    char **origins;     /* "https://example.org" */
    size_t origin_count;
    int64_t session_timeout_ms;
    uint32_t epoch_days;  /* 92: calendar quarters; else 7 … 366 days since 1970-01-01 */
    uint32_t link_epochs; /* 1 … LINK_EPOCHS_MAX */
    uint32_t horizon_days;
    int64_t lateness_ms;
    bool respect_gpc, respect_dnt;
    bool anonymous_visitors; /* take events without a user id, as day visitors */
    bool consent_required;   /* take only requests that say the person consented */
    enum app_mode mode;
    struct app_event *events;
    size_t event_count;
    uint16_t *by_name; /* indexes of events in strcmp order of their names; definition_find_event uses it */
    char **routes;     /* route patterns "/story/:id"; their index is what a packet carries */
    size_t route_count;
    uint16_t *by_specificity; /* indexes of routes in matching order: a literal segment goes before a parameter */
    struct app_dimension *dimensions;
    size_t dimension_count;
    struct app_item *features;
    size_t feature_count;
    struct app_item *segments;
    size_t segment_count;
    struct app_item *goals;
    size_t goal_count;
    bool completion; /* a start and a done event are declared */
    struct app_funnel *funnels;
    size_t funnel_count;
    struct app_measure *measures;
    size_t measure_count;
    struct app_outcome *outcomes;
    size_t outcome_count;
    struct app_item *entities;
    size_t entity_count;
    struct app_dimension *paths;
    size_t path_count;
    uint32_t retention_days, retention_weeks, retention_months; /* largest N per interval */
    enum app_preset preset;
    bool allow_unprotected;
    uint32_t k; /* threshold of distinct pseudonyms a shown cell needs */
};

#endif
