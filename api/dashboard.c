#include "api/dashboard.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "api/accept.h"

#define TAG_HASH_BYTES 16
#define ROOT "/dashboard"
#define FOLDER "api/dashboard/embedded/"

/* The page runs its own script and asks its own origin; nothing else, wherever it comes from. */
#define CONTENT_POLICY \
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self';" \
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#define FEATURE_POLICY "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

struct embedded_file {
    const char *path;
    const char *text;
    size_t length;
};

/* Defines `files`: each as it is, and most with a compressed twin, whose name ends in .gz. */
#include "api/embedded.inc"

#define FILES (sizeof files / sizeof files[0])

static const struct type {
    const char *ending;
    const char *name;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
};

/* Strong tags, one a file and form (RFC 9110, section 8.8.3). */
static char tags[FILES][2 * TAG_HASH_BYTES + 3];
static pthread_once_t tagged = PTHREAD_ONCE_INIT;

static void make_tags(void)
{
    for (size_t i = 0; i < FILES; i++) {
        unsigned char hash[TAG_HASH_BYTES];
        (void)crypto_generichash(hash, sizeof hash, (const unsigned char *)files[i].text, files[i].length, NULL, 0);
        (void)sodium_bin2hex(tags[i] + 1, 2 * sizeof hash + 1, hash, sizeof hash);
        tags[i][0] = tags[i][2 * sizeof hash + 1] = '"';
    }
}

/* The file called name, with more behind it; FILES if there is none. */
static size_t find_file(const char *name, const char *more)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < FILES; i++) {
        const char *own = files[i].path + strlen(FOLDER);
        if (strncmp(own, name, length) == 0 && strcmp(own + length, more) == 0)
            return i;
    }
    return FILES;
}

static const char *type_of(const char *name)
{
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].name;
    }
    return "application/octet-stream";
}

static void protect(struct reply *reply)
{
    reply_header(reply, "Content-Security-Policy", CONTENT_POLICY);
    reply_header(reply, "Referrer-Policy", "no-referrer");
    reply_header(reply, "Cross-Origin-Opener-Policy", "same-origin");
    reply_header(reply, "Cross-Origin-Resource-Policy", "same-origin");
    reply_header(reply, "Permissions-Policy", FEATURE_POLICY);
}

static enum MHD_Result send_file(struct call *call, const char *name)
{
    const char *accepted = call_header(call, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    const char *known = call_header(call, MHD_HTTP_HEADER_IF_NONE_MATCH);
    size_t plain = find_file(name, ""), small = find_file(name, ".gz");
    bool compressed = small < FILES && accepted != NULL && accept_quality(accepted, "gzip") > 0;
    size_t file = compressed ? small : plain;
    if (plain == FILES)
        return call_not_found(call);
    (void)pthread_once(&tagged, make_tags);
    struct reply reply = {.status = MHD_HTTP_OK, .endpoint = call->endpoint, .cache_control = "no-cache"};
    protect(&reply);
    reply_header(&reply, "ETag", tags[file]);
    reply_header(&reply, "Vary", "Accept-Encoding");
    if (known != NULL && reply_has_tag(known, tags[file])) {
        reply.status = MHD_HTTP_NOT_MODIFIED;
        return reply_send(call->connection, &reply);
    }
    if (compressed)
        reply_header(&reply, "Content-Encoding", "gzip");
    reply.content_type = type_of(name);
    reply.constant = files[file].text;
    reply.constant_length = files[file].length;
    return reply_send(call->connection, &reply);
}

enum MHD_Result dashboard_answer(struct call *call)
{
    const char *name = call->path + strlen(ROOT);
    call->endpoint = METRICS_ENDPOINT_DASHBOARD;
    if (*name == '\0') {
        struct reply reply = {.status = MHD_HTTP_PERMANENT_REDIRECT, .endpoint = call->endpoint};
        reply_header(&reply, "Location", ROOT "/");
        return reply_send(call->connection, &reply);
    }
    return send_file(call, name[1] == '\0' ? "index.html" : name + 1);
}
