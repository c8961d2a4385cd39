#include "anonymizer/edge/keyserver.h"

#include <assert.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "anonymizer/edge/keyepoch.h"
#include "anonymizer/edge/keyfile.h"
#include "anonymizer/edge/keyguard.h"
#include "anonymizer/edge/keyring.h"
#include "anonymizer/edge/keywire.h"

#define AHEAD_MS (26LL * 3600 * 1000) /* a visitor's day may begin this long before keyd expects it */
#define STACK_WIPE_BYTES 8192         /* deeper than any hash or cipher of libsodium reaches */

/* Lies in locked pages. */
struct keyserver {
    struct keyring ring;
    struct keyring next; /* what ring becomes once it is durable */
    struct keyfile file;
    uint32_t shards;
    bool may_create;
    bool broken; /* the key file could not be written: end after this answer */
    int64_t clock_offset_ms;
    int64_t wall_at_start_ms;
    int64_t steady_at_start_ms;
    struct keywire_buffer in;
    struct keywire_buffer out;
};

/* A request's handler reads all fields and calls take() before it acts; then writes the answer's fields. */
typedef enum result handler(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why);

static int64_t read_clock_ms(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    assert(failed == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t wall_ms(const struct keyserver *server)
{
    int64_t now_ms = read_clock_ms(CLOCK_REALTIME) + server->clock_offset_ms;
    return now_ms < TS_MIN_MS ? TS_MIN_MS : now_ms >= TS_MAX_MS ? TS_MAX_MS - 1 : now_ms;
}

/* What the wall clock should show if nobody has set it since keyd started. */
static int64_t expected_ms(const struct keyserver *server)
{
    return server->wall_at_start_ms + read_clock_ms(CLOCK_BOOTTIME) - server->steady_at_start_ms;
}

static _Noreturn void end(struct keyserver *server, int status)
{
    keywire_wipe(&server->in);
    keywire_wipe(&server->out);
    sodium_memzero(server, sizeof *server);
    _exit(status);
}

static void take(struct keyserver *server, const struct keywire_reader *in)
{
    if (!keywire_ended(in))
        end(server, KEYSERVER_MALFORMED);
}

/* Make server->next durable, then the state. */
static enum result commit(struct keyserver *server, struct failure *why)
{
    enum result result = keyfile_store(&server->file, &server->next, why);
    if (result == RESULT_OK)
        server->ring = server->next;
    else
        server->broken = true;
    sodium_memzero(&server->next, sizeof server->next);
    return result;
}

static enum result add_app(
    struct keyserver *server, uint32_t app, uint32_t epoch_days, uint32_t link_epochs, struct failure *why)
{
    if (!server->may_create) {
        failure_set(why, "app", "no key for it here, and this node makes none: hand it a key file (keys join)");
        return RESULT_DENIED;
    }
    struct keyring_seed seed;
    randombytes_buf(&seed, sizeof seed);
    server->next = server->ring;
    enum result result = keyring_add(&server->next, app, epoch_days, link_epochs, wall_ms(server), &seed);
    sodium_memzero(&seed, sizeof seed);
    if (result != RESULT_OK) {
        failure_set(why, "app", "the key file has room for %d apps", KEYRING_APPS_MAX);
        return result;
    }
    (void)keyring_declare(&server->next, app, epoch_days, link_epochs);
    return commit(server, why);
}

static enum result serve_declare(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    (void)out;
    uint32_t app = keywire_get_u32(in);
    uint32_t epoch_days = keywire_get_u32(in);
    uint32_t link_epochs = keywire_get_u32(in);
    take(server, in);
    if (epoch_days < KEYEPOCH_DAYS_MIN || epoch_days > KEYEPOCH_DAYS_MAX) {
        failure_set(why, "epoch_days", "must be %d to %d", KEYEPOCH_DAYS_MIN, KEYEPOCH_DAYS_MAX);
        return RESULT_INVALID;
    }
    if (link_epochs < 1 || link_epochs > LINK_EPOCHS_MAX) {
        failure_set(why, "link_epochs", "must be 1 to %d", LINK_EPOCHS_MAX);
        return RESULT_INVALID;
    }
    if (keyring_find(&server->ring, app) == NULL)
        return add_app(server, app, epoch_days, link_epochs, why);
    server->next = server->ring;
    if (keyring_declare(&server->next, app, epoch_days, link_epochs))
        return commit(server, why);
    server->ring = server->next;
    sodium_memzero(&server->next, sizeof server->next);
    return RESULT_OK;
}

/* Bring the visitor keys to the day of now_ms: on disk before any name is told. */
static enum result set_day(struct keyserver *server, int64_t now_ms, struct failure *why)
{
    int64_t most_ms = expected_ms(server) + AHEAD_MS;
    if (now_ms > most_ms)
        now_ms = most_ms;
    if (now_ms / KEYEPOCH_DAY_MS <= server->ring.visitor_day)
        return RESULT_OK;
    server->next = server->ring;
    (void)keyring_set_day(&server->next, now_ms);
    return commit(server, why);
}

static void put_name(struct keywire_writer *out, const struct keyd_name *name)
{
    keywire_put_u8(out, (uint8_t)name->result);
    keywire_put_u8(out, name->grace);
    keywire_put_u8(out, name->names);
    keywire_put_u16(out, name->shard);
    keywire_put_u32(out, name->epoch);
    keywire_put_bytes(out, name->name, name->names * sizeof name->name[0]);
}

static enum result serve_map(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    int64_t now_ms = (int64_t)keywire_get_u64(in);
    uint32_t count = keywire_get_u32(in);
    if (in->bad || count > KEYD_IDS_MAX || now_ms < 0)
        end(server, KEYSERVER_MALFORMED);
    enum result result = set_day(server, now_ms, why);
    if (result != RESULT_OK)
        return result;
    const struct keyring_app *found = NULL;
    struct keyd_name name;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t app = keywire_get_u32(in);
        uint8_t kind = keywire_get_u8(in);
        uint16_t length = keywire_get_u16(in);
        const uint8_t *bytes = keywire_get_bytes(in, length);
        if (in->bad || length > RAW_ID_MAX_BYTES || !pseudonym_is_kind(kind))
            end(server, KEYSERVER_MALFORMED);
        if (found == NULL || found->app != app)
            found = keyring_find(&server->ring, app);
        struct raw_id id = {.bytes = (const char *)bytes, .length = length};
        keyring_map(found, now_ms, server->shards, (enum pseudonym_kind)kind, id, &name);
        put_name(out, &name);
    }
    take(server, in);
    return RESULT_OK;
}

static enum result serve_tick(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    int64_t redis_ms = (int64_t)keywire_get_u64(in);
    take(server, in);
    int64_t now_ms = wall_ms(server);
    bool agree = keyepoch_clocks_agree(now_ms, expected_ms(server), redis_ms);
    uint32_t ratcheted = 0;
    enum result result = RESULT_OK;
    if (agree && redis_ms >= 0) {
        server->next = server->ring;
        bool changed = keyring_advance(&server->next, now_ms, &ratcheted);
        changed = keyring_set_day(&server->next, now_ms) || changed;
        if (changed)
            result = commit(server, why);
        else
            sodium_memzero(&server->next, sizeof server->next);
    }
    keywire_put_u8(out, !agree);
    keywire_put_u32(out, ratcheted);
    return result;
}

static enum result refuse_app(struct failure *why)
{
    failure_set(why, "app", "has no key here");
    return RESULT_NOT_FOUND;
}

static enum result serve_ratchet(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    (void)out;
    uint32_t app = keywire_get_u32(in);
    bool mix = keywire_get_u8(in) != 0;
    take(server, in);
    struct pseudonym_key fresh;
    randombytes_buf(&fresh, sizeof fresh);
    server->next = server->ring;
    enum result result = keyring_step(&server->next, app, wall_ms(server), mix ? &fresh : NULL);
    sodium_memzero(&fresh, sizeof fresh);
    return result == RESULT_OK ? commit(server, why) : refuse_app(why);
}

static enum result serve_destroy(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    (void)out;
    uint32_t app = keywire_get_u32(in);
    take(server, in);
    server->next = server->ring;
    return keyring_remove(&server->next, app) == RESULT_OK ? commit(server, why) : refuse_app(why);
}

static void draw_chain(struct keyring *ring)
{
    struct pseudonym_key chain;
    randombytes_buf(&chain, sizeof chain);
    keyring_new_chain(ring, &chain);
    sodium_memzero(&chain, sizeof chain);
}

static void put_status(struct keywire_writer *out, const struct keyd_status *status)
{
    keywire_put_u32(out, status->app);
    keywire_put_u32(out, status->epoch);
    keywire_put_u32(out, status->linked_epochs);
    keywire_put_u64(out, (uint64_t)status->ratcheted_at_ms);
    keywire_put_u64(out, (uint64_t)status->next_ratchet_ms);
    keywire_put_bytes(out, status->commitment, sizeof status->commitment);
    keywire_put_u64(out, (uint64_t)status->until_ms);
    for (uint32_t i = 0; i < status->linked_epochs; i++) {
        keywire_put_u32(out, status->linked[i].epoch);
        keywire_put_u64(out, (uint64_t)status->linked[i].until_ms);
        keywire_put_bytes(out, status->linked[i].commitment, sizeof status->linked[i].commitment);
    }
}

static enum result serve_status(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    (void)why;
    take(server, in);
    uint8_t id[KEYD_RING_BYTES];
    keyfile_ring(&server->file, id);
    keywire_put_bytes(out, id, sizeof id);
    keywire_put_u32(out, server->ring.count);
    for (size_t i = 0; i < server->ring.count; i++) {
        struct keyd_status status;
        keyring_status(&server->ring.apps[i], &status);
        put_status(out, &status);
    }
    return RESULT_OK;
}

/* The spool's chain stays here: no node needs another's. */
static enum result serve_export(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    (void)why;
    struct keyfile_seal seal;
    const uint8_t *salt = keywire_get_bytes(in, sizeof seal.salt);
    const uint8_t *key = keywire_get_bytes(in, sizeof seal.key);
    take(server, in);
    memcpy(seal.salt, salt, sizeof seal.salt);
    memcpy(seal.key, key, sizeof seal.key);
    server->next = server->ring;
    draw_chain(&server->next);
    keyfile_export(&server->file, &seal, &server->next, keywire_room(out, KEYFILE_BYTES));
    sodium_memzero(&server->next, sizeof server->next);
    sodium_memzero(&seal, sizeof seal);
    return RESULT_OK;
}

static void explain_segment(enum result result, struct failure *why)
{
    if (result == RESULT_NOT_FOUND)
        failure_set(why, "segment", "its key is destroyed");
    else
        failure_set(why, "segment", "lies %u or more after the first not forgotten", KEYRING_SPOOL_AHEAD_MAX);
}

static enum result serve_spool_key(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    uint64_t segment = keywire_get_u64(in);
    take(server, in);
    uint8_t key[KEYD_SPOOL_KEY_BYTES];
    enum result result = keyring_spool_key(&server->ring, segment, key);
    if (result == RESULT_OK)
        keywire_put_bytes(out, key, sizeof key);
    else
        explain_segment(result, why);
    sodium_memzero(key, sizeof key);
    return result;
}

static enum result serve_spool_forget(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    (void)out;
    uint64_t segment = keywire_get_u64(in);
    take(server, in);
    if (segment < server->ring.spool_first)
        return RESULT_OK;
    server->next = server->ring;
    enum result result = keyring_spool_forget(&server->next, segment);
    if (result == RESULT_OK)
        return commit(server, why);
    explain_segment(result, why);
    return result;
}

static enum result serve_spool_first(
    struct keyserver *server, struct keywire_reader *in, struct keywire_writer *out, struct failure *why)
{
    (void)why;
    take(server, in);
    keywire_put_u64(out, server->ring.spool_first);
    return RESULT_OK;
}

static handler *const handlers[KEYWIRE_OPS] = {
    [KEYWIRE_DECLARE] = serve_declare,
    [KEYWIRE_MAP] = serve_map,
    [KEYWIRE_TICK] = serve_tick,
    [KEYWIRE_RATCHET] = serve_ratchet,
    [KEYWIRE_DESTROY] = serve_destroy,
    [KEYWIRE_STATUS] = serve_status,
    [KEYWIRE_SPOOL_KEY] = serve_spool_key,
    [KEYWIRE_SPOOL_FORGET] = serve_spool_forget,
    [KEYWIRE_SPOOL_FIRST] = serve_spool_first,
    [KEYWIRE_EXPORT] = serve_export,
};

/* An answer that is not RESULT_OK says why instead of its fields. */
static bool send_answer(int socket, struct keywire_buffer *buffer, struct keywire_writer *out, enum result result,
    const struct failure *why)
{
    if (result != RESULT_OK) {
        keywire_begin(out, buffer);
        keywire_put_u8(out, (uint8_t)result);
        keywire_put_bytes(out, why, sizeof *why);
    }
    return keywire_send(socket, out);
}

static void serve(struct keyserver *server)
{
    struct keywire_reader in;
    struct keywire_writer out;
    struct failure why = {0};
    if (!keywire_receive(KEYGUARD_SOCKET, &server->in, &in))
        end(server, KEYSERVER_ENDED);
    uint8_t op = keywire_get_u8(&in);
    if (op >= KEYWIRE_OPS || handlers[op] == NULL)
        end(server, KEYSERVER_MALFORMED);
    keywire_begin(&out, &server->out);
    keywire_put_u8(&out, RESULT_OK);
    enum result result = handlers[op](server, &in, &out, &why);
    bool sent = send_answer(KEYGUARD_SOCKET, &server->out, &out, result, &why);
    keywire_wipe(&server->in);
    keywire_wipe(&server->out);
    sodium_stackzero(STACK_WIPE_BYTES);
    if (server->broken)
        end(server, KEYSERVER_FAILED);
    if (!sent)
        end(server, KEYSERVER_ENDED);
}

/* Make our key file of an exported one. */
static enum result import_ring(struct keyserver *server, const struct keyd_options *options, struct failure *why)
{
    enum result result =
        keyfile_open(&server->file, options->import_file, options->import_passphrase, &server->ring, why);
    if (result != RESULT_OK)
        return result;
    keyfile_close(&server->file);
    draw_chain(&server->ring);
    return keyfile_create(&server->file, options->key_file, options->passphrase, &server->ring, why);
}

static enum result open_ring(struct keyserver *server, const struct keyd_options *options, struct failure *why)
{
    struct failure opening = {0};
    if (options->import_file != NULL)
        return import_ring(server, options, why);
    enum result result = keyfile_open(&server->file, options->key_file, options->passphrase, &server->ring, &opening);
    if (result != RESULT_NOT_FOUND || !options->may_create) {
        *why = opening;
        return result;
    }
    struct pseudonym_key chain;
    randombytes_buf(&chain, sizeof chain);
    keyring_init(&server->ring, server->wall_at_start_ms, &chain);
    sodium_memzero(&chain, sizeof chain);
    return keyfile_create(&server->file, options->key_file, options->passphrase, &server->ring, why);
}

static enum result prepare(const struct keyserver_setup *setup, struct keyserver **out, struct failure *why)
{
    const struct keyd_options *options = setup->options;
    struct keyserver *server = keyguard_locked_pages(sizeof *server, why);
    if (server == NULL)
        return RESULT_FAILED;
    *out = server;
    server->file.fd = -1;
    server->shards = options->shards;
    server->may_create = options->may_create;
    server->clock_offset_ms = setup->clock_offset_ms;
    server->wall_at_start_ms = wall_ms(server);
    server->steady_at_start_ms = read_clock_ms(CLOCK_BOOTTIME);
    if (!keywire_acquire(&server->in) || !keywire_acquire(&server->out)) {
        failure_set(why, "keyd", "no memory for its buffers");
        return RESULT_FAILED;
    }
    enum result result = open_ring(server, options, why);
    if (result == RESULT_OK && options->sandbox)
        result = keyguard_filter(server->file.fd, why);
    return result;
}

/* Tell the parent whether keyd is ready, without the buffers, which may be what was missing. */
static bool send_ready(int socket, enum result result, const struct failure *why)
{
    uint8_t bytes[5 + sizeof *why];
    struct keywire_buffer buffer = {.bytes = bytes, .size = sizeof bytes};
    struct keywire_writer out;
    keywire_begin(&out, &buffer);
    keywire_put_u8(&out, RESULT_OK);
    return send_answer(socket, &buffer, &out, result, why);
}

_Noreturn void keyserver_run(const struct keyserver_setup *setup)
{
    struct failure why = {0};
    struct keyserver *server = NULL;
    int socket = setup->socket;
    enum result result = keyguard_harden(setup->parent, &why);
    if (result == RESULT_OK)
        result = keyguard_close_others(setup->socket, setup->options->sandbox, &why);
    if (result == RESULT_OK) {
        socket = KEYGUARD_SOCKET;
        result = prepare(setup, &server, &why);
    }
    if (!send_ready(socket, result, &why) || result != RESULT_OK)
        _exit(KEYSERVER_FAILED);
    for (;;)
        serve(server);
}
