/*
 * The stream client against a real, private redis-server with the ACL users of an installation. Skips with a notice
 * if there is no redis-server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schema/limits.h"
#include "service/base/clock.h"
#include "service/stream/stream.h"
#include "tests/unit/port.h"

#define TIMEOUT_MS 400

static char directory[64];
static char socket_path[96];
static char proxy_path[96];
static int port;
static pid_t server;

static const char acl[] =
    "user default off\n"
    "user root on >root-pw +@all ~* &*\n"
    "user ingest on >ingest-pw -@all +xadd +hget +time +ping +auth +config|get %W~throng:{*} %R~throng:catalogue\n"
    "user aggregate on >aggregate-pw -@all +xread +xrange +xtrim +xlen +xadd +hset +hget +hdel +hgetall +time +ping +auth "
    "+config|get +info +bgrewriteaof +bgsave "
    "%RW~throng:{*} %RW~throng:{*}:marks %RW~throng:catalogue %W~throng:dead\n";

/* A connection as the user root, or NULL. */
static redisContext *root_connect(void)
{
    redisContext *redis = redisConnectUnix(socket_path);
    if (redis == NULL || redis->err != 0) {
        redisFree(redis);
        return NULL;
    }
    freeReplyObject(redisCommand(redis, "AUTH root root-pw"));
    redisReply *reply = redisCommand(redis, "PING"); /* which has to wait for loading, other than AUTH */
    bool failed = reply == NULL || (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "LOADING", 7) == 0);
    freeReplyObject(reply);
    if (!failed)
        return redis;
    redisFree(redis);
    return NULL;
}

/* One command as root; its reply's integer, or -1. Texts are copied to out[0..63] if out is not NULL. */
static long long root(char *out, const char *format, ...)
{
    redisContext *redis = root_connect();
    assert_non_null(redis);
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(redis, format, arguments);
    va_end(arguments);
    assert_non_null(reply);
    long long integer = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    if (out != NULL)
        snprintf(out, 64, "%s", reply->str == NULL ? "" : reply->str);
    freeReplyObject(reply);
    redisFree(redis);
    return integer;
}

static void spawn_server(const char *delay)
{
    char config[96];
    char log[96];
    snprintf(config, sizeof config, "%s/redis.conf", directory);
    snprintf(log, sizeof log, "%s/redis.log", directory);
    server = fork();
    if (server == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execlp("redis-server", "redis-server", config, "--key-load-delay", delay, (char *)NULL);
        _exit(127);
    }
}

/* Wait until root can connect. */
static bool server_answers(void)
{
    for (int i = 0; i < 300; i++) {
        redisContext *redis = root_connect();
        if (redis != NULL) {
            redisFree(redis);
            return true;
        }
        usleep(20000);
    }
    return false;
}

static void kill_server(int number)
{
    if (server > 0) {
        kill(server, number);
        waitpid(server, NULL, 0);
    }
    server = 0;
}

