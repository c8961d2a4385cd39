#include "anonymizer/edge/keyd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "anonymizer/edge/keyepoch.h"
#include "anonymizer/edge/keyfile.h"
#include "tests/unit/anonymizer/edge/keydir.h"

#define DAY_MS KEYEPOCH_DAY_MS
#define HOUR_MS 3600000LL

static int64_t offset_ms; /* of the test's clock */

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + offset_ms;
}

/* Live `ms` from now; keyd_start hands it to the child. */
static void set_clock(int64_t ms)
{
    char text[32];
    offset_ms = ms;
    (void)snprintf(text, sizeof text, "%lld", (long long)ms);
    assert_int_equal(setenv("THRONG_TEST_CLOCK_OFFSET_MS", text, 1), 0);
}

static int set_up(void **state)
{
    set_clock(0);
    return keydir_make(state);
}

static enum result try_start(void **state, const char *passphrase, bool may_create, struct keyd **out)
{
    struct failure why = {0};
    struct keyd_options options = {.key_file = ((struct keydir *)*state)->path,
        .passphrase = passphrase,
        .shards = 16,
        .may_create = may_create,
        .sandbox = !KEYDIR_SANITIZED};
    enum result result = keyd_start(&options, out, &why);
    assert_int_equal(result != RESULT_OK, why.text[0] != '\0');
    return result;
}

static struct keyd *start(void **state)
{
    struct keyd *keyd = NULL;
    assert_int_equal(try_start(state, PASSPHRASE, true, &keyd), RESULT_OK);
    return keyd;
}

static void declare(struct keyd *keyd, uint32_t app, uint32_t epoch_days, uint32_t link_epochs)
{
    struct failure why = {0};
    assert_int_equal(keyd_declare(keyd, app, epoch_days, link_epochs, &why), RESULT_OK);
}

static struct keyd_name map_at(
    struct keyd *keyd, int64_t at_ms, uint32_t app, enum pseudonym_kind kind, const char *id)
{
    struct failure why = {0};
    struct keyd_id wanted = {.app = app, .kind = kind, .id = raw(id)};
    struct keyd_name name;
    assert_int_equal(keyd_map(keyd, at_ms, &wanted, 1, &name, &why), RESULT_OK);
    return name;
}

static struct keyd_name map(struct keyd *keyd, uint32_t app, enum pseudonym_kind kind, const char *id)
{
    struct keyd_name name = map_at(keyd, now_ms(), app, kind, id);
    assert_int_equal(name.result, RESULT_OK);
    return name;
}

static struct keyd_tick tick(struct keyd *keyd, int64_t redis_ms)
{
    struct failure why = {0};
    struct keyd_tick out;
    assert_int_equal(keyd_tick(keyd, redis_ms, &out, &why), RESULT_OK);
    return out;
}

static struct keyd_status status_of(struct keyd *keyd, uint32_t app)
{
    static struct keyd_status all[KEYRING_APPS_MAX];
    uint8_t ring[KEYD_RING_BYTES];
    struct failure why = {0};
    size_t count;
    assert_int_equal(keyd_read_status(keyd, all, KEYRING_APPS_MAX, &count, ring, &why), RESULT_OK);
    for (size_t i = 0; i < count; i++)
        if (all[i].app == app)
            return all[i];
    fail_msg("app %u has no status", app);
    return all[0];
}

static void assert_same(struct pseudonym a, struct pseudonym b)
{
    assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
}

