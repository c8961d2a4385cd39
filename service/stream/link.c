#include "service/stream/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/metrics.h"

#define INPUT_BYTES (64 * 1024)
#define READER_KEEPS_BYTES (256 * 1024) /* of an empty parser's buffer; hiredis would keep less than one read */
#define OUTPUT_KEEPS_BYTES (1024 * 1024)
#define NUMBER_BYTES 24

/* What one try to move bytes came to; the wishes are poll(2)'s events. */
enum moved { MOVED_SOME = 0, MOVED_NOTHING_IN = POLLIN, MOVED_NOTHING_OUT = POLLOUT, MOVED_BROKEN = -1 };

struct link {
    int fd;
    SSL *tls; /* NULL: plain */
    redisReader *reader;
    char *output; /* commands gathered and not yet written: output[written..length-1] */
    size_t length, written, size;
    char input[INPUT_BYTES];
};

/* Wait for one of events, until the deadline on the steady clock. */
static bool wait_for(int fd, int events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - clock_steady_ms();
        struct pollfd ready = {.fd = fd, .events = (short)events};
        int count = left <= 0 ? 0 : poll(&ready, 1, left > 600000 ? 600000 : (int)left);
        if (count > 0 || left <= 0)
            return count > 0;
        if (count < 0 && errno != EINTR)
            return false;
    }
}

static enum result unavailable(struct failure *why, const char *field, const char *text)
{
    failure_set(why, field, "%s", text);
    return RESULT_UNAVAILABLE;
}

/* Connecting a socket */

/* Connect link->fd, a socket that does not block, to address. */
static enum result connect_socket(
    struct link *link, const struct sockaddr *address, socklen_t size, int64_t deadline_ms, struct failure *why)
{
    int error = connect(link->fd, address, size) == 0 ? 0 : errno;
    if (error == EINPROGRESS || error == EINTR) {
        socklen_t error_size = sizeof error;
        if (!wait_for(link->fd, POLLOUT, deadline_ms))
            return unavailable(why, "redis", "no connection within redis.timeout_ms");
        if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0)
            error = errno;
    }
    return error == 0 ? RESULT_OK : unavailable(why, "redis", "cannot connect");
}

static bool open_socket(struct link *link, int family)
{
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return link->fd >= 0;
}

static enum result connect_unix(struct link *link, const char *path, int64_t deadline_ms, struct failure *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        failure_set(why, "redis.socket", "must be shorter than %zu bytes", sizeof address.sun_path);
        return RESULT_INVALID;
    }
    strcpy(address.sun_path, path);
    if (!open_socket(link, AF_UNIX))
        return unavailable(why, "redis", "no socket: the system refuses");
    return connect_socket(link, (const struct sockaddr *)&address, sizeof address, deadline_ms, why);
}

/* Try every address of the host; one that does not answer leaves its share of the time to the others. */
static enum result connect_tcp(
    struct link *link, const struct config *config, int64_t deadline_ms, struct failure *why)
{
    char service[NUMBER_BYTES];
    (void)snprintf(service, sizeof service, "%lld", (long long)config->redis_port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (getaddrinfo(config->redis_host, service, &hints, &list) != 0)
        return unavailable(why, "redis.host", "the host's address cannot be found");
    int64_t left = 0;
    for (const struct addrinfo *one = list; one != NULL; one = one->ai_next)
        left++;
    struct failure last = {.field = "redis", .text = "cannot connect"};
    enum result result = RESULT_UNAVAILABLE;
    for (const struct addrinfo *one = list; one != NULL && result != RESULT_OK; one = one->ai_next, left--) {
        int64_t now_ms = clock_steady_ms();
        if (!open_socket(link, one->ai_family))
            continue;
        last = (struct failure){0};
        result = connect_socket(link, one->ai_addr, one->ai_addrlen, now_ms + (deadline_ms - now_ms) / left, &last);
    }
    freeaddrinfo(list);
    if (result != RESULT_OK)
        return unavailable(why, last.field, last.text);
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return RESULT_OK;
}

/* TLS: what failed */

static const struct {
    int reason;
    const char *field;
    const char *text;
} refusals[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "redis.tls", "what answers at redis.port does not speak TLS"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "redis.tls", "the server speaks neither TLS 1.2 nor 1.3"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "redis.tls", "the server speaks neither TLS 1.2 nor 1.3"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "redis.tls_cert",
        "the server asks for a client certificate: name it here, and its key in redis.tls_key"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "redis.tls_cert", "the server does not trust the CA of our client certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "redis.tls_cert", "the server finds our client certificate expired"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "redis.tls_cert", "the server refuses our client certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "redis.tls_cert", "the server refuses our client certificate"},
};

