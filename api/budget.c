#include "api/budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/release/accounting.h"
#include "anonymizer/release/plan.h"
#include "anonymizer/release/policy.h"
#include "api/series/explain.h"
#include "api/tenant.h"
#include "service/base/clock.h"
#include "service/catalogue/definition.h"

static const struct rational nothing = {0, 1};

/* One answer under way. */
struct budget {
    const char *name;
    const struct access_identity *identity;
    struct app app;
    json_t *months; /* the newest first */
};

static double number_of(struct rational a)
{
    return (double)a.numerator / (double)a.denominator;
}

static json_t *decimal_of(struct rational a, unsigned places)
{
    char text[RATIONAL_TEXT_MAX];
    rational_decimal(a, places, RATIONAL_UP, text);
    return json_string(text);
}

static json_t *guarantee_json(const struct accounting_guarantee *guarantee)
{
    return json_pack("{s:o,s:f,s:f}", "rho", decimal_of(guarantee->rho, ACCOUNTING_PLACES), "epsilon",
        number_of(guarantee->epsilon), "delta", number_of(guarantee->delta));
}

static json_t *statement_json(const struct accounting_statement *statement)
{
    return json_pack("{s:o,s:o,s:o}", "user_day", guarantee_json(&statement->day), "user_month",
        guarantee_json(&statement->month), "user_13_months", guarantee_json(&statement->months));
}

static enum family_id family_called(const char *name)
{
    enum family_id family = 0;
    while (family < FAMILY_COUNT && strcmp(family_name(family), name) != 0)
        family++;
    return family;
}

/* --- what is planned by the definition in force -------------------------------------------------------------------- */

static json_t *private_intervals(enum family_number number)
{
    json_t *list = json_array();
    for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++) {
        if ((family_number(number)->private_intervals >> interval & 1u) != 0)
            json_array_append_new(list, json_string(family_interval_name(interval)));
    }
    return list;
}

static json_t *numbers_json(const struct plan *plan, enum family_id family)
{
    json_t *list = json_array();
    for (enum family_number number = 0; number < NUMBER_COUNT; number++) {
        const struct plan_level *level = &plan->levels[number];
        if (family_number(number)->family != family || level->sigma2.numerator == 0)
            continue;
        json_t *from = plan_governor(number) == number ? json_integer(level->tau) : json_null();
        json_array_append_new(list, json_pack("{s:s,s:o,s:I,s:o,s:I,s:o}", "metric", family_number(number)->metric, "intervals",
                                        private_intervals(number), "clamp", (json_int_t)level->clamp, "sigma2",
                                        decimal_of(level->sigma2, 3), "half_width", (json_int_t)level->half_width, "shown_from", from));
    }
    return list;
}

static json_t *planned_family(const struct plan *plan, enum family_id family)
{
    const struct plan_family *one = &plan->families[family];
    return json_pack("{s:s,s:s,s:b,s:s?,s:f,s:I,s:o?,s:o?,s:o}", "family", family_name(family), "text",
        explain_family(family_name(family)), "funded", one->funded, "why", one->reason, "share",
        (double)family_permille(family) / 1000, "l2", (json_int_t)one->l2_month, "sigma2",
        one->funded ? decimal_of(one->sigma2, 3) : json_null(), "rho",
        one->funded ? decimal_of(one->rho, ACCOUNTING_PLACES) : json_null(), "numbers", numbers_json(plan, family));
}

static json_t *plan_json(const struct plan *plan)
{
    json_t *families = json_array();
    for (enum family_id family = 0; family < FAMILY_COUNT; family++)
        json_array_append_new(families, planned_family(plan, family));
    return json_pack("{s:i,s:o,s:o,s:o,s:o}", "k", (int)plan->k, "rho_total", decimal_of(plan->budget, ACCOUNTING_PLACES), "rho",
        decimal_of(plan->rho, ACCOUNTING_PLACES), "guarantees", statement_json(&plan->statement), "families", families);
}

/* --- what months were planned and cost ----------------------------------------------------------------------------- */

/* A month as its rows of release.plan come by. */
struct month {
    bool is_private;
    struct rational day, reserved, total;
};

enum { MONTH, FAMILY, DEFINITION, PRESET, K, CLAMP, L2, SIGMA2, RHO, TOTAL, RESERVED, RELEASES, REFUSED };

