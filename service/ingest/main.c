/*
 * throng-ingest: takes events over HTTP, replaces identifiers by pseudonyms while the request is being read, and
 * appends packets to Redis, or to its spool. Starts keyd before anything else exists.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/base/sandbox.h"
#include "service/base/status.h"
#include "service/catalogue/fingerprint.h"
#include "service/http/listen.h"
#include "service/ingest/exchange.h"
#include "service/ingest/join.h"
#include "service/ingest/pulse.h"
#include "service/ingest/request.h"
#include "service/ingest/server.h"

#define SUMMARY                                                                                                        \
    "takes events over HTTP and appends pseudonymous packets to Redis; with --import-keys FILE it takes over another "   \
    "node's keys, and ends"
#define DRAIN_MS 3000
#define REPLAY_AT_END_MS 5000
#define ADMIN_CONNECTIONS 64
#define OTHER_DESCRIPTORS 128 /* Redis, spool, keyd, epoll, status */

struct ingest {
    struct config config;
    struct exchange_service service;
    struct stream *stream;
    struct replay *replay;
    struct pulse *pulse;
    struct server *public_server, *admin_server, *private_server;
    int public_fd, admin_fd, private_fd; /* private_fd: -1 if there is no private listener */
    struct packet_notice started;
    bool redis_checked;
    char path[600]; /* scratch */
};

static void give_up(const char *step, enum result result, const struct failure *why)
{
    log_event(LOG_LEVEL_ERROR, "ingest.cannot_start", LOG_NAME("step", step), LOG_FAILURE(result, why));
    exit(EXIT_FAILURE);
}

static void require(const char *step, enum result result, const struct failure *why)
{
    if (result != RESULT_OK)
        give_up(step, result, why);
}

static void require_memory(const char *step, const void *made)
{
    const struct failure why = {.text = "the system gives no memory or thread"};
    if (made == NULL)
        give_up(step, RESULT_FAILED, &why);
}

static const char *state_path(struct ingest *ingest, const char *name)
{
    (void)snprintf(ingest->path, sizeof ingest->path, "%s/%s", ingest->config.ingest_state, name);
    return ingest->path;
}

static void make_state(const struct ingest *ingest)
{
    struct failure why = {0};
    if (strlen(ingest->config.ingest_state) > 500)
        failure_set(&why, "ingest.state", "is longer than 500 bytes");
    else if (mkdir(ingest->config.ingest_state, 0700) != 0 && errno != EEXIST)
        failure_set(&why, "ingest.state", "cannot be made: %s", strerror(errno));
    if (why.text[0] != '\0')
        give_up("state", RESULT_FAILED, &why);
}

static void start_keyd(struct ingest *ingest)
{
    struct failure why = {0};
    const struct keyd_options options = {
        .key_file = state_path(ingest, "keys"),
        .passphrase = ingest->config.ingest_seal,
        .shards = (uint32_t)ingest->config.stream_shards,
        .may_create = ingest->config.ingest_create_keys,
        .sandbox = ingest->config.run_sandbox,
    };
    require("keyd", keyd_start(&options, &ingest->service.keyd, &why), &why);
    /* Nobody but keyd needs it from here on. */
    sodium_memzero((char *)(uintptr_t)ingest->config.ingest_seal, strlen(ingest->config.ingest_seal));
}

/* What was told of the keys, before anything changes them; and what runs here, while its file can be read. */
static void open_notices(struct ingest *ingest)
{
    struct failure why = {0};
    const char *directory = ingest->config.ingest_state;
    require("notices", notices_open(directory, ingest->service.keyd, &ingest->service.notices, &why), &why);
    require("purges", purges_open(directory, &ingest->service.purges, &why), &why);
    ingest->started = (struct packet_notice){.act = PACKET_STARTED};
    require("binary", fingerprint_binary(ingest->started.hash, &why), &why);
    fingerprint_config(&ingest->config, ingest->started.former);
}

/* Every connection needs a descriptor, and idle ones must not take those of Redis, the spool and the admin socket. */
static void reserve_descriptors(struct ingest *ingest)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    const rlim_t others = OTHER_DESCRIPTORS + 2 * ADMIN_CONNECTIONS;
    const rlim_t wanted = (rlim_t)ingest->config.ingest_connections + others;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted)
        return;
    ingest->config.ingest_connections = (int64_t)(limit.rlim_cur > 2 * others ? limit.rlim_cur - others : others);
    log_event(LOG_LEVEL_WARN, "ingest.few_descriptors", LOG_UINT("limit", limit.rlim_cur),
        LOG_INT("connections", ingest->config.ingest_connections));
}

static enum log_level log_level_of(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum log_level)i;
    }
    return LOG_LEVEL_INFO;
}

static void open_sockets(struct ingest *ingest)
{
    struct failure why = {0};
    require("listen", listen_tcp(ingest->config.ingest_listen, "ingest.listen", &ingest->public_fd, &why), &why);
    ingest->private_fd = -1;
    if (ingest->config.ingest_private_listen[0] != '\0')
        require("private listener",
            listen_tcp(ingest->config.ingest_private_listen, "ingest.private_listen", &ingest->private_fd, &why), &why);
    (void)snprintf(ingest->path, sizeof ingest->path, "%s/ingest.admin", ingest->config.run_directory);
    require("admin", listen_unix(ingest->path, &ingest->admin_fd, &why), &why);
    require("status", status_start(ingest->config.run_directory, "ingest", &why), &why);
}

