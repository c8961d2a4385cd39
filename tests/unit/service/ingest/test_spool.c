/* The spool on a real disk with a real keyd: what was appended comes back once, in order, over restarts; an unfinished tail,
 * damaged bytes and a full disk cost what they must and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/packet.h"
#include "service/ingest/spool.h"

#define CAPACITY (64u * 1024 * 1024)

static char directory[64], spool_path[96];
static struct keyd *keyd;
static struct spool_batch batch;

static int set_up(void **state)
{
    char key_file[96];
    struct failure why = {0};
    (void)state;
    strcpy(directory, "/tmp/throng-spool-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 1;
    (void)snprintf(key_file, sizeof key_file, "%s/keys", directory);
    (void)snprintf(spool_path, sizeof spool_path, "%s/spool", directory);
    const struct keyd_options options = {.key_file = key_file, .passphrase = "seal", .shards = 16, .may_create = true};
    return keyd_start(&options, &keyd, &why) != RESULT_OK;
}

static void remove_files(const char *path)
{
    DIR *dir = opendir(path);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(path);
}

static int tear_down(void **state)
{
    (void)state;
    keyd_stop(keyd);
    remove_files(spool_path);
    remove_files(directory);
    return 0;
}

static struct spool *open_spool(uint64_t capacity)
{
    struct spool *spool = NULL;
    struct failure why = {0};
    assert_int_equal(spool_open(spool_path, capacity, keyd, &spool, &why), RESULT_OK);
    return spool;
}

/* Entry number i: its length and content follow from i. */
static size_t fill(uint64_t i, uint8_t bytes[ENTRY_MAX_BYTES], size_t most)
{
    size_t length = 40 + (size_t)(i * 7919) % most;
    memset(bytes, (int)(i & 0xff), length);
    memcpy(bytes, &i, sizeof i);
    return length;
}

static enum result append(struct spool *spool, uint64_t first, size_t count, size_t most)
{
    static uint8_t bytes[8][ENTRY_MAX_BYTES];
    struct spool_entry entries[8];
    struct failure why = {0};
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct spool_entry){
            .shard = (uint16_t)((first + i) % 16), .n = first + i, .bytes = bytes[i], .received_at_ms = (int64_t)(first + i)};
        entries[i].length = fill(first + i, bytes[i], most);
    }
    return spool_append(spool, entries, count, &why);
}

struct replayed {
    uint64_t numbers[4096];
    size_t count, damaged, torn;
};

/* Replay until nothing waits. */
static struct replayed replay(struct spool *spool, size_t most)
{
    static uint8_t expected[ENTRY_MAX_BYTES];
    static struct replayed replayed;
    struct failure why = {0};
    replayed = (struct replayed){.count = 0};
    for (;;) {
        assert_int_equal(spool_read(spool, &batch, &why), RESULT_OK);
        if (!batch.waiting)
            return replayed;
        for (size_t i = 0; i < batch.count; i++) {
            uint64_t number;
            memcpy(&number, batch.records[i].bytes, sizeof number);
            assert_int_equal(batch.records[i].length, fill(number, expected, most));
            assert_memory_equal(batch.records[i].bytes, expected, batch.records[i].length);
            replayed.numbers[replayed.count++] = number;
        }
        replayed.damaged += batch.damaged;
        replayed.torn += batch.torn;
        assert_int_equal(spool_advance(spool, &batch, &why), RESULT_OK);
    }
}

