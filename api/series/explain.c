#include "api/series/explain.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CERTAIN_EPSILON 10 /* from here on the bound is above 99.99 % */

/* A family, what its numbers are, and how much of the monthly users is in a typical cell by day, week and month. */
static const struct family {
    const char *name, *text;
    double day, week, month;
} families[] = {
    {"active", "distinct users by day, week and month", 0.1, 0.35, 1},
    {"new", "users who are there for the first time, by day, week and month: the sizes of cohorts", 0.02, 0.12, 0.4},
    {"retention", "how many of a cohort come back after 1 to 4, 8 and 12 weeks, after 1, 2, 3, 6 and 12 months", 0, 0.03, 0.1},
    {"last_active", "in which month users of a year-old cohort were there last", 0, 0, 0.03},
    {"dimensions", "active users by class of the first three declared dimensions, by week and month", 0, 0.07, 0.2},
    {"sessions", "sessions and engaged sessions by week, of each person up to seven", 0, 0.5, 0},
    {"durations", "how long the first session of each person's week lasts, in bins", 0, 0.03, 0},
    {"features", "users of each declared feature by week, each person in up to four", 0, 0.1, 0},
    {"goals", "sessions that reach each declared goal by week, of each person one a goal and up to four goals", 0, 0.04, 0},
    {"funnels", "how far users came in the first declared funnel of at most seven days, by week", 0, 0.05, 0},
    {"outcomes", "users and mean of the first declared outcome by tier, by month", 0, 0, 0.2},
};
#define FAMILIES (sizeof families / sizeof families[0])

static const struct family *find(const char *name)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    }
    return NULL;
}

const char *explain_family(const char *name)
{
    const struct family *family = find(name);
    return family == NULL ? name : family->text;
}

double explain_certainty(double epsilon)
{
    return 100 / (1 + exp(-epsilon));
}

/* "at most 95.3 % sure (ε = 3.00)". */
static void write_bound(double epsilon, char *out, size_t size)
{
    if (epsilon >= CERTAIN_EPSILON)
        (void)snprintf(out, size, "in the worst case certain (ε = %.2f: this is in effect no bound)", epsilon);
    else
        (void)snprintf(out, size, "at most %.4g %% sure (ε = %.2f)", explain_certainty(epsilon), epsilon);
}

char *explain_promise(const struct explain_promise *promise, char out[EXPLAIN_BYTES])
{
    char day[96], month[96], months[96];
    write_bound(promise->day, day, sizeof day);
    write_bound(promise->month, month, sizeof month);
    write_bound(promise->months, months, sizeof months);
    (void)snprintf(out, EXPLAIN_BYTES,
        "Suppose that somebody reads every number that this app ever releases, knows everything about everybody else, and would"
        " bet even money on whether one user was there. About one calendar month of that user they can become %s; about a single"
        " day %s; about thirteen months together %s. These bounds hold whatever else they know, but for a chance of %.0e; what real"
        " attacks achieve is far below them. They are about one user id of this app: who has several ids, or uses several apps of"
        " the same population, is protected less, as the population's sum says.",
        month, day, months, promise->delta);
    return out;
}

double explain_typical(const char *family, const char *interval)
{
    const struct family *found = find(family);
    if (found == NULL)
        return 0;
    return strcmp(interval, "day") == 0 ? found->day : strcmp(interval, "week") == 0 ? found->week : found->month;
}

const char *explain_rule(void)
{
    return "Rule of thumb: of the users of a month a tenth are there on a day and a third in a week; four in ten are new; a fifth of a"
           " week's and a quarter of a month's cohort are in a cell of retention; the classes of a dimension have a fifth each,"
           " a feature three in ten of the week's users. Your app will differ.";
}

char *explain_cell(double people, double tau, double half_width, char out[EXPLAIN_BYTES])
{
    double percent = people > 0 ? 100 * half_width / people : INFINITY;
    if (people < tau - half_width)
        (void)snprintf(out, EXPLAIN_BYTES, "suppressed");
    else if (people < tau)
        (void)snprintf(out, EXPLAIN_BYTES, "mostly suppressed");
    else if (people < tau + half_width)
        (void)snprintf(out, EXPLAIN_BYTES, "often suppressed, else within %.0f %%", percent);
    else
        (void)snprintf(out, EXPLAIN_BYTES, "shown, within %.2g %%", percent);
    return out;
}

const char *explain_help(const char *preset)
{
    if (strcmp(preset, "strict") == 0)
        return "What helps: ask for weeks or months in place of days, and for whole numbers in place of breakdowns; declare"
               " dimensions and funnels with fewer classes and steps, those that matter first. A larger audience helps most: the noise does"
               " not grow with it. The preset does not become weaker later, because what is collected was promised it; another app"
               " may have preset standard or small if its data allow that.";
    if (strcmp(preset, "standard") == 0)
        return "What helps: ask for weeks or months in place of days, and for whole numbers in place of breakdowns; declare"
               " dimensions and funnels with fewer classes and steps, those that matter first. A larger audience helps most: the noise does"
               " not grow with it. For an audience of a few hundred there is preset small, with half the noise and a weaker promise;"
               " it is chosen when an app is added, for a preset does not become weaker.";
    if (strcmp(preset, "small") == 0)
        return "What helps: ask for weeks or months in place of days, and for whole numbers in place of breakdowns; declare"
               " dimensions and funnels with fewer classes and steps, those that matter first. A larger audience helps most: the noise does"
               " not grow with it.";
    return "What helps: ask for weeks or months in place of days, where more people are in each number.";
}