static int start(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    strcpy(directory, "/tmp/throng-stream-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/redis.sock", directory);
    snprintf(proxy_path, sizeof proxy_path, "%s/proxy.sock", directory);
    port = port_claim();
    char config[96];
    snprintf(config, sizeof config, "%s/redis.conf", directory);
    FILE *file = fopen(config, "w");
    if (file == NULL)
        return -1;
    fprintf(file,
        "port %d\nbind 127.0.0.1\nunixsocket %s\nunixsocketperm 700\ndir %s\nsave \"\"\nappendonly yes\n"
        "appendfsync no\nenable-debug-command yes\n%s",
        port, socket_path, directory, acl);
    fclose(file);
    spawn_server("0");
    return server_answers() ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    kill_server(SIGKILL);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/rm", "rm", "-rf", directory, (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static int flush_all(void **state)
{
    (void)state;
    root(NULL, "FLUSHALL");
    return 0;
}

/* A configuration for user; owned strings are literals here, so it is never freed. */
static struct config config_for(const char *user, const char *password)
{
    return (struct config){.redis_socket = socket_path,
        .redis_host = "127.0.0.1",
        .redis_port = port,
        .redis_user = user,
        .redis_password = password,
        .redis_timeout_ms = TIMEOUT_MS};
}

static struct config ingest_config;
static struct config aggregate_config;

static struct stream *ingest(void)
{
    ingest_config = config_for("ingest", "ingest-pw");
    return stream_new(&ingest_config);
}

static struct stream *aggregate(void)
{
    aggregate_config = config_for("aggregate", "aggregate-pw");
    return stream_new(&aggregate_config);
}

static struct stream_append packet(uint16_t shard, const char *text)
{
    return (struct stream_append){.shard = shard, .bytes = (const uint8_t *)text, .length = strlen(text)};
}

static void assert_ok(enum result result, const struct failure *why)
{
    if (result != RESULT_OK)
        fail_msg("%s: %s: %s", failure_name(result), why->field, why->text);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    struct stream *out = aggregate();
    struct stream_append packets[] = {packet(3, "one"), packet(7, "seven"), packet(3, "two"),
        {.shard = 3, .bytes = (const uint8_t *)"\0\r\n\xff", .length = 4},
        {.shard = 3, .bytes = (const uint8_t *)""}};
    assert_ok(stream_add(in, packets, 5, &why), &why);
    for (int i = 0; i < 5; i++)
        assert_true(packets[i].done);

    const struct stream_entry *entries;
    size_t count;
    struct stream_position positions[] = {{3, "0"}, {5, "0"}, {7, "0"}};
    assert_ok(stream_read(out, positions, 3, 100, 0, &entries, &count, &why), &why);
    assert_int_equal(count, 5);
    static const char *const expected[] = {"one", "two"};
    size_t third = 0;
    char last[STREAM_ID_BYTES] = "";
    for (size_t i = 0; i < count; i++) {
        if (entries[i].shard == 7) {
            assert_memory_equal(entries[i].bytes, "seven", 5);
            continue;
        }
        assert_int_equal(entries[i].shard, 3);
        if (third < 2)
            assert_memory_equal(entries[i].bytes, expected[third], 3);
        if (third == 2)
            assert_memory_equal(entries[i].bytes, "\0\r\n\xff", 4);
        assert_non_null(entries[i].bytes);
        third++;
        strcpy(last, entries[i].id);
    }
    assert_int_equal(third, 4);

    strcpy(positions[0].after, last);
    strcpy(positions[2].after, "99999999999999-0");
    assert_ok(stream_read(out, positions, 3, 100, 0, &entries, &count, &why), &why);
    assert_int_equal(count, 0);
    stream_free(in);
    stream_free(out);
}

static void test_per_shard_bound(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    struct stream *out = aggregate();
    struct stream_append packets[40];
    for (uint16_t i = 0; i < 40; i++)
        packets[i] = packet(i % 2, "x");
    assert_ok(stream_add(in, packets, 40, &why), &why);
    const struct stream_entry *entries;
    size_t count;
    const struct stream_position positions[] = {{0, "0"}, {1, "0"}};
    assert_ok(stream_read(out, positions, 2, 5, 0, &entries, &count, &why), &why);
    assert_int_equal(count, 10);
    assert_int_equal(stream_read(out, positions, 0, 5, 0, &entries, &count, &why), RESULT_INVALID);
    stream_free(in);
    stream_free(out);
}

/* The largest pipeline: all shards, full entries. */
static void test_much(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    ingest_config.redis_timeout_ms = 20000;
    struct stream *out = aggregate();
    aggregate_config.redis_timeout_ms = 20000;
    static uint8_t bytes[ENTRY_MAX_BYTES];
    static struct stream_append packets[1024];
    for (uint16_t i = 0; i < 1024; i++)
        packets[i] = (struct stream_append){.shard = i % SHARDS_MAX, .bytes = bytes, .length = sizeof bytes};
    assert_ok(stream_add(in, packets, 1024, &why), &why);
    static struct stream_position positions[SHARDS_MAX];
    for (uint16_t i = 0; i < SHARDS_MAX; i++)
        positions[i] = (struct stream_position){i, "0"};
    const struct stream_entry *entries;
    size_t count;
    assert_ok(stream_read(out, positions, SHARDS_MAX, 100, 100, &entries, &count, &why), &why);
    assert_int_equal(count, 1024);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(entries[i].length, sizeof bytes);
    stream_free(in);
    stream_free(out);
}

static void *add_soon(void *unused)
{
    struct config config = config_for("ingest", "ingest-pw");
    struct stream *in = stream_new(&config);
    usleep(600000);
    struct stream_append entry = packet(2, "late");
    stream_add(in, &entry, 1, NULL);
    stream_free(in);
    return unused;
}

static void test_blocking_read(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *out = aggregate();
    const struct stream_position position = {2, "0"};
    const struct stream_entry *entries;
    size_t count;
    int64_t before_ms = clock_steady_ms();
    assert_ok(stream_read(out, &position, 1, 10, TIMEOUT_MS * 2, &entries, &count, &why), &why);
    assert_int_equal(count, 0);
    assert_in_range(clock_steady_ms() - before_ms, TIMEOUT_MS * 2, TIMEOUT_MS * 2 + 20000);

    pthread_t thread;
    pthread_create(&thread, NULL, add_soon, NULL);
    before_ms = clock_steady_ms();
    assert_ok(stream_read(out, &position, 1, 10, 20000, &entries, &count, &why), &why);
    assert_int_equal(count, 1);
    assert_true(clock_steady_ms() - before_ms < 10000);
    pthread_join(thread, NULL);
    stream_free(out);
}

static void test_has_trim_length(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    struct stream *out = aggregate();
    struct stream_append packets[300];
    for (int i = 0; i < 300; i++)
        packets[i] = packet(4, "x");
    assert_ok(stream_add(in, packets, 300, &why), &why);
    const struct stream_entry *entries;
    size_t count;
    const struct stream_position position = {4, "0"};
    assert_ok(stream_read(out, &position, 1, 300, 0, &entries, &count, &why), &why);
    assert_int_equal(count, 300);
    char first[STREAM_ID_BYTES];
    char middle[STREAM_ID_BYTES];
    strcpy(first, entries[0].id);
    strcpy(middle, entries[147].id);

    bool has = false;
    uint64_t length = 0;
    assert_ok(stream_trim(out, 4, "0", &why), &why);
    assert_ok(stream_has(out, 4, first, &has, &why), &why);
    assert_true(has);
    assert_ok(stream_trim(out, 4, middle, &why), &why);
    assert_ok(stream_has(out, 4, first, &has, &why), &why);
    assert_false(has);
    assert_ok(stream_has(out, 4, middle, &has, &why), &why);
    assert_true(has);
    assert_ok(stream_length(out, 4, &length, &why), &why);
    assert_int_equal(length, 300 - 147);
    assert_ok(stream_length(out, 5, &length, &why), &why);
    assert_int_equal(length, 0);
    stream_free(in);
    stream_free(out);
}

static void test_foreign_entries(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *out = aggregate();
    root(NULL, "XADD throng:{6} * q x");
    root(NULL, "XADD throng:{6} * p x p y");
    root(NULL, "XADD throng:{6} * p good");
    const struct stream_entry *entries;
    size_t count;
    const struct stream_position position = {6, "0"};
    assert_ok(stream_read(out, &position, 1, 10, 0, &entries, &count, &why), &why);
    assert_int_equal(count, 3);
    assert_null(entries[0].bytes);
    assert_null(entries[1].bytes);
    assert_memory_equal(entries[2].bytes, "good", 4);

    assert_ok(stream_set_aside(out, &entries[2], "unknown_version", &why), &why);
    assert_ok(stream_set_aside(out, &entries[0], "no_packet", &why), &why);
    assert_int_equal(root(NULL, "XLEN throng:dead"), 2);
    /* Where it stood and how long it was; nothing that was in it. */
    redisContext *redis = root_connect();
    assert_non_null(redis);
    redisReply *reply = redisCommand(redis, "XRANGE throng:dead - + COUNT 1");
    assert_true(reply != NULL && reply->elements == 1);
    const redisReply *fields = reply->element[0]->element[1];
    static const char *const names[] = {"shard", "id", "reason", "bytes"};
    assert_int_equal(fields->elements, 8);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(fields->element[2 * i]->str, names[i]);
    assert_string_equal(fields->element[5]->str, "unknown_version");
    assert_string_equal(fields->element[7]->str, "4");
    freeReplyObject(reply);
    redisFree(redis);
    stream_free(out);
}

static void test_dead_letters_are_capped(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *out = aggregate();
    for (int i = 0; i < 10050; i++)
        assert_ok(stream_set_aside(out, &(struct stream_entry){.shard = 1, .id = "1-1"}, "no_packet", &why), &why);
    assert_int_equal(root(NULL, "XLEN throng:dead"), 10000);
    stream_free(out);
}

static void test_catalogue(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    struct stream *out = aggregate();
    uint64_t version = 5;
    char *json = NULL;
    size_t length = 0;
    assert_int_equal(stream_catalogue_version(in, &version, &why), RESULT_NOT_FOUND);
    assert_int_equal(stream_catalogue(in, &json, &length, &why), RESULT_NOT_FOUND);
    assert_int_equal(version, 5);
    assert_ok(stream_publish_catalogue(out, UINT64_MAX, "{\"a\":1}", 7, &why), &why);
    assert_ok(stream_publish_catalogue(out, 42, "{\"b\":\"\\u0000\"}", 14, &why), &why);
    assert_ok(stream_catalogue_version(in, &version, &why), &why);
    assert_int_equal(version, 42);
    assert_ok(stream_catalogue(in, &json, &length, &why), &why);
    assert_string_equal(json, "{\"b\":\"\\u0000\"}");
    assert_int_equal(length, 14);
    free(json);
    root(NULL, "HSET throng:catalogue version x");
    assert_int_equal(stream_catalogue_version(in, &version, &why), RESULT_CORRUPT);
    stream_free(in);
    stream_free(out);
}

static void test_time(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    int64_t ms = 0;
    assert_ok(stream_time_ms(in, &ms, &why), &why);
    assert_in_range(ms - clock_now_ms() + 5000, 0, 10000);
    stream_free(in);
}

/* What the key of ingest opens, if it is stolen: adding, and nothing else. */
static void test_ingest_may_only_add(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    root(NULL, "XADD throng:{1} * p x");
    const struct stream_entry *entries;
    size_t count;
    uint64_t length;
    bool has;
    const struct stream_position position = {1, "0"};
    assert_int_equal(stream_read(in, &position, 1, 10, 0, &entries, &count, &why), RESULT_DENIED);
    assert_int_equal(stream_has(in, 1, "1-1", &has, NULL), RESULT_DENIED);
    assert_int_equal(stream_trim(in, 1, "9-9", NULL), RESULT_DENIED);
    assert_int_equal(stream_length(in, 1, &length, NULL), RESULT_DENIED);
    assert_int_equal(stream_publish_catalogue(in, 1, "{}", 2, NULL), RESULT_DENIED);
    assert_int_equal(stream_set_aside(in, &(struct stream_entry){.id = "1-1"}, "r", NULL), RESULT_DENIED);
    stream_free(in);

    static const char *const commands[] = {"GET throng:catalogue", "HSET throng:catalogue version 1", "FLUSHALL",
        "KEYS *", "XADD throng:dead * p x", "XADD other * p x", "HGET throng:{1} p", "CONFIG SET appendonly no",
        "SCAN 0", "DUMP throng:{1}", "DEL throng:{1}", "ACL LIST", "MONITOR", "EVAL return 0", "SHUTDOWN",
        "DEBUG SLEEP 0"};
    redisContext *redis = redisConnectUnix(socket_path);
    freeReplyObject(redisCommand(redis, "AUTH ingest ingest-pw"));
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        redisReply *reply = redisCommand(redis, commands[i]);
        assert_non_null(reply);
        if (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "NOPERM", 6) != 0)
            fail_msg("%s was not refused", commands[i]);
        freeReplyObject(reply);
    }
    redisFree(redis);
}

