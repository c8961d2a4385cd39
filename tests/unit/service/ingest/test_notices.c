/* Notices against a real keyd, writer and spool, with Redis away: each change of keys is told once, with its order, and a
 * crash between change and telling forgets nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/packet.h"
#include "service/base/clock.h"
#include "service/ingest/keep.h"
#include "service/ingest/notices.h"
#include "service/ingest/writer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define APP 3
#define NOTICES_MAX 64

struct rig {
    char folder[64];
    struct config config;
    struct keyd *keyd;
    struct node *node;
    struct purges *purges;
    struct spool *spool;
    struct counts *counts;
    struct replay *replay;
    struct writer *writer;
    struct notices *notices;
    struct packet_notice told[NOTICES_MAX]; /* as the spool has them */
    size_t count;
};

static const struct notices_change born = {.app = APP, .act = PACKET_KEY_BORN, .epoch_days = 92, .link_epochs = 1};

static const char *path_of(const struct rig *rig, const char *name)
{
    static char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", rig->folder, name);
    return path;
}

static void start(struct rig *rig)
{
    struct failure why = {0};
    const struct keyd_options options = {.key_file = path_of(rig, "keys"), .passphrase = "correct horse", .shards = 16,
        .may_create = true, .sandbox = !SANITIZED};
    assert_int_equal(keyd_start(&options, &rig->keyd, &why), RESULT_OK);
    assert_int_equal(notices_open(rig->folder, rig->keyd, &rig->notices, &why), RESULT_OK);
    assert_int_equal(node_open(rig->folder, &rig->node, &why), RESULT_OK);
    assert_int_equal(purges_open(rig->folder, &rig->purges, &why), RESULT_OK);
    assert_int_equal(spool_open(path_of(rig, "spool"), 1 << 20, rig->keyd, &rig->spool, &why), RESULT_OK);
    rig->counts = counts_new();
    rig->replay = replay_start(&rig->config, rig->node, rig->spool, rig->purges, rig->notices);
    const struct writer_parts parts = {&rig->config, rig->keyd, rig->node, rig->spool, rig->replay, rig->counts};
    rig->writer = writer_start(&parts);
    assert_non_null(rig->writer);
}

static void stop(struct rig *rig)
{
    writer_close(rig->writer);
    writer_stop(rig->writer);
    replay_stop(rig->replay, 0);
    notices_close(rig->notices);
    spool_close(rig->spool);
    counts_free(rig->counts);
    purges_close(rig->purges);
    node_close(rig->node);
    keyd_stop(rig->keyd);
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct failure why = {0};
    strcpy(rig->folder, "/tmp/throng-notices-XXXXXX");
    if (sodium_init() < 0 || mkdtemp(rig->folder) == NULL ||
        config_parse("[redis]\nsocket = /nonexistent/redis.sock\n", &rig->config, &why) != RESULT_OK)
        return -1;
    /* An earlier incarnation that has not ended holds the shards back, so that the spool will do. */
    if (keep_store(rig->folder, "nodes", "00000000000000aa\n", 17, &why) != RESULT_OK)
        return -1;
    start(rig);
    notices_begin(rig->notices, rig->writer);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"keys", "nodes", "told", "purged", "joined"};
    struct rig *rig = *state;
    char command[128];
    stop(rig);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(path_of(rig, names[i]));
    (void)snprintf(command, sizeof command, "rm -r %s/spool", rig->folder);
    int left = system(command) + rmdir(rig->folder);
    config_free(&rig->config);
    free(rig);
    return left;
}

static void note(struct rig *rig, const uint8_t *bytes, size_t length)
{
    struct packet_reader reader;
    struct packet_header header;
    assert_int_equal(packet_open(&reader, bytes, length, &header), RESULT_OK);
    if (header.type != PACKET_NOTICE)
        return;
    assert_int_equal(header.shard, 0);
    assert_true(rig->count < NOTICES_MAX);
    assert_int_equal(packet_read_notice(&reader, &rig->told[rig->count++]), RESULT_OK);
}

/* Take all notices out of the spool. Redis is away, so nobody else reads it. */
static void read_told(struct rig *rig)
{
    struct failure why = {0};
    struct spool_batch *batch = malloc(sizeof *batch);
    rig->count = 0;
    while (spool_read(rig->spool, batch, &why) == RESULT_OK && batch->waiting) {
        for (size_t i = 0; i < batch->count; i++)
            note(rig, batch->records[i].bytes, batch->records[i].length);
        assert_int_equal(spool_advance(rig->spool, batch, &why), RESULT_OK);
    }
    free(batch);
}

static void change(struct rig *rig, enum packet_notice_act act, uint8_t order)
{
    struct failure why = {0};
    struct notices_change ordered = born;
    ordered.act = act;
    ordered.request[15] = order;
    assert_int_equal(notices_change_key(rig->notices, &ordered, &why), RESULT_OK);
}