/* What OpenSSL's error queue says; `broken` if it says nothing: then it was the connection, not TLS. */
static enum result explain_error(const struct link *link, const char *broken, struct failure *why)
{
    unsigned long error = link->tls == NULL ? 0 : ERR_peek_error();
    int reason = error == 0 ? 0 : ERR_GET_REASON(error);
    ERR_clear_error();
    if (error == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return unavailable(why, "redis", broken);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (refusals[i].reason == reason)
            return unavailable(why, refusals[i].field, refusals[i].text);
    }
    const char *text = ERR_reason_error_string(error);
    failure_set(why, "redis.tls", "TLS failed: %s", text == NULL ? "for a reason that OpenSSL does not name" : text);
    return RESULT_UNAVAILABLE;
}

/* Why the server's certificate was not accepted: verdict is one of X509_V_ERR_… */
static enum result explain_verdict(long verdict, struct failure *why)
{
    const char *text = X509_verify_cert_error_string(verdict);
    switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return unavailable(why, "redis.host",
            "the host name differs: the server's certificate is for another; use a name or address that it bears");
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        failure_set(why, "redis.tls", "the server's certificate is not valid now (%s): renew it, or set the clock",
            text);
        return RESULT_UNAVAILABLE;
    default:
        failure_set(why, "redis.tls_ca",
            "the server's certificate is not trusted (%s): name the file of the CA that signed it", text);
        return RESULT_UNAVAILABLE;
    }
}

static enum result bad_file(struct failure *why, const char *field, const char *text)
{
    ERR_clear_error();
    failure_set(why, field, "%s", text);
    return RESULT_INVALID;
}

/* TLS: opening */

/* A key with a passphrase: OpenSSL would ask for it on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static enum result set_client_certificate(SSL_CTX *context, const struct config *config, struct failure *why)
{
    const char *certificate = config->redis_tls_cert, *key = config->redis_tls_key;
    if (certificate[0] == '\0' && key[0] == '\0')
        return RESULT_OK;
    if (certificate[0] == '\0' || key[0] == '\0')
        return bad_file(why, certificate[0] == '\0' ? "redis.tls_cert" : "redis.tls_key",
            "a client certificate needs both redis.tls_cert and redis.tls_key");
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return bad_file(why, "redis.tls_cert", "cannot be read, or is not a certificate in PEM form");
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return bad_file(why, "redis.tls_key",
            "cannot be read, or is not the key of redis.tls_cert in PEM form without a passphrase");
    return RESULT_OK;
}

static enum result set_context(SSL_CTX *context, const struct config *config, struct failure *why)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); /* else each record takes two read(2) */
    SSL_CTX_set_default_read_buffer_len(context, INPUT_BYTES);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
        return bad_file(why, "redis.tls", "this OpenSSL does not do TLS 1.2");
    const char *file = config->redis_tls_ca;
    if (file[0] == '\0' && SSL_CTX_set_default_verify_paths(context) != 1)
        return bad_file(why, "redis.tls_ca", "the system's certificates cannot be had: name a file of CAs");
    if (file[0] != '\0' && SSL_CTX_load_verify_file(context, file) != 1)
        return bad_file(why, "redis.tls_ca", "cannot be read, or holds no certificate in PEM form");
    return set_client_certificate(context, config, why);
}