static void test_maps_many(void **state)
{
    struct keyd *keyd = start(state);
    struct failure why = {0};
    char longest[257];
    memset(longest, 'x', sizeof longest);
    declare(keyd, 1, 92, 1);
    declare(keyd, 2, 92, 1);
    const struct keyd_id ids[] = {{1, PSEUDONYM_USER, raw("ada")}, {1, PSEUDONYM_SESSION, raw("ada")},
        {1, PSEUDONYM_SOURCE, raw("ada")}, {2, PSEUDONYM_USER, raw("ada")}, {1, PSEUDONYM_USER, raw("")},
        {1, PSEUDONYM_USER, {longest, 257}}, {1, PSEUDONYM_USER, {longest, 256}}, {3, PSEUDONYM_USER, raw("ada")},
        {1, PSEUDONYM_USER, raw("ada")}};
    struct keyd_name names[9];
    assert_int_equal(keyd_map(keyd, now_ms(), ids, 9, names, &why), RESULT_OK);
    assert_int_equal(names[0].result, RESULT_OK);
    assert_int_equal(names[0].names, 1);
    assert_int_equal(names[0].epoch, keyepoch_of(now_ms(), 92));
    assert_in_range(names[0].shard, 0, 15);
    assert_memory_not_equal(&names[0].name[0], &names[1].name[0], 16);
    assert_memory_not_equal(&names[0].name[0], &names[2].name[0], 16);
    assert_memory_not_equal(&names[0].name[0], &names[3].name[0], 16);
    assert_int_equal(names[4].result, RESULT_INVALID);
    assert_int_equal(names[5].result, RESULT_INVALID);
    assert_int_equal(names[5].names, 0);
    assert_int_equal(names[6].result, RESULT_OK);
    assert_int_equal(names[7].result, RESULT_NOT_FOUND);
    assert_same(names[8].name[0], names[0].name[0]);
    assert_int_equal(keyd_map(keyd, now_ms(), ids, 0, names, &why), RESULT_OK);
    assert_int_equal(keyd_map(keyd, now_ms(), ids, KEYD_IDS_MAX + 1, names, &why), RESULT_INVALID);
    keyd_stop(keyd);
}