/* Newest first; at most $3 months. */
static enum result read_plans(struct db *db, const struct app *app, int32_t most, PGresult **rows, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_text(params, app->population);
    db_int4(params, (int32_t)app->id);
    db_int4(params, most);
    enum result result = db_run(db, "budget_plans",
        "SELECT p.month, p.family, p.definition, p.preset, p.k, p.clamp, p.l2, p.sigma2, trim_scale(p.rho)::text,"
        " trim_scale(p.rho_total)::text, l.leaf IS NOT NULL,"
        " (SELECT count(*) FROM release.release AS r WHERE r.population = p.population AND r.app = p.app AND r.family = p.family"
        "  AND r.period >= p.month AND r.period < p.month + interval '1 month'),"
        " (SELECT count(*) FROM release.refused AS r WHERE r.population = p.population AND r.app = p.app AND r.family = p.family"
        "  AND r.period >= p.month AND r.period < p.month + interval '1 month')"
        " FROM release.plan AS p LEFT JOIN release.ledger AS l USING (population, month, app, family)"
        " WHERE p.population = $1::text AND p.app = $2 AND p.month IN (SELECT month FROM release.plan"
        "  WHERE population = $1::text AND app = $2 GROUP BY month ORDER BY month DESC LIMIT $3)"
        " ORDER BY p.month DESC, p.family",
        params, rows, why);
    db_params_free(params);
    return result;
}

/* Add what a row's family has reserved, if it has. */
static enum result add_family(const PGresult *rows, int row, struct month *month, struct failure *why)
{
    struct rational rho, sigma2;
    enum family_id family = family_called(db_get_text(rows, row, FAMILY));
    if (db_is_null(rows, row, RHO)) {
        month->is_private = false;
        return RESULT_OK;
    }
    enum result result = rational_parse(db_get_text(rows, row, TOTAL), &month->total, why);
    if (result != RESULT_OK || !db_get_bool(rows, row, RESERVED))
        return result;
    result = rational_parse(db_get_text(rows, row, RHO), &rho, why);
    if (result == RESULT_OK)
        result = rational_parse(db_get_text(rows, row, SIGMA2), &sigma2, why);
    if (result == RESULT_OK)
        result = accounting_add(month->reserved, rho, &month->reserved, why);
    if (result != RESULT_OK)
        return result;
    const uint64_t l2 = (uint64_t)(family == FAMILY_COUNT ? db_get_int8(rows, row, L2) : family_l2_day(family));
    const struct accounting_charge charge = {l2, sigma2};
    result = accounting_rho(&charge, &rho, why);
    return result == RESULT_OK ? accounting_add(month->day, rho, &month->day, why) : result;
}

/* The month that begins at row first; *next: the row behind it. */
static enum result add_month(const PGresult *rows, int first, int *next, struct month *out, struct failure *why)
{
    enum result result = RESULT_OK;
    int32_t month = db_get_date(rows, first, MONTH);
    *out = (struct month){true, nothing, nothing, nothing};
    for (*next = first; result == RESULT_OK && *next < PQntuples(rows) && db_get_date(rows, *next, MONTH) == month; (*next)++)
        result = add_family(rows, *next, out, why);
    return result;
}

static json_t *integer_or_null(const PGresult *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? json_null() : json_integer(db_get_int8(rows, row, column));
}

static json_t *text_or_null(const PGresult *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? json_null() : json_string(db_get_text(rows, row, column));
}

static json_t *family_json(const PGresult *rows, int row)
{
    const char *name = db_get_text(rows, row, FAMILY);
    const char *status = db_is_null(rows, row, RHO) ? "unprotected" : db_get_bool(rows, row, RESERVED) ? "reserved" : "over_budget";
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:I,s:I}", "family", name, "text", explain_family(name), "status", status,
        "clamp", integer_or_null(rows, row, CLAMP), "l2", integer_or_null(rows, row, L2), "sigma2",
        text_or_null(rows, row, SIGMA2), "rho", text_or_null(rows, row, RHO), "releases",
        (json_int_t)db_get_int8(rows, row, RELEASES), "refused", (json_int_t)db_get_int8(rows, row, REFUSED));
}

