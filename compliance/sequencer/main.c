/*
 * throng-audit: the sequencer of the audit trail. It gives every leaf its index in the log, signs what the log has become, and
 * keeps a copy of it outside the database.
 *
 * Sees:     audit leaves; the log's signing keys.
 * Uses:     service/base, db; PostgreSQL by role throng_audit.
 * Threads:  one, the status socket's, and libcurl's resolver.
 * Failure:  ends with 2 on a configuration error, 1 if the state directory, a socket or the sandbox cannot be had. While the
 *           database is away, or does not go on from what was signed, it signs nothing and tries again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "compliance/sequencer/files.h"
#include "compliance/sequencer/sequence.h"
#include "compliance/sequencer/socket.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/sandbox.h"
#include "service/base/status.h"
#include "service/catalogue/fingerprint.h"

#define RETRY_MAX_MS 5000
#define LOCK_TRIES 100 /* of 50 ms: one that is ending may still hold it */
#define DAY_MS (24LL * 3600 * 1000)

static const char help[] = "the sequencer of the audit trail\n\n"
                           "  --rotate-key  have the running throng-audit begin a new signing key; prints its verifier key\n"
                           "  --adopt       begin with an empty audit.state though the database has checkpoints: the former is lost";

static void require(const char *step, enum result result, const struct failure *why)
{
    if (result == RESULT_OK)
        return;
    log_event(LOG_LEVEL_ERROR, "audit.cannot_start", LOG_NAME("step", step), LOG_FAILURE(result, why));
    exit(EXIT_FAILURE);
}

/* Take option out of the arguments. */
static bool take_option(int *argc, char **argv, const char *option)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], option) != 0)
            continue;
        memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
        (*argc)--;
        return true;
    }
    return false;
}

static int rotate_key(const struct config *config)
{
    char answer[KEYSTORE_MAX * NOTE_KEY_MAX_BYTES];
    struct failure why = {0};
    if (socket_ask(config->run_directory, "rotate", answer, sizeof answer, &why) == RESULT_OK) {
        (void)fputs(answer, stdout);
        return EXIT_SUCCESS;
    }
    (void)fprintf(stderr, "throng-audit: %s\n", why.text);
    return EXIT_FAILURE;
}

/* One process a state directory, for its life. */
static enum result hold_state(const char *directory, struct failure *why)
{
    char path[FILES_PATH_BYTES];
    enum result result = files_make_directory(directory, "audit.state", why);
    if (result != RESULT_OK)
        return result;
    int fd = open(files_join(path, directory, "lock"), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return RESULT_OK;
        (void)usleep(50000);
    }
    if (fd < 0)
        failure_set(why, "audit.state", "cannot be locked: %s", strerror(errno));
    failure_set(why, "audit.state", "another throng-audit holds it");
    return RESULT_UNAVAILABLE;
}

static void open_keys(const struct config *config, struct keystore **keys, struct signer *signer)
{
    struct failure why = {0}, made = {0};
    enum result result = keystore_open(config->audit_state, config->audit_seal, config->audit_origin, keys, &why);
    if (result == RESULT_NOT_FOUND) {
        char path[FILES_PATH_BYTES];
        if (access(files_join(path, config->audit_state, SIGNER_FILE), F_OK) == 0)
            failure_set(&made, "audit.state", "holds what was signed, but not the key: put the right one in place");
        require("keys", made.text[0] == '\0' ? RESULT_OK : RESULT_CORRUPT, &made);
        require("keys", keystore_create(config->audit_state, config->audit_seal, config->audit_origin, keys, &made), &made);
    } else {
        require("keys", result, &why);
    }
    sodium_memzero((char *)(uintptr_t)config->audit_seal, strlen(config->audit_seal));
    require("signed", signer_open(config->audit_state, *keys, signer, &why), &why);
}

