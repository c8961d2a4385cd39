/* What the journal writes: one leaf for each actor, hour and act, with counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sodium.h>

#include "api/journal.h"
#include "tests/unit/cluster.h"

static const struct access_identity auditor = {.type = "key", .actor = "11111111-2222-4333-8444-555555555555"};
static const struct access_identity reader = {.type = "operator", .actor = "proxy_viewer"};

static void acts_of_one_hour(void **unused)
{
    (void)unused;
    static struct config config;
    char conninfo[256];
    (void)snprintf(conninfo, sizeof conninfo, "host=%s dbname=throng user=throng_read", cluster.directory);
    config.postgres_conninfo = conninfo;
    struct journal *journal = journal_start(&config);
    assert_non_null(journal);
    journal_count(journal, &auditor, JOURNAL_TRAIL, "proofs");
    journal_count(journal, &auditor, JOURNAL_TRAIL, "entries");
    journal_count(journal, &auditor, JOURNAL_READ, "shop");
    journal_count(journal, &auditor, JOURNAL_TRAIL, "entries");
    journal_count(journal, &reader, JOURNAL_SCOPE, "");
    journal_count(journal, NULL, JOURNAL_NO_KEY, "");
    journal_count(journal, &reader, JOURNAL_TRAIL, "checkpoint");
    journal_stop(journal);
    char *rows = cluster_rows("SELECT act || ' ' || (body->'actor'->>'id') || ' ' || (body->>'out') || ' ' ||"
        " (body->'data'->>'counts') || coalesce(' ' || (body->'data'->>'reads'), '') FROM (SELECT act,"
        " convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.outbox) l ORDER BY 1");
    assert_string_equal(rows, "access_denied proxy_viewer denied [[\"scope\", 1]]\n"
        "access_denied throng_read denied [[\"no_key\", 1]]\n"
        "aggregates_read 11111111-2222-4333-8444-555555555555 ok [[\"shop\", 1]]\n"
        "trail_read 11111111-2222-4333-8444-555555555555 ok [[\"entries\", 2], [\"proofs\", 1]] 3\n"
        "trail_read proxy_viewer ok [[\"checkpoint\", 1]] 1\n");
    free(rows);
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.outbox WHERE"
        " (convert_from(leaf, 'UTF8')::jsonb->'data'->>'hour_ms')::bigint % 3600000 <> 0"), 0);
}

static int set_up(void **state)
{
    assert_true(sodium_init() >= 0);
    return cluster_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(acts_of_one_hour)};
    return cmocka_run_group_tests(tests, set_up, cluster_stop);
}
