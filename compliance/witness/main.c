/*
 * throng-witness: a witness of transparency logs (C2SP tlog-witness), small and on its own. It belongs on another machine, run
 * by somebody else than the log's operator.
 *
 * Sees:     public texts; the witness's own signing key.
 * Uses:     service/base, http, libmicrohttpd.
 * Threads:  the listener's one: requests are decided one after the other.
 * Failure:  ends with 2 on a usage error, 1 if key, state, listener or sandbox cannot be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compliance/witness/memory.h"
#include "compliance/witness/witness.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/sandbox.h"
#include "service/http/listen.h"
#include "service/http/reply.h"

#define CONNECTIONS 64
#define IDLE_S 15
#define MEMORY_BYTES (16u * 1024)

static const char usage[] =
    "usage: throng-witness --listen HOST:PORT --key-file FILE --state DIRECTORY --log '[ORIGIN ]VKEY' ... [--no-sandbox]\n"
    "       throng-witness --make-key NAME --key-file FILE     makes the key, prints its verifier key\n"
    "       throng-witness --vkey --key-file FILE              prints its verifier key\n\n"
    "Signs the checkpoints of logs that only grow: POST /add-checkpoint (C2SP tlog-witness, cosignature/v1). Runs in the\n"
    "foreground until SIGTERM, as any user but the log's operator, on a machine that is not the log's.\n\n"
    "--listen     plain HTTP, on loopback: put a proxy with TLS before it\n"
    "--key-file   the signing key, mode 0600; keep a copy in a safe place\n"
    "--state      the newest size and root of each log, written durably before anything is signed; its parent must be there. It\n"
    "             must never go back, so do not restore it from a backup: with an older state a fork could be signed\n"
    "--log        the verifier key that the log's operator gave you by a way you trust (audit.state/log.vkey); ORIGIN is the key's\n"
    "             name unless it is given. Once more for each key that the log changes to\n"
    "--no-sandbox where the kernel has no seccomp\n\n"
    "The log's operator adds a line \"URL VKEY\" to the file audit.witnesses: where you are reached, and what --vkey prints.\n";

struct options {
    const char *listen, *key_file, *state, *make_key, *log;
    bool vkey, sandbox;
};

/* A request being read. */
struct exchange {
    size_t length;
    bool too_long;
    char body[WITNESS_REQUEST_MAX_BYTES];
};

static void give_up(int status, const struct failure *why)
{
    (void)fprintf(stderr, "throng-witness: %s%s%s\n", why->field, why->field[0] == '\0' ? "" : ": ", why->text);
    exit(status);
}

static void require(enum result result, const struct failure *why)
{
    if (result != RESULT_OK)
        give_up(EXIT_FAILURE, why);
}

static void show_usage(bool asked)
{
    (void)fputs(usage, asked ? stdout : stderr);
    exit(asked ? EXIT_SUCCESS : 2);
}

/* Where the value of option name goes; NULL if there is no such option. */
static const char **place_of(struct options *options, const char *name)
{
    const struct {
        const char *name;
        const char **place;
    } known[] = {{"--listen", &options->listen}, {"--key-file", &options->key_file}, {"--state", &options->state},
        {"--make-key", &options->make_key}, {"--log", &options->log}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0)
            return known[i].place;
    }
    return NULL;
}

static void parse_options(int argc, char **argv, struct options *options, struct witness *witness)
{
    struct failure why = {0};
    *options = (struct options){.sandbox = true};
    for (int i = 1; i < argc; i++) {
        const char **place = place_of(options, argv[i]);
        if (strcmp(argv[i], "--help") == 0)
            show_usage(true);
        if (strcmp(argv[i], "--vkey") == 0) {
            options->vkey = true;
        } else if (strcmp(argv[i], "--no-sandbox") == 0) {
            options->sandbox = false;
        } else if (place == NULL || i + 1 == argc) {
            show_usage(false);
        } else {
            *place = argv[++i];
            if (place == &options->log && witness_add_log(witness, options->log, &why) != RESULT_OK)
                give_up(2, &why);
        }
    }
}

