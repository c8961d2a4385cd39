#include "anonymizer/edge/keyring.h"

#include "anonymizer/edge/keyepoch.h"
#include "tests/unit/anonymizer/edge/keydir.h"

#define NOW_MS 1767225600000LL /* 2026-01-01, quarter 8104 */
#define APRIL_MS 1775001600000LL
#define JULY_MS 1782864000000LL
#define DAY_MS KEYEPOCH_DAY_MS

static struct pseudonym_key filled(uint8_t byte)
{
    struct pseudonym_key key;
    memset(key.bytes, byte, sizeof key.bytes);
    return key;
}

static struct keyring *ring;

static int make_ring(void **state)
{
    (void)state;
    struct pseudonym_key chain = filled(7);
    ring = calloc(1, sizeof *ring);
    if (ring == NULL || sodium_init() < 0)
        return -1;
    keyring_init(ring, NOW_MS, &chain);
    return 0;
}

static int free_ring(void **state)
{
    (void)state;
    free(ring);
    return 0;
}

static void add(uint32_t app, uint32_t epoch_days, uint32_t link_epochs, uint8_t byte)
{
    struct keyring_seed seed = {filled(byte), filled((uint8_t)(byte + 1)), filled((uint8_t)(byte + 2))};
    assert_int_equal(keyring_add(ring, app, epoch_days, link_epochs, NOW_MS, &seed), RESULT_OK);
    assert_false(keyring_declare(ring, app, epoch_days, link_epochs));
}

static struct keyd_name map_at(uint32_t app, int64_t now_ms, enum pseudonym_kind kind, const char *id)
{
    struct keyd_name name;
    keyring_map(keyring_find(ring, app), now_ms, 16, kind, raw(id), &name);
    return name;
}

static struct keyd_name map(uint32_t app, enum pseudonym_kind kind, const char *id)
{
    return map_at(app, NOW_MS, kind, id);
}

static uint32_t advance(int64_t now_ms)
{
    uint32_t ratcheted;
    (void)keyring_advance(ring, now_ms, &ratcheted);
    return ratcheted;
}

static void assert_same(struct pseudonym a, struct pseudonym b)
{
    assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
}

static void test_first_epoch_is_the_calendars(void **state)
{
    (void)state;
    add(1, 92, 1, 10);
    struct keyd_name name = map(1, PSEUDONYM_USER, "ada");
    assert_int_equal(name.result, RESULT_OK);
    assert_int_equal(name.epoch, 8104);
    assert_int_equal(name.names, 1);
    assert_false(name.grace);
}

static void test_names_link_over_epochs(void **state)
{
    (void)state;
    add(1, 92, 2, 10);
    struct keyd_name first = map(1, PSEUDONYM_USER, "ada");
    assert_int_equal(advance(APRIL_MS - 1), 0);
    assert_int_equal(advance(APRIL_MS), 1);
    assert_int_equal(advance(APRIL_MS), 0);
    struct keyd_name second = map(1, PSEUDONYM_USER, "ada");
    assert_int_equal(second.epoch, 8105);
    assert_int_equal(second.names, 2);
    assert_same(second.name[1], first.name[0]);
    assert_memory_not_equal(second.name[0].bytes, first.name[0].bytes, 16);
    assert_int_equal(second.shard, first.shard);
    assert_int_equal(advance(JULY_MS), 1);
    struct keyd_name third = map(1, PSEUDONYM_USER, "ada");
    assert_int_equal(third.names, 3);
    assert_same(third.name[1], second.name[0]);
    assert_same(third.name[2], first.name[0]);
}

static void test_link_epochs_bound_what_is_held(void **state)
{
    (void)state;
    for (uint32_t link = 1; link <= LINK_EPOCHS_MAX; link++)
        add(link, 7, link, (uint8_t)(10 * link));
    for (int64_t week = 1; week <= 8; week++) {
        assert_int_equal(advance(NOW_MS + week * 7 * DAY_MS), LINK_EPOCHS_MAX);
        for (uint32_t link = 1; link <= LINK_EPOCHS_MAX; link++) {
            struct keyd_name name = map(link, PSEUDONYM_USER, "ada");
            assert_int_equal(name.names, 1 + (week < link ? (uint32_t)week : link));
        }
    }
    const struct keyring_app *app = keyring_find(ring, 1);
    static const struct pseudonym_key zeros;
    for (size_t i = 2; i < NAMES_MAX; i++)
        assert_memory_equal(&app->key[i], &zeros, sizeof zeros);
}