static void enter_sandbox(const struct ingest *ingest)
{
    struct failure why = {0};
    if (ingest->config.run_sandbox)
        require("sandbox", sandbox_enter(SANDBOX_INGEST, &why), &why);
}

/* Redis unfit: no start. Redis away: only if there is a catalogue to go by until it is back. */
static void check_redis(struct ingest *ingest, bool has_catalogue)
{
    struct failure why = {0};
    enum result result = pulse_check_redis(&ingest->config, ingest->stream, &why);
    ingest->redis_checked = result == RESULT_OK;
    if (result == RESULT_UNAVAILABLE && has_catalogue) {
        log_event(LOG_LEVEL_WARN, "redis.away_at_start", LOG_FAILURE(result, &why));
        return;
    }
    require("redis", result, &why);
}

static void open_catalogue(struct ingest *ingest)
{
    struct failure why = {0}, newer = {0};
    struct exchange_service *service = &ingest->service;
    service->mirror = mirror_new(
        state_path(ingest, "catalogue.json"), (uint32_t)ingest->config.stream_shards, service->keyd,
        service->purges);
    require_memory("catalogue", service->mirror);
    ingest->stream = stream_new(&ingest->config);
    require_memory("redis", ingest->stream);
    enum result result = mirror_load(service->mirror, &why);
    if (result != RESULT_OK && result != RESULT_NOT_FOUND)
        log_event(LOG_LEVEL_ERROR, "catalogue.copy_refused", LOG_FAILURE(result, &why));
    check_redis(ingest, result == RESULT_OK);
    result = mirror_poll(service->mirror, ingest->stream, &newer);
    if (result != RESULT_OK)
        log_event(LOG_LEVEL_WARN, "catalogue.refused", LOG_FAILURE(result, &newer));
    /* An epoch may have ended while nothing ran: no name is given under its key. */
    pulse_tick_keys(service->keyd, ingest->redis_checked ? ingest->stream : NULL);
}

static void open_stores(struct ingest *ingest)
{
    struct failure why = {0};
    struct exchange_service *service = &ingest->service;
    const struct config *config = &ingest->config;
    require("node", node_open(config->ingest_state, &service->node, &why), &why);
    require("spool",
        spool_open(state_path(ingest, "spool"), (uint64_t)config->ingest_spool_bytes, service->keyd, &service->spool,
            &why),
        &why);
    metrics_set(METRIC_SPOOL_CAPACITY, config->ingest_spool_bytes);
    service->counts = counts_new();
    require_memory("counts", service->counts);
    ingest->replay = replay_start(config, service->node, service->spool, service->purges, service->notices);
    require_memory("replay", ingest->replay);
}

static void start_writer(struct ingest *ingest)
{
    const struct writer_parts parts = {
        .config = &ingest->config,
        .keyd = ingest->service.keyd,
        .node = ingest->service.node,
        .spool = ingest->service.spool,
        .replay = ingest->replay,
        .counts = ingest->service.counts,
    };
    ingest->service.writer = writer_start(&parts);
    require_memory("writer", ingest->service.writer);
}

static void start_notices(struct ingest *ingest)
{
    struct failure why = {0};
    struct exchange_service *service = &ingest->service;
    const struct selftest_parts parts = {
        .directory = ingest->config.ingest_state,
        .keyd = service->keyd,
        .mirror = service->mirror,
        .notices = service->notices,
        .node = node_id(service->node),
        .interval_ms = ingest->config.self_test_interval_s * 1000,
    };
    service->selftest = selftest_new(&parts);
    service->ration = ration_new();
    require_memory("self-test", service->selftest);
    require_memory("ration", service->ration);
    ingest->started.at_ms = clock_now_ms();
    notices_begin(service->notices, service->writer);
    notices_add(service->notices, &ingest->started);
    (void)notices_sync(service->notices, &why); /* or the pulse does it */
}

static void start_servers(struct ingest *ingest)
{
    struct failure why = {0};
    struct exchange_service *service = &ingest->service;
    const struct config *config = &ingest->config;
    service->config = config;
    require("server", exchange_open(service) ? RESULT_OK : RESULT_FAILED, &(struct failure){.text = "memory is short"});
    service->admission = admission_new(config->ingest_rate, config->ingest_rate_burst);
    require_memory("admission", service->admission);
    require("proxies", proxy_parse(config->ingest_trusted_proxies, "ingest.trusted_proxies", &service->proxy, &why),
        &why);
    require("server",
        server_start(service, ingest->public_fd, SERVER_PUBLIC, (unsigned)config->ingest_threads,
            (unsigned)config->ingest_connections, &ingest->public_server, &why),
        &why);
    require("admin server",
        server_start(service, ingest->admin_fd, SERVER_ADMIN, 1, ADMIN_CONNECTIONS, &ingest->admin_server, &why), &why);
    if (ingest->private_fd >= 0)
        require("private server",
            server_start(service, ingest->private_fd, SERVER_PRIVATE, 1, ADMIN_CONNECTIONS, &ingest->private_server, &why),
            &why);
}

