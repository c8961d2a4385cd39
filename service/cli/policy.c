/*
 * throng policy: what an app's preset lets leave, with what noise and at what cost, in words too, or as a deployment statement.
 * Reckoned from a definition alone, in force or in a file: nothing of it needs a number about use.
 *
 * Sees:     definitions; of released numbers the newest month's users, to say how such an audience fares, and the first release's day.
 * Uses:     anonymizer/release (plan; no sampler), api/series, service/cli/apps, grid, statement; jansson.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "anonymizer/release/plan.h"
#include "api/series/answer.h"
#include "api/series/explain.h"
#include "service/catalogue/definition.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/statement.h"

#define USERS_DEFAULT 200
#define LIST_BYTES 1024

struct policy_view {
    struct command_context *context;
    const char *name, *file;
    int64_t users; /* a month; 0: not given */
    bool measured; /* users is the newest released month's */
    bool stating;
    struct statement_facts facts;
    struct app app;
    struct plan plan;
};

static double number_of(struct rational a)
{
    return (double)a.numerator / (double)a.denominator;
}

/* Whether number leaves in interval. */
static bool leaves(const struct policy_view *view, enum family_number number, enum family_interval interval)
{
    return (family_number(number)->private_intervals >> interval & 1u) != 0 && plan_reason(&view->plan, number, interval) == NULL;
}

/* How many people an audience's typical cell of number has. */
static double typical(const struct policy_view *view, enum family_number number, enum family_interval interval)
{
    return (double)view->users * explain_typical(family_name(family_number(number)->family), family_interval_name(interval));
}

static const char *outlook(const struct policy_view *view, enum family_number number, enum family_interval interval,
    char text[EXPLAIN_BYTES])
{
    const struct plan_level *level = &view->plan.levels[number];
    if (plan_governor(number) != number)
        return "as its number of users";
    return explain_cell(typical(view, number, interval), (double)level->tau, (double)level->half_width, text);
}

/* --- for people ---------------------------------------------------------------------------------------------------- */

static void number_row(const struct policy_view *view, struct grid *grid, enum family_number number,
    enum family_interval interval)
{
    char text[EXPLAIN_BYTES];
    const struct plan_level *level = &view->plan.levels[number];
    enum family_id family = family_number(number)->family;
    grid_cell(grid, family_name(family));
    grid_cell(grid, family_number(number)->metric);
    grid_cell(grid, family_interval_name(interval));
    grid_format(grid, "%.1f", sqrt(number_of(level->sigma2)));
    grid_format(grid, "±%lld", (long long)level->half_width);
    if (plan_governor(number) == number)
        grid_format(grid, "%lld", (long long)level->tau);
    else
        grid_cell(grid, "");
    grid_format(grid, "%.0f %%", (double)family_permille(family) / 10);
    grid_cell(grid, outlook(view, number, interval, text));
}

static void print_numbers(const struct policy_view *view)
{
    struct grid *grid = grid_new("lllrrrrl");
    static const char *const heads[] = {"family", "number", "by", "sigma", "95 %", "shown from", "budget"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        grid_cell(grid, heads[i]);
    grid_format(grid, "with %lld users a month", (long long)view->users);
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++)
            if (leaves(view, number, interval))
                number_row(view, grid, number, interval);
    grid_print(grid, stdout);
    grid_free(grid);
}

static void print_families(const struct policy_view *view)
{
    puts("\nwhat they are:");
    for (enum family_id family = 0; family < FAMILY_COUNT; family++)
        if (view->plan.families[family].funded)
            printf("  %-12s %s\n", family_name(family), explain_family(family_name(family)));
    puts("not released:");
    for (enum family_id family = 0; family < FAMILY_COUNT; family++)
        if (!view->plan.families[family].funded)
            printf("  %-18s %s\n", family_name(family), view->plan.families[family].reason);
}

/* Append "number by interval" to a list of such. */
static void add_name(char list[LIST_BYTES], enum family_number number, enum family_interval interval)
{
    size_t used = strlen(list);
    (void)snprintf(list + used, LIST_BYTES - used, "%s%s by %s", used == 0 ? "" : ", ", family_number(number)->metric,
        family_interval_name(interval));
}

static void print_audience(const struct policy_view *view)
{
    char shown[LIST_BYTES] = "", hidden[LIST_BYTES] = "";
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++)
            if (leaves(view, number, interval) && plan_governor(number) == number)
                add_name(typical(view, number, interval) < (double)view->plan.levels[number].tau ? hidden : shown, number, interval);
    printf("\nWith %lld users a month%s expect to see: %s.\n", (long long)view->users,
        view->measured ? " (as the newest released month)" : "", shown[0] == '\0' ? "nothing" : shown);
    printf("Mostly suppressed: %s.\n%s\n", hidden[0] == '\0' ? "nothing" : hidden, explain_rule());
    if (hidden[0] != '\0')
        puts(explain_help(apps_preset_name(view->app.preset)));
}