static void test_wrong_credentials(void **state)
{
    (void)state;
    struct failure why = {0};
    struct config config = config_for("ingest", "not-it");
    struct stream *stream = stream_new(&config);
    assert_int_equal(stream_connect(stream, &why), RESULT_DENIED);
    assert_null(strstr(why.text, "not-it"));
    assert_int_equal(stream_connect(stream, &why), RESULT_DENIED);
    config.redis_password = "ingest-pw";
    assert_int_equal(stream_connect(stream, &why), RESULT_OK);
    stream_free(stream);
    config = config_for("", "");
    stream = stream_new(&config);
    assert_int_equal(stream_connect(stream, &why), RESULT_DENIED);
    stream_free(stream);
}

/* One entry that cannot be added does not hide the others' fate. */
static void test_one_bad_entry(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    root(NULL, "SET throng:{2} x");
    struct stream_append packets[] = {packet(1, "a"), packet(2, "b"), packet(3, "c")};
    assert_int_equal(stream_add(in, packets, 3, &why), RESULT_FAILED);
    assert_true(packets[0].done);
    assert_false(packets[1].done);
    assert_true(packets[2].done);
    assert_non_null(strstr(why.text, "WRONGTYPE"));
    stream_free(in);
}

/* Add one packet while Redis refuses; it must be told apart, and go when Redis is well again. */
static void assert_refused_for_now(const char *code)
{
    struct failure why = {0};
    struct stream *in = ingest();
    struct stream_append packets[] = {packet(1, "a"), packet(2, "b")};
    assert_int_equal(stream_add(in, packets, 2, &why), RESULT_UNAVAILABLE);
    assert_false(packets[0].done || packets[1].done);
    if (strstr(why.text, code) == NULL)
        fail_msg("\"%s\" does not say %s", why.text, code);
    stream_free(in);
}