static void test_several_passed_epochs_are_several_steps(void **state)
{
    (void)state;
    add(1, 92, 1, 10);
    add(2, 92, 1, 10);
    struct pseudonym_key expected = keyring_find(ring, 1)->key[0];
    for (int i = 0; i < 4; i++)
        pseudonym_ratchet(&expected);
    assert_int_equal(advance(NOW_MS + 366 * DAY_MS), 2); /* four quarters at once: one app each */
    assert_memory_equal(&keyring_find(ring, 1)->key[0], &expected, sizeof expected);
    assert_int_equal(keyring_find(ring, 1)->epoch, 8108);
    assert_int_equal(advance(NOW_MS), 0); /* a clock that goes back changes nothing */
    assert_int_equal(keyring_find(ring, 1)->epoch, 8108);
}

static void test_orders_add_to_the_calendar(void **state)
{
    (void)state;
    add(1, 92, 1, 10);
    assert_int_equal(keyring_step(ring, 1, NOW_MS + 1, NULL), RESULT_OK);
    assert_int_equal(keyring_find(ring, 1)->epoch, 8105);
    struct keyd_status status;
    keyring_status(keyring_find(ring, 1), &status);
    assert_int_equal(status.next_ratchet_ms, APRIL_MS);
    assert_int_equal(status.ratcheted_at_ms, NOW_MS + 1);
    assert_int_equal(advance(APRIL_MS), 1);
    assert_int_equal(keyring_find(ring, 1)->epoch, 8106);
    assert_int_equal(keyring_step(ring, 9, NOW_MS, NULL), RESULT_NOT_FOUND);
}

/* blake2b(b"throng rotate 1" + b"\xaa" * 32, key=bytes(range(32)), digest_size=32) of Python's hashlib. */
static void test_rotation_mixes_in(void **state)
{
    (void)state;
    struct pseudonym_key fresh = filled(0xaa);
    add(1, 92, 1, 10);
    for (uint8_t i = 0; i < PSEUDONYM_KEY_BYTES; i++)
        ring->apps[0].key[0].bytes[i] = i;
    struct keyd_name before = map(1, PSEUDONYM_USER, "ada");
    assert_int_equal(keyring_step(ring, 1, NOW_MS, &fresh), RESULT_OK);
    assert_hex(ring->apps[0].key[0].bytes, 32, "33a9119b43d8e3f7fccebae7417dbdfecc41162806425688c56ef9f6bbdc0108");
    assert_same(map(1, PSEUDONYM_USER, "ada").name[1], before.name[0]);
}

static void test_grace(void **state)
{
    (void)state;
    add(1, 92, 4, 10);
    struct keyd_name session = map(1, PSEUDONYM_SESSION, "s");
    (void)advance(APRIL_MS);
    struct keyd_name during = map_at(1, APRIL_MS + KEYD_GRACE_MS - 1, PSEUDONYM_SESSION, "s");
    assert_true(during.grace);
    assert_int_equal(during.names, 2);
    assert_same(during.name[1], session.name[0]);
    assert_int_equal(during.shard, 0);
    assert_int_equal(map_at(1, APRIL_MS, PSEUDONYM_SOURCE, "s").names, 2);
    struct keyd_name entity = map_at(1, APRIL_MS, PSEUDONYM_ENTITY, "s");
    assert_true(entity.result == RESULT_OK && entity.grace && entity.names == 1 && entity.shard == 0);
    struct keyd_name after = map_at(1, APRIL_MS + KEYD_GRACE_MS, PSEUDONYM_SESSION, "s");
    assert_false(after.grace);
    assert_int_equal(after.names, 1);
    struct keyd_name user = map_at(1, APRIL_MS + KEYD_GRACE_MS, PSEUDONYM_USER, "s");
    assert_false(user.grace);
    assert_int_equal(user.names, 2);
}