/* The greatest request there is, in one round trip. */
static void test_maps_the_greatest_request(void **state)
{
    struct keyd *keyd = start(state);
    struct failure why = {0};
    char longest[RAW_ID_MAX_BYTES];
    struct keyd_id *ids = calloc(KEYD_IDS_MAX, sizeof *ids);
    struct keyd_name *names = calloc(KEYD_IDS_MAX, sizeof *names);
    assert_non_null(ids);
    assert_non_null(names);
    memset(longest, 'x', sizeof longest);
    declare(keyd, 1, 7, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(keyd_ratchet(keyd, 1, &why), RESULT_OK);
    for (size_t i = 0; i < KEYD_IDS_MAX; i++)
        ids[i] = (struct keyd_id){1, PSEUDONYM_USER, {longest, sizeof longest}};
    assert_int_equal(keyd_map(keyd, now_ms(), ids, KEYD_IDS_MAX, names, &why), RESULT_OK);
    assert_int_equal(names[KEYD_IDS_MAX - 1].names, 5);
    assert_memory_equal(&names[0], &names[KEYD_IDS_MAX - 1], sizeof names[0]);
    free(ids);
    free(names);
    keyd_stop(keyd);
}

static void test_restart_keeps_names(void **state)
{
    struct keyd *keyd = start(state);
    struct failure why = {0};
    declare(keyd, 1, 92, 2);
    assert_int_equal(keyd_ratchet(keyd, 1, &why), RESULT_OK);
    struct keyd_name user = map(keyd, 1, PSEUDONYM_USER, "ada");
    struct keyd_name visitor = map(keyd, 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox");
    keyd_stop(keyd);
    keyd = start(state);
    assert_int_equal(map_at(keyd, now_ms(), 1, PSEUDONYM_USER, "ada").result, RESULT_NOT_FOUND);
    declare(keyd, 1, 92, 2);
    struct keyd_name again = map(keyd, 1, PSEUDONYM_USER, "ada");
    assert_memory_equal(&again, &user, sizeof user);
    assert_same(map(keyd, 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox").name[0], visitor.name[0]);
    keyd_stop(keyd);
}

/* The same key file on another node: the same names; and no roots of its own. */
static void test_a_joined_node(void **state)
{
    struct keyd *keyd = NULL;
    struct failure why = {0};
    assert_int_equal(try_start(state, PASSPHRASE, false, &keyd), RESULT_NOT_FOUND);
    keyd = start(state);
    declare(keyd, 1, 92, 1);
    struct keyd_name user = map(keyd, 1, PSEUDONYM_USER, "ada");
    keyd_stop(keyd);
    assert_int_equal(try_start(state, PASSPHRASE, false, &keyd), RESULT_OK);
    declare(keyd, 1, 92, 1);
    assert_same(map(keyd, 1, PSEUDONYM_USER, "ada").name[0], user.name[0]);
    assert_int_equal(keyd_declare(keyd, 2, 92, 1, &why), RESULT_DENIED);
    assert_int_equal(map_at(keyd, now_ms(), 2, PSEUDONYM_USER, "ada").result, RESULT_NOT_FOUND);
    keyd_stop(keyd);
}

static void test_tells_every_key_that_is_held(void **state)
{
    struct keyd *keyd = start(state);
    struct failure why = {0};
    declare(keyd, 1, 92, 2);
    struct keyd_status first = status_of(keyd, 1);
    assert_int_equal(first.linked_epochs, 0);
    for (int i = 0; i < 3; i++) {
        struct keyd_status before = status_of(keyd, 1);
        assert_int_equal(keyd_ratchet(keyd, 1, &why), RESULT_OK);
        struct keyd_status after = status_of(keyd, 1);
        assert_memory_equal(after.linked[0].commitment, before.commitment, sizeof before.commitment);
        assert_int_equal(after.linked[0].epoch, before.epoch);
        assert_memory_not_equal(after.commitment, before.commitment, sizeof before.commitment);
    }
    struct keyd_status last = status_of(keyd, 1);
    assert_int_equal(last.linked_epochs, 2);
    /* The older of two goes with the next step, this epoch's with the third. */
    assert_int_equal(last.linked[1].until_ms, last.next_ratchet_ms);
    assert_true(last.linked[0].until_ms > last.next_ratchet_ms);
    assert_true(last.until_ms > last.linked[0].until_ms);
    keyd_stop(keyd);
}

static void read_ring(struct keyd *keyd, uint8_t ring[KEYD_RING_BYTES])
{
    struct keyd_status one;
    struct failure why = {0};
    size_t count;
    assert_int_equal(keyd_read_status(keyd, &one, 1, &count, ring, &why), RESULT_OK);
}

static void write_export(struct keyd *keyd, const char *path)
{
    struct failure why = {0};
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_int_equal(keyd_export(keyd, "another phrase", &bytes, &length, &why), RESULT_OK);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    (void)close(fd);
    free(bytes);
}

static enum result import_keys(void **state, const char *phrase, const char *from, const char *to, struct keyd **out)
{
    struct failure why = {0};
    (void)state;
    struct keyd_options options = {.key_file = to,
        .passphrase = "the other node's",
        .shards = 16,
        .import_file = from,
        .import_passphrase = phrase,
        .sandbox = !KEYDIR_SANITIZED};
    return keyd_start(&options, out, &why);
}

/* Exported and imported under other passphrases: the same names on the other node, which keeps its own spool keys. */
static void test_hands_its_keys_over(void **state)
{
    struct keydir *directory = *state;
    struct keyd *keyd = start(state), *other = NULL;
    struct failure why = {0};
    uint8_t here[KEYD_RING_BYTES], there[KEYD_RING_BYTES], spool_here[KEYD_SPOOL_KEY_BYTES], spool_there[KEYD_SPOOL_KEY_BYTES];
    char from[96], to[96];
    (void)snprintf(from, sizeof from, "%s.export", directory->path);
    (void)snprintf(to, sizeof to, "%s.other", directory->path);
    declare(keyd, 1, 92, 2);
    assert_int_equal(keyd_rotate(keyd, 1, &why), RESULT_OK);
    assert_int_equal(keyd_spool_forget(keyd, 4, &why), RESULT_OK);
    write_export(keyd, from);
    assert_int_equal(import_keys(state, "another word", from, to, &other), RESULT_INVALID);
    assert_int_equal(import_keys(state, "another phrase", from, to, &other), RESULT_OK);
    declare(other, 1, 92, 2);
    struct keyd_name name = map(keyd, 1, PSEUDONYM_USER, "ada"), same = map(other, 1, PSEUDONYM_USER, "ada");
    assert_memory_equal(&name, &same, sizeof name);
    assert_int_equal(keyd_declare(other, 2, 92, 1, &why), RESULT_DENIED);
    read_ring(keyd, here);
    read_ring(other, there);
    assert_memory_not_equal(here, there, sizeof here);
    assert_int_equal(keyd_spool_key(keyd, 5, spool_here, &why), RESULT_OK);
    assert_int_equal(keyd_spool_key(other, 5, spool_there, &why), RESULT_OK);
    assert_memory_not_equal(spool_here, spool_there, sizeof spool_here);
    keyd_stop(other);
    other = NULL;
    assert_int_equal(import_keys(state, "another phrase", from, to, &other), RESULT_DENIED); /* it has keys already */
    assert_null(other);
    keyd_stop(keyd);
    assert_int_equal(unlink(from) + unlink(to), 0);
}

static void test_refusals(void **state)
{
    struct keyd *keyd = start(state);
    struct keyd *second = NULL;
    struct failure why = {0};
    assert_int_equal(keyd_declare(keyd, 1, 6, 1, &why), RESULT_INVALID);
    assert_string_equal(why.field, "epoch_days");
    assert_int_equal(keyd_declare(keyd, 1, 367, 1, &why), RESULT_INVALID);
    assert_int_equal(keyd_declare(keyd, 1, 92, 0, &why), RESULT_INVALID);
    assert_int_equal(keyd_declare(keyd, 1, 92, 5, &why), RESULT_INVALID);
    assert_int_equal(keyd_ratchet(keyd, 1, &why), RESULT_NOT_FOUND);
    assert_int_equal(keyd_destroy(keyd, 1, &why), RESULT_NOT_FOUND);
    keyd_stop(keyd);
    assert_int_equal(try_start(state, "wrong horse", true, &second), RESULT_INVALID);
    assert_int_equal(try_start(state, "", true, &second), RESULT_INVALID);
    assert_null(second);
    int fd = open(((struct keydir *)*state)->path, O_WRONLY | O_CLOEXEC);
    static const uint8_t zeros[KEYFILE_SLOTS * KEYFILE_SLOT_BYTES];
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, KEYFILE_HEADER_BYTES), sizeof zeros);
    (void)close(fd);
    assert_int_equal(try_start(state, PASSPHRASE, true, &second), RESULT_CORRUPT);
}

static void test_epochs_pass_by_the_clock(void **state)
{
    struct keyd *keyd = start(state);
    declare(keyd, 1, 92, 1);
    declare(keyd, 2, 366, 1);
    struct keyd_name before = map(keyd, 1, PSEUDONYM_USER, "ada");
    int64_t next_ms = status_of(keyd, 1).next_ratchet_ms;
    assert_int_equal(tick(keyd, now_ms()).ratcheted, 0);
    keyd_stop(keyd);
    set_clock(next_ms - now_ms() + HOUR_MS);
    keyd = start(state);
    declare(keyd, 1, 92, 1);
    assert_same(map(keyd, 1, PSEUDONYM_USER, "ada").name[0], before.name[0]); /* no clock believed yet */
    struct keyd_tick ticked = tick(keyd, now_ms());
    assert_in_range(ticked.ratcheted, 1, 2);
    assert_false(ticked.clocks_disagree);
    struct keyd_name after = map(keyd, 1, PSEUDONYM_USER, "ada");
    assert_int_equal(after.epoch, before.epoch + 1);
    assert_int_equal(after.names, 2);
    assert_true(after.grace);
    assert_same(after.name[1], before.name[0]);
    assert_int_equal(tick(keyd, now_ms()).ratcheted, 0);
    assert_int_equal(status_of(keyd, 1).linked_epochs, 1);
    keyd_stop(keyd);
}

static void test_clocks_that_disagree_keep_keys(void **state)
{
    struct keyd *keyd = start(state);
    declare(keyd, 1, 7, 1);
    struct keyd_status before = status_of(keyd, 1);
    keyd_stop(keyd);
    int64_t redis_lag_ms = 30 * DAY_MS;
    set_clock(redis_lag_ms); /* the wall clock has jumped, Redis's has not */
    keyd = start(state);
    struct keyd_tick ticked = tick(keyd, now_ms() - redis_lag_ms);
    assert_true(ticked.clocks_disagree);
    assert_int_equal(ticked.ratcheted, 0);
    ticked = tick(keyd, -1); /* Redis unknown: kept, but no disagreement is known */
    assert_false(ticked.clocks_disagree);
    assert_int_equal(ticked.ratcheted, 0);
    assert_memory_equal(status_of(keyd, 1).commitment, before.commitment, sizeof before.commitment);
    assert_int_equal(tick(keyd, now_ms() - HOUR_MS / 2).ratcheted, 1);
    keyd_stop(keyd);
}

static void test_orders(void **state)
{
    struct keyd *keyd = start(state);
    struct failure why = {0};
    declare(keyd, 1, 92, 1);
    struct keyd_name first = map(keyd, 1, PSEUDONYM_USER, "ada");
    assert_int_equal(keyd_ratchet(keyd, 1, &why), RESULT_OK);
    struct keyd_name second = map(keyd, 1, PSEUDONYM_USER, "ada");
    assert_int_equal(second.epoch, first.epoch + 1);
    assert_same(second.name[1], first.name[0]);
    assert_int_equal(map(keyd, 1, PSEUDONYM_SESSION, "s").names, 2);
    assert_int_equal(map(keyd, 1, PSEUDONYM_ENTITY, "s").names, 1);
    assert_memory_not_equal(map(keyd, 1, PSEUDONYM_ENTITY, "ada").name[0].bytes, second.name[0].bytes, 16);
    assert_int_equal(keyd_rotate(keyd, 1, &why), RESULT_OK);
    struct keyd_name third = map(keyd, 1, PSEUDONYM_USER, "ada");
    assert_int_equal(third.epoch, first.epoch + 2);
    assert_same(third.name[1], second.name[0]);
    assert_int_equal(tick(keyd, now_ms()).ratcheted, 0); /* the calendar goes on from there */
    assert_int_equal(keyd_destroy(keyd, 1, &why), RESULT_OK);
    assert_int_equal(map_at(keyd, now_ms(), 1, PSEUDONYM_USER, "ada").result, RESULT_NOT_FOUND);
    declare(keyd, 1, 92, 1);
    assert_memory_not_equal(map(keyd, 1, PSEUDONYM_USER, "ada").name[0].bytes, third.name[0].bytes, 16);
    keyd_stop(keyd);
}

static void test_visitors(void **state)
{
    struct keyd *keyd = start(state);
    declare(keyd, 1, 92, 1);
    int64_t today_ms = now_ms() / DAY_MS * DAY_MS + HOUR_MS;
    struct keyd_name today = map_at(keyd, today_ms, 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox");
    assert_int_equal(today.names, 1);
    assert_same(map_at(keyd, today_ms - DAY_MS, 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox").name[0], today.name[0]);
    struct keyd_name tomorrow = map_at(keyd, today_ms + DAY_MS, 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox");
    assert_memory_not_equal(tomorrow.name[0].bytes, today.name[0].bytes, 16);
    keyd_stop(keyd);
    keyd = start(state); /* yesterday's key is gone from the file, too */
    declare(keyd, 1, 92, 1);
    assert_same(map_at(keyd, today_ms, 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox").name[0], tomorrow.name[0]);
    keyd_stop(keyd);
}

/* A wild time burns no more than a day or two of keys. */
static void test_visitors_survive_a_wild_clock(void **state)
{
    struct keyd *keyd = start(state);
    declare(keyd, 1, 92, 1);
    struct keyd_name wild = map_at(keyd, INT64_MAX, 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox");
    keyd_stop(keyd);
    set_clock(3 * DAY_MS);
    keyd = start(state);
    declare(keyd, 1, 92, 1);
    struct keyd_name later = map_at(keyd, now_ms(), 1, PSEUDONYM_VISITOR, "192.0.2.1 Firefox");
    assert_memory_not_equal(later.name[0].bytes, wild.name[0].bytes, 16);
    keyd_stop(keyd);
}

static void test_spool_keys(void **state)
{
    struct keyd *keyd = start(state);
    struct failure why = {0};
    uint8_t keys[3][KEYD_SPOOL_KEY_BYTES];
    uint8_t again[KEYD_SPOOL_KEY_BYTES];
    uint64_t first = 99;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(keyd_spool_key(keyd, i, keys[i], &why), RESULT_OK);
    assert_memory_not_equal(keys[0], keys[1], sizeof keys[0]);
    assert_memory_not_equal(keys[1], keys[2], sizeof keys[0]);
    assert_int_equal(keyd_spool_first(keyd, &first, &why), RESULT_OK);
    assert_int_equal(first, 0);
    assert_int_equal(keyd_spool_forget(keyd, 1, &why), RESULT_OK);
    assert_int_equal(kill(keyd_pid(keyd), SIGKILL), 0); /* durable without a clean end */
    keyd_stop(keyd);
    keyd = start(state);
    assert_int_equal(keyd_spool_first(keyd, &first, &why), RESULT_OK);
    assert_int_equal(first, 2);
    assert_int_equal(keyd_spool_key(keyd, 1, again, &why), RESULT_NOT_FOUND);
    assert_int_equal(keyd_spool_key(keyd, 2, again, &why), RESULT_OK);
    assert_memory_equal(again, keys[2], sizeof again);
    keyd_stop(keyd);
}

static void test_a_dead_child(void **state)
{
    struct keyd *keyd = start(state);
    struct failure why = {0};
    struct keyd_id id = {.app = 1, .kind = PSEUDONYM_USER, .id = raw("ada")};
    struct keyd_name name = {.epoch = 77};
    struct pollfd watch = {.fd = keyd_watch_fd(keyd), .events = POLLIN};
    declare(keyd, 1, 92, 1);
    assert_int_equal(poll(&watch, 1, 0), 0);
    assert_int_equal(kill(keyd_pid(keyd), SIGKILL), 0);
    assert_int_equal(poll(&watch, 1, 5000), 1);
    assert_true((watch.revents & POLLIN) != 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(keyd_map(keyd, now_ms(), &id, 1, &name, &why), RESULT_UNAVAILABLE);
        assert_int_equal(keyd_declare(keyd, 1, 92, 1, &why), RESULT_UNAVAILABLE);
    }
    assert_int_equal(name.epoch, 77);
    keyd_stop(keyd);
}

/* A key file that cannot be written: the failure is told once, keyd ends, and the keys are still those of before. */
static void test_unwritable_file(void **state)
{
    const struct rlimit none = {0};
    struct keyd *keyd = start(state);
    struct failure why = {0};
    struct keyd_tick ticked;
    declare(keyd, 1, 92, 1);
    struct keyd_name before = map(keyd, 1, PSEUDONYM_USER, "ada");
    assert_int_equal(prlimit(keyd_pid(keyd), RLIMIT_FSIZE, &none, NULL), 0);
    assert_int_equal(keyd_ratchet(keyd, 1, &why), RESULT_FAILED);
    assert_string_equal(why.field, "key_file");
    assert_int_equal(keyd_tick(keyd, now_ms(), &ticked, &why), RESULT_UNAVAILABLE);
    keyd_stop(keyd);
    keyd = start(state);
    declare(keyd, 1, 92, 1);
    struct keyd_name after = map(keyd, 1, PSEUDONYM_USER, "ada");
    assert_memory_equal(&after, &before, sizeof after);
    keyd_stop(keyd);
}

/* keyd is killed at any moment of a ratchet: afterwards its keys are those of before or of after, and nothing else.
 */
struct ratcheting {
    struct keyd *keyd;
    int steps;
};

static void *ratchet_on(void *argument)
{
    struct ratcheting *work = argument;
    struct failure why = {0};
    while (keyd_ratchet(work->keyd, 1, &why) == RESULT_OK)
        work->steps++;
    return NULL;
}

static void test_killed_while_ratcheting(void **state)
{
    static struct keyfile file;
    static struct keyring ring;
    struct failure why = {0};
    struct pseudonym_key expected;
    uint32_t epoch = 0;
    for (int round = 0; round < 12; round++) {
        struct ratcheting work = {.keyd = start(state)};
        pthread_t thread;
        declare(work.keyd, 1, 92, 1);
        if (round > 0)
            assert_int_equal(status_of(work.keyd, 1).epoch, epoch);
        assert_int_equal(pthread_create(&thread, NULL, ratchet_on, &work), 0);
        (void)usleep(500 + randombytes_uniform(8000));
        assert_int_equal(kill(keyd_pid(work.keyd), SIGKILL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        keyd_stop(work.keyd);
        assert_int_equal(keyfile_open(&file, ((struct keydir *)*state)->path, PASSPHRASE, &ring, &why), RESULT_OK);
        keyfile_close(&file);
        const struct keyring_app *app = keyring_find(&ring, 1);
        assert_non_null(app);
        if (round > 0) {
            uint32_t done = app->epoch - epoch; /* acknowledged, and perhaps one more */
            assert_in_range(done, (uint32_t)work.steps, (uint32_t)work.steps + 1);
            for (uint32_t i = 0; i < done; i++)
                pseudonym_ratchet(&expected);
            assert_memory_equal(&app->key[0], &expected, sizeof expected);
        }
        expected = app->key[0];
        epoch = app->epoch;
    }
}

static void read_proc(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    size_t length = 0;
    ssize_t part;
    while (length < size - 1 && (part = read(fd, out + length, size - 1 - length)) > 0)
        length += (size_t)part;
    out[length] = '\0';
    (void)close(fd);
}

static void test_guarded(void **state)
{
    static char text[16384];
    struct keyd *keyd = start(state);
    read_proc(keyd_pid(keyd), "status", text, sizeof text);
    if (!KEYDIR_SANITIZED)
        assert_non_null(strstr(text, "\nSeccomp:\t2\n"));
    const char *locked = strstr(text, "\nVmLck:");
    assert_non_null(locked);
    if (!KEYDIR_SANITIZED)
        assert_true(strtoul(locked + strlen("\nVmLck:"), NULL, 10) * 1024 >= sizeof(struct keyring));
    read_proc(keyd_pid(keyd), "limits", text, sizeof text);
    const char *core = strstr(text, "Max core file size");
    long soft = -1, hard = -1;
    assert_non_null(core);
    assert_int_equal(sscanf(core, "Max core file size %ld %ld", &soft, &hard), 2);
    assert_int_equal(soft, 0);
    assert_int_equal(hard, 0);
    keyd_stop(keyd);
}

/* 0 to 2 at /dev/null, the socket, the key file; nothing that the parent had open. */
static void test_descriptors(void **state)
{
    int inherited = open("/dev/zero", O_RDONLY);
    assert_true(inherited >= 0);
    struct keyd *keyd = start(state);
    for (int fd = 0; fd < 64; fd++) {
        char path[64];
        char target[128] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)keyd_pid(keyd), fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (geteuid() != 0 && length < 0)
            skip(); /* not even its descriptors may be listed */
        if (fd <= 2 && !(fd == 2 && KEYDIR_SANITIZED))
            assert_string_equal(target, "/dev/null");
        if (fd == 3)
            assert_int_equal(strncmp(target, "socket:", 7), 0);
        if (fd == 4)
            assert_non_null(strstr(target, ((struct keydir *)*state)->path)); /* under the name it was made with */
        if (fd > 4)
            assert_int_equal(length, -1);
    }
    keyd_stop(keyd);
    (void)close(inherited);
}

/* 0: the process may be traced or its memory opened. */
static int attack(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    if (open(path, O_RDONLY | O_CLOEXEC) >= 0)
        return 0;
    return ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0 ? 0 : 1;
}

/* As an ordinary user: an ordinary process of that user falls to the attack, keyd does not. */
static int attack_as_user(void **state)
{
    struct keyd *keyd = NULL;
    if (try_start(state, PASSPHRASE, true, &keyd) != RESULT_OK)
        return 10;
    pid_t ordinary = fork();
    if (ordinary == 0) {
        (void)pause();
        _exit(0);
    }
    int keyd_stood = attack(keyd_pid(keyd));
    int ordinary_stood = attack(ordinary);
    (void)kill(ordinary, SIGKILL);
    (void)waitpid(ordinary, NULL, 0);
    keyd_stop(keyd);
    return !keyd_stood ? 11 : ordinary_stood ? 12 : 0;
}

static void test_same_user_cannot_look(void **state)
{
    const struct keydir *where = *state;
    int status;
    if (geteuid() == 0)
        assert_int_equal(chown(where->directory, 65534, 65534), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
            _exit(20);
        (void)prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L); /* changing the user had refused tracing already */
        _exit(attack_as_user(state));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 12)
        skip(); /* this machine forbids tracing altogether */
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The parent is killed: keyd goes with it, and the next one can hold the file. */
static void test_follows_its_parent(void **state)
{
    int ends[2];
    pid_t keyd_id = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct keyd *keyd = NULL;
        if (try_start(state, PASSPHRASE, true, &keyd) != RESULT_OK)
            _exit(1);
        pid_t pid = keyd_pid(keyd);
        (void)!write(ends[1], &pid, sizeof pid);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ends[0], &keyd_id, sizeof keyd_id), sizeof keyd_id);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    struct keyd *keyd = start(state);
    keyd_stop(keyd);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Many threads share one keyd. */
static void *map_often(void *argument)
{
    struct keyd *keyd = argument;
    struct keyd_name first = map(keyd, 1, PSEUDONYM_USER, "ada");
    for (int i = 0; i < 200; i++)
        assert_same(map(keyd, 1, PSEUDONYM_USER, "ada").name[0], first.name[0]);
    return NULL;
}

static void test_threads(void **state)
{
    struct keyd *keyd = start(state);
    pthread_t threads[4];
    declare(keyd, 1, 92, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, map_often, keyd), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    keyd_stop(keyd);
    keyd_stop(NULL);
}

/* Not a bound, which would depend on the machine: the figure is for the reader. */
static void test_speed(void **state)
{
    enum { BATCH = 4096, ROUNDS = 100 };
    struct keyd *keyd = start(state);
    struct failure why = {0};
    static char texts[BATCH][24];
    static struct keyd_id ids[BATCH];
    static struct keyd_name names[BATCH];
    struct timespec begun, ended;
    declare(keyd, 1, 92, 1);
    assert_int_equal(
        keyd_ratchet(keyd, 1, &why), RESULT_OK); /* as it is for all but an app's first epoch: two names */
    for (size_t i = 0; i < BATCH; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "user-%zu", i);
        ids[i] = (struct keyd_id){.app = 1, .kind = PSEUDONYM_USER, .id = raw(texts[i])};
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(keyd_map(keyd, now_ms(), ids, BATCH, names, &why), RESULT_OK);
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    double s = (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
    print_message("keyd_map: %.0f users/s of two names, %d a call\n", BATCH * ROUNDS / s, BATCH);
    keyd_stop(keyd);
}

#define KEYD_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, keydir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEYD_TEST(test_maps_many),
        KEYD_TEST(test_maps_the_greatest_request),
        KEYD_TEST(test_restart_keeps_names),
        KEYD_TEST(test_a_joined_node),
        KEYD_TEST(test_tells_every_key_that_is_held),
        KEYD_TEST(test_hands_its_keys_over),
        KEYD_TEST(test_refusals),
        KEYD_TEST(test_epochs_pass_by_the_clock),
        KEYD_TEST(test_clocks_that_disagree_keep_keys),
        KEYD_TEST(test_orders),
        KEYD_TEST(test_visitors),
        KEYD_TEST(test_visitors_survive_a_wild_clock),
        KEYD_TEST(test_spool_keys),
        KEYD_TEST(test_a_dead_child),
        KEYD_TEST(test_unwritable_file),
        KEYD_TEST(test_killed_while_ratcheting),
        KEYD_TEST(test_guarded),
        KEYD_TEST(test_descriptors),
        KEYD_TEST(test_same_user_cannot_look),
        KEYD_TEST(test_follows_its_parent),
        KEYD_TEST(test_threads),
        KEYD_TEST(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