static void assert_accepted(void)
{
    struct failure why = {0};
    struct stream *in = ingest();
    struct stream_append entry = packet(1, "a");
    assert_ok(stream_add(in, &entry, 1, &why), &why);
    stream_free(in);
}

static void test_passing_refusals(void **state)
{
    (void)state;
    root(NULL, "CONFIG SET maxmemory 1");
    assert_refused_for_now("OOM");
    root(NULL, "CONFIG SET maxmemory 0");
    assert_accepted();

    root(NULL, "REPLICAOF 127.0.0.1 1");
    assert_refused_for_now("READONLY");
    root(NULL, "REPLICAOF NO ONE");
    assert_accepted();

    root(NULL, "CONFIG SET min-replicas-to-write 1");
    assert_refused_for_now("NOREPLICAS");
    root(NULL, "CONFIG SET min-replicas-to-write 0");
    assert_accepted();
}

/* A snapshot that fails (a directory is in its place) makes Redis refuse writes. */
static void test_misconf(void **state)
{
    (void)state;
    char blocker[96];
    snprintf(blocker, sizeof blocker, "%s/dump.rdb", directory);
    unlink(blocker);
    assert_int_equal(mkdir(blocker, 0700), 0);
    root(NULL, "CONFIG SET save %s", "3600 1");
    root(NULL, "BGSAVE");
    char answer[64] = "";
    for (int i = 0; i < 200 && strncmp(answer, "MISCONF", 7) != 0; i++) {
        usleep(20000);
        root(answer, "XADD throng:{1} * p x");
    }
    assert_refused_for_now("MISCONF");
    root(NULL, "CONFIG SET save %s", "");
    rmdir(blocker);
    assert_accepted();
}