static void assert_run(const struct replayed *replayed, uint64_t first, size_t count)
{
    assert_int_equal(replayed->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(replayed->numbers[i], first + i);
}

static void segment_path(uint64_t number, char path[160])
{
    (void)snprintf(path, 160, "%s/%016llx.spool", spool_path, (unsigned long long)number);
}

static size_t segments_on_disk(void)
{
    size_t count = 0;
    DIR *dir = opendir(spool_path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strstr(entry->d_name, ".spool") != NULL;
    closedir(dir);
    return count;
}

static void what_goes_in_comes_out_once(void **state)
{
    (void)state;
    struct spool *spool = open_spool(CAPACITY);
    for (uint64_t i = 0; i < 2000; i += 8)
        assert_int_equal(append(spool, i, 8, 8000), RESULT_OK);
    assert_true(segments_on_disk() > 1);
    assert_true(spool_bytes(spool) > 2000 * 80);
    assert_true(spool_oldest_ms(spool) == 0);
    assert_true(spool_lowest_n(spool, 5) == 5);
    struct replayed replayed = replay(spool, 8000);
    assert_run(&replayed, 0, 2000);
    assert_true(spool_bytes(spool) == 0 && segments_on_disk() == 0);
    assert_true(spool_oldest_ms(spool) == INT64_MAX && spool_lowest_n(spool, 5) == PACKET_NO_N);
    assert_int_equal(append(spool, 2000, 3, 8000), RESULT_OK);
    replayed = replay(spool, 8000);
    assert_run(&replayed, 2000, 3);
    spool_close(spool);
}

static void the_next_process_replays_it(void **state)
{
    (void)state;
    struct failure why = {0};
    struct spool *spool = open_spool(CAPACITY);
    assert_int_equal(append(spool, 0, 8, 100), RESULT_OK);
    spool_close(spool);
    spool = open_spool(CAPACITY);
    assert_int_equal(spool_inherited(spool), 1);
    assert_true(spool_oldest_ms(spool) == INT64_MAX); /* of this process */
    assert_int_equal(append(spool, 8, 8, 100), RESULT_OK);
    struct replayed replayed = replay(spool, 100);
    assert_run(&replayed, 0, 16);
    assert_int_equal(spool_inherited(spool), 0);
    uint64_t first;
    assert_int_equal(keyd_spool_first(keyd, &first, &why), RESULT_OK);
    assert_int_equal(first, 2);
    spool_close(spool);
}

static void nothing_in_the_file_can_be_read(void **state)
{
    char path[160];
    static uint8_t bytes[4096];
    (void)state;
    struct spool *spool = open_spool(CAPACITY);
    assert_int_equal(append(spool, 0x4141, 1, 1000), RESULT_OK);
    spool_close(spool);
    segment_path(0, path);
    struct stat info;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &info) == 0 && (info.st_mode & 0777) == 0600);
    ssize_t length = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_true(length > 40);
    assert_null(memmem(bytes, (size_t)length, "AAAAAAAA", 8));
}

/* Write the first `keep` bytes of a saved segment as segment `number`, as a crash or power cut would leave it. */
static void restore(uint64_t number, const uint8_t *bytes, size_t keep)
{
    char path[160];
    segment_path(number, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, keep) == (ssize_t)keep);
    close(fd);
}

