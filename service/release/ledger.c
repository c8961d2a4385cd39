#include "service/release/ledger.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/leaf.h"
#include "service/base/clock.h"
#include "service/catalogue/definition.h"
#include "service/release/period.h"

#define ACTOR "throng_release"

static const struct rational nothing = {0, 1};

static bool is_private(enum app_preset preset)
{
    return plan_epsilon(preset).numerator > 0;
}

static size_t place_of(const struct ledger *ledger, int32_t month)
{
    return (size_t)period_distance(INTERVAL_MONTH, ledger->first, month);
}

static enum result no_memory(struct failure *why)
{
    failure_set(why, "", "no memory for the ledger");
    return RESULT_FULL;
}

/* Room for month, and all before it. */
static struct ledger_month *reach(struct ledger *ledger, int32_t month)
{
    size_t place = place_of(ledger, month);
    if (place < ledger->count)
        return &ledger->months[place];
    struct ledger_month *months = realloc(ledger->months, (place + 1) * sizeof *months);
    if (months == NULL)
        return NULL;
    memset(months + ledger->count, 0, (place + 1 - ledger->count) * sizeof *months);
    ledger->months = months;
    ledger->count = place + 1;
    return &months[place];
}

/* --- terms --------------------------------------------------------------------------------------------------------- */

static enum result make_terms(struct db *db, const struct ledger *ledger, struct ledger_terms *terms, struct failure *why)
{
    struct schedule_due due = ledger->due;
    due.version = terms->version;
    enum result result = schedule_definition(db, &due, &terms->app, why);
    if (result != RESULT_OK)
        return result;
    result = plan_make(&terms->app, terms->preset, (uint32_t)terms->k, &terms->plan, why);
    if (result != RESULT_OK)
        definition_free(&terms->app);
    return result;
}

/* The terms of a version under a preset, made if they are not there; NULL for a preset without noise. */
static enum result terms_of(struct db *db, struct ledger *ledger, const struct ledger_month *month,
    const struct ledger_terms **out, struct failure *why)
{
    *out = NULL;
    if (!is_private(month->preset))
        return RESULT_OK;
    for (size_t i = 0; i < ledger->terms_count; i++) {
        const struct ledger_terms *terms = ledger->terms[i];
        if (terms->version == month->version && terms->preset == month->preset && terms->k == month->k) {
            *out = terms;
            return RESULT_OK;
        }
    }
    struct ledger_terms **all = realloc(ledger->terms, (ledger->terms_count + 1) * sizeof *all);
    if (all == NULL)
        return no_memory(why);
    ledger->terms = all;
    struct ledger_terms *terms = calloc(1, sizeof *terms);
    if (terms == NULL)
        return no_memory(why);
    terms->version = month->version;
    terms->preset = month->preset;
    terms->k = month->k;
    enum result result = make_terms(db, ledger, terms, why);
    if (result != RESULT_OK) {
        free(terms);
        return result;
    }
    all[ledger->terms_count++] = terms;
    *out = terms;
    return RESULT_OK;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static enum app_preset preset_named(const char *name)
{
    enum app_preset preset = APP_PRESET_STRICT;
    while (preset < APP_PRESET_EXACT && strcmp(policy_preset_name(preset), name) != 0)
        preset++;
    return preset;
}

static enum family_id family_named(const char *name)
{
    enum family_id family = 0;
    while (family < FAMILY_COUNT && strcmp(family_name(family), name) != 0)
        family++;
    return family;
}

/* One row of release.plan: month, family, definition, preset, k, sigma2, rho, whether it is debited. */
static enum result take_row(struct ledger *ledger, const PGresult *rows, int row, struct failure *why)
{
    enum family_id family = family_named(db_get_text(rows, row, 1));
    struct ledger_month *month = reach(ledger, db_get_date(rows, row, 0));
    if (month == NULL)
        return no_memory(why);
    month->planned = true;
    month->version = (uint32_t)db_get_int4(rows, row, 2);
    month->preset = preset_named(db_get_text(rows, row, 3));
    month->k = db_get_int4(rows, row, 4);
    if (!is_private(month->preset))
        return RESULT_OK;
    struct ledger_family planned = {.reserved = db_get_bool(rows, row, 7)};
    if (family == FAMILY_COUNT || db_is_null(rows, row, 5)
        || rational_parse(db_get_text(rows, row, 5), &planned.sigma2, why) != RESULT_OK
        || rational_parse(db_get_text(rows, row, 6), &planned.rho, why) != RESULT_OK) {
        failure_set(why, "", "a planned family or its noise cannot be read");
        return RESULT_CORRUPT;
    }
    month->families[family] = planned;
    return RESULT_OK;
}

static enum result read_rows(struct db *db, const struct ledger *ledger, PGresult **out, struct failure *why)
{
    static const char sql[] =
        "SELECT p.month, p.family, p.definition, p.preset, p.k, p.sigma2, trim_scale(p.rho)::text, l.leaf IS NOT NULL"
        " FROM release.plan AS p LEFT JOIN release.ledger AS l USING (population, month, app, family)"
        " WHERE p.population = $1 AND p.app = $2 AND p.month >= $3 ORDER BY p.month";
    struct db_params *params = db_params_new();
    db_text(params, ledger->app->population);
    db_int4(params, (int32_t)ledger->app->id);
    db_date(params, ledger->first);
    enum result result = db_run(db, "release_plans", sql, params, out, why);
    db_params_free(params);
    return result;
}

enum result ledger_read(struct db *db, const struct app *app, const struct schedule_due *due, struct ledger *ledger,
    struct failure *why)
{
    *ledger = (struct ledger){.app = app, .due = *due, .first = period_of(INTERVAL_MONTH, due->first_day)};
    PGresult *rows = NULL;
    enum result result = read_rows(db, ledger, &rows, why);
    for (int row = 0; result == RESULT_OK && row < PQntuples(rows); row++)
        result = take_row(ledger, rows, row, why);
    PQclear(rows);
    for (size_t i = 0; result == RESULT_OK && i < ledger->count; i++)
        if (ledger->months[i].planned)
            result = terms_of(db, ledger, &ledger->months[i], &ledger->months[i].terms, why);
    if (result != RESULT_OK)
        ledger_free(ledger);
    return result;
}

void ledger_free(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->terms_count; i++) {
        definition_free(&ledger->terms[i]->app);
        free(ledger->terms[i]);
    }
    free(ledger->terms);
    free(ledger->months);
    *ledger = (struct ledger){0};
}

