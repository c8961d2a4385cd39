/*
 * Privacy in plain words: what a family's numbers are, what an ε promises a person, and what an audience of some size can
 * expect of noise. The one text for the API and the command line.
 *
 * Sees:     parameters of a plan; nothing of a person.
 * Uses:     libc, libm.
 * Threads:  pure functions.
 * Failure:  none; what does not fit is cut.
 */
#ifndef THRONG_SERIES_EXPLAIN_H
#define THRONG_SERIES_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#define EXPLAIN_BYTES 1200

/* The ε of what is promised, by unit: a user's day, calendar month, and thirteen of them; and the δ of each. */
struct explain_promise {
    double day, month, months, delta;
};

/* What the family called name tells, as a sentence without its stop: "distinct users by day, week and month". Static; the
 * name itself for a family that is none. */
const char *explain_family(const char *name);

/* Of what somebody who gave it even odds that a user was there can at most be sure, in percent, after seeing what is promised
 * epsilon (and leaving δ aside): 100·e^ε/(1 + e^ε). */
double explain_certainty(double epsilon);

/* Write what promise means to out[EXPLAIN_BYTES]. Returns out. */
char *explain_promise(const struct explain_promise *promise, char out[EXPLAIN_BYTES]);

/* How much of an audience of monthly users is in a typical cell of a family's numbers of an interval ("day", "week", "month"): a
 * rule of thumb, as explain_rule says it. 0: none is known. */
double explain_typical(const char *family, const char *interval);

/* The rule of thumb in words. Static. */
const char *explain_rule(void);

/* How a cell of so many people fares that is shown from tau on with this half-width: "shown, within 12 %", "mostly suppressed",
 * …, written to out[EXPLAIN_BYTES]. Returns out. */
char *explain_cell(double people, double tau, double half_width, char out[EXPLAIN_BYTES]);

/* What helps where many cells are suppressed: under the preset called preset. Static. */
const char *explain_help(const char *preset);

#endif