static size_t save(uint64_t number, uint8_t *bytes, size_t size)
{
    char path[160];
    segment_path(number, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t length = read(fd, bytes, size);
    close(fd);
    assert_true(length > 0 && (size_t)length < size);
    return (size_t)length;
}

/* A file of three records, the last unfinished at every byte: the first two come back, nothing else does. Reading does not
 * advance, so that the segment's key stays for the next try. */
static void a_tail_torn_at_every_byte(void **state)
{
    static uint8_t bytes[65536];
    struct failure why = {0};
    (void)state;
    struct spool *spool = open_spool(CAPACITY);
    assert_int_equal(append(spool, 0, 2, 300), RESULT_OK);
    size_t whole = (size_t)spool_bytes(spool);
    assert_int_equal(append(spool, 2, 1, 300), RESULT_OK);
    spool_close(spool);
    size_t length = save(0, bytes, sizeof bytes);
    assert_true(length > whole);
    for (size_t keep = whole; keep <= length; keep++) {
        restore(0, bytes, keep);
        spool = open_spool(CAPACITY);
        assert_int_equal(spool_read(spool, &batch, &why), RESULT_OK);
        assert_int_equal(batch.count, keep == length ? 3 : 2);
        assert_int_equal(batch.torn, keep != whole && keep != length);
        assert_int_equal(batch.damaged, 0);
        assert_int_equal(batch.until, keep);
        spool_close(spool);
    }
}

/* One flipped bit at every byte of a middle record, its length included: the others come back. */
static void a_middle_damaged_at_every_byte(void **state)
{
    static uint8_t bytes[65536];
    struct failure why = {0};
    (void)state;
    struct spool *spool = open_spool(CAPACITY);
    assert_int_equal(append(spool, 0, 2, 100), RESULT_OK);
    size_t start = (size_t)spool_bytes(spool);
    assert_int_equal(append(spool, 2, 1, 100), RESULT_OK);
    size_t end = (size_t)spool_bytes(spool);
    assert_int_equal(append(spool, 3, 2, 100), RESULT_OK);
    spool_close(spool);
    size_t length = save(0, bytes, sizeof bytes);
    for (size_t at = start; at < end; at++) {
        bytes[at] ^= 0x10;
        restore(0, bytes, length);
        bytes[at] ^= 0x10;
        spool = open_spool(CAPACITY);
        assert_int_equal(spool_read(spool, &batch, &why), RESULT_OK);
        assert_int_equal(batch.count, 4);
        assert_int_equal(batch.damaged, 1);
        assert_false(batch.torn);
        assert_int_equal(batch.until, length);
        spool_close(spool);
    }
}

static void a_record_does_not_move(void **state)
{
    static uint8_t bytes[65536], swapped[65536];
    struct failure why = {0};
    (void)state;
    struct spool *spool = open_spool(CAPACITY);
    assert_int_equal(append(spool, 0, 1, 1), RESULT_OK);
    size_t half = (size_t)spool_bytes(spool);
    assert_int_equal(append(spool, 1, 1, 1), RESULT_OK);
    spool_close(spool);
    size_t length = save(0, bytes, sizeof bytes);
    assert_int_equal(length, 2 * half);
    memcpy(swapped, bytes + half, half);
    memcpy(swapped + half, bytes, half);
    restore(0, swapped, length);
    spool = open_spool(CAPACITY);
    assert_int_equal(spool_read(spool, &batch, &why), RESULT_OK);
    assert_int_equal(batch.count, 0);
    assert_true(batch.damaged > 0);
    spool_close(spool);
}

static void a_long_damaged_stretch_does_not_end_the_replay(void **state)
{
    static uint8_t bytes[2 * 1024 * 1024];
    (void)state;
    struct spool *spool = open_spool(CAPACITY);
    for (uint64_t i = 0; i < 104; i += 8)
        assert_int_equal(append(spool, i, 8, 16000), RESULT_OK);
    spool_close(spool);
    size_t length = save(0, bytes, sizeof bytes);
    memset(bytes + 200000, 0, 300000);
    restore(0, bytes, length);
    spool = open_spool(CAPACITY);
    struct replayed replayed = replay(spool, 16000);
    assert_true(replayed.count > 30 && replayed.count < 104);
    assert_int_equal(replayed.numbers[0], 0);
    assert_int_equal(replayed.numbers[replayed.count - 1], 103);
    assert_true(replayed.damaged > 0 && replayed.torn == 0);
    for (size_t i = 1; i < replayed.count; i++)
        assert_true(replayed.numbers[i] > replayed.numbers[i - 1]);
    spool_close(spool);
}

static void the_bound_holds_and_replay_makes_room(void **state)
{
    (void)state;
    struct spool *spool = open_spool(65536);
    uint64_t kept = 0;
    while (append(spool, kept, 1, 4000) == RESULT_OK)
        kept++;
    assert_true(kept > 10 && spool_bytes(spool) <= 65536);
    assert_int_equal(append(spool, kept, 8, 4000), RESULT_FULL);
    struct replayed replayed = replay(spool, 4000);
    assert_run(&replayed, 0, kept);
    assert_int_equal(append(spool, kept, 8, 4000), RESULT_OK);
    replayed = replay(spool, 4000);
    assert_run(&replayed, kept, 8);
    spool_close(spool);
}

/* A disk that is full, by a limit on file size: an append fails whole, and goes on when there is space again. */
static void a_full_disk_costs_no_record(void **state)
{
    struct rlimit before, tight;
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    struct spool *spool = open_spool(CAPACITY);
    assert_int_equal(append(spool, 0, 8, 1000), RESULT_OK);
    uint64_t bytes = spool_bytes(spool);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t more = 0; more < 900; more += 7) {
        tight = (struct rlimit){bytes + more, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        enum result refused = append(spool, 8, 8, 1000);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(refused, RESULT_FULL);
        assert_true(spool_bytes(spool) == bytes);
    }
    assert_int_equal(append(spool, 8, 8, 1000), RESULT_OK);
    spool_close(spool);
    spool = open_spool(CAPACITY);
    struct replayed replayed = replay(spool, 1000);
    assert_run(&replayed, 0, 16);
    assert_int_equal(replayed.damaged + replayed.torn, 0);
    spool_close(spool);
}

static void a_full_disk_at_the_first_record(void **state)
{
    struct rlimit before;
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    struct spool *spool = open_spool(CAPACITY);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10, before.rlim_max}), 0);
    enum result first = append(spool, 0, 1, 100), second = append(spool, 0, 1, 100);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(first, RESULT_FULL);
    assert_int_equal(second, RESULT_FULL);
    assert_int_equal(segments_on_disk(), 1);
    assert_int_equal(append(spool, 0, 1, 100), RESULT_OK);
    struct replayed replayed = replay(spool, 100);
    assert_run(&replayed, 0, 1);
    spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_goes_in_comes_out_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_next_process_replays_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_in_the_file_can_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tail_torn_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_middle_damaged_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_does_not_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_damaged_stretch_does_not_end_the_replay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_bound_holds_and_replay_makes_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_no_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_at_the_first_record, set_up, tear_down),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