/* --- planning ------------------------------------------------------------------------------------------------------ */

struct ledger_month ledger_outlook(const struct ledger *ledger, int32_t month)
{
    size_t place = place_of(ledger, month);
    struct ledger_month next = {.preset = ledger->app->preset, .k = (int32_t)ledger->app->k, .version = ledger->app->version};
    if (place < ledger->count && ledger->months[place].planned)
        return ledger->months[place];
    const struct ledger_month *last = NULL;
    for (size_t i = 0; i < place && i < ledger->count; i++)
        if (ledger->months[i].planned)
            last = &ledger->months[i];
    if (last == NULL || last->preset >= next.preset)
        return next;
    next.preset = last->preset;
    next.k = last->k;
    next.version = last->version;
    next.terms = last->terms;
    return next;
}

/* Reserve the families in their order while the budget holds them. What it does not hold stays planned, and is refused. */
static enum result reserve(struct ledger_month *month, struct failure *why)
{
    const struct plan *plan = &month->terms->plan;
    struct rational spent = nothing;
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        const struct plan_family *planned = &plan->families[family];
        if (!planned->funded)
            continue;
        struct rational sum;
        enum result result = accounting_add(spent, planned->rho, &sum, why);
        if (result != RESULT_OK)
            return result;
        bool fits = rational_compare(sum, plan->budget) <= 0;
        month->families[family] = (struct ledger_family){fits, planned->sigma2, planned->rho};
        if (fits)
            spent = sum;
    }
    return RESULT_OK;
}

static const char *sigma2_text(struct rational sigma2, char out[RATIONAL_TEXT_MAX])
{
    rational_decimal(sigma2, 3, RATIONAL_UP, out);
    return out;
}

static const char *rho_text(struct rational rho, char out[RATIONAL_TEXT_MAX])
{
    rational_decimal(rho, ACCOUNTING_PLACES, RATIONAL_UP, out);
    return out;
}

/* Whether the month has a row for family: what it may release. */
static bool is_planned(const struct ledger_month *month, enum family_id family)
{
    struct policy policy;
    if (month->terms != NULL)
        return month->terms->plan.families[family].funded;
    if (policy_make(month->preset, true, (uint32_t)month->k, &policy, NULL) != RESULT_OK)
        return false;
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++)
            if (family_number(number)->family == family && policy_allows(&policy, number, interval))
                return true;
    return false;
}

