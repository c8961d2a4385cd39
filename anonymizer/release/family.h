/*
 * Families: which numbers may leave, in which intervals, and how much of each one person can be. The rows of families.def
 * as enumerators and look-ups.
 *
 * Sees:     nothing of a person.
 * Uses:     schema/app.h; libc.
 * Threads:  any; static tables.
 * Failure:  none, but what is said of the look-ups by name.
 */
#ifndef THRONG_RELEASE_FAMILY_H
#define THRONG_RELEASE_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/app.h"

enum family_id {
#define FAMILY(id, name, threshold_clamp, dp_clamp, choice, permille, l2_month, l2_day) FAMILY_##id,
#define NUMBER(id, name, version, family, intervals, private, stage, unit, rule)
#include "anonymizer/release/families.def"
#undef FAMILY
#undef NUMBER
    FAMILY_COUNT
};

enum family_number {
#define FAMILY(id, name, threshold_clamp, dp_clamp, choice, permille, l2_month, l2_day)
#define NUMBER(id, name, version, family, intervals, private, stage, unit, rule) NUMBER_##id,
#include "anonymizer/release/families.def"
#undef FAMILY
#undef NUMBER
    NUMBER_COUNT
};

enum family_interval {
    INTERVAL_DAY,
    INTERVAL_WEEK,
    INTERVAL_MONTH,
    INTERVAL_ROLLING_7,
    INTERVAL_ROLLING_28,
    INTERVAL_ROLLING_30,
    INTERVAL_COUNT
};

enum family_stage { STAGE_ACTIVITY, STAGE_SESSIONS };

/* Which cell of a period a person is in; see families.def. */
enum family_choice { CHOICE_ONE, CHOICE_COHORT, CHOICE_SUM, CHOICE_BINS, CHOICE_ITEMS };

/* What a value says of the number of people behind it; see families.def. */
enum family_rule { RULE_DISTINCT, RULE_BOUNDED, RULE_AMOUNT };

struct family_number_row {
    const char *metric;
    int32_t version; /* of what it means */
    enum family_id family;
    uint32_t intervals;         /* bit i: interval i */
    uint32_t private_intervals; /* those in which it leaves under a differentially private preset */
    enum family_stage stage;
    int64_t unit; /* 1, or 1000 for milliseconds */
    enum family_rule rule;
};

/* What number is. A static row. */
const struct family_number_row *family_number(enum family_number number);

/* The number that metric means in interval; NUMBER_COUNT if there is none. */
enum family_number family_number_named(const char *metric, enum family_interval interval);

/* "active", "new", … as in release.release.family. */
const char *family_name(enum family_id family);

/* "day", "week", "month", "rolling_7", "rolling_28", "rolling_30"; and back: INTERVAL_COUNT if there is none. */
const char *family_interval_name(enum family_interval interval);
/* See family_interval_name. */
enum family_interval family_interval_named(const char *name);

/* Which cell of a period a person of the family is in. */
enum family_choice family_choice(enum family_id family);

/* The clamp: what one person may add to the family's cells of one day, in the family's things (people, events, sessions,
 * sessions in a histogram or a sum of their times, declared things, samples of a measure, pairs of a path, entities); under a
 * differentially private preset to its cells of the week or month that is released. The aggregator applies it when it closes
 * the period: the first things of the person's day, week or month count; of declared things the first by their position; of
 * samples of a measure, so many of the same spread. INT64_MAX: no bound (preset exact). */
int64_t family_clamp(enum family_id family, enum app_preset preset);

/* The family's share, in thousandths, of what a differentially private preset may spend of a person's month; 0: nothing of
 * it leaves under one. */
int64_t family_permille(enum family_id family);

/* The largest squared L2 distance that one person's month can make in everything the family ever releases under a
 * differentially private preset, in units of the clamp; 0 where family_permille is 0. */
int64_t family_l2_month(enum family_id family);

/* The same of one person's day. */
int64_t family_l2_day(enum family_id family);

#endif
