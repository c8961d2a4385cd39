/*
 * What one shard's packets add to its state, in memory between two flushes: users, sources, sessions and a plain log of
 * counted events. Before the flush the log is digested: sorted once, then cut into fragments and person-days.
 *
 * Two passes over each batch of packets: fold_prepare registers the sources and users it has not met, the store loads
 * what the database knows of them, fold_apply then decides each event: late, duplicate or counted.
 *
 * Sees:     pseudonyms.
 * Uses:     libc, schema/.
 * Threads:  a fold belongs to one thread.
 * Failure:  none: packets were checked before; out of memory ends the process (a fold is bounded by the flush policy).
 */
#ifndef THRONG_AGGREGATE_FOLD_H
#define THRONG_AGGREGATE_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"
#include "schema/packet.h"
#include "service/aggregate/calendar.h"
#include "service/aggregate/ranges.h"
#include "service/aggregate/session.h"
#include "service/aggregate/table.h"

#define FOLD_NONE UINT32_MAX
#define FOLD_NO_DAY INT32_MIN
/* An alias lives so long, and packets that name a user by a passed epoch are taken so long after the change: longer than
 * any packet waits in a spool. */
#define FOLD_ALIAS_DAYS 30

/* What the fold must know of an app in this shard; the worker keeps one per app. */
struct fold_app {
    uint32_t app;
    const struct app *definition;
    const struct calendar *calendar;
    int32_t activity_through; /* last closed day of stage one, or FOLD_NO_DAY */
    int32_t sessions_through;
    int32_t folded_through;   /* the activity_through with which old months were last folded */
    int64_t epoch;            /* the highest seen, -1: none */
    int64_t epoch_since_ms;   /* receipt of its first packet */
    bool epoch_changed;       /* since the last flush */
};

struct fold_user {
    uint32_t app;
    bool anonymous;
    uint8_t older;            /* names in old */
    uint32_t epoch;           /* of name */
    int32_t last_receipt_day; /* UTC */
    struct pseudonym name;    /* of the latest epoch met */
    struct pseudonym old[NAMES_MAX];
};

struct fold_source {
    uint32_t app;
    bool has_before;
    int32_t receipt_day; /* UTC, of the last packet */
    struct pseudonym name, before;
    struct ranges known; /* seqs counted ever, as far as state.seen still tells */
    struct ranges added; /* since the last flush */
};

struct fold_session {
    struct pseudonym name, before;
    bool has_before;
};

struct fold_event {
    int64_t ts_ms;
    uint32_t user;
    uint32_t session; /* FOLD_NONE: unnamed */
    int32_t day;
    uint32_t engaged_ms;
    uint8_t flags; /* EVENT_VIEW, EVENT_GOAL */
};

struct fold_tally {
    uint32_t app;
    int32_t day; /* UTC, of receipt */
    int64_t counted, duplicate, late;
};

struct fold_refusal {
    uint32_t app;
    int32_t day;
    enum packet_reason reason;
    int64_t count;
};

/* Digest: a user's fragment, and a user's or visitor's day. */
struct fold_fragment {
    uint32_t user;
    struct session_fragment piece;
};

struct fold_day {
    uint32_t user;
    int32_t day;
    int32_t events, views;
};

/* A user by a passed epoch's name, to be looked up among the aliases. */
struct fold_stranger {
    uint32_t app;
    struct pseudonym name;
    bool known;           /* the database had an alias */
    struct pseudonym usr; /* then: its present name */
};

#define FOLD_LIST(type, name) \
    struct type *name; \
    size_t name##_count, name##_size
struct fold {
    struct table table;
    FOLD_LIST(fold_user, users);
    FOLD_LIST(fold_source, sources);
    FOLD_LIST(fold_session, sessions);
    FOLD_LIST(fold_event, events);
    FOLD_LIST(fold_tally, tallies);
    FOLD_LIST(fold_refusal, refusals);
    FOLD_LIST(fold_stranger, strangers);
    FOLD_LIST(fold_fragment, fragments); /* after fold_digest */
    FOLD_LIST(fold_day, days);           /* after fold_digest, by user, then day */
    size_t sources_loaded;               /* sources below it were looked up */
    size_t strangers_loaded;
    bool met_unknown_app;                /* by fold_prepare, since the caller last cleared it */
};

/* Finds the worker's struct fold_app; NULL if the app is unknown. */
typedef struct fold_app *fold_find_app(void *context, uint32_t app);

/* Register what the packet in bytes[0..length-1] (checked, of type events) names and fold has not met; sets
 * fold->met_unknown_app if find does not know one of its apps. */
void fold_prepare(struct fold *fold, const uint8_t *bytes, size_t length, fold_find_app *find, void *context);

/* Count its events. Events of an app that find does not know are counted as late under that app. */
void fold_apply(struct fold *fold, const uint8_t *bytes, size_t length, fold_find_app *find, void *context);

/* Add refusal counts of a counts packet. */
void fold_refuse(struct fold *fold, int64_t at_ms, const struct packet_count *rows, size_t count);

/* Make fragments and days out of the events. Apps are found as above (for their session timeout). */
void fold_digest(struct fold *fold, fold_find_app *find, void *context);

/* The user or visitor with that present name, FOLD_NONE if there is none. */
uint32_t fold_find_user(const struct fold *fold, uint32_t app, const struct pseudonym *name);

/* Whether anything waits to be flushed; memory held by what waits, in bytes. */
bool fold_is_empty(const struct fold *fold);
/* See fold_is_empty. */
size_t fold_bytes(const struct fold *fold);

/* Forget everything; big buffers are given back, by fold_free all of them. */
void fold_clear(struct fold *fold);
/* See fold_clear. */
void fold_free(struct fold *fold);

#endif