/* Each family with noise as [name, l2, sigma2, rho, whether it is reserved: 1 or 0]. */
static void leaf_families(struct leaf *leaf, const struct ledger_month *month)
{
    char sigma2[RATIONAL_TEXT_MAX], rho[RATIONAL_TEXT_MAX];
    leaf_array(leaf, "families");
    for (enum family_id family = 0; month->terms != NULL && family < FAMILY_COUNT; family++) {
        const struct ledger_family *planned = &month->families[family];
        if (!is_planned(month, family))
            continue;
        leaf_array(leaf, NULL);
        leaf_text(leaf, NULL, family_name(family));
        leaf_int(leaf, NULL, (int64_t)month->terms->plan.families[family].l2_month);
        leaf_text(leaf, NULL, sigma2_text(planned->sigma2, sigma2));
        leaf_text(leaf, NULL, rho_text(planned->rho, rho));
        leaf_int(leaf, NULL, planned->reserved);
        leaf_close(leaf);
    }
    leaf_close(leaf);
}

/* The leaf of a month's plan, owned by the caller; its id to id. */
static struct leaf *make_leaf(const struct ledger *ledger, const struct ledger_month *month, int32_t first, uint8_t id[16])
{
    struct leaf_head head = {.at_ms = clock_now_ms(), .act = "month_planned", .actor_type = "daemon", .actor_id = ACTOR,
        .tenant = ledger->app->name, .out = LEAF_OK};
    randombytes_buf(head.id, sizeof head.id);
    randombytes_buf(head.nonce, sizeof head.nonce);
    char text[RATIONAL_TEXT_MAX], period[PERIOD_TEXT_BYTES];
    struct leaf *leaf = leaf_begin(&head);
    memcpy(id, head.id, sizeof head.id);
    leaf_int(leaf, "definition", month->version);
    leaf_families(leaf, month);
    leaf_int(leaf, "k", month->k);
    leaf_text(leaf, "month", period_format(first, period));
    leaf_text(leaf, "population", ledger->app->population);
    leaf_text(leaf, "preset", policy_preset_name(month->preset));
    if (month->terms != NULL)
        leaf_text(leaf, "rho", rho_text(month->terms->plan.budget, text));
    return leaf;
}

static enum result write_leaf(struct db *db, const struct ledger *ledger, const struct ledger_month *month, int32_t first,
    uint8_t id[16], struct failure *why)
{
    struct leaf *leaf = make_leaf(ledger, month, first, id);
    const char *bytes = NULL;
    size_t length = 0;
    enum result result = leaf_finish(leaf, &bytes, &length, why);
    struct db_params *params = db_params_new();
    db_uuid(params, id);
    db_bytes(params, bytes, length);
    if (result == RESULT_OK)
        result = db_run(db, "release_plan_leaf", "SELECT audit.append($1, 'month_planned', $2)", params, NULL, why);
    db_params_free(params);
    leaf_free(leaf);
    return result;
}

static void text_element(struct db_params *params, const char *text)
{
    db_array_bytes(params, text, text == NULL ? 0 : strlen(text));
}

enum plan_column { PLAN_FAMILY, PLAN_CLAMP, PLAN_L2, PLAN_SIGMA2, PLAN_RHO, PLAN_DEBIT, PLAN_COLUMNS };

static void plan_element(struct db_params *params, enum plan_column column, const struct ledger_month *month,
    enum family_id family)
{
    char text[RATIONAL_TEXT_MAX];
    const struct ledger_family *planned = &month->families[family];
    bool noise = month->terms != NULL;
    switch (column) {
    case PLAN_FAMILY:
        text_element(params, family_name(family));
        break;
    case PLAN_CLAMP:
    case PLAN_L2:
        if (noise)
            db_array_int(params, column == PLAN_CLAMP ? family_clamp(family, month->preset)
                : (int64_t)month->terms->plan.families[family].l2_month);
        else
            db_array_bytes(params, NULL, 0);
        break;
    case PLAN_SIGMA2:
        text_element(params, noise ? sigma2_text(planned->sigma2, text) : NULL);
        break;
    case PLAN_RHO:
        text_element(params, noise ? rho_text(planned->rho, text) : NULL);
        break;
    case PLAN_DEBIT:
    case PLAN_COLUMNS:
        db_array_int(params, planned->reserved);
        break;
    }
}

