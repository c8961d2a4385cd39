/*
 * The privacy budget of an app: what each month was planned to cost and has reserved, what it refused, what that promises a user,
 * and what the population's apps promise together; and what the definition in force plans for months to come.
 *
 * Sees:     definitions, plans and debits; nothing of a person.
 * Uses:     anonymizer/release (plan, accounting; never the sampler), service/db, api/series/explain, call, tenant; jansson.
 * Threads:  as call.
 * Failure:  problem documents; as service/db.
 */
#ifndef THRONG_API_BUDGET_H
#define THRONG_API_BUDGET_H

#include <stdbool.h>

#include "api/call.h"
#include "schema/app.h"

/* GET /v1/apps/{app}/budget. */
enum MHD_Result budget_answer(struct call *call, const char *app);

/* The newest month that was planned. */
struct budget_newest {
    bool any;         /* a month was planned */
    bool is_private;  /* with noise: the others mean something */
    double day, month, months; /* ε */
    double used;      /* reserved by what may be spent */
};

/* Read what app's newest planned month promises. */
enum result budget_newest(struct db *db, const struct app *app, struct budget_newest *out, struct failure *why);

#endif
