#include "service/cli/checklist.h"

#include <string.h>

#include "anonymizer/release/policy.h"

#define CNIL_DATA_DAYS 760 /* 25 months */

static bool is_given(const struct checklist_facts *facts, const char *member)
{
    return json_object_get(facts->definition, member) != NULL;
}

static bool check_purposes(const struct checklist_facts *facts)
{
    return json_array_size(json_object_get(facts->definition, "purposes")) > 0;
}

static bool check_private_preset(const struct checklist_facts *facts)
{
    return policy_is_private(facts->app->preset);
}

static bool check_signals(const struct checklist_facts *facts)
{
    return facts->app->respect_gpc && facts->app->respect_dnt;
}

static bool check_horizon(const struct checklist_facts *facts)
{
    return facts->app->horizon_days <= CNIL_DATA_DAYS;
}

static bool check_consent(const struct checklist_facts *facts)
{
    const char *basis = json_string_value(json_object_get(facts->definition, "legal_basis"));
    return basis != NULL && (strcmp(basis, "consent") != 0 || facts->app->consent_required);
}

static bool check_sealed(const struct checklist_facts *facts)
{
    return facts->config->ingest_seal[0] != '\0';
}

static bool check_epochs(const struct checklist_facts *facts)
{
    return facts->app->epoch_days <= 92;
}

static bool check_linking(const struct checklist_facts *facts)
{
    return facts->app->link_epochs <= 1;
}

static bool check_witnessed(const struct checklist_facts *facts)
{
    return facts->config->audit_witnesses[0] != '\0';
}

static bool check_contact(const struct checklist_facts *facts)
{
    return is_given(facts, "controller") && is_given(facts, "dpo_contact");
}

/* What a criterion's check is called in the table. */
#define check_DESIGN NULL
#define check_PERSON NULL

static const struct criterion {
    const char *list, *id, *source, *text, *kind;
    bool (*check)(const struct checklist_facts *facts);
    const char *how, *todo;
} criteria[] = {
#define CRITERION(list, id, source, text, check, how, todo) {list, id, source, text, #check, check_##check, how, todo},
#include "service/cli/checklist.def"
#undef CRITERION
};

size_t checklist_count(void)
{
    return sizeof criteria / sizeof *criteria;
}

struct checklist_item checklist_judge(const struct checklist_facts *facts, size_t at)
{
    const struct criterion *criterion = &criteria[at];
    struct checklist_item item = {.list = criterion->list, .id = criterion->id, .source = criterion->source,
        .text = criterion->text, .verdict = CHECKLIST_BY_DESIGN, .why = criterion->how};
    if (criterion->check != NULL && criterion->check(facts)) {
        item.verdict = CHECKLIST_BY_CONFIGURATION;
    } else if (criterion->check != NULL) {
        item.verdict = CHECKLIST_NOT_MET;
        item.why = criterion->todo;
    } else if (strcmp(criterion->kind, "PERSON") == 0) {
        item.verdict = CHECKLIST_NEEDS_PERSON;
        item.why = criterion->todo;
    }
    return item;
}

const char *checklist_verdict_name(enum checklist_verdict verdict)
{
    static const char *const names[] = {
        [CHECKLIST_BY_DESIGN] = "met by design",
        [CHECKLIST_BY_CONFIGURATION] = "met by configuration",
        [CHECKLIST_NOT_MET] = "not met",
        [CHECKLIST_NEEDS_PERSON] = "needs a person",
    };
    return names[verdict];
}
