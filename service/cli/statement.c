#include "service/cli/statement.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api/series/explain.h"
#include "service/cli/apps.h"

#define TEXT_BYTES 8192
#define NOT_SAID "Not specified"

/* A text under construction; what does not fit is cut. */
struct text {
    char bytes[TEXT_BYTES];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(text->bytes + text->length, sizeof text->bytes - text->length, format, arguments);
    va_end(arguments);
    if (wrote > 0)
        text->length += (size_t)wrote < sizeof text->bytes - text->length ? (size_t)wrote : sizeof text->bytes - text->length - 1;
}

static const char *said(const char *text)
{
    return text == NULL || text[0] == '\0' ? NOT_SAID : text;
}

/* A promise's number is told too large rather than too small. */
static json_t *rounded_up(struct rational a, unsigned places)
{
    char text[RATIONAL_TEXT_MAX];
    rational_decimal(a, places, RATIONAL_UP, text);
    return json_real(strtod(text, NULL));
}

static const char *decimal(struct rational a, unsigned places, char text[RATIONAL_TEXT_MAX])
{
    rational_decimal(a, places, RATIONAL_UP, text);
    return text;
}

/* --- what is released ---------------------------------------------------------------------------------------------- */

static void add_number(struct text *text, const struct plan *plan, enum family_number number)
{
    char sigma2[RATIONAL_TEXT_MAX];
    const struct plan_level *level = &plan->levels[number];
    if (level->sigma2.numerator == 0)
        return;
    rational_decimal(level->sigma2, ACCOUNTING_PLACES, RATIONAL_UP, sigma2);
    add(text, "  - %s: sigma^2 = %s, clamp %" PRId64 ", 95 %% interval +-%" PRId64, family_number(number)->metric, sigma2,
        level->clamp, level->half_width);
    if (plan_governor(number) == number)
        add(text, ", shown from %" PRId64, level->tau);
    add(text, "\n");
}

static json_t *mechanisms(const struct plan *plan)
{
    struct text text = {.length = 0};
    char rho[RATIONAL_TEXT_MAX];
    add(&text, "Discrete Gaussian (Canonne, Kamath, Steinke 2020), sampled in integers with a cryptographic generator. Families and"
               " their cells:\n");
    for (enum family_id family = 0; family < FAMILY_COUNT; family++) {
        const struct plan_family *one = &plan->families[family];
        if (!one->funded)
            continue;
        add(&text, "- %s (%s): rho = %s, L2^2 = %" PRIu64 " clamp^2 a month\n", family_name(family),
            explain_family(family_name(family)), decimal(one->rho, ACCOUNTING_PLACES, rho), one->l2_month);
        for (enum family_number number = 0; number < NUMBER_COUNT; number++)
            if (family_number(number)->family == family)
                add_number(&text, plan, number);
    }
    return json_string(text.bytes);
}

static json_t *composition(const struct plan *plan)
{
    struct text text = {.length = 0};
    char rho[RATIONAL_TEXT_MAX], budget[RATIONAL_TEXT_MAX];
    add(&text, "The rho of all families of a month add up: %s of at most %s. A family's rho covers the largest squared L2 distance that a"
               " month's events can make in everything it ever releases, in any month. It is debited as a whole, in exact numbers, in the"
               " transaction of the month's first release; a release without a debit is refused. Each number is released once. ",
        decimal(plan->rho, ACCOUNTING_PLACES, rho), decimal(plan->budget, ACCOUNTING_PLACES, budget));
    add(&text, "Several months of a user add up; epsilon is by the tight conversion from rho at the delta given, rounded up.");
    return json_string(text.bytes);
}

/* --- of whom and what ---------------------------------------------------------------------------------------------- */

static json_t *description(const struct app *app, const struct plan *plan)
{
    struct text text = {.length = 0};
    add(&text, "Numbers by day, week and month of the use of the app %s, counted in %s.", app->name, app->time_zone);
    if (plan == NULL) {
        add(&text, " UNPROTECTED: preset %s, not differentially private.", apps_preset_name(app->preset));
        return json_string(text.bytes);
    }
    add(&text, " Preset %s. Released:", apps_preset_name(app->preset));
    const char *before = " ";
    for (enum family_id family = 0; family < FAMILY_COUNT; family++)
        if (plan->families[family].funded) {
            add(&text, "%s%s", before, explain_family(family_name(family)));
            before = "; ";
        }
    add(&text, ".");
    return json_string(text.bytes);
}