static void sync_keys(struct rig *rig)
{
    struct failure why = {0};
    assert_int_equal(notices_sync(rig->notices, &why), RESULT_OK);
    read_told(rig);
}

static void assert_told(const struct rig *rig, size_t i, enum packet_notice_act act, uint8_t order, bool former)
{
    static const uint8_t zeros[PACKET_HASH_BYTES];
    assert_true(i < rig->count);
    const struct packet_notice *told = &rig->told[i];
    assert_int_equal(told->act, act);
    assert_int_equal(told->app, APP);
    assert_int_equal(told->request[15], order);
    assert_int_equal(memcmp(told->former, zeros, sizeof zeros) != 0, former);
    assert_memory_not_equal(told->hash, zeros, sizeof zeros);
    assert_memory_not_equal(told->ring, zeros, sizeof zeros);
}

static void each_change_is_told_once(void **state)
{
    struct rig *rig = *state;
    change(rig, PACKET_KEY_BORN, 1);
    change(rig, PACKET_KEY_RATCHETED, 2);
    change(rig, PACKET_KEY_ROTATED, 3);
    change(rig, PACKET_KEY_DESTROYED, 4);
    change(rig, PACKET_KEY_BORN, 5);
    sync_keys(rig);
    assert_int_equal(rig->count, 6);
    assert_told(rig, 0, PACKET_KEY_BORN, 1, false);
    assert_told(rig, 1, PACKET_KEY_RATCHETED, 2, false); /* one passed epoch is linked: nothing was overwritten yet */
    assert_told(rig, 2, PACKET_KEY_ROTATED, 3, true);
    assert_memory_equal(rig->told[2].former, rig->told[0].hash, PACKET_HASH_BYTES);
    assert_told(rig, 3, PACKET_KEY_DESTROYED, 4, false);
    assert_told(rig, 4, PACKET_KEY_DESTROYED, 4, false);
    assert_told(rig, 5, PACKET_KEY_BORN, 5, false);
    assert_int_equal(rig->told[2].epoch, rig->told[0].epoch + 2);
    sync_keys(rig);
    assert_int_equal(rig->count, 0);
}

/* What keyd did and nobody told, since the process died: the next one tells it. */
static void a_crash_forgets_nothing(void **state)
{
    struct rig *rig = *state;
    struct failure why = {0};
    change(rig, PACKET_KEY_BORN, 1);
    read_told(rig);
    assert_int_equal(keyd_ratchet(rig->keyd, APP, &why), RESULT_OK);
    stop(rig);
    start(rig);
    notices_begin(rig->notices, rig->writer);
    sync_keys(rig);
    assert_int_equal(rig->count, 1);
    assert_told(rig, 0, PACKET_KEY_RATCHETED, 0, false);
    assert_int_equal(keyd_destroy(rig->keyd, APP, &why), RESULT_OK);
    assert_int_equal(keyd_declare(rig->keyd, APP, 92, 1, &why), RESULT_OK);
    stop(rig);
    start(rig);
    notices_begin(rig->notices, rig->writer);
    sync_keys(rig);
    assert_int_equal(rig->count, 3);
    assert_told(rig, 0, PACKET_KEY_DESTROYED, 0, false);
    assert_told(rig, 1, PACKET_KEY_DESTROYED, 0, false);
    assert_told(rig, 2, PACKET_KEY_BORN, 0, false);
}

/* An order that was written down: if keyd carried it out before the crash it is told with the order, else it is gone. */
static void an_order_outlives_a_crash(void **state)
{
    struct rig *rig = *state;
    struct failure why = {0};
    char *told = NULL, text[512];
    change(rig, PACKET_KEY_BORN, 1);
    read_told(rig);
    uint32_t epoch = rig->told[0].epoch;
    assert_int_equal(keep_load(rig->folder, "told", 1000, &told, &why), RESULT_OK);
    for (int carried_out = 0; carried_out < 2; carried_out++) {
        int length = snprintf(text, sizeof text, "%sorder %d %d %u 00000000000000000000000000000009\n", told, APP,
            PACKET_KEY_ROTATED, epoch + 1);
        assert_int_equal(keep_store(rig->folder, "told", text, (size_t)length, &why), RESULT_OK);
        if (carried_out)
            assert_int_equal(keyd_rotate(rig->keyd, APP, &why), RESULT_OK);
        stop(rig);
        start(rig);
        notices_begin(rig->notices, rig->writer);
        sync_keys(rig);
        assert_int_equal(rig->count, carried_out);
    }
    assert_told(rig, 0, PACKET_KEY_ROTATED, 9, false);
    free(told);
}

