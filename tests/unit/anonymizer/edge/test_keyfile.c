#include "anonymizer/edge/keyfile.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "anonymizer/edge/keyepoch.h"
#include "tests/unit/anonymizer/edge/keydir.h"

#define NOW_MS 1767225600000LL
#define WEEK_MS (7 * KEYEPOCH_DAY_MS)
#define SLOT_AT(slot) (KEYFILE_HEADER_BYTES + (off_t)(slot)*KEYFILE_SLOT_BYTES)

static struct keyfile file;
static struct keyring ring;  /* what the file should hold */
static struct keyring other; /* what was read */

static const char *path_of(void **state)
{
    return ((struct keydir *)*state)->path;
}

/* A file with one app, closed. */
static int make_file(void **state)
{
    struct pseudonym_key chain = {{1}};
    struct keyring_seed seed;
    struct failure why = {0};
    if (keydir_make(state) != 0)
        return -1;
    /* No runs of zeros: the file's padding has them, and a key is looked for in the whole file. */
    for (size_t i = 0; i < sizeof seed; i++)
        ((uint8_t *)&seed)[i] = (uint8_t)(i * 37 + 11);
    keyring_init(&ring, NOW_MS, &chain);
    if (keyring_add(&ring, 1, 7, 1, NOW_MS, &seed) != RESULT_OK)
        return -1;
    enum result result = keyfile_create(&file, path_of(state), PASSPHRASE, &ring, &why);
    keyfile_close(&file);
    return result == RESULT_OK ? 0 : -1;
}

static enum result open_it(void **state, const char *passphrase)
{
    struct failure why = {0};
    return keyfile_open(&file, path_of(state), passphrase, &other, &why);
}

static void assert_holds(const struct keyring *expected)
{
    static uint8_t packed[2][KEYRING_PACKED_BYTES];
    keyring_pack(expected, packed[0]);
    keyring_pack(&other, packed[1]);
    assert_memory_equal(packed[0], packed[1], KEYRING_PACKED_BYTES);
}

static void damage(void **state, off_t at)
{
    int fd = open(path_of(state), O_RDWR | O_CLOEXEC);
    uint8_t byte;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static void step_week(int64_t weeks)
{
    uint32_t ratcheted;
    (void)keyring_advance(&ring, NOW_MS + weeks * WEEK_MS, &ratcheted);
    assert_int_equal(ratcheted, 1);
}

static void test_made_whole(void **state)
{
    struct stat about;
    struct failure why = {0};
    assert_int_equal(stat(path_of(state), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_int_equal(about.st_size, KEYFILE_BYTES);
    assert_int_equal(about.st_nlink, 1);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
    assert_holds(&ring);
    keyfile_close(&file);
    assert_int_equal(keyfile_create(&file, path_of(state), PASSPHRASE, &ring, &why), RESULT_DENIED);
}

static void test_refusals(void **state)
{
    struct failure why = {0};
    assert_int_equal(open_it(state, "wrong horse"), RESULT_INVALID);
    assert_int_equal(keyfile_open(&file, "/nonexistent/keys", PASSPHRASE, &other, &why), RESULT_NOT_FOUND);
    assert_int_equal(chmod(path_of(state), 0640), 0);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_INVALID);
    assert_int_equal(chmod(path_of(state), 0600), 0);
    damage(state, 10); /* the salt */
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_CORRUPT);
}

/* Either slot alone is enough, wherever it is hurt; opening repairs the other. */
static void test_one_damaged_slot(void **state)
{
    static const off_t places[] = {0, 8, 31, 40, KEYFILE_SEALED_BYTES / 2, KEYFILE_SEALED_BYTES - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        damage(state, SLOT_AT(i % 2) + places[i]);
        assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
        assert_holds(&ring);
        keyfile_close(&file);
        damage(state, SLOT_AT(1 - i % 2) + places[i]);
        assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
        assert_holds(&ring);
        keyfile_close(&file);
    }
}

static void test_cut_file(void **state)
{
    assert_int_equal(truncate(path_of(state), SLOT_AT(1) + 100), 0);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
    assert_holds(&ring);
    keyfile_close(&file);
    assert_int_equal(truncate(path_of(state), SLOT_AT(0) + 100), 0);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_CORRUPT);
    assert_int_equal(truncate(path_of(state), 20), 0);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_CORRUPT);
}

