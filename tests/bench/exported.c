/*
 * What a long trail costs: exported SIZE THRONG-VERIFY makes a log of SIZE leaves in a private PostgreSQL, exports it and has the
 * bundle verified. Time, and the largest private memory (RssAnon: what is mapped from the bundle is the page cache's).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <time.h>

#include "compliance/export/export.h"
#include "tests/unit/compliance/signedlog.h"

struct cost {
    double seconds;
    long anonymous_kib;
    int status;
};

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
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
    double began = now();
    while (waitpid(pid, &cost.status, WNOHANG) == 0) {
        long kib = anonymous_of(pid);
        cost.anonymous_kib = kib > cost.anonymous_kib ? kib : cost.anonymous_kib;
        (void)usleep(20000);
    }
    cost.seconds = now() - began;
    return cost;
}

static void tell(const char *what, struct cost cost)
{
    (void)printf("%-8s %8.1f s %8.1f MiB%s\n", what, cost.seconds, (double)cost.anonymous_kib / 1024,
        cost.status == 0 ? "" : "  FAILED");
    (void)fflush(stdout);
}

static int export_to(const char *path)
{
    struct failure why = {0};
    struct export_made made;
    struct db *db = cluster_connect("throng_read", "bench");
    struct export_request request = {.db = db, .path = path, .signer = signedlog.socket, .witnesses = ""};
    if (export_make(&request, &made, &why) != RESULT_OK) {
        (void)fprintf(stderr, "%s: %s\n", why.field, why.text);
        return 1;
    }
    (void)printf("bundle   %8.1f MiB\n", (double)made.bytes / 1048576);
    (void)fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    char out[256], note[4096];
    int bad;
    if (argc != 3 || sodium_init() < 0 || cluster_start(NULL) != 0)
        return 2;
    signedlog_begin();
    double began = now();
    signedlog_grow(strtoull(argv[1], NULL, 10));
    cluster_sql("ANALYZE");
    signedlog_publish("2026-01-02 03:04:05Z", note, sizeof note);
    (void)printf("made     %8.1f s (%s leaves)\n", now() - began, argv[1]);
    (void)fflush(stdout);
    (void)snprintf(out, sizeof out, "%s/bundle.tar", cluster.directory);
    pid_t child = fork();
    if (child == 0)
        _exit(export_to(out));
    struct cost cost = watch(child);
    tell("export", cost);
    bad = cost.status;
    child = fork();
    if (child == 0) {
        (void)execl(argv[2], "throng-verify", out, (char *)NULL);
        _exit(127);
    }
    cost = watch(child);
    tell("verify", cost);
    signedlog_end();
    (void)cluster_stop(NULL);
    return bad != 0 || cost.status != 0;
}
