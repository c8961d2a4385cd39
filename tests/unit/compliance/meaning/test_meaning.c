/*
 * What a trail means: a right one has no finding; of each thing that can be wrong, the finding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compliance/meaning/meaning.h"
#include "tests/unit/compliance/trail.h"

struct seen {
    char text[8192];
    size_t told;
};

static void keep(void *context, const struct meaning_finding *finding)
{
    struct seen *seen = context;
    size_t length = strlen(seen->text);
    (void)snprintf(seen->text + length, sizeof seen->text - length, "%s: %s\n", finding->where, finding->what);
    seen->told++;
}

static uint64_t check(const struct trail_fixture *fixture, struct seen *seen)
{
    uint64_t count = 0;
    struct failure why = {0};
    *seen = (struct seen){0};
    assert_int_equal(meaning_check(&fixture->source, keep, seen, &count, &why), RESULT_OK);
    assert_string_equal(why.text, "");
    return count;
}

static void test_right(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct seen seen;
    trail_begin_fixture(&fixture);
    uint64_t count = check(&fixture, &seen);
    assert_string_equal(seen.text, "");
    assert_int_equal(count, 0);
    trail_end_fixture(&fixture);
}

/* In the first leaf of act (after `skip` others): old becomes new. old NULL: the leaf is taken away; new NULL: it is there
 * again, later. */
struct planted {
    const char *act;
    const char *old, *new;
    const char *finding;
};

static const struct planted planted[] = {
    {"migration", "\"v\":1", "\"v\":2", "is not a leaf: v is not 1"},
    {"migration", "{\"act\"", "{ \"act\"", "canonical"},
    {"migration", "\"data\":{", "\"data\":{\"a\":1,\"a\":1,", "not a JSON object"},
    {"migration", "\"file\":", "\"extra\":1,\"file\":", "a member that this act does not have"},
    {"migration", "0001_roles.sql", "", "file is not of its type"},
    {"migration", "\"hash\":\"0123", "\"hash\":\"0123G", "hash is not of its type"},
    {"migration", "\"act\":\"migration\"", "\"act\":\"migrations\"", "act is not a known one"},
    {"migration", "\"tenant\":\"\"", "\"tenant\":\"story\"", "tenant is not what this act is about"},
    {"migration", "\"out\":\"ok\"", "\"out\":\"denied\"", "out is no outcome"},
    {"migration", "\"tenant\"", "\"ref\":\"00000000-0000-4000-8000-000000000001\",\"tenant\"", "ref must not be there"},
    {"ingestion", "1024", "1023", "accepted is not of its type"},
    {"ingestion", "1024", "1024.0", "no integer"},
    {"app_added", NULL, NULL, "about an app that no entry added"},
    {"app_added", "\"hash\":\"", "\"hash\":\"0", "not of its type"},
    {"app_changed", "\"version\":2", "\"version\":3", "does not follow the app's version 1"},
    {"month_planned", "\"definition\":1", "\"definition\":5", "not in force yet"},
    {"api_key_made", NULL, NULL, "An access key ended that never began"},
    {"key_born", NULL, NULL, "follows on a key that was never born"},
    {"key_born", "\"epoch\":3", "\"epoch\":9", "earlier epoch than the key before"},
    {"key_ratcheted", "\"commitment\":\"" TRAIL_B, "\"commitment\":\"" TRAIL_A, "began before"},
    {"key_destroyed", TRAIL_B, TRAIL_A, "A key ended before"},
    {"key_destroyed", TRAIL_B, TRAIL_RING, "A key ended that never began"},
    {"key_ratcheted", NULL, NULL, "no entry says what became of it"},
    {"key_change_ordered", NULL, NULL, "completes an order that no entry gave"},
    {"request_received", NULL, NULL, "carried out that was never received"},
    {"request_received", "\"kind\":\"erasure\"", "\"kind\":\"access\"", "received as one of another kind"},
    {"request_received", "\"due_at\":17", "\"due_at\":18", "not due 30 days"},
    {"request_applied", NULL, NULL, "no entry says what became of it"},
    {"request_applied", "\"ref\":\"00000000-0000-4000-8000-0000000000", "\"ref\":\"00000000-0000-4000-8000-0000000001",
        "refers to another entry"},
    {"request_applied", NULL, NULL, "removed of a request that was never carried out"},
    {"month_planned", "\"rho\":\"0.7328\"", "\"rho\":\"0.7149\"", "more than it may cost in all"},
    {"month_planned", "\"40\",\"0.475\"", "\"40\",\"0.474\"", "costs more than the entry says"},
    {"month_planned", "\"0.24\",1", "\"0.24\",0", "did not reserve"},
    {"month_planned", "[\"new\",6,\"12.5\",\"0.24\",1],", "", "no entry of the log planned"},
    {"month_planned", "\"0.5\",0", "\"0.01\",1", "costs more than the entry says"},
    {"month_planned", "\"population\":\"people\"", "\"population\":\"others\"", "another population"},
    {"month_planned", NULL, NULL, "no plan of its month has reserved"},
    {"aggregates_released", NULL, NULL, "no entry of the log tells of"},
    {"aggregates_released", "\"family\":\"active\"", "\"family\":\"goals\"", "no plan of its month has reserved"},
    {"aggregates_released", "\"interval\":\"day\"", "\"interval\":\"week\"", "another release than its entry"},
    {"aggregates_released", "\"place\":1", "\"place\":2", "some lack"},
    {"aggregates_refused", "\"family\":\"goals\"", "\"family\":\"active\"", NULL},
    {"purge_ordered", NULL, NULL, "completes an order that no entry gave"},
    {"purge_done", NULL, NULL, "no entry says what became of it"},
    {"backup_made", NULL, NULL, "A backup ended that never began"},
    {"incident_opened", NULL, NULL, "An incident ended that never began"},
    {"export_made", "\"size\":3", "\"size\":300", "speaks of 300 entries"},
    {"trail_pruned", "\"below\":2", "\"below\":200", "speaks of 200 entries"},
    {"restored", "\"from_size\":2", "\"from_size\":9", "cannot have been restored"},
};