/* The name or address that the certificate must bear. */
static bool expect_host(SSL *tls, const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];
    X509_VERIFY_PARAM *wanted = SSL_get0_param(tls);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(wanted, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* SSL_set_tlsext_host_name, whose cast drops const */
    void *name = (char *)(uintptr_t)host;
    return host[0] != '\0' && X509_VERIFY_PARAM_set1_host(wanted, host, 0) == 1 &&
           SSL_ctrl(tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

/* A context of one connection only: threads share nothing, and files are read when they are needed. */
static enum result make_tls(struct link *link, const struct config *config, struct failure *why)
{
    /* No clean-up at exit: other threads may still hold connections then. */
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        return bad_file(why, "redis.tls", "OpenSSL does not start");
    enum result result = set_context(context, config, why);
    if (result == RESULT_OK) {
        link->tls = SSL_new(context);
        if (link->tls == NULL || SSL_set_fd(link->tls, link->fd) != 1)
            result = bad_file(why, "redis.tls", "out of memory");
        else if (!expect_host(link->tls, config->redis_host))
            result = bad_file(why, "redis.host", "is neither a host name nor an address");
    }
    SSL_CTX_free(context); /* link->tls has its own reference */
    return result;
}

static void note_end(SSL *tls)
{
    struct tm end = {0};
    const X509 *certificate = SSL_get0_peer_certificate(tls);
    if (certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1)
        metrics_set(METRIC_TLS_NOT_AFTER_REDIS, timegm(&end));
}

/* What a call on link->tls that returned `returned` (not above 0) is waiting for. */
static enum moved wish(const struct link *link, int returned)
{
    switch (SSL_get_error(link->tls, returned)) {
    case SSL_ERROR_WANT_READ:
        return MOVED_NOTHING_IN;
    case SSL_ERROR_WANT_WRITE:
        return MOVED_NOTHING_OUT;
    default:
        return MOVED_BROKEN;
    }
}

static enum result shake_hands(struct link *link, int64_t deadline_ms, struct failure *why)
{
    for (;;) {
        ERR_clear_error();
        int returned = SSL_connect(link->tls);
        if (returned == 1)
            break;
        enum moved wanted = wish(link, returned);
        long verdict = SSL_get_verify_result(link->tls);
        if (wanted == MOVED_BROKEN && verdict != X509_V_OK)
            return explain_verdict(verdict, why);
        if (wanted == MOVED_BROKEN)
            return explain_error(link, "the connection broke in the TLS handshake", why);
        if (!wait_for(link->fd, (int)wanted, deadline_ms))
            return unavailable(why, "redis.tls", "no TLS handshake within redis.timeout_ms: is redis.port for TLS?");
    }
    note_end(link->tls);
    return RESULT_OK;
}

static enum result start_tls(struct link *link, const struct config *config, int64_t deadline_ms, struct failure *why)
{
    enum result result = make_tls(link, config, why);
    if (result == RESULT_OK)
        result = shake_hands(link, deadline_ms, why);
    ERR_clear_error();
    return result;
}

/* The link */

enum result link_open(const struct config *config, int64_t deadline_ms, struct link **out, struct failure *why)
{
    bool local = config->redis_socket[0] != '\0';
    if (local && config->redis_tls)
        return bad_file(why, "redis.tls", "is for redis.host: empty redis.socket, or turn TLS off");
    struct link *link = calloc(1, sizeof *link);
    redisReader *reader = redisReaderCreate();
    if (link == NULL || reader == NULL) {
        free(link);
        if (reader != NULL)
            redisReaderFree(reader);
        return unavailable(why, "redis", "out of memory for a connection");
    }
    reader->maxbuf = READER_KEEPS_BYTES;
    link->reader = reader;
    link->fd = -1;
    enum result result = local ? connect_unix(link, config->redis_socket, deadline_ms, why)
                               : connect_tcp(link, config, deadline_ms, why);
    if (result == RESULT_OK && config->redis_tls)
        result = start_tls(link, config, deadline_ms, why);
    if (result == RESULT_OK)
        *out = link;
    else
        link_close(link);
    return result;
}

void link_close(struct link *link)
{
    if (link == NULL)
        return;
    if (link->tls != NULL) {
        /* A farewell if there is room for it; the peer knows by the end of the connection, too. */
        if (SSL_is_init_finished(link->tls))
            (void)SSL_shutdown(link->tls);
        ERR_clear_error();
        SSL_free(link->tls);
    }
    if (link->fd >= 0)
        (void)close(link->fd);
    redisReaderFree(link->reader);
    free(link->output);
    free(link);
}

bool link_stale(struct link *link)
{
    struct pollfd unasked = {.fd = link->fd, .events = POLLIN};
    if (link->reader->pos < link->reader->len) /* it came together with the last answer */
        return true;
    if (link->tls == NULL)
        return poll(&unasked, 1, 0) != 0;
    /* TLS has things of its own to say, such as session tickets. */
    char byte;
    ERR_clear_error();
    int returned = SSL_peek(link->tls, &byte, 1);
    bool quiet = returned <= 0 && wish(link, returned) == MOVED_NOTHING_IN && SSL_has_pending(link->tls) == 0;
    ERR_clear_error();
    return !quiet;
}

/* Sending */

/* Room for more bytes of output. */
static bool make_room(struct link *link, size_t more)
{
    if (link->size - link->length >= more)
        return true;
    size_t size = (link->length + more) * 2;
    char *grown = realloc(link->output, size);
    if (grown == NULL)
        return false;
    link->output = grown;
    link->size = size;
    return true;
}

static void put(struct link *link, const char *bytes, size_t length)
{
    if (length > 0)
        memcpy(link->output + link->length, bytes, length);
    link->length += length;
}

/* "*3\r\n" and "$4\r\n" of the protocol. snprintf would be felt here. */
static void put_head(struct link *link, char kind, size_t number)
{
    char head[NUMBER_BYTES];
    size_t at = sizeof head;
    head[--at] = '\n';
    head[--at] = '\r';
    do {
        head[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    head[--at] = kind;
    put(link, head + at, sizeof head - at);
}

enum result link_append(
    struct link *link, size_t count, const char *const *arguments, const size_t *lengths, struct failure *why)
{
    size_t more = NUMBER_BYTES;
    for (size_t i = 0; i < count; i++)
        more += NUMBER_BYTES + lengths[i] + 2;
    if (!make_room(link, more))
        return unavailable(why, "redis", "out of memory for a command");
    put_head(link, '*', count);
    for (size_t i = 0; i < count; i++) {
        put_head(link, '$', lengths[i]);
        put(link, arguments[i], lengths[i]);
        put(link, "\r\n", 2);
    }
    return RESULT_OK;
}

/* Write some of the output. */
static enum moved write_some(struct link *link)
{
    const char *from = link->output + link->written;
    size_t left = link->length - link->written;
    if (link->tls != NULL) {
        size_t done = 0;
        ERR_clear_error();
        int returned = SSL_write_ex(link->tls, from, left, &done);
        link->written += done;
        return returned == 1 ? MOVED_SOME : wish(link, returned);
    }
    ssize_t done = send(link->fd, from, left, MSG_NOSIGNAL);
    if (done < 0)
        return errno == EAGAIN || errno == EINTR ? MOVED_NOTHING_OUT : MOVED_BROKEN;
    link->written += (size_t)done;
    return MOVED_SOME;
}

/* The server may have said why it closed before we wrote. */
static enum result explain_broken_write(struct link *link, struct failure *why)
{
    char byte;
    ERR_clear_error();
    if (link->tls != NULL)
        (void)SSL_peek(link->tls, &byte, 1);
    return explain_error(link, "the connection broke while writing", why);
}

enum result link_flush(struct link *link, int64_t deadline_ms, struct failure *why)
{
    while (link->written < link->length) {
        enum moved moved = write_some(link);
        if (moved == MOVED_BROKEN)
            return explain_broken_write(link, why);
        if (moved != MOVED_SOME && !wait_for(link->fd, (int)moved, deadline_ms))
            return unavailable(why, "redis", "took no commands within redis.timeout_ms");
    }
    link->length = link->written = 0;
    if (link->size > OUTPUT_KEEPS_BYTES) {
        free(link->output);
        link->output = NULL;
        link->size = 0;
    }
    return RESULT_OK;
}

/* Receiving */

/* Read some bytes to link->input. */
static enum moved read_some(struct link *link, size_t *got)
{
    if (link->tls != NULL) {
        ERR_clear_error();
        int returned = SSL_read_ex(link->tls, link->input, INPUT_BYTES, got);
        return returned == 1 ? MOVED_SOME : wish(link, returned);
    }
    ssize_t done = recv(link->fd, link->input, INPUT_BYTES, 0);
    if (done < 0)
        return errno == EAGAIN || errno == EINTR ? MOVED_NOTHING_IN : MOVED_BROKEN;
    *got = (size_t)done;
    return done == 0 ? MOVED_BROKEN : MOVED_SOME;
}

/* Wait for bytes and hand them to the parser. */
static enum result fill(struct link *link, int64_t deadline_ms, struct failure *why)
{
    /* What OpenSSL has read ahead makes the socket ready no more. */
    bool at_hand = link->tls != NULL && SSL_has_pending(link->tls) == 1;
    size_t got = 0;
    for (enum moved moved = at_hand ? MOVED_SOME : MOVED_NOTHING_IN; got == 0;) {
        if (moved != MOVED_SOME && !wait_for(link->fd, (int)moved, deadline_ms))
            return unavailable(why, "redis", "no answer within redis.timeout_ms");
        moved = read_some(link, &got);
        if (moved == MOVED_BROKEN)
            return explain_error(link, "the connection broke while reading", why);
    }
    if (redisReaderFeed(link->reader, link->input, got) == REDIS_OK)
        return RESULT_OK;
    return unavailable(why, "redis", "out of memory for an answer");
}

enum result link_reply(struct link *link, int64_t deadline_ms, redisReply **out, struct failure *why)
{
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(link->reader, &reply) != REDIS_OK)
            return unavailable(why, "redis", "the answer is not the Redis protocol");
        if (reply != NULL) {
            *out = reply;
            return RESULT_OK;
        }
        enum result result = fill(link, deadline_ms, why);
        if (result != RESULT_OK)
            return result;
    }
}