static void make_key(const char *path, const char *name)
{
    struct failure why = {0};
    struct note_signer signer;
    uint8_t seed[NOTE_SEED_BYTES];
    char text[NOTE_KEY_MAX_BYTES];
    randombytes_buf(seed, sizeof seed);
    require(note_signer_make(name, NOTE_COSIGNATURE, seed, &signer, &why), &why);
    note_signer_print(&signer, text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool written = fd >= 0 && dprintf(fd, "%s\n", text) > 0 && fsync(fd) == 0;
    if (!written)
        failure_set(&why, "--key-file", "cannot be made: %s", strerror(errno));
    sodium_memzero(text, sizeof text);
    sodium_memzero(seed, sizeof seed);
    require(written ? RESULT_OK : RESULT_FAILED, &why);
    (void)close(fd);
    note_signer_wipe(&signer);
}

static enum result read_key(const char *path, struct note_signer *signer, struct failure *why)
{
    char text[NOTE_KEY_MAX_BYTES + 2];
    struct stat about;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    bool private = fd >= 0 && fstat(fd, &about) == 0 && (about.st_mode & 077) == 0;
    if (fd >= 0)
        (void)close(fd);
    if (length <= 0 || !private) {
        failure_set(why, "--key-file", fd < 0 ? "cannot be read; make it with --make-key NAME"
                                              : "is empty, or others than its owner may read it (mode 0600)");
        return RESULT_FAILED;
    }
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    enum result result = note_signer_parse(text, signer, why);
    sodium_memzero(text, sizeof text);
    if (result == RESULT_OK && signer->key.kind != NOTE_COSIGNATURE) {
        failure_set(why, "--key-file", "is not the key of a witness (cosignature/v1)");
        result = RESULT_INVALID;
    }
    return result;
}

static enum MHD_Result answer(struct MHD_Connection *connection, const struct witness *witness, struct exchange *exchange)
{
    char *text = calloc(1, WITNESS_ANSWER_MAX_BYTES);
    if (text == NULL)
        return MHD_NO;
    struct text_writer writer = {.bytes = text, .room = WITNESS_ANSWER_MAX_BYTES - 1};
    struct reply reply = {.status = 413, .endpoint = METRICS_ENDPOINT_OTHER, .content_type = "text/plain; charset=utf-8",
        .body = text};
    if (!exchange->too_long)
        reply.status =
            witness_decide(witness, exchange->body, exchange->length, (uint64_t)(clock_now_ms() / 1000), &writer);
    if (reply.status == 409)
        reply.content_type = WITNESS_SIZE_TYPE;
    log_event(LOG_LEVEL_INFO, "witness.asked", LOG_UINT("status", reply.status));
    return reply_send(connection, &reply);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *size, void **slot)
{
    (void)version;
    struct exchange *exchange = *slot;
    if (exchange == NULL) {
        *slot = exchange = calloc(1, sizeof *exchange);
        return exchange == NULL ? MHD_NO : MHD_YES;
    }
    if (*size > 0) {
        exchange->too_long = exchange->too_long || *size > sizeof exchange->body - exchange->length;
        if (!exchange->too_long) {
            memcpy(exchange->body + exchange->length, data, *size);
            exchange->length += *size;
        }
        *size = 0;
        return MHD_YES;
    }
    if (strcmp(url, "/add-checkpoint") == 0 && strcmp(method, "POST") == 0)
        return answer(connection, context, exchange);
    struct reply reply = {.status = strcmp(url, "/add-checkpoint") == 0 ? 405 : 404, .endpoint = METRICS_ENDPOINT_OTHER,
        .constant = ""};
    return reply_send(connection, &reply);
}

static void on_done(void *context, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    free(*slot);
    *slot = NULL;
}

static struct MHD_Daemon *serve(struct witness *witness, int fd)
{
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, on_request, witness,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL,
        MHD_OPTION_END);
}

int main(int argc, char **argv)
{
    static struct witness witness;
    struct options options;
    struct failure why = {0};
    char text[NOTE_KEY_MAX_BYTES];
    int fd = -1;
    require(sodium_init() < 0 ? RESULT_FAILED : RESULT_OK, &(struct failure){.text = "libsodium does not start"});
    parse_options(argc, argv, &options, &witness);
    bool serving = options.make_key == NULL && !options.vkey;
    if (options.key_file == NULL || (serving && (options.listen == NULL || options.state == NULL || witness.count == 0)))
        show_usage(false);
    if (options.make_key != NULL)
        make_key(options.key_file, options.make_key);
    log_init("witness", LOG_LEVEL_INFO);
    lifecycle_begin(true);
    require(read_key(options.key_file, &witness.signer, &why), &why);
    note_key_print(&witness.signer.key, text);
    if (!serving)
        return puts(text) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    witness.directory = options.state;
    require(memory_open(options.state, &why), &why);
    require(listen_tcp(options.listen, "--listen", &fd, &why), &why);
    if (options.sandbox)
        require(sandbox_enter(SANDBOX_WITNESS, &why), &why);
    struct MHD_Daemon *daemon = serve(&witness, fd);
    require(daemon == NULL ? RESULT_FAILED : RESULT_OK, &(struct failure){.text = "no thread for the listener"});
    log_event(LOG_LEVEL_INFO, "witness.started", LOG_NAME("listen", options.listen));
    while (!lifecycle_sleep_ms(60000))
        continue;
    MHD_stop_daemon(daemon);
    note_signer_wipe(&witness.signer);
    log_event(LOG_LEVEL_INFO, "witness.stopped");
    return EXIT_SUCCESS;
}
