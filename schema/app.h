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

enum app_prop_type { APP_PROP_ENUM, APP_PROP_NUMBER, APP_PROP_BOOLEAN, APP_PROP_ROUTE };

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

struct app_event {
    char name[NAME_MAX_BYTES + 1];
    bool view; /* a page or screen view */
    bool goal; /* some goal of the app may be reached by it: goal_count > 0 */
    struct app_goal *goals;
    size_t goal_count;
    struct app_prop *props;
    size_t prop_count;
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
    uint32_t retention_days, retention_weeks, retention_months; /* largest N per interval */
    enum app_preset preset;
    bool allow_unprotected;
    uint32_t k; /* threshold of distinct pseudonyms a shown cell needs */
};

#endif