static void test_stopped_server(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    assert_ok(stream_connect(in, &why), &why);
    kill(server, SIGSTOP);
    struct stream_append packets[] = {packet(1, "a"), packet(2, "b")};
    for (int i = 0; i < 2; i++) { /* on the old connection, then on a new one */
        int64_t before_ms = clock_steady_ms();
        assert_int_equal(stream_add(in, packets, 2, &why), RESULT_UNAVAILABLE);
        assert_in_range(clock_steady_ms() - before_ms, TIMEOUT_MS, TIMEOUT_MS + 1500);
        assert_false(packets[0].done || packets[1].done);
    }
    kill(server, SIGCONT);
    assert_ok(stream_add(in, packets, 2, &why), &why);
    stream_free(in);
}

/* Runs with appendfsync no: under everysec, Redis answers before it writes while an fsync is under way, and then a
 * kill loses what it answered. */
static void test_killed_server(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    struct stream_append entry = packet(1, "before");
    assert_ok(stream_add(in, &entry, 1, &why), &why);
    kill_server(SIGKILL);
    int64_t before_ms = clock_steady_ms();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stream_add(in, &entry, 1, &why), RESULT_UNAVAILABLE);
        assert_false(entry.done);
        assert_int_equal(stream_connect(in, &why), RESULT_UNAVAILABLE);
    }
    assert_true(clock_steady_ms() - before_ms < TIMEOUT_MS);
    spawn_server("0");
    assert_true(server_answers());
    struct stream_append again = packet(1, "after");
    memset(&why, 0, sizeof why);
    assert_ok(stream_add(in, &again, 1, &why), &why);
    assert_int_equal(root(NULL, "XLEN throng:{1}"), 2);
    stream_free(in);
}