static void test_a_changed_calendar_waits_for_the_clocks(void **state)
{
    (void)state;
    add(1, 92, 1, 10);
    assert_false(keyring_declare(ring, 1, 30, 1));
    assert_int_equal(ring->apps[0].epoch_days, 92);
    assert_int_equal(advance(NOW_MS + 1), 0); /* taking over is no ratchet */
    assert_int_equal(ring->apps[0].epoch_days, 30);
    assert_int_equal(ring->apps[0].epoch, 8104);
    struct keyd_status status;
    keyring_status(&ring->apps[0], &status);
    assert_in_range((uint64_t)(status.next_ratchet_ms - NOW_MS), 1, (uint64_t)(30 * DAY_MS));
    assert_int_equal(advance(status.next_ratchet_ms), 1);
    assert_int_equal(ring->apps[0].epoch, 8105);
}

static void test_less_linking_destroys_keys(void **state)
{
    (void)state;
    static const struct pseudonym_key zeros;
    add(1, 7, 4, 10);
    (void)advance(NOW_MS + 70 * DAY_MS);
    assert_int_equal(map(1, PSEUDONYM_USER, "ada").names, 5);
    assert_true(keyring_declare(ring, 1, 7, 1));
    assert_int_equal(map(1, PSEUDONYM_USER, "ada").names, 2);
    for (size_t i = 2; i < NAMES_MAX; i++)
        assert_memory_equal(&ring->apps[0].key[i], &zeros, sizeof zeros);
    assert_true(keyring_declare(ring, 1, 7, 4));
    assert_int_equal(map(1, PSEUDONYM_USER, "ada").names, 2); /* what is gone stays gone */
}