static void test_both_slots_damaged(void **state)
{
    damage(state, SLOT_AT(0) + 50);
    damage(state, SLOT_AT(1) + 50);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_CORRUPT);
}

/* A crash after the first of the two writes: the new state counts, and the old one is scrubbed on opening. */
static void test_crash_between_writes(void **state)
{
    struct failure why = {0};
    uint64_t generation[KEYFILE_SLOTS];
    for (int64_t round = 1; round <= 3; round++) {
        assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
        step_week(round);
        assert_int_equal(keyfile_write_slot(&file, 1 - file.newest, file.generation + 1, &ring, &why), RESULT_OK);
        keyfile_close(&file);
        assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
        assert_holds(&ring);
        for (int slot = 0; slot < KEYFILE_SLOTS; slot++) {
            assert_int_equal(keyfile_read_slot(&file, slot, &generation[slot], &other), RESULT_OK);
            assert_holds(&ring);
        }
        assert_int_equal(generation[0], generation[1]);
        keyfile_close(&file);
    }
}

/* A crash within the first write leaves the old state; within the second, the new one. */
static void test_crash_within_a_write(void **state)
{
    struct failure why = {0};
    static struct keyring before;
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
    before = ring;
    step_week(1);
    int first = 1 - file.newest;
    assert_int_equal(keyfile_write_slot(&file, first, file.generation + 1, &ring, &why), RESULT_OK);
    keyfile_close(&file);
    damage(state, SLOT_AT(first) + 4096);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
    assert_holds(&before);
    int second = file.newest;
    assert_int_equal(keyfile_store(&file, &ring, &why), RESULT_OK);
    keyfile_close(&file);
    damage(state, SLOT_AT(second) + 4096);
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
    assert_holds(&ring);
    keyfile_close(&file);
}

static bool contains(const void *bytes, size_t length, const struct pseudonym_key *key)
{
    return memmem(bytes, length, key->bytes, sizeof key->bytes) != NULL;
}

/* Both slots opened with the passphrase, and the file as it lies there: the passed key is nowhere. */
static void test_passed_keys_are_gone(void **state)
{
    static uint8_t whole[KEYFILE_BYTES];
    struct failure why = {0};
    struct pseudonym_key passed = ring.apps[0].key[0];
    assert_int_equal(open_it(state, PASSPHRASE), RESULT_OK);
    for (int64_t week = 1; week <= 2; week++) {
        step_week(week);
        assert_int_equal(keyfile_store(&file, &ring, &why), RESULT_OK);
        for (int slot = 0; slot < KEYFILE_SLOTS; slot++) {
            uint64_t generation;
            assert_int_equal(keyfile_read_slot(&file, slot, &generation, &other), RESULT_OK);
            bool expected = week == 1; /* link_epochs 1: the last epoch's key still links */
            assert_int_equal(contains(&other, sizeof other, &passed), expected);
        }
    }
    assert_int_equal(pread(file.fd, whole, sizeof whole, 0), sizeof whole);
    assert_false(contains(whole, sizeof whole, &passed));
    assert_false(contains(whole, sizeof whole, &ring.apps[0].key[0]));
    keyfile_close(&file);
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, make_file, keydir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_made_whole),
        FILE_TEST(test_refusals),
        FILE_TEST(test_one_damaged_slot),
        FILE_TEST(test_cut_file),
        FILE_TEST(test_both_slots_damaged),
        FILE_TEST(test_crash_between_writes),
        FILE_TEST(test_crash_within_a_write),
        FILE_TEST(test_passed_keys_are_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