static void keys_that_came_are_told_as_joined(void **state)
{
    struct rig *rig = *state;
    struct failure why = {0};
    assert_int_equal(keyd_declare(rig->keyd, APP, 92, 2, &why), RESULT_OK);
    assert_int_equal(keyd_ratchet(rig->keyd, APP, &why), RESULT_OK);
    assert_int_equal(notices_note_joined(rig->folder, rig->keyd, &why), RESULT_OK);
    assert_int_equal(keyd_ratchet(rig->keyd, APP, &why), RESULT_OK);
    stop(rig);
    start(rig);
    notices_begin(rig->notices, rig->writer);
    sync_keys(rig);
    assert_int_equal(rig->count, 3);
    assert_told(rig, 0, PACKET_KEYS_JOINED, 0, false);
    assert_told(rig, 1, PACKET_KEYS_JOINED, 0, false);
    assert_told(rig, 2, PACKET_KEY_RATCHETED, 0, false);
}

static void clocks_and_self_tests(void **state)
{
    struct rig *rig = *state;
    const int64_t now_ms = clock_now_ms();
    notices_check_clock(rig->notices, now_ms, 1000);
    notices_check_clock(rig->notices, now_ms + 1000, 2000);
    notices_check_clock(rig->notices, now_ms + 1100, 3000); /* 900 ms back: a slew */
    notices_check_clock(rig->notices, now_ms + 90000, 4000);
    notices_check_clock(rig->notices, now_ms + 2100, 5000);
    struct packet_notice passed = {.act = PACKET_SELF_TEST_PASSED, .at_ms = now_ms, .count = 4};
    notices_add(rig->notices, &passed);
    notices_add(rig->notices, &passed);
    sync_keys(rig);
    assert_int_equal(rig->count, 2);
    assert_int_equal(rig->told[0].act, PACKET_CLOCK_STEPPED_BACK);
    assert_int_equal(rig->told[0].count, 88900);
    assert_int_equal(rig->told[1].act, PACKET_SELF_TEST_PASSED);
    assert_int_equal(rig->told[1].count, 4);
    notices_add(rig->notices, &passed); /* once a day */
    passed.act = PACKET_SELF_TEST_FAILED;
    notices_add(rig->notices, &passed);
    sync_keys(rig);
    assert_int_equal(rig->count, 1);
    assert_int_equal(rig->told[0].act, PACKET_SELF_TEST_FAILED);
}

/* What nothing would show again is told by the next process, if this one dies before it could. */
static void what_waits_outlives_a_crash(void **state)
{
    struct rig *rig = *state;
    struct packet_notice replayed = {.act = PACKET_SPOOL_REPLAYED, .at_ms = 1767225600000, .count = 7};
    struct packet_notice failed = {.act = PACKET_SELF_TEST_FAILED, .at_ms = 1767225600001, .count = 2};
    stop(rig);
    start(rig); /* without a writer, nothing can be told */
    notices_add(rig->notices, &replayed);
    notices_check_clock(rig->notices, 1767225600000, 1000);
    notices_check_clock(rig->notices, 1767225600000 - 5000, 1000);
    stop(rig);
    start(rig);
    notices_add(rig->notices, &replayed);
    notices_add(rig->notices, &failed);
    stop(rig);
    start(rig);
    notices_begin(rig->notices, rig->writer);
    sync_keys(rig); /* the spool is not known to be empty */
    assert_int_equal(rig->count, 2);
    assert_int_equal(rig->told[0].act, PACKET_CLOCK_STEPPED_BACK);
    assert_int_equal(rig->told[0].count, 5000);
    assert_int_equal(rig->told[0].at_ms, 1767225595000);
    assert_int_equal(rig->told[1].act, PACKET_SELF_TEST_FAILED);
    assert_int_equal(rig->told[1].count, 2);
    stop(rig);
    start(rig);
    notices_begin(rig->notices, rig->writer);
    notices_set_replaying(rig->notices, false);
    sync_keys(rig);
    assert_int_equal(rig->count, 1);
    assert_int_equal(rig->told[0].act, PACKET_SPOOL_REPLAYED);
    assert_int_equal(rig->told[0].count, 14);
    stop(rig);
    start(rig);
    notices_begin(rig->notices, rig->writer);
    notices_set_replaying(rig->notices, false);
    sync_keys(rig);
    assert_int_equal(rig->count, 0);
}

#define NOTICES_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NOTICES_TEST(each_change_is_told_once),
        NOTICES_TEST(a_crash_forgets_nothing),
        NOTICES_TEST(an_order_outlives_a_crash),
        NOTICES_TEST(keys_that_came_are_told_as_joined),
        NOTICES_TEST(clocks_and_self_tests),
        NOTICES_TEST(what_waits_outlives_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