static json_t *data_domain(const struct app *app)
{
    struct text text = {.length = 0};
    add(&text, "Events of people with a user id, as declared: %zu event names, %zu dimensions, %zu features, %zu goals, %zu funnels, %zu"
               " outcomes. Properties are enumerations, bounded numbers, booleans and declared routes. Of a person's period no more"
               " than the clamp counts.",
        app->event_count, app->dimension_count, app->feature_count, app->goal_count, app->funnel_count, app->outcome_count);
    return json_string(text.bytes);
}

static json_t *unprotected_quantities(const struct app *app, const struct statement_facts *facts)
{
    struct text text = {.length = 0};
    add(&text, "The definition (what is declared, k, time zone), when periods are released, and the operational metrics of the service.");
    if (facts->unprotected_months > 0)
        add(&text, " UNPROTECTED: %" PRId64 " months of app or population %s were released without noise; they are not covered by this.",
            facts->unprotected_months, app->population);
    return json_string(text.bytes);
}

static json_t *parameters_description(const struct accounting_statement *promised)
{
    struct text text = {.length = 0};
    char day[RATIONAL_TEXT_MAX], months[RATIONAL_TEXT_MAX];
    add(&text, "Of a user's calendar month. Of a user's day epsilon = %s, of %d months of a user epsilon = %s, at the same delta each.",
        decimal(promised->day.epsilon, 4, day), ACCOUNTING_LONG_MONTHS, decimal(promised->months.epsilon, 4, months));
    return json_string(text.bytes);
}

static json_t *unit_description(const struct app *app)
{
    struct text text = {.length = 0};
    add(&text, "Neighbours differ by all events of one pseudonym in one calendar month, with all copies of them (what has the same"
               " source and seq is one event). A person with several ids or devices is several"
               " units; one who is absent for %u whole key epoch%s is a new one. Where apps of population %s are fed by the same people,"
               " their rho add up.",
        app->link_epochs, app->link_epochs == 1 ? "" : "s", app->population);
    return json_string(text.bytes);
}

/* --- the form ------------------------------------------------------------------------------------------------------ */

static json_t *product(const struct app *app, const struct plan *plan, const struct statement_facts *facts)
{
    json_t *product = json_pack("{s:s,s:[s],s:s,s:s,s:s,s:o}", "name", app->title == NULL ? app->name : app->title, "data_curators",
        said(facts->curator), "intended_use", facts->use == NULL ? "Engagement analytics" : facts->use, "data_product_type",
        "Summary statistics", "data_product_region", said(facts->region), "description", description(app, plan));
    if (facts->since[0] != '\0')
        json_object_set_new(product, "publication_date", json_string(facts->since));
    return product;
}

static json_t *model(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "model_name", "Central", "model_name_description",
        "The curator replaces raw ids by keyed pseudonyms while a request is being read, keeps state by pseudonym up to the horizon, and"
        " adds noise when it releases. Promised towards readers of releases, not towards the curator.",
        "release_type", "Many releases", "release_type_description",
        "Each period once, on a schedule; late events change nothing that was released.", "data_source_type", "Dynamic",
        "data_source_type_description", "Events arrive while people use the app.", "access_type", "Non-interactive",
        "access_type_description", "All exits read the same released rows.");
}