/* Redis answers LOADING while it reads a file that takes long. */
static void test_loading(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    ingest_config.redis_timeout_ms = 20000;
    static struct stream_append packets[3000];
    for (int i = 0; i < 3000; i++)
        packets[i] = packet(1, "x");
    assert_ok(stream_add(in, packets, 3000, &why), &why);
    kill_server(SIGTERM);
    unlink(socket_path);
    spawn_server("500");
    enum result result = RESULT_UNAVAILABLE;
    bool loading = false;
    for (int i = 0; i < 2000 && result == RESULT_UNAVAILABLE; i++) {
        memset(&why, 0, sizeof why);
        struct stream_append entry = packet(1, "y");
        result = stream_add(in, &entry, 1, &why);
        loading = loading || strstr(why.text, "LOADING") != NULL;
        usleep(5000);
    }
    assert_ok(result, &why);
    assert_true(loading);
    stream_free(in);
    kill_server(SIGKILL);
    spawn_server("0");
    assert_true(server_answers());
}

/* A connection that the server closed while it was idle is replaced before anything is sent. */
static void test_idle_connection_closed(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    assert_ok(stream_connect(in, &why), &why);
    root(NULL, "CLIENT KILL USER ingest");
    usleep(20000);
    struct stream_append entry = packet(1, "x");
    assert_ok(stream_add(in, &entry, 1, &why), &why);
    stream_free(in);
}

static void test_tcp(void **state)
{
    (void)state;
    struct failure why = {0};
    struct config config = config_for("ingest", "ingest-pw");
    config.redis_socket = "";
    struct stream *in = stream_new(&config);
    struct stream_append entry = packet(1, "x");
    assert_ok(stream_add(in, &entry, 1, &why), &why);
    stream_free(in);
    config.redis_port = port_claim();
    in = stream_new(&config);
    assert_int_equal(stream_connect(in, &why), RESULT_UNAVAILABLE);
    stream_free(in);
}

static void test_durability(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *in = ingest();
    assert_ok(stream_check_durability(in, "process", &why), &why);
    assert_int_equal(stream_check_durability(in, "strict", &why), RESULT_INVALID);
    assert_non_null(strstr(why.text, "appendfsync always"));
    root(NULL, "CONFIG SET appendfsync always");
    memset(&why, 0, sizeof why);
    assert_ok(stream_check_durability(in, "strict", &why), &why);
    root(NULL, "CONFIG SET maxmemory-policy allkeys-lru");
    assert_int_equal(stream_check_durability(in, "process", &why), RESULT_INVALID);
    root(NULL, "CONFIG SET maxmemory-policy noeviction");
    root(NULL, "CONFIG SET appendfsync no");
    root(NULL, "CONFIG SET appendonly no");
    memset(&why, 0, sizeof why);
    assert_int_equal(stream_check_durability(in, "process", &why), RESULT_INVALID);
    assert_non_null(strstr(why.text, "appendonly yes"));
    root(NULL, "CONFIG SET appendonly yes");
    stream_free(in);
}

