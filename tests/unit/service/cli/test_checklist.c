/*
 * Checklists and the notice: what they say follows the definition and the configuration, both ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/catalogue/definition.h"
#include "service/cli/checklist.h"
#include "service/cli/notice.h"

#define BARE "{\"name\":\"bare\",\"time_zone\":\"UTC\",\"respect_gpc\":false,\"respect_dnt\":false,\"link_epochs\":3," \
    "\"epoch_days\":200,\"horizon_days\":800,\"legal_basis\":\"consent\",\"events\":[{\"name\":\"view\"}]," \
    "\"privacy\":{\"preset\":\"exact\",\"allow_unprotected\":true}}"
#define FULL "{\"name\":\"full\",\"title\":\"A story app\",\"time_zone\":\"UTC\",\"controller\":\"Example, 1 Street\"," \
    "\"dpo_contact\":\"privacy@example.org\",\"purposes\":[\"see how stories are used\",\"mend what fails\"]," \
    "\"legal_basis\":\"consent\",\"consent\":\"required\",\"recipients\":[\"the team\"],\"anonymous_visitors\":true," \
    "\"events\":[{\"name\":\"view\",\"properties\":[{\"name\":\"device\",\"type\":\"enum\",\"values\":[\"phone\",\"desk\"]}]}]," \
    "\"privacy\":{\"preset\":\"standard\"}}"

static struct app app;
static json_t *definition;
static struct config config;

static void load(const char *text)
{
    struct failure why = {0};
    definition_free(&app);
    json_decref(definition);
    app = (struct app){0};
    if (definition_parse(text, strlen(text), &app, &why) != RESULT_OK)
        fail_msg("%s %s", why.field, why.text);
    definition = json_loads(text, 0, NULL);
    config = (struct config){.ingest_seal = "", .audit_witnesses = ""};
}

static enum checklist_verdict verdict_of(const char *id)
{
    const struct checklist_facts facts = {.app = &app, .definition = definition, .config = &config};
    for (size_t at = 0; at < checklist_count(); at++) {
        struct checklist_item item = checklist_judge(&facts, at);
        assert_true(item.why[0] != '\0' && item.text[0] != '\0' && item.source[0] != '\0');
        if (strcmp(item.id, id) == 0)
            return item.verdict;
    }
    fail_msg("no criterion %s", id);
    return CHECKLIST_NOT_MET;
}

/* The whole list, so that a criterion that cannot fail, or cannot be met, is seen. */
static void test_both_ways(void **state)
{
    (void)state;
    static const char *const by_configuration[] = {"purpose", "anonymous_statistics", "opt_out", "data_lifetime",
        "consent_consistent", "secrets_apart", "secrets_replaced", "linkage", "unauthorised_reversal", "contact"};
    static const char *const by_design[] = {"no_cross_tracking", "no_matching", "location", "domain", "transformation",
        "quasi_identifiers", "rights"};
    static const char *const by_persons[] = {"information", "tracker_lifetime", "objectives"};
    assert_int_equal(checklist_count(), 10 + 7 + 3);
    load(BARE);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(verdict_of(by_configuration[i]), CHECKLIST_NOT_MET);
    load(FULL);
    config.ingest_seal = "secret";
    config.audit_witnesses = "/etc/throng/witnesses";
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(verdict_of(by_configuration[i]), CHECKLIST_BY_CONFIGURATION);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(verdict_of(by_design[i]), CHECKLIST_BY_DESIGN);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(verdict_of(by_persons[i]), CHECKLIST_NEEDS_PERSON);
}

/* The notice, or what is left to a person; owned by the caller. */
static char *text_of(bool open, size_t *count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    if (open)
        *count = notice_print_open(&app, definition, out);
    else
        notice_print(&app, definition, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void expect(bool said, const char *phrase)
{
    char *text = text_of(false, NULL);
    if ((strstr(text, phrase) != NULL) != said)
        fail_msg("%s \"%s\":\n%s", said ? "does not say" : "says", phrase, text);
    free(text);
}

static void test_notice(void **state)
{
    (void)state;
    size_t count = 0;
    load(FULL);
    expect(true, "Example, 1 Street");
    expect(true, "A story app");
    expect(true, "see how stories are used and mend what fails");
    expect(true, "your consent");
    expect(true, "one of phone, desk");
    expect(true, "visitor of the day");
    expect(true, "epsilon = 8");
    expect(true, "Global Privacy Control or Do Not Track");
    expect(true, "Nothing is recorded unless you agreed");
    expect(true, "for 400 days");
    expect(true, "calendar quarter");
    expect(true, "seen by the team");
    free(text_of(true, &count));
    assert_int_equal(count, 1);
    load(BARE);
    expect(false, "epsilon");
    expect(true, "differential privacy is not used here");
    expect(false, "Global Privacy Control");
    expect(false, "unless you agreed");
    expect(false, "visitor of the day");
    expect(true, "200 days");
    char *open = text_of(true, &count);
    assert_int_equal(count, 6);
    assert_non_null(strstr(open, "without it"));
    free(open);
}

static int stop(void **state)
{
    (void)state;
    definition_free(&app);
    json_decref(definition);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_notice),
    };
    return cmocka_run_group_tests(tests, NULL, stop);
}
