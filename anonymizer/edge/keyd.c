#include "anonymizer/edge/keyd.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "anonymizer/edge/keyfile.h"
#include "anonymizer/edge/keyserver.h"
#include "anonymizer/edge/keywire.h"

#define STOP_WAIT_MS 10000 /* a keyd that has not ended then is killed: its file survives that */

struct keyd {
    pthread_mutex_t lock;
    int socket;
    int process; /* pidfd */
    pid_t pid;
    struct keywire_buffer buffer; /* under lock */
};

/* Read the code that every answer begins with, and the explanation if it is not RESULT_OK. */
static enum result read_result(struct keywire_reader *in, struct failure *why)
{
    enum result result = (enum result)keywire_get_u8(in);
    if (result == RESULT_OK)
        return RESULT_OK;
    struct failure told = {0};
    const uint8_t *bytes = keywire_get_bytes(in, sizeof told);
    if (bytes != NULL)
        memcpy(&told, bytes, sizeof told);
    told.field[sizeof told.field - 1] = '\0';
    told.text[sizeof told.text - 1] = '\0';
    failure_set(why, told.field, "%s", told.text);
    return result;
}

/* Begin a request: takes the lock, which finish() gives back. */
static void begin(struct keyd *keyd, enum keywire_op op, struct keywire_writer *out)
{
    int failed = pthread_mutex_lock(&keyd->lock);
    assert(failed == 0);
    keywire_begin(out, &keyd->buffer);
    keywire_put_u8(out, (uint8_t)op);
}

/* Send what was begun and receive the answer. Whatever fails here fails from now on. */
static enum result exchange(
    struct keyd *keyd, struct keywire_writer *out, struct keywire_reader *in, struct failure *why)
{
    if (keywire_send(keyd->socket, out) && keywire_receive(keyd->socket, &keyd->buffer, in))
        return read_result(in, why);
    (void)shutdown(keyd->socket, SHUT_RDWR);
    failure_set(why, "keyd", "has ended; this process must end too");
    return RESULT_UNAVAILABLE;
}

/* Raw identifiers and spool keys go before the lock does. */
static void finish(struct keyd *keyd)
{
    keywire_wipe(&keyd->buffer);
    int failed = pthread_mutex_unlock(&keyd->lock);
    assert(failed == 0);
}

/* A request whose answer has no fields. */
static enum result exchange_only(struct keyd *keyd, struct keywire_writer *out, struct failure *why)
{
    struct keywire_reader in;
    enum result result = exchange(keyd, out, &in, why);
    finish(keyd);
    return result;
}

static int64_t read_clock_offset_ms(void)
{
    const char *text = getenv("THRONG_TEST_CLOCK_OFFSET_MS");
    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static enum result check_options(const struct keyd_options *options, struct failure *why)
{
    if (options->shards < 1 || options->shards > SHARDS_MAX) {
        failure_set(why, "shards", "must be 1 to %d", SHARDS_MAX);
        return RESULT_INVALID;
    }
    if (options->key_file == NULL || options->key_file[0] == '\0' || options->passphrase == NULL ||
        options->passphrase[0] == '\0') {
        failure_set(why, "key_file", "needs a path and a passphrase");
        return RESULT_INVALID;
    }
    if (options->import_file != NULL && options->import_passphrase == NULL) {
        failure_set(why, "import_passphrase", "is required");
        return RESULT_INVALID;
    }
    return RESULT_OK;
}

static enum result fork_keyd(struct keyd *keyd, const struct keyd_options *options, struct failure *why)
{
    int ends[2];
    struct keyserver_setup setup = {
        .options = options, .parent = getpid(), .clock_offset_ms = read_clock_offset_ms()};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        failure_set(why, "keyd", "cannot make a socketpair: %s", strerror(errno));
        return RESULT_FAILED;
    }
    setup.socket = ends[1];
    keyd->pid = fork();
    if (keyd->pid == 0)
        keyserver_run(&setup);
    (void)close(ends[1]);
    keyd->socket = ends[0];
    if (keyd->pid > 0)
        keyd->process = (int)syscall(SYS_pidfd_open, keyd->pid, 0);
    if (keyd->pid > 0 && keyd->process >= 0)
        return RESULT_OK;
    failure_set(why, "keyd", "cannot fork and watch it: %s", strerror(errno));
    return RESULT_FAILED;
}

static enum result await_ready(struct keyd *keyd, struct failure *why)
{
    struct keywire_reader in;
    if (keywire_receive(keyd->socket, &keyd->buffer, &in))
        return read_result(&in, why);
    failure_set(why, "keyd", "ended before it was ready");
    return RESULT_FAILED;
}

enum result keyd_start(const struct keyd_options *options, struct keyd **out, struct failure *why)
{
    enum result result = check_options(options, why);
    if (result != RESULT_OK)
        return result;
    struct keyd *keyd = calloc(1, sizeof *keyd);
    if (keyd == NULL || sodium_init() < 0 || !keywire_acquire(&keyd->buffer)) {
        failure_set(why, "keyd", "no memory");
        free(keyd);
        return RESULT_FAILED;
    }
    keyd->socket = keyd->process = -1;
    (void)pthread_mutex_init(&keyd->lock, NULL);
    result = fork_keyd(keyd, options, why);
    if (result == RESULT_OK)
        result = await_ready(keyd, why);
    if (result == RESULT_OK)
        *out = keyd;
    else
        keyd_stop(keyd);
    return result;
}