static void test_planted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        struct trail_fixture fixture;
        struct seen seen;
        trail_begin_fixture(&fixture);
        size_t place = trail_find(&fixture, planted[i].act, 0);
        if (planted[i].old == NULL)
            trail_drop(&fixture, place);
        else
            trail_replace(&fixture.leaves[place], planted[i].old, planted[i].new);
        uint64_t count = check(&fixture, &seen);
        if (planted[i].finding == NULL ? count != 0 : strstr(seen.text, planted[i].finding) == NULL)
            fail_msg("planted %zu in %s: expected \"%s\", found \"%s\"", i, planted[i].act,
                planted[i].finding == NULL ? "nothing" : planted[i].finding, seen.text);
        assert_true(count == seen.told || seen.told == 100);
        trail_end_fixture(&fixture);
    }
}

/* Once is right, twice is not. */
static void test_twice(void **state)
{
    (void)state;
    static const struct {
        const char *act, *finding;
    } once[] = {{"app_added", "added before"}, {"month_planned", "planned before"}, {"key_born", "began before"},
        {"key_destroyed", "ended before"}, {"request_received", "received before"}, {"request_applied", "carried out before"},
        {"request_purged", "removed before"}, {"aggregates_released", "twice"}, {"aggregates_refused", "second time"},
        {"ingestion", "began before"}, {"purge_done", "began before"}, {"backup_made", "began before"},
        {"backup_gone", "ended before"}, {"incident_opened", "began before"}, {"incident_closed", "ended before"},
        {"api_key_revoked", "ended before"}, {"log_key_rotated", "not from the one it had"}};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        struct trail_fixture fixture;
        struct seen seen;
        trail_begin_fixture(&fixture);
        fixture.leaves[fixture.count] = strdup(fixture.leaves[trail_find(&fixture, once[i].act, 0)]);
        fixture.source.checkpoint.size = ++fixture.count;
        check(&fixture, &seen);
        if (strstr(seen.text, once[i].finding) == NULL)
            fail_msg("%s twice: \"%s\"", once[i].act, seen.text);
        trail_end_fixture(&fixture);
    }
}

/* What a restored database had lost may be done, and said, again. */
static void test_twice_for_it_was_lost(void **state)
{
    (void)state;
    static const char *const acts[] = {"app_added", "key_born", "request_received", "ingestion", "incident_opened", "backup_made"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        for (int more = 0; more < 2; more++) { /* without the act among what was lost, and with it */
            struct trail_fixture fixture;
            struct seen seen;
            char lost[80];
            trail_begin_fixture(&fixture);
            size_t first = trail_find(&fixture, acts[i], 0), last = trail_find(&fixture, "restored", 0);
            fixture.leaves[fixture.count] = strdup(fixture.leaves[first]);
            fixture.source.checkpoint.size = ++fixture.count;
            assert_true(first < last);
            (void)snprintf(lost, sizeof lost, "\"from_size\":0,\"to_size\":%zu", first + (size_t)more);
            trail_replace(&fixture.leaves[last], "\"from_size\":2,\"to_size\":2", lost);
            check(&fixture, &seen);
            if ((strstr(seen.text, " before, with entry ") == NULL) != (more == 1))
                fail_msg("%s again: \"%s\"", acts[i], seen.text);
            trail_end_fixture(&fixture);
        }
    }
}