/* A proxy of one connection that forwards requests, and lets `replies_let_through` bytes of replies pass. */
static atomic_long replies_let_through;
static int proxy_listener;

static void *proxy(void *unused)
{
    int client = accept(proxy_listener, NULL, NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int redis = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(redis, (const struct sockaddr *)&address, sizeof address) != 0)
        return unused;
    char bytes[4096];
    for (;;) {
        struct pollfd both[] = {{.fd = client, .events = POLLIN}, {.fd = redis, .events = POLLIN}};
        poll(both, 2, -1);
        bool from_client = both[0].revents != 0;
        ssize_t got = read(from_client ? client : redis, bytes, sizeof bytes);
        if (got <= 0)
            break;
        long most = from_client ? got : atomic_load(&replies_let_through);
        long pass = got < most ? got : most;
        if (!from_client)
            atomic_fetch_sub(&replies_let_through, pass);
        if (pass > 0 && write(from_client ? redis : client, bytes, (size_t)pass) != pass)
            break;
    }
    close(client);
    close(redis);
    return unused;
}

static pthread_t start_proxy(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", proxy_path);
    unlink(proxy_path);
    proxy_listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(proxy_listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(proxy_listener, 1), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, proxy, NULL), 0);
    return thread;
}

/* The reply is lost: Redis has the entry, the caller is told that it may not have it. Of a pipeline, what was
 * answered is done. */
static void test_lost_reply(void **state)
{
    (void)state;
    struct failure why = {0};
    pthread_t thread = start_proxy();
    struct config config = config_for("ingest", "ingest-pw");
    config.redis_socket = proxy_path;
    struct stream *in = stream_new(&config);
    atomic_store(&replies_let_through, 1000000);
    assert_ok(stream_connect(in, &why), &why);

    /* "$15\r\n" "1767225600000-0" "\r\n" is 22 bytes: the first reply whole, half of the second */
    atomic_store(&replies_let_through, 33);
    struct stream_append packets[] = {packet(1, "a"), packet(1, "b"), packet(1, "c")};
    assert_int_equal(stream_add(in, packets, 3, &why), RESULT_UNAVAILABLE);
    assert_true(packets[0].done);
    assert_false(packets[1].done);
    assert_false(packets[2].done);
    assert_int_equal(root(NULL, "XLEN throng:{1}"), 3);
    pthread_join(thread, NULL);
    close(proxy_listener);

    /* the next call does not take an old reply for its own: it connects anew */
    config.redis_socket = socket_path;
    int64_t ms = 0;
    assert_ok(stream_time_ms(in, &ms, &why), &why);
    stream_free(in);
}

struct told {
    size_t count;
    char last[32];
};

static void take_mark(void *context, const struct stream_mark *mark)
{
    struct told *told = context;
    told->count++;
    (void)snprintf(told->last, sizeof told->last, "%s=%s", mark->field, mark->value);
}

