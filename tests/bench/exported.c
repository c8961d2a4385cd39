/*
 * What a long trail costs: exported SIZE THRONG-VERIFY makes a log of SIZE leaves in a private PostgreSQL, proves a thousand of its
 * entries and sizes as throng-api does, exports it and has the bundle verified. Each step is a process of its own: time, CPU
 * time without PostgreSQL's, and the largest private memory (RssAnon: what is mapped from the bundle is the page cache's).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "api/proofs.h"
#include "compliance/export/export.h"
#include "tests/unit/compliance/signedlog.h"

#define PROOFS 1000

struct cost {
    double seconds, cpu_seconds;
    long anonymous_kib;
    int status;
};

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static long anonymous_of(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "RssAnon: %ld", &kib);
    if (file != NULL)
        (void)fclose(file);
    return kib;
}

/* Wait for pid, and look at its memory meanwhile. */
static struct cost watch(pid_t pid)
{
    struct cost cost = {0};
    struct rusage usage = {0};
    double began = now();
    while (wait4(pid, &cost.status, WNOHANG, &usage) == 0) {
        long kib = anonymous_of(pid);
        cost.anonymous_kib = kib > cost.anonymous_kib ? kib : cost.anonymous_kib;
        (void)usleep(20000);
    }
    cost.seconds = now() - began;
    cost.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    return cost;
}

/* Run a program to its end and say what it cost; whether it succeeded. */
static bool step(const char *what, char *const *arguments)
{
    pid_t child = fork();
    if (child == 0) {
        (void)execv(arguments[0], arguments);
        _exit(127);
    }
    struct cost cost = watch(child);
    (void)printf("%-8s %8.1f s %8.1f CPU s %8.1f MiB%s\n", what, cost.seconds, cost.cpu_seconds,
        (double)cost.anonymous_kib / 1024, cost.status == 0 ? "" : "  FAILED");
    (void)fflush(stdout);
    return cost.status == 0;
}

/* --- steps, each in the cluster of another process ------------------------------------------------------------------------ */

static int export_to(const char *path, const char *signer)
{
    struct failure why = {0};
    struct export_made made;
    char hex[MANIFEST_HEX_BYTES];
    struct db *db = cluster_connect("throng_read", "bench");
    struct export_request request = {.db = db, .path = path, .signer = signer, .witnesses = ""};
    if (export_make(&request, &made, &why) != RESULT_OK) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.text);
        return 1;
    }
    manifest_hex(made.hash, hex);
    (void)printf("bundle   %8.1f MiB, SHA-256 %s\n", (double)made.bytes / 1048576, hex);
    return 0;
}

static int compare_doubles(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static int compare_counts(const void *one, const void *other)
{
    unsigned a = *(const unsigned *)one, b = *(const unsigned *)other;
    return (a > b) - (a < b);
}

static enum result prove(struct logstore *store, bool inclusion, uint64_t at, struct failure *why)
{
    struct tree_proof path;
    struct proofs_pair pair = {.from = at + 1, .to = store->size};
    return inclusion ? proofs_make_inclusion(store, at, &path, why) : proofs_make_consistency(store, &pair, why);
}

/* A thousand proofs of places all over the log. */
static int prove_many(struct logstore *store, bool inclusion)
{
    static double ms[PROOFS];
    static unsigned reads[PROOFS];
    struct failure why = {0};
    for (uint64_t i = 0; i < PROOFS; i++) {
        unsigned before = store->loads;
        double began = now();
        if (prove(store, inclusion, (i * UINT64_C(11400714819323198485) >> 20) % store->size, &why) != RESULT_OK) {
            (void)fprintf(stderr, "%s: %s\n", why.field, why.text);
            return 1;
        }
        ms[i] = (now() - began) * 1000;
        reads[i] = store->loads - before;
    }
    qsort(ms, PROOFS, sizeof *ms, compare_doubles);
    qsort(reads, PROOFS, sizeof *reads, compare_counts);
    (void)printf("%-11s  median %.2f ms, worst %.2f ms; reads of tiles: median %u, most %u\n",
        inclusion ? "inclusion" : "consistency", ms[PROOFS / 2], ms[PROOFS - 1], reads[PROOFS / 2], reads[PROOFS - 1]);
    return 0;
}

static int prove_all(void)
{
    struct failure why = {0};
    struct logstore store;
    struct db *db = cluster_connect("throng_read", "bench");
    if (logstore_open(db, &store, &why) != RESULT_OK)
        return 1;
    int bad = prove_many(&store, true) + prove_many(&store, false);
    logstore_close(&store);
    return bad;
}

/* --- all of it ------------------------------------------------------------------------------------------------------------ */

/* Page images and checkpoints of rows that come in the order of random ids would be most of the work. */
static void make(const char *leaves)
{
    char note[4096];
    cluster_sql("ALTER SYSTEM SET full_page_writes = off");
    cluster_sql("ALTER SYSTEM SET max_wal_size = '8GB'");
    cluster_sql("SELECT pg_reload_conf()");
    signedlog_begin();
    double began = now();
    signedlog_grow(strtoull(leaves, NULL, 10));
    double seconds = now() - began;
    cluster_sql("ANALYZE");
    signedlog_publish("2026-01-02 03:04:05Z", note, sizeof note);
    (void)printf("made     %8.1f s, %s leaves, %.0f leaves/s\n", seconds, leaves, strtod(leaves, NULL) / seconds);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    char out[128];
    if (argc < 3 || sodium_init() < 0)
        return 2;
    (void)snprintf(cluster.directory, sizeof cluster.directory, "%s", argv[2]);
    if (strcmp(argv[1], "prove") == 0)
        return prove_all();
    if (strcmp(argv[1], "export") == 0)
        return argc == 5 ? export_to(argv[3], argv[4]) : 2;
    if (argc != 3 || cluster_start(NULL) != 0)
        return 2;
    make(argv[1]);
    (void)snprintf(out, sizeof out, "%s/bundle.tar", cluster.directory);
    bool good = step("prove", (char *[]){argv[0], (char[]){"prove"}, cluster.directory, NULL});
    good = step("export", (char *[]){argv[0], (char[]){"export"}, cluster.directory, out, signedlog.socket, NULL}) && good;
    good = step("verify", (char *[]){argv[2], out, NULL}) && good;
    signedlog_end();
    (void)cluster_stop(NULL);
    return good ? 0 : 1;
}