/* Until an end is asked for. */
static void loop(struct sequence *sequence, int fd, const struct keystore *keys, int64_t poll_ms)
{
    int64_t wait_ms = poll_ms;
    while (!lifecycle_ending()) {
        bool more = false;
        enum result result = sequence_look(sequence, &more);
        status_ready(result == RESULT_OK);
        if (result == RESULT_OK)
            wait_ms = more ? 0 : poll_ms;
        else
            wait_ms = wait_ms < poll_ms ? poll_ms : wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
        int64_t until_ms = clock_steady_ms() + wait_ms;
        do {
            struct pollfd watched[] = {{.fd = fd, .events = POLLIN}, {.fd = lifecycle_fd(), .events = POLLIN}};
            int64_t left_ms = until_ms - clock_steady_ms();
            if (poll(watched, 2, left_ms > 0 ? (int)left_ms : 0) > 0 && watched[0].revents != 0)
                socket_serve(fd, sequence, keys);
        } while (!lifecycle_ending() && clock_steady_ms() < until_ms);
    }
}

/* What the daemon works with, for its life. */
struct daemon {
    struct config config;
    struct signer signer;
    uint8_t binary[FINGERPRINT_BYTES], configuration[FINGERPRINT_BYTES];
    struct keystore *keys;
    struct mirror *mirror;
    struct witnesses *witnesses;
    struct db *db;
    struct sequence *sequence;
    int fd;
};

static void open_state(struct daemon *daemon)
{
    struct failure why = {0};
    const struct config *config = &daemon->config;
    require("libsodium", sodium_init() < 0 ? RESULT_FAILED : RESULT_OK, &(struct failure){.text = "does not start"});
    require("binary", fingerprint_binary(daemon->binary, &why), &why);
    fingerprint_config(config, daemon->configuration);
    require("state", hold_state(config->audit_state, &why), &why);
    open_keys(config, &daemon->keys, &daemon->signer);
    require("copy", mirror_open(config->audit_state, &daemon->mirror, &why), &why);
    require("witnesses", witnesses_open(config->audit_witnesses, &daemon->witnesses, &why), &why);
}

static void open_sockets(struct daemon *daemon)
{
    struct failure why = {0};
    const struct config *config = &daemon->config;
    require("socket", socket_listen(config->run_directory, &daemon->fd, &why), &why);
    require("status", status_start(config->run_directory, "audit", &why), &why);
    if (config->run_sandbox)
        require("sandbox", sandbox_enter(SANDBOX_AUDIT, &why), &why);
}

static void open_sequence(struct daemon *daemon, bool adopt)
{
    const struct config *config = &daemon->config;
    daemon->db = db_new(config->postgres_conninfo, "throng-audit");
    const struct sequence_parts parts = {.db = daemon->db, .mirror = daemon->mirror, .keys = daemon->keys,
        .signer = &daemon->signer, .witnesses = daemon->witnesses, .binary = daemon->binary,
        .configuration = daemon->configuration, .heartbeat_ms = config->audit_heartbeat_s * 1000,
        .overlap_ms = config->audit_overlap_days * DAY_MS, .adopt = adopt};
    daemon->sequence = sequence_new(&parts);
    require("memory", daemon->sequence == NULL ? RESULT_FAILED : RESULT_OK, &(struct failure){.text = "out of memory"});
}

static void close_all(struct daemon *daemon)
{
    sequence_free(daemon->sequence);
    db_free(daemon->db);
    witnesses_close(daemon->witnesses);
    mirror_close(daemon->mirror);
    keystore_close(daemon->keys);
    socket_remove(daemon->config.run_directory);
    status_stop();
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    bool rotate = take_option(&argc, argv, "--rotate-key"), adopt = take_option(&argc, argv, "--adopt");
    config_from_arguments(argc, argv, help, &daemon.config);
    if (rotate)
        return rotate_key(&daemon.config);
    enum log_level level = LOG_LEVEL_INFO;
    (void)log_level_named(daemon.config.run_log_level, &level);
    log_init("audit", level);
    lifecycle_begin(true);
    open_state(&daemon);
    open_sockets(&daemon);
    open_sequence(&daemon, adopt);
    log_event(LOG_LEVEL_INFO, "audit.started", LOG_NAME("origin", daemon.keys->origin));
    loop(daemon.sequence, daemon.fd, daemon.keys, daemon.config.audit_poll_ms);
    status_ready(false);
    sequence_end(daemon.sequence);
    close_all(&daemon);
    log_event(LOG_LEVEL_INFO, "audit.stopped");
    return EXIT_SUCCESS;
}