static void test_marks(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *out = aggregate();
    struct told told = {0};
    static char names[450][8];
    struct stream_mark marks[450];
    const char *fields[450];
    for (size_t i = 0; i < 450; i++) {
        (void)snprintf(names[i], sizeof names[i], "f%zu", i);
        marks[i] = (struct stream_mark){names[i], "v"};
        fields[i] = names[i];
    }
    assert_ok(stream_marks_read(out, 5, take_mark, &told, &why), &why);
    assert_int_equal(told.count, 0);
    assert_ok(stream_marks_set(out, 5, marks, 450, &why), &why);
    assert_ok(stream_marks_read(out, 5, take_mark, &told, &why), &why);
    assert_int_equal(told.count, 450);
    told.count = 0;
    assert_ok(stream_marks_delete(out, 5, fields, 449, &why), &why);
    assert_ok(stream_marks_delete(out, 5, fields, 0, &why), &why);
    assert_ok(stream_marks_read(out, 5, take_mark, &told, &why), &why);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.last, "f449=v");
    told.count = 0;
    assert_ok(stream_marks_read(out, 6, take_mark, &told, &why), &why);
    assert_int_equal(told.count, 0);
    struct stream *in = ingest();
    assert_int_equal(stream_marks_set(in, 5, marks, 1, &why), RESULT_DENIED);
    stream_free(in);
    stream_free(out);
}

static void test_rewriting(void **state)
{
    (void)state;
    struct failure why = {0};
    struct stream *out = aggregate();
    struct stream_disk disk = {0};
    struct stream_append one = packet(4, "one");
    int64_t first_ms = 0;
    assert_ok(stream_first_ms(out, 4, &first_ms, &why), &why);
    assert_true(first_ms == INT64_MAX);
    int64_t before_ms = clock_now_ms();
    assert_ok(stream_add(out, &one, 1, &why), &why);
    assert_ok(stream_first_ms(out, 4, &first_ms, &why), &why);
    assert_in_range(first_ms, before_ms - 1, clock_now_ms() + 1);
    /* The server may rewrite of its own accord after what other tests wrote. */
    disk.rewriting = true;
    for (int i = 0; i < 200 && disk.rewriting; i++) {
        usleep(20000);
        assert_ok(stream_disk(out, &disk, &why), &why);
    }
    assert_true(disk.appends && !disk.rewriting && !disk.saves && !disk.saving && disk.lingers);
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        assert_ok(stream_rewrite(out, snapshot, &why), &why);
        for (int i = 0; i < 200 && (i == 0 || disk.rewriting || disk.saving); i++) {
            usleep(20000);
            assert_ok(stream_disk(out, &disk, &why), &why);
        }
        assert_true(!disk.rewriting && !disk.rewrite_failed && !disk.saving && !disk.save_failed);
    }
    stream_free(out);
}

int main(void)
{
    if (system("command -v redis-server >/dev/null 2>&1") != 0) { /* NOLINT: a constant command */
        puts("SKIPPED: redis-server is not installed");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_round_trip, flush_all),
        cmocka_unit_test_setup(test_marks, flush_all),
        cmocka_unit_test_setup(test_loading, flush_all), /* early: the file to load grows with each test */
        cmocka_unit_test_setup(test_per_shard_bound, flush_all),
        cmocka_unit_test_setup(test_much, flush_all),
        cmocka_unit_test_setup(test_blocking_read, flush_all),
        cmocka_unit_test_setup(test_has_trim_length, flush_all),
        cmocka_unit_test_setup(test_foreign_entries, flush_all),
        cmocka_unit_test_setup(test_dead_letters_are_capped, flush_all),
        cmocka_unit_test_setup(test_catalogue, flush_all),
        cmocka_unit_test_setup(test_time, flush_all),
        cmocka_unit_test_setup(test_ingest_may_only_add, flush_all),
        cmocka_unit_test_setup(test_wrong_credentials, flush_all),
        cmocka_unit_test_setup(test_one_bad_entry, flush_all),
        cmocka_unit_test_setup(test_passing_refusals, flush_all),
        cmocka_unit_test_setup(test_misconf, flush_all),
        cmocka_unit_test_setup(test_stopped_server, flush_all),
        cmocka_unit_test_setup(test_killed_server, flush_all),
        cmocka_unit_test_setup(test_idle_connection_closed, flush_all),
        cmocka_unit_test_setup(test_tcp, flush_all),
        cmocka_unit_test_setup(test_lost_reply, flush_all),
        cmocka_unit_test_setup(test_durability, flush_all),
        cmocka_unit_test_setup(test_rewriting, flush_all),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