static enum result month_json(const PGresult *rows, int first, int *next, json_t **out, struct failure *why)
{
    char date[CLOCK_DATE_BYTES];
    struct month month;
    struct accounting_statement statement;
    enum result result = add_month(rows, first, next, &month, why);
    if (result == RESULT_OK && month.is_private)
        result = accounting_statement(month.day, month.reserved, plan_delta(), &statement, why);
    if (result != RESULT_OK)
        return result;
    json_t *families = json_array();
    for (int row = first; row < *next; row++)
        json_array_append_new(families, family_json(rows, row));
    bool counted = month.is_private && month.total.numerator > 0;
    *out = json_pack("{s:s,s:s,s:i,s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:[]}", "month",
        clock_format_date(db_get_date(rows, first, MONTH), date), "preset", db_get_text(rows, first, PRESET), "definition",
        (int)db_get_int4(rows, first, DEFINITION), "k", (int)db_get_int4(rows, first, K), "protection",
        month.is_private ? "dp" : "unprotected", "rho_total", counted ? decimal_of(month.total, ACCOUNTING_PLACES) : json_null(),
        "rho_reserved", counted ? decimal_of(month.reserved, ACCOUNTING_PLACES) : json_null(), "used_ratio",
        counted ? json_real(number_of(month.reserved) / number_of(month.total)) : json_null(), "guarantees",
        month.is_private ? statement_json(&statement) : json_null(), "families", families, "refused");
    return *out == NULL ? RESULT_FAILED : RESULT_OK;
}

static json_t *find_month(const struct budget *budget, int32_t month)
{
    char date[CLOCK_DATE_BYTES];
    json_t *one;
    size_t i;
    (void)clock_format_date(month, date);
    json_array_foreach(budget->months, i, one) {
        if (strcmp(json_string_value(json_object_get(one, "month")), date) == 0)
            return one;
    }
    return NULL;
}

static enum result add_months(struct db *db, struct budget *budget, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = read_plans(db, &budget->app, INT32_MAX, &rows, why);
    for (int row = 0, next; result == RESULT_OK && row < PQntuples(rows); row = next) {
        json_t *month = NULL;
        result = month_json(rows, row, &next, &month, why);
        if (result == RESULT_OK)
            json_array_append_new(budget->months, month);
    }
    PQclear(rows);
    return result;
}

/* What was due and is not released, ever. */
static enum result add_refused(struct db *db, const struct budget *budget, struct failure *why)
{
    PGresult *rows = NULL;
    char date[CLOCK_DATE_BYTES];
    struct db_params *params = db_params_new();
    db_text(params, budget->app.population);
    db_int4(params, (int32_t)budget->app.id);
    enum result result = db_run(db, "budget_refused",
        "SELECT date_trunc('month', period::timestamp)::date, family, item, interval, period, reason FROM release.refused"
        " WHERE population = $1::text AND app = $2 ORDER BY period, family, item, interval",
        params, &rows, why);
    db_params_free(params);
    for (int row = 0; result == RESULT_OK && row < PQntuples(rows); row++) {
        json_t *list = json_object_get(find_month(budget, db_get_date(rows, row, 0)), "refused");
        if (list != NULL)
            json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s}", "family", db_get_text(rows, row, 1), "item",
                                            db_get_text(rows, row, 2), "interval", db_get_text(rows, row, 3), "period",
                                            clock_format_date(db_get_date(rows, row, 4), date), "reason", db_get_text(rows, row, 5)));
    }
    PQclear(rows);
    return result;
}

/* All apps of the population together: their costs add up, and one without noise makes the sum infinite. */
static enum result population_json(const PGresult *rows, int row, json_t **out, struct failure *why)
{
    struct rational rho;
    struct accounting_guarantee sum;
    if (db_get_bool(rows, row, 2)) {
        *out = json_pack("{s:I,s:s,s:n,s:n,s:n}", "apps", (json_int_t)db_get_int8(rows, row, 1), "protection", "unprotected", "rho",
            "epsilon", "delta");
        return RESULT_OK;
    }
    enum result result = rational_parse(db_get_text(rows, row, 3), &rho, why);
    if (result == RESULT_OK)
        result = accounting_guarantee(rho, plan_delta(), &sum, why);
    if (result != RESULT_OK)
        return result;
    *out = guarantee_json(&sum);
    json_object_set_new(*out, "apps", json_integer(db_get_int8(rows, row, 1)));
    json_object_set_new(*out, "protection", json_string("dp"));
    return RESULT_OK;
}