enum result ledger_write(struct db *db, const struct ledger *ledger, const struct ledger_month *month, int32_t first,
    const uint8_t id[16], struct failure *why)
{
    static const char sql[] =
        "WITH planned AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::int[])"
        "    AS p (family, clamp, l2, sigma2, rho, debit)),"
        " made AS (INSERT INTO release.plan (population, month, app, family, definition, preset, k, clamp, l2, sigma2, rho,"
        "    rho_total, leaf)"
        "  SELECT $7, $8, $9, family, $10, $11, $12, clamp, l2, sigma2, rho::numeric, $13::numeric, $14 FROM planned RETURNING 1)"
        " INSERT INTO release.ledger (population, month, app, family, rho, leaf)"
        " SELECT $7, $8, $9, family, rho::numeric, $14 FROM planned WHERE debit = 1";
    static const enum db_element elements[PLAN_COLUMNS] = {DB_ELEMENT_TEXT, DB_ELEMENT_INT8, DB_ELEMENT_INT8, DB_ELEMENT_TEXT,
        DB_ELEMENT_TEXT, DB_ELEMENT_INT4};
    char total[RATIONAL_TEXT_MAX];
    struct db_params *params = db_params_new();
    for (enum plan_column column = 0; column < PLAN_COLUMNS; column++) {
        db_array_begin(params, elements[column]);
        for (enum family_id family = 0; family < FAMILY_COUNT; family++)
            if (is_planned(month, family))
                plan_element(params, column, month, family);
        db_array_end(params);
    }
    db_text(params, ledger->app->population);
    db_date(params, first);
    db_int4(params, (int32_t)ledger->app->id);
    db_int4(params, (int32_t)month->version);
    db_text(params, policy_preset_name(month->preset));
    db_int4(params, month->k);
    db_text(params, month->terms == NULL ? NULL : rho_text(month->terms->plan.budget, total));
    db_uuid(params, id);
    enum result result = db_run(db, "release_plan", sql, params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result plan_month(struct db *db, struct ledger *ledger, int32_t first, struct failure *why)
{
    struct ledger_month next = ledger_outlook(ledger, first);
    uint8_t id[16];
    enum result result = terms_of(db, ledger, &next, &next.terms, why);
    if (result == RESULT_OK && next.terms != NULL)
        next.k = next.terms->plan.k;
    if (result == RESULT_OK && next.terms != NULL)
        result = reserve(&next, why);
    if (result == RESULT_OK)
        result = write_leaf(db, ledger, &next, first, id, why);
    if (result == RESULT_OK)
        result = ledger_write(db, ledger, &next, first, id, why);
    if (result != RESULT_OK)
        return result;
    struct ledger_month *month = reach(ledger, first);
    if (month == NULL)
        return no_memory(why);
    next.planned = true;
    *month = next;
    return RESULT_OK;
}

enum result ledger_plan(struct db *db, struct ledger *ledger, int32_t month, struct failure *why)
{
    enum result result = RESULT_OK;
    for (int32_t first = ledger->first; first <= month && result == RESULT_OK; first = period_add(INTERVAL_MONTH, first, 1)) {
        size_t place = place_of(ledger, first);
        if (place >= ledger->count || !ledger->months[place].planned)
            result = plan_month(db, ledger, first, why);
    }
    return result;
}

/* --- what a release is made under ---------------------------------------------------------------------------------- */

const struct ledger_month *ledger_month(const struct ledger *ledger, int32_t month)
{
    return &ledger->months[place_of(ledger, month)];
}

/* The place of a month that may lie before the app's first. */
static size_t first_place(const struct ledger *ledger, int32_t month)
{
    return month <= ledger->first ? 0 : place_of(ledger, month);
}

struct ledger_grant ledger_grant(const struct ledger *ledger, enum family_id family, int32_t from, int32_t to)
{
    struct ledger_grant grant = {.reserved = true, .sigma2 = nothing, .rho = nothing};
    for (size_t i = first_place(ledger, from); i <= place_of(ledger, to); i++) {
        const struct ledger_month *month = &ledger->months[i];
        const struct ledger_family *planned = &month->families[family];
        grant.k = month->k > grant.k ? month->k : grant.k;
        if (month->terms == NULL) {
            grant.unprotected = true;
            continue;
        }
        grant.reserved = grant.reserved && planned->reserved;
        if (planned->reserved && rational_compare(planned->sigma2, grant.sigma2) > 0) {
            grant.sigma2 = planned->sigma2;
            grant.rho = planned->rho;
        }
    }
    return grant;
}

bool ledger_has_cell(const struct ledger *ledger, int32_t from, int32_t to, enum family_number number,
    enum family_interval interval, int32_t item, int32_t n)
{
    for (size_t i = first_place(ledger, from); i <= place_of(ledger, to); i++) {
        const struct ledger_terms *terms = ledger->months[i].terms;
        if (terms != NULL && !plan_has_cell(&terms->plan, &terms->app, number, interval, item, n))
            return false;
    }
    return true;
}

int64_t ledger_clamp(const struct ledger *ledger, int32_t from, int32_t to, enum family_number number)
{
    int64_t most = plan_clamp(ledger->app, number);
    for (size_t i = first_place(ledger, from); i <= place_of(ledger, to); i++) {
        const struct ledger_terms *terms = ledger->months[i].terms;
        int64_t clamp = terms == NULL ? 0 : plan_clamp(&terms->app, number);
        most = clamp > most ? clamp : most;
    }
    return most;
}
