/*
 * The ledger: what each month of an app is released under and what that may cost, frozen when the first release is made that
 * the month's data can change. Plans are made for every month from the app's first on, in order; a family's whole cost of a
 * month (of everything that this month can ever change) is debited with the plan, in the same transaction.
 *
 * A preset never becomes weaker: a month's plan has the one of the month before if the definition's is weaker. So whatever a
 * closing day releases is protected as its own month is; months before it may have asked for less noise, never for more of
 * another kind.
 *
 * Sees:     definitions, plans and debits; nothing of a person.
 * Uses:     service/db, service/release/schedule (definitions by their version), anonymizer/release/plan, compliance/audit/leaf.
 * Threads:  a ledger belongs to one thread.
 * Failure:  as db_run; RESULT_INVALID if another process planned a month meanwhile, RESULT_CORRUPT if a plan cannot be read.
 */
#ifndef THRONG_RELEASE_LEDGER_H
#define THRONG_RELEASE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/plan.h"
#include "service/db/db.h"
#include "service/release/schedule.h"

/* A version of the app's definition and what it plans under a preset. */
struct ledger_terms {
    uint32_t version;
    enum app_preset preset;
    int32_t k;
    struct app app;
    struct plan plan;
};

struct ledger_family {
    bool reserved; /* its cost is debited: it may be released */
    struct rational sigma2, rho;
};

struct ledger_month {
    bool planned;
    enum app_preset preset;
    int32_t k;
    uint32_t version;
    const struct ledger_terms *terms; /* NULL: released without noise */
    struct ledger_family families[FAMILY_COUNT];
};

/* Zero-initialise: {0}. */
struct ledger {
    const struct app *app; /* the definition in force; borrowed */
    struct schedule_due due;
    int32_t first; /* month of the app's first day, by its first day; so are all months here */
    struct ledger_month *months;
    size_t count;
    struct ledger_terms **terms;
    size_t terms_count;
};

/* What a release is made under, whose cells the data of several months can change. */
struct ledger_grant {
    bool reserved;    /* every month with a budget has reserved the family's cost */
    bool unprotected; /* some month is released without noise: then this is never called protected */
    int32_t k;        /* the largest of the months' */
    struct rational sigma2, rho; /* of the month that asked for most noise, in squares of the clamp; 0/1: none does */
};

/* Read what is planned for app, which is due, into *ledger; borrows app until ledger_free. */
enum result ledger_read(struct db *db, const struct app *app, const struct schedule_due *due, struct ledger *ledger,
    struct failure *why);
/* Free what ledger owns. */
void ledger_free(struct ledger *ledger);

/* What month is, or will be if it is planned now: as the definition in force says, or as the month before it if the
 * definition's preset is weaker. Families are there of a planned month only; terms not of one that will be planned by the
 * definition in force. */
struct ledger_month ledger_outlook(const struct ledger *ledger, int32_t month);

/* In a transaction: plan, debit and record every month up to this one that is not planned. If the transaction fails, the
 * ledger is ahead of the database and must not be used again. */
enum result ledger_plan(struct db *db, struct ledger *ledger, int32_t month, struct failure *why);

/* In a transaction: write month's plan (its first day: first) and debits for ledger->app, whose leaf `id` is in the trail. */
enum result ledger_write(struct db *db, const struct ledger *ledger, const struct ledger_month *month, int32_t first,
    const uint8_t id[16], struct failure *why);

/* The plan of month, which is planned. */
const struct ledger_month *ledger_month(const struct ledger *ledger, int32_t month);

/* What family is released under if the data of the months from … to can change it. Months before the app's first do not
 * count. */
struct ledger_grant ledger_grant(const struct ledger *ledger, enum family_id family, int32_t from, int32_t to);

/* Whether every month from … to that has a budget planned this cell. */
bool ledger_has_cell(const struct ledger *ledger, int32_t from, int32_t to, enum family_number number,
    enum family_interval interval, int32_t item, int32_t n);

/* What one person may add to a cell of number, by the definition that says most: of the months from … to and the one in
 * force. */
int64_t ledger_clamp(const struct ledger *ledger, int32_t from, int32_t to, enum family_number number);

#endif
