/*
 * Spending: what the leaves say was planned, spent and released, held against each other and against the database's own rows,
 * exactly. Costs are decimals; nothing is rounded here.
 *
 * Sees:     leaves of months planned and of releases; rows of the ledger and of releases.
 * Uses:     compliance/meaning.
 * Threads:  one.
 * Failure:  RESULT_FULL without memory, what the source returns.
 */
#ifndef THRONG_MEANING_SPENDING_H
#define THRONG_MEANING_SPENDING_H

#include "compliance/meaning/findings.h"
#include "compliance/meaning/hashed.h"
#include "compliance/meaning/parsed.h"
#include "compliance/meaning/source.h"

/* Begin with spending_begin. */
struct spending {
    const struct source *source;
    struct findings *findings;
    struct hashed plans;    /* by population, month, app */
    struct hashed debits;   /* by population, month, app, family: what a plan reserved */
    struct hashed releases; /* by the id of the leaf */
    struct hashed periods;  /* by what was released: once */
    uint64_t place_least, place_most;
};

/* Begin; everything is borrowed until spending_free. */
void spending_begin(struct spending *spending, const struct source *source, struct findings *findings);
/* Take leaf number index, which is known; population is its app's or NULL. Leaves come in ascending order. */
enum result spending_take(struct spending *spending, const struct parsed *leaf, uint64_t index, const char *population,
    struct failure *why);
/* After the last leaf: hold all against the rows of the database. */
enum result spending_end(struct spending *spending, struct failure *why);
/* Free what spending owns. */
void spending_free(struct spending *spending);

#endif