static void print_plan(const struct policy_view *view)
{
    char text[EXPLAIN_BYTES];
    const struct accounting_statement *statement = &view->plan.statement;
    const struct explain_promise promise = {number_of(statement->day.epsilon), number_of(statement->month.epsilon),
        number_of(statement->months.epsilon), number_of(statement->month.delta)};
    printf("app %s, preset %s, k = %d: differentially private, by user and calendar month\n", view->app.name,
        apps_preset_name(view->app.preset), (int)view->plan.k);
    printf("epsilon %.3f a user's month, %.3f a user's day, %.3f thirteen months of a user (delta %.0e each)\n", promise.month,
        promise.day, promise.months, promise.delta);
    printf("rho %.6f of %.6f a month; a month's plan is frozen when its first number is released\n\n", number_of(view->plan.rho),
        number_of(view->plan.budget));
    print_numbers(view);
    print_families(view);
    printf("\n%s\n", explain_promise(&promise, text));
    print_audience(view);
}

static void print_unprotected(const struct app *app)
{
    printf("app %s, preset %s: not differentially private. No noise is added, no budget is kept, and there is no epsilon: nothing"
           " bounds what the numbers tell about a user.\n",
        app->name, apps_preset_name(app->preset));
    if (app->preset == APP_PRESET_THRESHOLD)
        printf("Values of fewer than k = %u people are suppressed, the others rounded to 5; no breakdowns, no rolling windows. Not"
               " protected against anyone who can submit events.\n",
            (unsigned)app->k);
    else
        puts("Every number is released as it is: for tests, and for data that is public anyway.");
}

/* --- for programs -------------------------------------------------------------------------------------------------- */

static json_t *number_json(const struct policy_view *view, enum family_number number, enum family_interval interval)
{
    char text[EXPLAIN_BYTES];
    const struct plan_level *level = &view->plan.levels[number];
    json_t *from = plan_governor(number) == number ? json_integer(level->tau) : json_null();
    return json_pack("{s:s,s:s,s:f,s:I,s:o,s:s}", "metric", family_number(number)->metric, "interval",
        family_interval_name(interval), "sigma", sqrt(number_of(level->sigma2)), "half_width", (json_int_t)level->half_width,
        "shown_from", from, "outlook", outlook(view, number, interval, text));
}

static json_t *family_json(const struct policy_view *view, enum family_id family)
{
    const struct plan_family *planned = &view->plan.families[family];
    json_t *numbers = json_array();
    for (enum family_number number = 0; number < NUMBER_COUNT; number++)
        for (enum family_interval interval = 0; interval < INTERVAL_COUNT; interval++)
            if (family_number(number)->family == family && leaves(view, number, interval))
                json_array_append_new(numbers, number_json(view, number, interval));
    return json_pack("{s:s,s:s,s:b,s:s?,s:f,s:f,s:o}", "family", family_name(family), "text",
        explain_family(family_name(family)), "funded", planned->funded, "why", planned->reason, "share",
        (double)family_permille(family) / 1000, "rho", number_of(planned->rho), "numbers", numbers);
}

