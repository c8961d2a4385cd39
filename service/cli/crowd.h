/*
 * A simulated crowd: a stated model of people who use an app, so that a dashboard can be seen before anyone does. The same
 * seed, app, number of users and days give the same events.
 *
 * The model. A third of the users are there on the first day, the others arrive evenly over the days. A user comes once
 * only (30 %), or stays for a geometric time (mean 35 days) and is active on a day with a probability of the user's own,
 * 0.1 to 0.7, times 0.65 on Saturdays and Sundays. An active day has 1 session, and another with probability 0.3 each.
 * Sessions begin between 6 and 24 o'clock UTC, most in the evening. The first event is a view, if the app has one; each
 * next event is drawn by weights (views 6, goals 1, others 3, the event that follows in the declaration twice its weight),
 * after a pause of 50 s on average, at most 20 minutes; a session goes on with probability 0.84. A view is looked at for
 * part of the pause (engaged_ms). Properties: the first values of an enumeration are the more frequent ones (weights 1/i),
 * numbers lie around the middle third of the declared range, every second boolean is true, optional ones are there in four of
 * five events; routes get numbers for their parameters; of entities there are twelve of a property, likewise weighted.
 *
 * Sees:     invented ids only: "sim-SEED-17", "sim-SEED-campaign-3".
 * Uses:     libc, schema/.
 * Threads:  a struct crowd belongs to one thread.
 */
#ifndef THRONG_CLI_CROWD_H
#define THRONG_CLI_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"

#define CROWD_TEXT_BYTES 128

struct crowd_plan {
    const struct app *app; /* borrowed; has at least one event */
    uint64_t seed;
    uint32_t users, days;
    int32_t first_day; /* UTC, days since 1970 */
    int64_t until_ms;  /* no event lies after it */
};

struct crowd_event {
    const struct app_event *event; /* the declaration */
    uint64_t number; /* from 0, with gaps where events lie in the future: it does not depend on until_ms */
    char user[48];
    int64_t ts_ms;
    int64_t engaged_ms; /* -1: not a view */
    size_t prop_count;
    struct crowd_prop {
        const char *name;
        char text[CROWD_TEXT_BYTES];
    } props[EVENT_PROPS_MAX];
};

/* Where the simulation is. */
struct crowd {
    struct crowd_plan plan;
    uint64_t state[4];  /* of the user's generator */
    uint32_t user;      /* the present one, from 0; plan.users at the end */
    bool begun;         /* the present user's habits are set */
    uint32_t day, last; /* offsets from first_day */
    double habit;       /* probability of a weekday's visit */
    uint32_t sessions;  /* left today */
    bool in_session;
    int64_t now_ms;
    size_t event; /* index of the last */
    uint64_t number;
};

/* Start; *plan is copied. */
void crowd_begin(struct crowd *crowd, const struct crowd_plan *plan);

/* The next event, user by user and session by session. False at the end. */
bool crowd_next(struct crowd *crowd, struct crowd_event *out);

#endif