static enum result add_population(struct db *db, const struct budget *budget, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, budget->app.population);
    enum result result = db_run(db, "budget_population",
        "SELECT p.month, count(DISTINCT p.app), bool_or(p.rho IS NULL), trim_scale(coalesce(sum(l.rho), 0))::text"
        " FROM release.plan AS p LEFT JOIN release.ledger AS l USING (population, month, app, family)"
        " WHERE p.population = $1::text GROUP BY p.month",
        params, &rows, why);
    db_params_free(params);
    for (int row = 0; result == RESULT_OK && row < PQntuples(rows); row++) {
        json_t *month = find_month(budget, db_get_date(rows, row, 0)), *sum = NULL;
        if (month == NULL)
            continue;
        result = population_json(rows, row, &sum, why);
        if (result == RESULT_OK)
            json_object_set_new(month, "population", sum);
    }
    PQclear(rows);
    return result;
}

static enum result read_budget(struct db *db, void *context, struct failure *why)
{
    struct budget *budget = context;
    json_array_clear(budget->months);
    definition_free(&budget->app);
    budget->app = (struct app){0};
    enum result result = tenant_find(db, budget->identity, budget->name, &budget->app, why);
    if (result == RESULT_OK)
        result = add_months(db, budget, why);
    if (result == RESULT_OK)
        result = add_refused(db, budget, why);
    return result == RESULT_OK ? add_population(db, budget, why) : result;
}

/* --- the answer ---------------------------------------------------------------------------------------------------- */

static json_t *explain_private(const struct plan *plan)
{
    char text[EXPLAIN_BYTES];
    const struct accounting_statement *statement = &plan->statement;
    const struct explain_promise promise = {number_of(statement->day.epsilon), number_of(statement->month.epsilon),
        number_of(statement->months.epsilon), number_of(statement->month.delta)};
    return json_string(explain_promise(&promise, text));
}

static json_t *budget_json(const struct budget *budget)
{
    const struct app *app = &budget->app;
    struct plan plan;
    struct failure why = {0};
    bool is_private = plan_make(app, app->preset, app->k, &plan, &why) == RESULT_OK;
    json_t *explanation = is_private ? explain_private(&plan)
        : json_string("The app's preset is not differentially private: no budget bounds what its releases tell, and none is kept.");
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:O,s:o}", "app", app->name, "population", app->population, "preset",
        policy_preset_name(app->preset), "protection", is_private ? "dp" : "unprotected", "unit", "user_month", "plan",
        is_private ? plan_json(&plan) : json_null(), "months", budget->months, "explanation", explanation);
}

enum MHD_Result budget_answer(struct call *call, const char *name)
{
    struct failure why = {0};
    struct budget budget = {.name = name, .identity = &call->identity, .months = json_array()};
    struct db *db = call_db(call, &why);
    enum MHD_Result answer;
    enum result result = db == NULL ? RESULT_UNAVAILABLE : db_transaction(db, read_budget, &budget, &why);
    if (result == RESULT_NOT_FOUND && call->identity.app != 0)
        journal_count(call->service->journal, &call->identity, JOURNAL_APP, "");
    if (result == RESULT_OK)
        answer = call_send_json(call, budget_json(&budget));
    else
        answer = result == RESULT_NOT_FOUND ? call_not_found(call) : call_unavailable(call);
    definition_free(&budget.app);
    json_decref(budget.months);
    return answer;
}

enum result budget_newest(struct db *db, const struct app *app, struct budget_newest *out, struct failure *why)
{
    PGresult *rows = NULL;
    struct month month = {.is_private = false};
    struct accounting_statement statement;
    int next = 0;
    *out = (struct budget_newest){.any = false};
    enum result result = read_plans(db, app, 1, &rows, why);
    bool any = result == RESULT_OK && PQntuples(rows) > 0;
    if (any)
        result = add_month(rows, 0, &next, &month, why);
    PQclear(rows);
    if (result == RESULT_OK && month.is_private)
        result = accounting_statement(month.day, month.reserved, plan_delta(), &statement, why);
    if (result != RESULT_OK || !any)
        return result;
    *out = (struct budget_newest){.any = true, .is_private = month.is_private};
    if (!month.is_private)
        return RESULT_OK;
    out->day = number_of(statement.day.epsilon);
    out->month = number_of(statement.month.epsilon);
    out->months = number_of(statement.months.epsilon);
    out->used = month.total.numerator == 0 ? 0 : number_of(month.reserved) / number_of(month.total);
    return RESULT_OK;
}
