/*
 * A store for scenarios: what service/aggregate/store.c keeps in PostgreSQL, in arrays. It says the same things plainly,
 * row by row, so that the two can be compared.
 *
 * Sees:     pseudonyms made by the test.
 * Uses:     service/aggregate.
 * Threads:  one.
 */
#ifndef THRONG_TESTS_SCENARIO_STORE_H
#define THRONG_TESTS_SCENARIO_STORE_H

#include "service/aggregate/fold.h"

struct store_person {
    struct pseudonym usr;
    int32_t first_day;
};

struct store_day {
    struct pseudonym usr;
    int32_t day;
    int64_t events;
};

struct store_fragment {
    struct pseudonym usr;
    struct session_fragment piece;
};

struct store_seen {
    struct pseudonym source;
    struct ranges seqs;
};

struct store_alias {
    struct pseudonym old, usr;
};

#define STORE_MAX 4096
struct store {
    struct store_person persons[STORE_MAX];
    struct store_day days[STORE_MAX];
    struct store_fragment fragments[STORE_MAX];
    struct store_seen seen[STORE_MAX];
    struct store_alias aliases[STORE_MAX];
    size_t person_count, day_count, fragment_count, seen_count, alias_count;
    int64_t counted, duplicate, late;
    struct fold fold;
    struct fold_app app;
};

/* Load what is known of the fold's new sources and strangers. */
void store_look_up(struct store *store);

/* Put the fold into the arrays and clear it. */
void store_flush(struct store *store);

/* Sessions of all persons: writes up to capacity to out, returns how many there are. */
size_t store_sessions(const struct store *store, struct session *out, size_t capacity);

/* Empty the store; app keeps its definition and calendar. */
void store_reset(struct store *store);

#endif
