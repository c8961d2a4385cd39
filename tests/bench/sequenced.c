/*
 * How fast a log grows: sequenced LEAVES appends leaves as a daemon's acts do (audit.append, a thousand a transaction), in a private
 * PostgreSQL, then has the sequencer give them their indexes, extend the tree and its copy, and sign. CPU time is the sequencer's,
 * without PostgreSQL's; a heartbeat or a witness is not waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <time.h>

#include "compliance/sequencer/sequence.h"
#include "service/base/log.h"
#include "tests/unit/cluster.h"

#define AT_ONCE 1000

/* The sequencer's parts, in their order of opening. */
static struct {
    char state[80];
    struct db *db;
    struct keystore *keys;
    struct signer signer;
    struct mirror *mirror;
    struct witnesses *witnesses;
    struct sequence *sequence;
} parts;

static double seconds(clockid_t clock)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_parts(void)
{
    (void)snprintf(parts.state, sizeof parts.state, "%s/state", cluster.directory);
    cluster_shell("mkdir -m 700 %s", parts.state);
    parts.db = cluster_connect("throng_audit", "bench");
    assert_int_equal(keystore_create(parts.state, "seal", "example.org/log", &parts.keys, NULL), RESULT_OK);
    assert_int_equal(signer_open(parts.state, parts.keys, &parts.signer, NULL), RESULT_OK);
    assert_int_equal(mirror_open(parts.state, &parts.mirror, NULL), RESULT_OK);
    assert_int_equal(witnesses_open("", &parts.witnesses, NULL), RESULT_OK);
    const struct sequence_parts all = {.db = parts.db, .mirror = parts.mirror, .keys = parts.keys, .signer = &parts.signer,
        .witnesses = parts.witnesses, .heartbeat_ms = 600000, .overlap_ms = 86400000};
    parts.sequence = sequence_new(&all);
    assert_non_null(parts.sequence);
}

static void close_parts(void)
{
    sequence_free(parts.sequence);
    witnesses_close(parts.witnesses);
    mirror_close(parts.mirror);
    keystore_close(parts.keys);
    db_free(parts.db);
}

static void append(long count)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
        "SELECT audit.append(u, 'daemon_stopped', convert_to(format('{\"act\":\"daemon_stopped\",\"actor\":{\"id\":\"x\",\"type\":\"daemon\"},"
        "\"at\":1767225600000,\"data\":{},\"id\":\"%%s\",\"nonce\":\"%%s\",\"out\":\"ok\",\"tenant\":\"\",\"v\":1}', u, "
        "md5(random()::text)), 'UTF8')) FROM (SELECT gen_random_uuid() AS u FROM generate_series(1, %ld) OFFSET 0) AS g", count);
    cluster_sql(text);
}

static void sequence_all(void)
{
    bool more = true;
    while (more)
        assert_int_equal(sequence_look(parts.sequence, &more), RESULT_OK);
}

int main(int argc, char **argv)
{
    long leaves = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    if (leaves < 1 || sodium_init() < 0 || cluster_start(NULL) != 0)
        return 2;
    log_init("bench", LOG_LEVEL_ERROR);
    open_parts();
    sequence_all();
    double began = seconds(CLOCK_MONOTONIC);
    for (long done = 0; done < leaves; done += AT_ONCE)
        append(leaves - done < AT_ONCE ? leaves - done : AT_ONCE);
    double appended = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    sequence_all();
    double took = seconds(CLOCK_MONOTONIC) - appended;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    assert_int_equal(cluster_number("SELECT count(*) FROM audit.pending"), 0);
    (void)printf("appended  %8.0f leaves/s (%ld leaves)\nsequenced %8.0f leaves/s, %.0f a CPU-second\n",
        (double)leaves / (appended - began), leaves, (double)leaves / took, (double)leaves / cpu);
    close_parts();
    (void)cluster_stop(NULL);
    return 0;
}
