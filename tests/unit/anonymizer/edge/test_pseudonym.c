#include "anonymizer/edge/pseudonym.h"

#include "tests/unit/anonymizer/edge/keydir.h"

/* The vectors were computed with Python's hashlib, for key = bytes(range(32)):
 *   blake2b(kind + len(id).to_bytes(2, "little") + id, key=key, digest_size=16)
 * the ratcheted key as blake2b(b"throng ratchet 1", key=key, digest_size=32), the shard's number as
 * int.from_bytes(blake2b(b"H\5\0u-123", key=key, digest_size=16).digest()[:8], "little") = 12833378930374413280. */

static struct pseudonym_key counting_key(void)
{
    struct pseudonym_key key;
    for (uint8_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = i;
    return key;
}

static struct pseudonym make(const struct pseudonym_key *key, enum pseudonym_kind kind, struct raw_id id)
{
    struct pseudonym out;
    assert_int_equal(pseudonym_make(key, kind, id, &out), RESULT_OK);
    return out;
}

static bool same(struct pseudonym a, struct pseudonym b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static void test_known_answers(void **state)
{
    (void)state;
    struct pseudonym_key key = counting_key();
    char longest[RAW_ID_MAX_BYTES];
    memset(longest, 'x', sizeof longest);
    assert_hex(make(&key, PSEUDONYM_USER, raw("u-123")).bytes, 16, "df953b122ae28c0c809cacc64f98d164");
    assert_hex(make(&key, PSEUDONYM_SESSION, raw("u-123")).bytes, 16, "1e1d265384d0d30cce4d68997f7a7611");
    assert_hex(make(&key, PSEUDONYM_VISITOR, (struct raw_id){longest, sizeof longest}).bytes, 16,
        "8e254a62f8eefb3d874f2deda0aae988");
    pseudonym_ratchet(&key);
    assert_hex(key.bytes, 32, "5abbbe0a9798f84c847c10b644eb1a23da039f67cdea52f10718773105354ab6");
    assert_hex(make(&key, PSEUDONYM_USER, raw("u-123")).bytes, 16, "46376bb105ae1d84f08152b4a2e137d8");
}

static void test_shard(void **state)
{
    (void)state;
    struct pseudonym_key key = counting_key();
    uint16_t shard = 999;
    assert_int_equal(pseudonym_shard(&key, raw("u-123"), 16, &shard), RESULT_OK);
    assert_int_equal(shard, 0);
    assert_int_equal(pseudonym_shard(&key, raw("u-123"), 256, &shard), RESULT_OK);
    assert_int_equal(shard, 224);
    assert_int_equal(pseudonym_shard(&key, raw("u-123"), 7, &shard), RESULT_OK);
    assert_int_equal(shard, 2);
    assert_int_equal(pseudonym_shard(&key, raw("u-123"), 1, &shard), RESULT_OK);
    assert_int_equal(shard, 0);
}

static void test_shards_are_even(void **state)
{
    (void)state;
    struct pseudonym_key key = counting_key();
    unsigned users[16] = {0};
    for (unsigned i = 0; i < 16000; i++) {
        char id[16];
        uint16_t shard;
        (void)snprintf(id, sizeof id, "user-%u", i);
        assert_int_equal(pseudonym_shard(&key, raw(id), 16, &shard), RESULT_OK);
        users[shard]++;
    }
    for (unsigned i = 0; i < 16; i++)
        assert_in_range(users[i], 850, 1150); /* 1000 ± 5 standard deviations of 30.6 */
}

static void test_lengths(void **state)
{
    (void)state;
    struct pseudonym_key key = counting_key();
    char bytes[RAW_ID_MAX_BYTES + 1] = {0};
    struct pseudonym out = {{42}};
    uint16_t shard = 7;
    assert_int_equal(pseudonym_make(&key, PSEUDONYM_USER, (struct raw_id){bytes, 0}, &out), RESULT_INVALID);
    assert_int_equal(pseudonym_make(&key, PSEUDONYM_USER, (struct raw_id){bytes, 257}, &out), RESULT_INVALID);
    assert_int_equal(pseudonym_shard(&key, (struct raw_id){bytes, 257}, 16, &shard), RESULT_INVALID);
    assert_int_equal(out.bytes[0], 42);
    assert_int_equal(shard, 7);
    assert_int_equal(pseudonym_make(&key, PSEUDONYM_USER, (struct raw_id){bytes, 256}, &out), RESULT_OK);
    assert_int_equal(pseudonym_make(&key, PSEUDONYM_USER, (struct raw_id){bytes, 1}, &out), RESULT_OK);
}

/* No two of these may be named alike: prefixes, a moved boundary, embedded zeros, a kind's letter moved into the id,
 * a length's bytes in the id. */
static void test_unambiguous(void **state)
{
    (void)state;
    static const struct raw_id ids[] = {{"a", 1}, {"ab", 2}, {"abc", 3}, {"bc", 2}, {"a\0", 2}, {"a\0b", 3},
        {"\0a", 2}, {"Ua", 2}, {"Sa", 2}, {"S\1\0a", 4}, {"U\1\0a", 4}, {"\1\0a", 3}};
    static const enum pseudonym_kind kinds[] = {
        PSEUDONYM_USER, PSEUDONYM_SESSION, PSEUDONYM_SOURCE, PSEUDONYM_VISITOR, PSEUDONYM_ENTITY};
    struct pseudonym_key key = counting_key();
    struct pseudonym names[60];
    size_t count = 0;
    for (size_t i = 0; i < 12; i++)
        for (size_t k = 0; k < 5; k++)
            names[count++] = make(&key, kinds[k], ids[i]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(same(names[i], names[j]));
}

static void test_keys_never_join(void **state)
{
    (void)state;
    struct pseudonym_key one = counting_key();
    struct pseudonym_key other = one;
    other.bytes[31] ^= 1;
    assert_false(same(make(&one, PSEUDONYM_USER, raw("ada")), make(&other, PSEUDONYM_USER, raw("ada"))));
}

static void test_kinds(void **state)
{
    (void)state;
    for (int kind = -1; kind <= 256; kind++)
        assert_int_equal(pseudonym_is_kind(kind), kind > 0 && kind < 256 && strchr("USRVE", kind) != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_shard),
        cmocka_unit_test(test_shards_are_even),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_unambiguous),
        cmocka_unit_test(test_keys_never_join),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