static void print_json(const struct policy_view *view, bool is_private)
{
    const struct accounting_statement *statement = &view->plan.statement;
    json_t *root = json_pack("{s:s,s:s,s:s}", "app", view->app.name, "preset", apps_preset_name(view->app.preset), "protection",
        is_private ? "dp" : "unprotected");
    if (is_private) {
        json_t *families = json_array();
        for (enum family_id family = 0; family < FAMILY_COUNT; family++)
            json_array_append_new(families, family_json(view, family));
        json_object_set_new(root, "k", json_integer(view->plan.k));
        json_object_set_new(root, "rho", json_real(number_of(view->plan.rho)));
        json_object_set_new(root, "rho_total", json_real(number_of(view->plan.budget)));
        json_object_set_new(root, "delta", json_real(number_of(statement->month.delta)));
        json_object_set_new(root, "epsilon", json_pack("{s:f,s:f,s:f}", "user_day", number_of(statement->day.epsilon),
                                                 "user_month", number_of(statement->month.epsilon), "user_13_months",
                                                 number_of(statement->months.epsilon)));
        json_object_set_new(root, "users", json_integer(view->users));
        json_object_set_new(root, "families", families);
    }
    json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

/* --- the definition ------------------------------------------------------------------------------------------------ */

static enum result read_file(struct policy_view *view, struct failure *why)
{
    json_error_t error;
    json_t *root = json_load_file(view->file, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        failure_set(why, "FILE", "cannot be read as JSON, line %d", error.line);
        return RESULT_INVALID;
    }
    enum result result = definition_compile(root, &view->app, why);
    json_decref(root);
    return result;
}

/* The newest month's users, if a month is released and not suppressed. */
static enum result read_users(struct policy_view *view, struct db *db, struct failure *why)
{
    struct answer answer;
    const struct answer_question question = {.app = (int32_t)view->app.id, .declared = &view->app,
        .metric = metric_named("active_users"), .interval = "month", .from = -25000, .to = 100000};
    enum result result = answer_read(db, &question, &answer, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < answer.count; i++) {
        if (!answer.points[i].known || answer.points[i].value < 1)
            continue;
        view->users = (int64_t)answer.points[i].value;
        view->measured = true;
    }
    answer_free(&answer);
    return RESULT_OK;
}

/* The first release's day, and how many months of the population were released without noise. */
static enum result read_facts(struct policy_view *view, struct db *db, struct failure *why)
{
    static const char sql[] =
        "SELECT coalesce((SELECT min(sealed_at AT TIME ZONE 'UTC')::date::text FROM release.release WHERE app = $1), ''),"
        " (SELECT count(DISTINCT month) FROM release.plan WHERE population = $2 AND preset IN ('exact', 'threshold-only'))";
    struct db_params *params = db_params_new();
    db_int4(params, (int32_t)view->app.id);
    db_text(params, view->app.population);
    PGresult *result = NULL;
    enum result code = db_run(db, "policy_facts", sql, params, &result, why);
    db_params_free(params);
    if (code != RESULT_OK)
        return code;
    (void)snprintf(view->facts.since, sizeof view->facts.since, "%s", PQgetvalue(result, 0, 0));
    view->facts.unprotected_months = db_get_int8(result, 0, 1);
    PQclear(result);
    return RESULT_OK;
}

static enum result read_app(struct policy_view *view, struct apps_row *row, struct failure *why)
{
    struct db *db = command_db(view->context, "policy", false);
    if (db == NULL)
        return RESULT_UNAVAILABLE;
    enum result result = apps_find(db, view->name, row, why);
    view->app = row->app;
    if (result == RESULT_OK && view->stating)
        result = read_facts(view, db, why);
    else if (result == RESULT_OK && view->users == 0)
        result = read_users(view, db, why);
    db_free(db);
    return result;
}

static void state(const struct policy_view *view, bool is_private)
{
    json_t *statement = statement_make(&view->app, is_private ? &view->plan : NULL, &view->facts);
    if (view->context->json) {
        json_dumpf(statement, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
        putchar('\n');
    } else {
        statement_print(statement, stdout);
    }
    json_decref(statement);
}

static enum result explain(struct policy_view *view, struct failure *why)
{
    bool is_private = plan_epsilon(view->app.preset).numerator > 0;
    if (view->users == 0)
        view->users = USERS_DEFAULT;
    enum result result = is_private ? plan_make(&view->app, view->app.preset, view->app.k, &view->plan, why) : RESULT_OK;
    if (result != RESULT_OK)
        return result;
    if (view->stating)
        state(view, is_private);
    else if (view->context->json)
        print_json(view, is_private);
    else if (is_private)
        print_plan(view);
    else
        print_unprotected(&view->app);
    return RESULT_OK;
}

int policy_command(struct command_context *context, int argc, char **argv)
{
    static struct policy_view view;
    const char *operands[2] = {NULL, NULL};
    struct apps_row row = {0};
    struct failure why = {0};
    view = (struct policy_view){.context = context};
    const struct flag flags[] = {
        {.name = "app", .text = &view.name},
        {.name = "users", .number = &view.users, .least = 1, .most = 1000000000},
        {.name = "curator", .text = &view.facts.curator},
        {.name = "region", .text = &view.facts.region},
        {.name = "use", .text = &view.facts.use},
    };
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof flags[0], operands, 2);
    if (count < 0)
        return 2;
    view.stating = count > 0 && strcmp(operands[0], "statement") == 0;
    if (count == 0 || (!view.stating && strcmp(operands[0], "explain") != 0) || (count == 2) == (view.name != NULL))
        return command_usage("policy", "explain or statement, with --app APP or a FILE, is needed");
    view.file = operands[1];
    enum result result = view.file == NULL ? read_app(&view, &row, &why) : read_file(&view, &why);
    if (result == RESULT_OK)
        result = explain(&view, &why);
    if (view.file == NULL)
        apps_row_free(&row);
    else
        definition_free(&view.app);
    if (result == RESULT_UNAVAILABLE && why.text[0] == '\0')
        return 1;
    return result == RESULT_OK ? 0 : command_fail("policy", &why);
}
