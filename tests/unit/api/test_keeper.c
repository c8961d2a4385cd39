/* What was made while something was released is not kept: it may be of either edition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/keeper.h"
#include "tests/unit/cluster.h"

static struct config config;
static struct call_service service = {.config = &config};
static char conninfo[256];

/* A call in the middle of being answered: its question was not found in the table. */
static void begin(struct call *call, struct keeper_making *making)
{
    struct failure why = {0};
    *call = (struct call){.service = &service, .keep = &making->answer};
    *making = (struct keeper_making){.key.bytes = {7}};
    assert_int_equal(edition_read(call_db(call, &why), &making->edition, &why), RESULT_OK);
}

static void answer(struct call *call)
{
    call->keep->full = MHD_create_response_from_buffer(4, (void *)(uintptr_t) "body", MHD_RESPMEM_PERSISTENT);
    call->keep->bytes = 4;
    assert_non_null(call->keep->full);
}

static int is_kept(const struct keeper_making *making)
{
    struct kept_entry *entry = kept_take(service.kept, &making->key, &making->edition);
    if (entry != NULL)
        kept_give_back(entry);
    return entry != NULL;
}

static void kept_if_nothing_was_released(void **unused)
{
    (void)unused;
    struct call call;
    struct keeper_making making;
    begin(&call, &making);
    answer(&call);
    keeper_finish(&call, &making);
    assert_null(call.keep);
    assert_null(making.answer.full);
    assert_true(is_kept(&making));
}

static void not_kept_if_something_was(void **unused)
{
    (void)unused;
    static const char *const acts[] = {"UPDATE release.head SET count = count + 1",
        "UPDATE config.installation SET catalogue_version = catalogue_version + 1"};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        struct call call;
        struct keeper_making making;
        begin(&call, &making);
        making.key.bytes[0] = (uint8_t)(9 + i);
        cluster_sql(acts[i]);
        answer(&call);
        keeper_finish(&call, &making);
        assert_null(making.answer.full);
        assert_false(is_kept(&making));
        struct edition now;
        struct failure why = {0};
        assert_int_equal(edition_read(call_db(&call, &why), &now, &why), RESULT_OK);
        making.edition = now;
        assert_false(is_kept(&making));
    }
}

static void what_was_no_answer_is_not_kept(void **unused)
{
    (void)unused;
    struct call call;
    struct keeper_making making;
    begin(&call, &making);
    making.key.bytes[0] = 8;
    call.keep->unchanged = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    keeper_finish(&call, &making);
    assert_null(making.answer.unchanged);
    assert_false(is_kept(&making));
    call.keep = NULL;
    keeper_finish(&call, &making); /* nothing was to be kept */
    assert_false(is_kept(&making));
}

static int set_up(void **state)
{
    int failed = cluster_start(state);
    cluster_sql("INSERT INTO config.installation (shards) VALUES (16) ON CONFLICT DO NOTHING");
    (void)snprintf(conninfo, sizeof conninfo, "host=%s dbname=throng user=throng_read", cluster.directory);
    config.postgres_conninfo = conninfo;
    service.kept = kept_new(1 << 20);
    return failed != 0 ? failed : pthread_key_create(&service.db, NULL);
}

static int tear_down(void **state)
{
    db_free(pthread_getspecific(service.db));
    (void)pthread_key_delete(service.db);
    kept_free(service.kept);
    return cluster_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_if_nothing_was_released),
        cmocka_unit_test(not_kept_if_something_was),
        cmocka_unit_test(what_was_no_answer_is_not_kept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