static json_t *protected_parts(const struct app *app, const struct plan *plan, const struct statement_facts *facts)
{
    const struct accounting_guarantee *month = &plan->statement.month;
    char processing[512];
    (void)snprintf(processing, sizeof processing, "A cell is shown if its noisy value reaches its threshold, so that one of k - 1 = %d"
        " people or fewer is shown at most once in 1000; else it is suppressed. Ratios, trends and forecasts are made of released rows.",
        (int)plan->k - 1);
    return json_pack("{s:{s:s,s:o,s:o},s:{s:s,s:o,s:{s:o,s:o,s:o},s:o},s:o,s:{s:s,s:o},s:{s:s,s:o,s:s}}",
        "dp_flavor", "name", "Zero-concentrated DP", "data_domain", data_domain(app), "unprotected_quantities",
        unprotected_quantities(app, facts),
        "privacy_loss", "privacy_unit", "User-month-level", "privacy_unit_description", unit_description(app), "privacy_parameters",
        "rho", rounded_up(month->rho, ACCOUNTING_PLACES), "epsilon", rounded_up(month->epsilon, ACCOUNTING_PLACES), "delta",
        rounded_up(month->delta, ACCOUNTING_PLACES), "privacy_parameters_description", parameters_description(&plan->statement),
        "model", model(), "accounting", "post_processing", processing, "composition", composition(plan),
        "implementation", "pre_processing_eda_hyperparameter_tuning",
        "None on the data: shares, clamps and thresholds follow from the definition and the preset alone.", "mechanisms", mechanisms(plan),
        "justification", "Gaussian noise, since one person is in many cells: its cost grows with the L2 distance.");
}

static json_t *unprotected_parts(const struct app *app)
{
    return json_pack("{s:{s:s,s:s},s:{s:s}}", "dp_flavor", "name", "None: UNPROTECTED", "unprotected_quantities",
        app->preset == APP_PRESET_THRESHOLD
            ? "Everything. Small groups are suppressed and values rounded; no protection against anyone who can submit events."
            : "Everything: numbers are released as they are.",
        "privacy_loss", "privacy_parameters_description", "There is no epsilon: nothing bounds what the numbers tell about a user.");
}

json_t *statement_make(const struct app *app, const struct plan *plan, const struct statement_facts *facts)
{
    json_t *deployment = json_pack("{s:o}", "product", product(app, plan, facts));
    json_t *parts = plan == NULL ? unprotected_parts(app) : protected_parts(app, plan, facts);
    json_object_update(deployment, parts);
    json_decref(parts);
    if (plan == NULL)
        return json_pack("{s:s,s:s,s:o}", "status", "Draft", "protection", "unprotected", "deployment", deployment);
    return json_pack("{s:s,s:i,s:o}", "status", "Draft", "tier", 3, "deployment", deployment);
}

/* --- YAML ---------------------------------------------------------------------------------------------------------- */

/* A JSON text or number is a YAML one, but for 1e-9: older readers want a point in it. */
static void print_scalar(const json_t *value, FILE *out)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    char *exponent = json_is_real(value) && text != NULL && strchr(text, '.') == NULL ? strchr(text, 'e') : NULL;
    if (exponent != NULL)
        (void)fprintf(out, "%.*s.0%s\n", (int)(exponent - text), text, exponent);
    else
        (void)fprintf(out, "%s\n", text == NULL ? "" : text);
    free(text);
}

static void print_block(const char *text, int depth, FILE *out)
{
    (void)fputs("|\n", out);
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        (void)fprintf(out, "%*s%.*s\n", 2 * depth, "", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static void print_object(const json_t *object, int depth, FILE *out);

static void print_value(const json_t *value, int depth, FILE *out)
{
    const char *text = json_string_value(value);
    if (json_is_object(value)) {
        (void)fputc('\n', out);
        print_object(value, depth + 1, out);
    } else if (json_is_array(value)) {
        (void)fputc('\n', out);
        for (size_t i = 0; i < json_array_size(value); i++) {
            (void)fprintf(out, "%*s- ", 2 * (depth + 1), "");
            print_scalar(json_array_get(value, i), out);
        }
    } else if (text != NULL && strchr(text, '\n') != NULL) {
        print_block(text, depth + 1, out);
    } else {
        print_scalar(value, out);
    }
}

static void print_object(const json_t *object, int depth, FILE *out)
{
    /* Iterating asks for a pointer that is not const; it changes nothing. */
    for (void *at = json_object_iter((json_t *)(uintptr_t)object); at != NULL;
        at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        const char *key = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        (void)fprintf(out, "%*s%s:%s", 2 * depth, "", key, json_is_object(value) || json_is_array(value) ? "" : " ");
        print_value(value, depth, out);
    }
}

void statement_print(const json_t *statement, FILE *out)
{
    print_object(statement, 0, out);
}