static void await_end(struct keyd *keyd)
{
    struct pollfd watch = {.fd = keyd->process, .events = POLLIN};
    if (keyd->process < 0 || poll(&watch, 1, STOP_WAIT_MS) <= 0)
        (void)kill(keyd->pid, SIGKILL);
    while (waitpid(keyd->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void keyd_stop(struct keyd *keyd)
{
    if (keyd == NULL)
        return;
    if (keyd->socket >= 0)
        (void)close(keyd->socket);
    if (keyd->pid > 0)
        await_end(keyd);
    if (keyd->process >= 0)
        (void)close(keyd->process);
    keywire_release(&keyd->buffer);
    (void)pthread_mutex_destroy(&keyd->lock);
    free(keyd);
}

pid_t keyd_pid(const struct keyd *keyd)
{
    return keyd->pid;
}

int keyd_watch_fd(const struct keyd *keyd)
{
    return keyd->process;
}

enum result keyd_declare(
    struct keyd *keyd, uint32_t app, uint32_t epoch_days, uint32_t link_epochs, struct failure *why)
{
    struct keywire_writer out;
    begin(keyd, KEYWIRE_DECLARE, &out);
    keywire_put_u32(&out, app);
    keywire_put_u32(&out, epoch_days);
    keywire_put_u32(&out, link_epochs);
    return exchange_only(keyd, &out, why);
}

static enum result check_ids(int64_t now_ms, const struct keyd_id *ids, size_t count, struct failure *why)
{
    if (count > KEYD_IDS_MAX) {
        failure_set(why, "ids", "more than %u", KEYD_IDS_MAX);
        return RESULT_INVALID;
    }
    if (now_ms < 0) {
        failure_set(why, "now_ms", "lies before 1970");
        return RESULT_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (pseudonym_is_kind((int)ids[i].kind))
            continue;
        failure_set(why, "ids", "kind %d is unknown", (int)ids[i].kind);
        return RESULT_INVALID;
    }
    return RESULT_OK;
}

/* One that is too long is sent as an empty one, which is as invalid and costs nothing. */
static void put_id(struct keywire_writer *out, const struct keyd_id *id)
{
    size_t length = id->id.length > RAW_ID_MAX_BYTES ? 0 : id->id.length;
    keywire_put_u32(out, id->app);
    keywire_put_u8(out, (uint8_t)id->kind);
    keywire_put_u16(out, (uint16_t)length);
    keywire_put_bytes(out, id->id.bytes, length);
}

static void get_name(struct keywire_reader *in, struct keyd_name *name)
{
    *name = (struct keyd_name){.result = (enum result)keywire_get_u8(in)};
    name->grace = keywire_get_u8(in) != 0;
    uint8_t names = keywire_get_u8(in);
    name->shard = keywire_get_u16(in);
    name->epoch = keywire_get_u32(in);
    size_t length = names * sizeof name->name[0];
    const uint8_t *bytes = keywire_get_bytes(in, length);
    assert(names <= NAMES_MAX && bytes != NULL);
    memcpy(name->name, bytes, length);
    name->names = names;
}

enum result keyd_map(struct keyd *keyd, int64_t now_ms, const struct keyd_id *ids, size_t count,
    struct keyd_name *out, struct failure *why)
{
    enum result result = check_ids(now_ms, ids, count, why);
    if (result != RESULT_OK)
        return result;
    struct keywire_writer request;
    struct keywire_reader answer;
    begin(keyd, KEYWIRE_MAP, &request);
    keywire_put_u64(&request, (uint64_t)now_ms);
    keywire_put_u32(&request, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        put_id(&request, &ids[i]);
    result = exchange(keyd, &request, &answer, why);
    for (size_t i = 0; i < count && result == RESULT_OK; i++)
        get_name(&answer, &out[i]);
    finish(keyd);
    return result;
}

enum result keyd_tick(struct keyd *keyd, int64_t redis_ms, struct keyd_tick *out, struct failure *why)
{
    struct keywire_writer request;
    struct keywire_reader answer;
    begin(keyd, KEYWIRE_TICK, &request);
    keywire_put_u64(&request, (uint64_t)redis_ms);
    enum result result = exchange(keyd, &request, &answer, why);
    if (result == RESULT_OK) {
        out->clocks_disagree = keywire_get_u8(&answer) != 0;
        out->ratcheted = keywire_get_u32(&answer);
    }
    finish(keyd);
    return result;
}

static enum result step(struct keyd *keyd, uint32_t app, bool fresh, struct failure *why)
{
    struct keywire_writer out;
    begin(keyd, KEYWIRE_RATCHET, &out);
    keywire_put_u32(&out, app);
    keywire_put_u8(&out, fresh);
    return exchange_only(keyd, &out, why);
}

enum result keyd_ratchet(struct keyd *keyd, uint32_t app, struct failure *why)
{
    return step(keyd, app, false, why);
}

enum result keyd_rotate(struct keyd *keyd, uint32_t app, struct failure *why)
{
    return step(keyd, app, true, why);
}

enum result keyd_destroy(struct keyd *keyd, uint32_t app, struct failure *why)
{
    struct keywire_writer out;
    begin(keyd, KEYWIRE_DESTROY, &out);
    keywire_put_u32(&out, app);
    return exchange_only(keyd, &out, why);
}

static void get_bytes(struct keywire_reader *in, uint8_t *out, size_t length)
{
    const uint8_t *bytes = keywire_get_bytes(in, length);
    assert(bytes != NULL);
    memcpy(out, bytes, length);
}

static void get_status(struct keywire_reader *in, struct keyd_status *status)
{
    *status = (struct keyd_status){.app = keywire_get_u32(in)};
    status->epoch = keywire_get_u32(in);
    status->linked_epochs = keywire_get_u32(in);
    status->ratcheted_at_ms = (int64_t)keywire_get_u64(in);
    status->next_ratchet_ms = (int64_t)keywire_get_u64(in);
    get_bytes(in, status->commitment, sizeof status->commitment);
    status->until_ms = (int64_t)keywire_get_u64(in);
    assert(status->linked_epochs <= LINK_EPOCHS_MAX);
    for (uint32_t i = 0; i < status->linked_epochs; i++) {
        status->linked[i].epoch = keywire_get_u32(in);
        status->linked[i].until_ms = (int64_t)keywire_get_u64(in);
        get_bytes(in, status->linked[i].commitment, sizeof status->linked[i].commitment);
    }
}

enum result keyd_read_status(struct keyd *keyd, struct keyd_status *out, size_t capacity, size_t *count,
    uint8_t ring[KEYD_RING_BYTES], struct failure *why)
{
    struct keywire_writer request;
    struct keywire_reader answer;
    begin(keyd, KEYWIRE_STATUS, &request);
    enum result result = exchange(keyd, &request, &answer, why);
    if (result == RESULT_OK) {
        get_bytes(&answer, ring, KEYD_RING_BYTES);
        size_t apps = keywire_get_u32(&answer);
        *count = apps < capacity ? apps : capacity;
        for (size_t i = 0; i < *count; i++)
            get_status(&answer, &out[i]);
    }
    finish(keyd);
    return result;
}

enum result keyd_export(
    struct keyd *keyd, const char *passphrase, uint8_t **bytes, size_t *length, struct failure *why)
{
    struct keyfile_seal seal;
    struct keywire_writer request;
    struct keywire_reader answer;
    uint8_t *made = malloc(KEYFILE_BYTES);
    enum result result = made == NULL ? RESULT_UNAVAILABLE : keyfile_new_seal(passphrase, &seal, why);
    if (result != RESULT_OK) {
        failure_set(why, "keyd", "no memory");
        free(made);
        return result;
    }
    begin(keyd, KEYWIRE_EXPORT, &request);
    keywire_put_bytes(&request, seal.salt, sizeof seal.salt);
    keywire_put_bytes(&request, seal.key, sizeof seal.key);
    sodium_memzero(&seal, sizeof seal);
    result = exchange(keyd, &request, &answer, why);
    if (result == RESULT_OK)
        get_bytes(&answer, made, KEYFILE_BYTES);
    finish(keyd);
    if (result != RESULT_OK) {
        free(made);
        return result;
    }
    *bytes = made;
    *length = KEYFILE_BYTES;
    return RESULT_OK;
}

enum result keyd_spool_key(
    struct keyd *keyd, uint64_t segment, uint8_t out[KEYD_SPOOL_KEY_BYTES], struct failure *why)
{
    struct keywire_writer request;
    struct keywire_reader answer;
    begin(keyd, KEYWIRE_SPOOL_KEY, &request);
    keywire_put_u64(&request, segment);
    enum result result = exchange(keyd, &request, &answer, why);
    if (result == RESULT_OK) {
        const uint8_t *key = keywire_get_bytes(&answer, KEYD_SPOOL_KEY_BYTES);
        assert(key != NULL);
        memcpy(out, key, KEYD_SPOOL_KEY_BYTES);
    }
    finish(keyd);
    return result;
}

enum result keyd_spool_forget(struct keyd *keyd, uint64_t segment, struct failure *why)
{
    struct keywire_writer out;
    begin(keyd, KEYWIRE_SPOOL_FORGET, &out);
    keywire_put_u64(&out, segment);
    return exchange_only(keyd, &out, why);
}

enum result keyd_spool_first(struct keyd *keyd, uint64_t *segment, struct failure *why)
{
    struct keywire_writer request;
    struct keywire_reader answer;
    begin(keyd, KEYWIRE_SPOOL_FIRST, &request);
    enum result result = exchange(keyd, &request, &answer, why);
    if (result == RESULT_OK)
        *segment = keywire_get_u64(&answer);
    finish(keyd);
    return result;
}
