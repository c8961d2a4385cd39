#include "service/ingest/beacon.h"

#include <assert.h>
#include <ctype.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define TAG_HASH_BYTES 16
#define FRESH "public, max-age=3600"

struct embedded_file {
    const char *path;
    const char *text;
    size_t length;
};

/* Defines `files`: the script, then the same compressed. */
#include "service/ingest/embedded.inc"

enum form { PLAIN, GZIP, FORMS };
static_assert(sizeof files / sizeof *files == FORMS, "one file a form");

/* Strong tags, one a form (RFC 9110, section 8.8.3). */
static char tags[FORMS][2 * TAG_HASH_BYTES + 3];
static pthread_once_t tagged = PTHREAD_ONCE_INIT;

static void make_tags(void)
{
    for (size_t i = 0; i < FORMS; i++) {
        unsigned char hash[TAG_HASH_BYTES];
        (void)crypto_generichash(hash, sizeof hash, (const unsigned char *)files[i].text, files[i].length, NULL, 0);
        (void)sodium_bin2hex(tags[i] + 1, 2 * sizeof hash + 1, hash, sizeof hash);
        tags[i][0] = tags[i][2 * sizeof hash + 1] = '"';
    }
}

static bool is_named(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && strncasecmp(text, name, length) == 0;
}

/* Whether the parameters of a coding leave it a weight above 0. */
static bool has_weight(const char *text, size_t length)
{
    for (size_t i = 0; i + 1 < length; i++) {
        if (tolower((unsigned char)text[i]) != 'q' || text[i + 1] != '=')
            continue;
        size_t end = i + 2 + strspn(text + i + 2, "0.");
        return end < length && isdigit((unsigned char)text[end]);
    }
    return true;
}

/* Whether a client that sent this Accept-Encoding (NULL: none) takes gzip: by name or by "*" (RFC 9110, section 12.5.3). */
static bool takes_gzip(const char *accepted)
{
    bool any = false;
    if (accepted == NULL)
        return false;
    while (*(accepted += strspn(accepted, ", \t")) != '\0') {
        size_t length = strcspn(accepted, ","), name = strcspn(accepted, ",; \t");
        bool taken = has_weight(accepted + name, length - name);
        if (is_named(accepted, name, "gzip") || is_named(accepted, name, "x-gzip"))
            return taken;
        if (is_named(accepted, name, "*"))
            any = taken;
        accepted += length;
    }
    return any;
}

static const char *header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result finish(struct exchange *exchange)
{
    if (exchange->refused != 0)
        return exchange_send_refusal(exchange);
    exchange_drop_body(exchange);
    (void)pthread_once(&tagged, make_tags);
    enum form form = takes_gzip(header(exchange, MHD_HTTP_HEADER_ACCEPT_ENCODING)) ? GZIP : PLAIN;
    const char *known = header(exchange, MHD_HTTP_HEADER_IF_NONE_MATCH);
    struct reply reply = {.status = MHD_HTTP_OK, .endpoint = exchange->endpoint, .cache_control = FRESH};
    reply_header(&reply, "ETag", tags[form]);
    reply_header(&reply, "Vary", "Accept-Encoding");
    /* It is no secret, and a page that checks its integrity reads it across origins. */
    reply_header(&reply, "Access-Control-Allow-Origin", "*");
    reply_header(&reply, "Cross-Origin-Resource-Policy", "cross-origin");
    if (atomic_load(&exchange->service->ending))
        reply_header(&reply, "Connection", "close");
    if (known != NULL && reply_has_tag(known, tags[form])) {
        reply.status = MHD_HTTP_NOT_MODIFIED;
        return reply_send(exchange->connection, &reply);
    }
    if (form == GZIP)
        reply_header(&reply, "Content-Encoding", "gzip");
    reply.content_type = "text/javascript; charset=utf-8";
    reply.constant = files[form].text;
    reply.constant_length = files[form].length;
    return reply_send(exchange->connection, &reply);
}

void beacon_begin(struct exchange *exchange, const char *method)
{
    exchange->finish = finish;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        return;
    exchange->allow = "GET, HEAD";
    exchange_refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", 0);
}