static void start_pulse(struct ingest *ingest)
{
    const struct pulse_parts parts = {
        .config = &ingest->config,
        .keyd = ingest->service.keyd,
        .node = ingest->service.node,
        .spool = ingest->service.spool,
        .replay = ingest->replay,
        .mirror = ingest->service.mirror,
        .writer = ingest->service.writer,
        .notices = ingest->service.notices,
        .purges = ingest->service.purges,
        .selftest = ingest->service.selftest,
        .servers = {ingest->public_server, ingest->admin_server, ingest->private_server},
        .checked = ingest->redis_checked,
    };
    ingest->pulse = pulse_start(&parts);
    require_memory("pulse", ingest->pulse);
}

static void announce_ready(struct ingest *ingest)
{
    struct mirror_view *view = mirror_hold(ingest->service.mirror);
    status_ready(view != NULL);
    mirror_release(view);
    log_event(LOG_LEVEL_INFO, "ingest.ready", LOG_UINT("node", node_id(ingest->service.node)),
        LOG_NAME("listen", ingest->config.ingest_listen));
}

/* Until an end is asked for. Without keyd nothing can be taken, and none may be forked now: the supervisor restarts
 * us. */
static void wait_for_end(const struct ingest *ingest)
{
    struct pollfd watched[] = {
        {.fd = lifecycle_fd(), .events = POLLIN},
        {.fd = keyd_watch_fd(ingest->service.keyd), .events = POLLIN},
    };
    while (!lifecycle_ending()) {
        if (poll(watched, 2, -1) < 0)
            continue;
        if (watched[1].revents == 0)
            continue;
        log_event(LOG_LEVEL_ERROR, "keyd.gone");
        _exit(EXIT_FAILURE);
    }
}

static void tell_stopped(const struct exchange_service *service)
{
    struct failure why = {0};
    const struct packet_notice stopped = {.act = PACKET_STOPPED, .at_ms = clock_now_ms()};
    notices_add(service->notices, &stopped);
    (void)notices_sync(service->notices, &why);
}

/* Answer what has been read, then send what waits, then end the node in every shard. */
static void drain(struct ingest *ingest)
{
    struct exchange_service *service = &ingest->service;
    log_event(LOG_LEVEL_INFO, "ingest.draining");
    status_ready(false);
    atomic_store(&service->ending, true);
    server_quiesce(ingest->public_server);
    server_quiesce(ingest->admin_server);
    server_quiesce(ingest->private_server);
    int64_t until_ms = clock_steady_ms() + DRAIN_MS;
    while (atomic_load(&service->in_progress) > 0 && clock_steady_ms() < until_ms)
        (void)poll(NULL, 0, 5);
    pulse_stop(ingest->pulse);
    tell_stopped(service);
    writer_close(service->writer);
    server_stop(ingest->public_server);
    server_stop(ingest->admin_server);
    server_stop(ingest->private_server);
    writer_stop(service->writer);
    replay_stop(ingest->replay, REPLAY_AT_END_MS);
}

static void release(struct ingest *ingest)
{
    struct exchange_service *service = &ingest->service;
    exchange_close(service);
    selftest_free(service->selftest);
    ration_free(service->ration);
    notices_close(service->notices);
    purges_close(service->purges);
    spool_close(service->spool);
    node_close(service->node);
    counts_free(service->counts);
    admission_free(service->admission);
    mirror_free(service->mirror);
    stream_free(ingest->stream);
    keyd_stop(service->keyd);
    status_stop();
    (void)snprintf(ingest->path, sizeof ingest->path, "%s/ingest.admin", ingest->config.run_directory);
    (void)unlink(ingest->path);
}

int main(int argc, char **argv)
{
    static struct ingest ingest;
    struct join_order join;
    join_take_arguments(&argc, argv, &join);
    config_from_arguments(argc, argv, SUMMARY, &ingest.config);
    log_init("ingest", log_level_of(ingest.config.run_log_level));
    request_wipe_parser();
    make_state(&ingest);
    if (join.file != NULL)
        return join_run(&ingest.config, &join);
    start_keyd(&ingest);
    open_notices(&ingest);
    lifecycle_begin(true);
    reserve_descriptors(&ingest);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is a full disk to the spool, not the end */
    require("libsodium", sodium_init() < 0 ? RESULT_FAILED : RESULT_OK, &(struct failure){.text = "does not start"});
    open_sockets(&ingest);
    enter_sandbox(&ingest);
    open_catalogue(&ingest);
    open_stores(&ingest);
    start_writer(&ingest);
    start_notices(&ingest);
    start_servers(&ingest);
    start_pulse(&ingest);
    announce_ready(&ingest);
    wait_for_end(&ingest);
    bool failed = pulse_failed(ingest.pulse);
    drain(&ingest);
    release(&ingest);
    log_event(LOG_LEVEL_INFO, "ingest.ended");
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
