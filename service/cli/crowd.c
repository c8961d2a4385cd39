#include "service/cli/crowd.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS 86400000LL
#define STAY 0.84
#define PAUSE_MEAN_MS 50000.0
#define PAUSE_MAX_MS (20 * 60 * 1000)
#define ENTITIES 12

/* splitmix64 (Steele, Lea, Flood 2014), to seed with. */
static uint64_t mix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* xoshiro256** (Blackman, Vigna 2018). A model needs no cryptographic generator but one that can be seeded. */
static uint64_t draw(struct crowd *crowd)
{
    uint64_t *s = crowd->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* In [0, 1). */
static double uniform(struct crowd *crowd)
{
    return (double)(draw(crowd) >> 11) * 0x1.0p-53;
}

static bool chance(struct crowd *crowd, double probability)
{
    return uniform(crowd) < probability;
}

static double exponential(struct crowd *crowd, double mean)
{
    return -mean * log(1 - uniform(crowd));
}

static size_t below(struct crowd *crowd, size_t count)
{
    return (size_t)(uniform(crowd) * (double)count);
}

void crowd_begin(struct crowd *crowd, const struct crowd_plan *plan)
{
    *crowd = (struct crowd){.plan = *plan};
}

/* Arrival, lifetime and habit of the present user, from a stream of the user's own. */
static void begin_user(struct crowd *crowd)
{
    uint64_t seed = crowd->plan.seed * 0x100000001b3u + crowd->user;
    for (size_t i = 0; i < 4; i++)
        crowd->state[i] = mix(&seed);
    crowd->begun = true;
    crowd->day = chance(crowd, 1.0 / 3) ? 0 : (uint32_t)below(crowd, crowd->plan.days);
    double life = chance(crowd, 0.3) ? 0 : exponential(crowd, 35);
    crowd->last = crowd->day + (uint32_t)life;
    if (crowd->last >= crowd->plan.days)
        crowd->last = crowd->plan.days - 1;
    crowd->habit = 0.1 + 0.6 * uniform(crowd);
    crowd->sessions = 1;
    while (crowd->sessions < 8 && chance(crowd, 0.3))
        crowd->sessions++;
    crowd->in_session = false;
}

/* Move to the next active day of the user; false if the user has none left. */
static bool next_day(struct crowd *crowd)
{
    while (++crowd->day <= crowd->last) {
        int weekday = (crowd->plan.first_day + (int32_t)crowd->day + 3) % 7; /* 0: Monday */
        if (!chance(crowd, weekday >= 5 ? crowd->habit * 0.65 : crowd->habit))
            continue;
        crowd->sessions = 1;
        while (crowd->sessions < 8 && chance(crowd, 0.3))
            crowd->sessions++;
        return true;
    }
    return false;
}

/* The largest of two draws makes evenings the busiest. */
static void begin_session(struct crowd *crowd)
{
    double a = uniform(crowd), b = uniform(crowd);
    double hour = 6 + 17.5 * (a > b ? a : b);
    crowd->now_ms = ((int64_t)crowd->plan.first_day + crowd->day) * DAY_MS + (int64_t)(hour * 3600000);
    crowd->in_session = true;
    const struct app *app = crowd->plan.app;
    crowd->event = 0;
    for (size_t i = app->event_count; i-- > 0;) {
        if (app->events[i].view)
            crowd->event = i;
    }
}

static double weight(const struct crowd *crowd, size_t index)
{
    const struct app_event *event = &crowd->plan.app->events[index];
    double own = event->view ? 6 : event->goal ? 1 : 3;
    return index == crowd->event + 1 ? 2 * own : own;
}

static void step(struct crowd *crowd)
{
    double sum = 0;
    size_t count = crowd->plan.app->event_count, next = 0;
    for (size_t i = 0; i < count; i++)
        sum += weight(crowd, i);
    double left = uniform(crowd) * sum;
    while (next + 1 < count && left >= weight(crowd, next))
        left -= weight(crowd, next++);
    crowd->event = next;
    int64_t pause_ms = 1000 + (int64_t)exponential(crowd, PAUSE_MEAN_MS);
    crowd->now_ms += pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms;
}

/* Put numbers for the parameters of a route: "/story/:id" becomes "/story/17". */
static void fill_route(struct crowd *crowd, const char *pattern, char out[CROWD_TEXT_BYTES])
{
    size_t at = 0;
    while (*pattern != '\0' && at + 12 < CROWD_TEXT_BYTES) {
        if (*pattern != ':') {
            out[at++] = *pattern++;
            continue;
        }
        at += (size_t)snprintf(out + at, 8, "%u", 1 + (unsigned)below(crowd, 40));
        while (*pattern != '\0' && *pattern != '/')
            pattern++;
    }
    out[at] = '\0';
}

static size_t zipf(struct crowd *crowd, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += 1.0 / (double)(i + 1);
    double left = uniform(crowd) * sum;
    size_t index = 0;
    while (index + 1 < count && left >= 1.0 / (double)(index + 1))
        left -= 1.0 / (double)(++index);
    return index;
}

static void make_value(struct crowd *crowd, const struct app_prop *prop, char out[CROWD_TEXT_BYTES])
{
    const struct app *app = crowd->plan.app;
    double middle;
    switch (prop->type) {
    case APP_PROP_ENUM:
        snprintf(out, CROWD_TEXT_BYTES, "%s", prop->count == 0 ? "" : prop->values[zipf(crowd, prop->count)]);
        return;
    case APP_PROP_BOOLEAN:
        snprintf(out, CROWD_TEXT_BYTES, "%s", chance(crowd, 0.5) ? "true" : "false");
        return;
    case APP_PROP_ROUTE:
        fill_route(crowd, app->route_count == 0 ? "/" : app->routes[zipf(crowd, app->route_count)], out);
        return;
    case APP_PROP_NUMBER:
        middle = (uniform(crowd) + uniform(crowd) + uniform(crowd)) / 3;
        middle *= prop->max - prop->min;
        if (prop->step > 0)
            middle = floor(middle / prop->step) * prop->step;
        snprintf(out, CROWD_TEXT_BYTES, "%.10g", prop->min + middle);
        return;
    case APP_PROP_ENTITY:
        snprintf(out, CROWD_TEXT_BYTES, "sim-%" PRIu64 "-%s-%zu", crowd->plan.seed, prop->name, zipf(crowd, ENTITIES));
        return;
    }
}

static void describe(struct crowd *crowd, struct crowd_event *out)
{
    const struct app_event *event = &crowd->plan.app->events[crowd->event];
    out->event = event;
    out->ts_ms = crowd->now_ms;
    out->engaged_ms = event->view ? 500 + (int64_t)exponential(crowd, 12000) : -1;
    if (out->engaged_ms > PAUSE_MAX_MS)
        out->engaged_ms = PAUSE_MAX_MS;
    snprintf(out->user, sizeof out->user, "sim-%" PRIu64 "-%" PRIu32, crowd->plan.seed, crowd->user);
    out->prop_count = 0;
    for (size_t i = 0; i < event->prop_count; i++) {
        const struct app_prop *prop = &event->props[i];
        if (prop->from_user_agent || (!prop->required && !chance(crowd, 0.8)))
            continue;
        struct crowd_prop *value = &out->props[out->prop_count++];
        value->name = prop->name;
        make_value(crowd, prop, value->text);
    }
}

/* Bring the present user to the next session, or to the next user. False at the end of the crowd. */
static bool next_session(struct crowd *crowd)
{
    while (crowd->user < crowd->plan.users) {
        if (!crowd->begun)
            begin_user(crowd);
        else if (crowd->sessions == 0 && !next_day(crowd)) {
            crowd->user++;
            crowd->begun = false;
            continue;
        }
        crowd->sessions--;
        begin_session(crowd);
        return true;
    }
    return false;
}

bool crowd_next(struct crowd *crowd, struct crowd_event *out)
{
    /* What lies in the future is made too and passed over: a later run gives the same events the same numbers. */
    for (;;) {
        if (crowd->in_session && chance(crowd, STAY))
            step(crowd);
        else if (!next_session(crowd))
            return false;
        describe(crowd, out);
        out->number = crowd->number++;
        if (crowd->now_ms <= crowd->plan.until_ms)
            return true;
    }
}