static void test_database(void **state)
{
    (void)state;
    static const struct {
        bool ledger;
        const char *old, *new; /* old NULL: the line is taken away */
        const char *finding;
    } lines[] = {
        {true, "0.475000000000", "0.475000000001", "database/ledger.csv line 2: The line debits another cost"},
        {true, ",active,", ",retention,", "debits what no entry of the log planned"},
        {true, ",active,", ",goals,", "did not reserve"},
        {true, ",active,", ",new,", "was debited before"},
        {true, "000000000012", "000000000099", "names another entry"},
        {true, "0.475000000000", "x", "is not a line of the ledger"},
        {true, ",active", "", "has not the columns"},
        {true, NULL, NULL, "not in the database's ledger"},
        {false, ",,day", ",page,day", "another release than its entry"},
        {false, ",1,", ",2,", "another release than its entry"},
        {false, "000000000013", "000000000099", "no entry of the log tells of"},
        {false, ",day", "", "has not the columns"},
        {false, NULL, NULL, "the database's releases do not have"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct trail_fixture fixture;
        struct seen seen;
        trail_begin_fixture(&fixture);
        char **line = lines[i].ledger ? &fixture.ledger[0] : &fixture.releases[0];
        if (lines[i].old != NULL)
            trail_replace(line, lines[i].old, lines[i].new);
        else if (lines[i].ledger) {
            free(fixture.ledger[0]);
            fixture.ledger[0] = fixture.ledger[--fixture.ledger_count];
        } else
            free(fixture.releases[--fixture.release_count]);
        check(&fixture, &seen);
        if (strstr(seen.text, lines[i].finding) == NULL)
            fail_msg("line %zu: expected \"%s\", found \"%s\"", i, lines[i].finding, seen.text);
        trail_end_fixture(&fixture);
    }
}

static void test_definitions(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct seen seen;
    trail_begin_fixture(&fixture);
    fixture.definition = NULL;
    check(&fixture, &seen);
    assert_non_null(strstr(seen.text, "is not there"));
    fixture.definition = "{\"name\":\"story\"}";
    check(&fixture, &seen);
    assert_non_null(strstr(seen.text, "SHA-256 differs"));
    fixture.definition = TRAIL_DEFINITION;
    char *before = strstr(fixture.leaves[trail_find(&fixture, "app_changed", 0)], "hash_before") + strlen("hash_before\":\"");
    *before = *before == '0' ? '1' : '0';
    check(&fixture, &seen);
    assert_non_null(strstr(seen.text, "not the one that was in force"));
    trail_end_fixture(&fixture);
}

/* An intent of the last hour may still be on its way. */
static void test_patience(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct seen seen;
    trail_begin_fixture(&fixture);
    trail_add(&fixture, "purge_ordered", "story", "ok", 0, "{\"reason\":\"" TRAIL_HEX "\"}");
    assert_int_equal(check(&fixture, &seen), 0);
    trail_add(&fixture, "daemon_stopped", "", "ok", 0, "{}");
    assert_int_equal(check(&fixture, &seen), 1);
    trail_end_fixture(&fixture);
}

/* What lies in entries whose bodies are gone is not missed; but an entry must say that they are. */
static void test_pruned(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct seen seen;
    trail_begin_fixture(&fixture);
    fixture.source.pruned_below = 12;
    check(&fixture, &seen);
    assert_string_equal(seen.text, "log: Entries below 12 have lost their bodies, and no entry says so.\n");
    trail_replace(&fixture.leaves[trail_find(&fixture, "trail_pruned", 0)], "\"below\":2", "\"below\":12");
    assert_int_equal(check(&fixture, &seen), 0);
    trail_end_fixture(&fixture);
}

static void test_many(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct seen seen;
    trail_begin_fixture(&fixture);
    while (fixture.count < TRAIL_LEAVES)
        trail_add(&fixture, "no_such_act", "", "ok", 0, "{}");
    uint64_t count = check(&fixture, &seen);
    assert_int_equal(seen.told, count < 100 ? count : 100);
    trail_end_fixture(&fixture);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_planted),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_twice_for_it_was_lost),
        cmocka_unit_test(test_database),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_pruned),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
