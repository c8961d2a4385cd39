/*
 * What one shard's packets add to its state, in memory between two flushes: users, sources, sessions and a plain log of
 * counted events. Before the flush the log is digested: sorted once, then cut into fragments and person-days.
 *
 * Two passes over each batch of packets: fold_prepare registers the sources and users it has not met, the store loads
 * what the database knows of them, fold_apply then decides each event: late, duplicate or counted.
 *
 * Sees:     pseudonyms.
 * Uses:     libc, schema/; libsodium where somebody must be forgotten.
 * Threads:  a fold belongs to one thread.
 * Failure:  none: packets were checked before; out of memory ends the process (a fold is bounded by the flush policy).
 */
#ifndef THRONG_AGGREGATE_FOLD_H
#define THRONG_AGGREGATE_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "schema/app.h"
#include "schema/packet.h"
#include "service/aggregate/calendar.h"
#include "service/aggregate/forgotten.h"
#include "service/aggregate/ranges.h"
#include "service/aggregate/session.h"
#include "service/aggregate/table.h"

#define FOLD_NONE UINT32_MAX
#define FOLD_NO_DAY INT32_MIN
/* An alias lives so long, and packets that name a user by a passed epoch are taken so long after the change: longer than
 * any packet waits in a spool. */
#define FOLD_ALIAS_DAYS 30
#define FOLD_NO_CLASS UINT8_MAX
#define FOLD_MARKS_BYTES 72 /* 32 features, 32 segments, DIMENSIONS_MAX × 64 classes, a bit each */
#define FOLD_PATH_TRACK 64  /* the track of path 0 */
#define FOLD_DAY_STEPS 200
#define FOLD_DAY_ENTITIES 100

/* What the last clean-up (expire.h) was done with: the activity_through, and the UTC days of the clock and of the watermark.
 * FOLD_NO_DAY: none was, since this process has the shard. */
struct fold_expired {
    int32_t through, today, reached;
};

/* What the fold must know of an app in this shard; the worker keeps one per app. */
struct fold_app {
    uint32_t app;
    const struct app *definition;
    const struct calendar *calendar;
    int32_t activity_through; /* last closed day of stage one, or FOLD_NO_DAY */
    int32_t sessions_through;
    struct fold_expired expired;
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
    uint32_t marks;           /* the first of its fold_marks, FOLD_NONE: none */
    struct pseudonym name;    /* of the latest epoch met */
    struct pseudonym old[NAMES_MAX];
};

struct fold_source {
    uint32_t app;
    bool has_before;
    bool stored;         /* the database has rows of it */
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
    uint8_t entry, exit; /* class of the entry and exit dimension, FOLD_NO_CLASS: none */
    uint64_t goal_bits;  /* as in a session_fragment */
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
    uint32_t marks; /* in fold->marks, FOLD_NONE: the day has none */
};

/* What a person's day has of the declared things, as in state.person_day.marks; not for visitors. */
struct fold_marks {
    int32_t day;
    uint32_t next; /* of the same user, FOLD_NONE: no more */
    uint8_t bits[FOLD_MARKS_BYTES]; /* bit 0 is the highest of the first byte, as PostgreSQL counts */
};

/* A step of a funnel or path, as in state.step. After the digest a person's day has at most FOLD_DAY_STEPS of a track, the
 * earliest (of several at once: the smallest values). */
struct fold_step {
    uint32_t user;
    int32_t day;
    int16_t track;
    int32_t value;
    int64_t ts_ms;
};

/* A sample of a measure; after the digest all samples of a person's day and bin, as in state.person_measure. */
struct fold_measure {
    uint32_t user;
    int32_t day;
    uint8_t measure, bin;
    int64_t count, sum, most, last_ms, last;
};

/* An entity that a person's day touched; after the digest each once, at most FOLD_DAY_ENTITIES a class: the smallest. */
struct fold_entity {
    uint32_t user;
    int32_t day;
    uint8_t class;
    int64_t entity;
};

/* A user by a passed epoch's name, to be looked up among the aliases. */
struct fold_stranger {
    uint32_t app;
    struct pseudonym name;
    bool known;           /* the database had an alias */
    struct pseudonym usr; /* then: its present name */
};

#define FOLD_LIST(type, name) /* appended to by FOLD_APPEND */ \
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
    FOLD_LIST(fold_marks, marks);
    FOLD_LIST(fold_step, steps);         /* after fold_digest by user, track and day */
    FOLD_LIST(fold_measure, measures);   /* after fold_digest by user, day, measure and bin */
    FOLD_LIST(fold_entity, entities);    /* after fold_digest by user, day and class */
    FOLD_LIST(fold_fragment, fragments); /* after fold_digest */
    FOLD_LIST(fold_day, days);           /* after fold_digest, by user, then day */
    size_t sources_loaded;               /* sources below it were looked up */
    size_t strangers_loaded;
    bool met_unknown_app;                /* by fold_prepare, since the caller last cleared it */
    struct forgotten forgotten;          /* whose events are dropped; not touched by fold_clear */
};

/* list, of item_bytes an item, with more room; *size becomes its room in items. For FOLD_APPEND. */
void *fold_grow(void *list, size_t *size, size_t item_bytes);

/* Append a zeroed item to a list of fold; its address. */
#define FOLD_APPEND(fold, list) \
    ((fold)->list##_count == (fold)->list##_size \
            ? (void)((fold)->list = fold_grow((fold)->list, &(fold)->list##_size, sizeof *(fold)->list)) \
            : (void)0, \
        memset(&(fold)->list[(fold)->list##_count], 0, sizeof *(fold)->list), &(fold)->list[(fold)->list##_count++])

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