static void test_visitors_change_daily(void **state)
{
    (void)state;
    add(1, 92, 1, 10);
    struct keyd_name today = map(1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox");
    assert_int_equal(today.names, 1);
    assert_false(keyring_set_day(ring, NOW_MS + DAY_MS - 1));
    assert_same(map(1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox").name[0], today.name[0]);
    assert_true(keyring_set_day(ring, NOW_MS + DAY_MS));
    struct keyd_name tomorrow = map(1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox");
    assert_memory_not_equal(tomorrow.name[0].bytes, today.name[0].bytes, 16);
    assert_false(keyring_set_day(ring, NOW_MS));
    assert_same(map(1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox").name[0], tomorrow.name[0]);
    (void)advance(APRIL_MS); /* epochs do not touch them */
    assert_same(map(1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox").name[0], tomorrow.name[0]);
}

static void test_apps_never_join(void **state)
{
    (void)state;
    add(1, 92, 1, 10);
    add(2, 92, 1, 20);
    assert_memory_not_equal(
        map(1, PSEUDONYM_USER, "ada").name[0].bytes, map(2, PSEUDONYM_USER, "ada").name[0].bytes, 16);
}

static void test_undeclared_apps_have_no_names(void **state)
{
    (void)state;
    struct keyring_seed seed = {filled(1), filled(2), filled(3)};
    assert_int_equal(keyring_add(ring, 1, 92, 1, NOW_MS, &seed), RESULT_OK);
    assert_int_equal(map(1, PSEUDONYM_USER, "ada").result, RESULT_NOT_FOUND);
    assert_int_equal(map(2, PSEUDONYM_USER, "ada").result, RESULT_NOT_FOUND);
    assert_int_equal(advance(APRIL_MS), 1); /* its passed key dies all the same */
}

static void test_full(void **state)
{
    (void)state;
    struct keyring_seed seed = {filled(1), filled(2), filled(3)};
    for (uint32_t i = 1; i <= KEYRING_APPS_MAX; i++)
        assert_int_equal(keyring_add(ring, i, 92, 1, NOW_MS, &seed), RESULT_OK);
    assert_int_equal(keyring_add(ring, 999, 92, 1, NOW_MS, &seed), RESULT_FULL);
    assert_int_equal(keyring_remove(ring, 3), RESULT_OK);
    assert_int_equal(keyring_remove(ring, 3), RESULT_NOT_FOUND);
    assert_null(keyring_find(ring, 3));
    assert_non_null(keyring_find(ring, KEYRING_APPS_MAX));
    assert_int_equal(keyring_add(ring, 999, 92, 1, NOW_MS, &seed), RESULT_OK);
}

/* Python's hashlib: c = bytes([7]) * 32, twice c = blake2b(b"throng spool chain 1", key=c, digest_size=32).digest(),
 * then blake2b(b"throng spool key 1", key=c, digest_size=32). */
static void test_spool_chain(void **state)
{
    (void)state;
    uint8_t keys[4][KEYD_SPOOL_KEY_BYTES];
    uint8_t again[KEYD_SPOOL_KEY_BYTES];
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(keyring_spool_key(ring, i, keys[i]), RESULT_OK);
    assert_hex(keys[2], 32, "636d9871f7b2e62cd5c9959f24d230c2db1af46794310a79ac1ea4cd28688d4b");
    assert_memory_not_equal(keys[0], keys[1], sizeof keys[0]);
    assert_int_equal(keyring_spool_forget(ring, 1), RESULT_OK);
    assert_int_equal(keyring_spool_forget(ring, 0), RESULT_OK);
    assert_int_equal(ring->spool_first, 2);
    assert_int_equal(keyring_spool_key(ring, 1, again), RESULT_NOT_FOUND);
    assert_int_equal(keyring_spool_key(ring, 3, again), RESULT_OK);
    assert_memory_equal(again, keys[3], sizeof again);
    assert_int_equal(keyring_spool_key(ring, 2 + KEYRING_SPOOL_AHEAD_MAX, again), RESULT_INVALID);
    assert_int_equal(keyring_spool_forget(ring, UINT64_MAX), RESULT_INVALID);
    assert_memory_equal(again, keys[3], sizeof again);
}

/* blake2b(b"throng key commitment 1" + bytes(range(32)), digest_size=32) of Python's hashlib. */
static void test_commitment(void **state)
{
    (void)state;
    add(1, 92, 1, 10);
    for (uint8_t i = 0; i < PSEUDONYM_KEY_BYTES; i++)
        ring->apps[0].key[0].bytes[i] = i;
    struct keyd_status status;
    keyring_status(&ring->apps[0], &status);
    assert_hex(status.commitment, 32, "4a485377bbf1802468af1f42f66936d43f103a7b9e0f7f5b9fa0792f28ac63ce");
}

static void test_packing(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(2 * KEYRING_PACKED_BYTES);
    struct keyring *other = malloc(sizeof *other);
    assert_non_null(bytes);
    assert_non_null(other);
    add(1, 92, 2, 10);
    add(70000, 30, 4, 20);
    (void)advance(JULY_MS);
    (void)keyring_set_day(ring, JULY_MS);
    assert_int_equal(keyring_spool_forget(ring, 5), RESULT_OK);
    keyring_pack(ring, bytes);
    assert_int_equal(keyring_unpack(bytes, other), RESULT_OK);
    keyring_pack(other, bytes + KEYRING_PACKED_BYTES);
    assert_memory_equal(bytes, bytes + KEYRING_PACKED_BYTES, KEYRING_PACKED_BYTES);
    assert_false(other->apps[0].declared);
    assert_int_equal(other->apps[1].held, ring->apps[1].held);
    assert_int_equal(other->spool_first, 6);
    bytes[0] = 1;
    bytes[1] = 2; /* 513 apps */
    assert_int_equal(keyring_unpack(bytes, other), RESULT_CORRUPT);
    free(bytes);
    free(other);
}

#define RING_TEST(test) cmocka_unit_test_setup_teardown(test, make_ring, free_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(test_first_epoch_is_the_calendars),
        RING_TEST(test_names_link_over_epochs),
        RING_TEST(test_link_epochs_bound_what_is_held),
        RING_TEST(test_several_passed_epochs_are_several_steps),
        RING_TEST(test_orders_add_to_the_calendar),
        RING_TEST(test_rotation_mixes_in),
        RING_TEST(test_grace),
        RING_TEST(test_a_changed_calendar_waits_for_the_clocks),
        RING_TEST(test_less_linking_destroys_keys),
        RING_TEST(test_visitors_change_daily),
        RING_TEST(test_apps_never_join),
        RING_TEST(test_undeclared_apps_have_no_names),
        RING_TEST(test_full),
        RING_TEST(test_spool_chain),
        RING_TEST(test_commitment),
        RING_TEST(test_packing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
