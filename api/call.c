#include "api/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/http/problem.h"

/* Nothing that a reader asks may write, hold the database for long, or mix two states of it. */
static const char session[] = "SET default_transaction_read_only = on; SET default_transaction_isolation = 'repeatable read';"
                              " SET statement_timeout = 10000; SET idle_in_transaction_session_timeout = 10000";

struct db *call_db(struct call *call, struct failure *why)
{
    struct call_service *service = call->service;
    struct db *db = pthread_getspecific(service->db);
    if (db == NULL) {
        db = db_new(service->config->postgres_conninfo, "throng-api");
        (void)pthread_setspecific(service->db, db);
    }
    if (db_connect(db, why) != RESULT_OK)
        return NULL;
    if (!db_was_reconnected(db))
        return db;
    /* It may have been restored: its editions say nothing of what was read before. */
    if (service->kept != NULL) {
        kept_clear(service->kept);
        metrics_set(METRIC_ANSWERS_BYTES, 0);
    }
    if (db_script(db, session, why) == RESULT_OK)
        return db;
    db_disconnect(db);
    return NULL;
}

void call_db_free(void *db)
{
    db_free(db);
}

const char *call_header(const struct call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *call_argument(const struct call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct known {
    const char *const *names;
    bool all;
};

static enum MHD_Result check_argument(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct known *known = context;
    (void)kind;
    (void)value;
    for (const char *const *name = known->names; *name != NULL; name++) {
        if (strcmp(*name, key) == 0)
            return MHD_YES;
    }
    known->all = false;
    return MHD_NO;
}

bool call_knows_arguments(const struct call *call, const char *const *names)
{
    struct known known = {names, true};
    (void)MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, check_argument, &known);
    return known.all;
}

enum MHD_Result call_problem(struct call *call, unsigned status, const char *type, const char *field, const char *format, ...)
{
    struct failure why = {0};
    char text[sizeof why.text];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failure_set(&why, field, "%s", text);
    struct reply reply = {.status = status, .endpoint = call->endpoint, .content_type = REPLY_PROBLEM, .body = problem_document(status, type, &why)};
    if (status == MHD_HTTP_UNAUTHORIZED)
        reply_header(&reply, "WWW-Authenticate", "Bearer realm=\"throng\"");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        reply_header(&reply, "Allow", "GET, HEAD");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        reply_header(&reply, "Retry-After", "2");
    if (status == MHD_HTTP_TOO_MANY_REQUESTS)
        reply_header(&reply, "Retry-After", "1");
    return reply_send(call->connection, &reply);
}

enum MHD_Result call_unavailable(struct call *call)
{
    return call_problem(call, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", "", "the database does not answer; try again");
}

enum MHD_Result call_not_found(struct call *call)
{
    return call_problem(call, MHD_HTTP_NOT_FOUND, "not_found", "", "there is nothing here that this key may see");
}

enum MHD_Result call_send_kept(struct call *call, const struct kept_answer *kept)
{
    const char *known = call_header(call, "If-None-Match");
    bool unchanged = kept->unchanged != NULL && known != NULL && reply_has_tag(known, kept->tag);
    return reply_queue(call->connection, call->endpoint, unchanged ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK,
        unchanged ? kept->unchanged : kept->full);
}

/* The answer goes out from where it is kept. */
static enum MHD_Result send_and_keep(struct call *call, struct reply *reply)
{
    size_t bytes = strlen(reply->body);
    call->keep->full = reply_make(reply);
    if (call->keep->full == NULL)
        return MHD_NO;
    call->keep->bytes = bytes;
    return call_send_kept(call, call->keep);
}

enum MHD_Result call_send(struct call *call, struct reply *reply, const char *content_type, char *body)
{
    if (body == NULL)
        return call_problem(call, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal", "", "the answer cannot be made");
    if (reply->status == 0)
        reply->status = MHD_HTTP_OK;
    reply->endpoint = call->endpoint;
    reply->content_type = content_type;
    reply->body = body;
    return call->keep != NULL && reply->status == MHD_HTTP_OK ? send_and_keep(call, reply) : reply_send(call->connection, reply);
}

void call_count_read(struct call *call, const char *app)
{
    journal_count(call->service->journal, &call->identity, JOURNAL_READ, app);
    if (call->keep != NULL)
        (void)snprintf(call->keep->app, sizeof call->keep->app, "%s", app);
}

enum MHD_Result call_send_json(struct call *call, json_t *root)
{
    struct reply reply = {.cache_control = CALL_REVALIDATE};
    char *body = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(root);
    return call_send(call, &reply, REPLY_JSON, body);
}

static void add_tag(struct reply *reply, const char *tag)
{
    reply_header(reply, "ETag", tag);
    reply_header(reply, "Vary", "Accept, Authorization");
}

/* Without memory for it, everybody gets the whole answer. */
static void keep_unchanged(struct call *call, const char *tag)
{
    struct reply reply = {.cache_control = CALL_REVALIDATE};
    add_tag(&reply, tag);
    (void)snprintf(call->keep->tag, sizeof call->keep->tag, "%s", tag);
    call->keep->unchanged = reply_make(&reply);
}

enum MHD_Result call_send_tagged(struct call *call, const char *tag, const char *content_type, const char *link, char *body)
{
    const char *known = call_header(call, "If-None-Match");
    struct reply reply = {.cache_control = CALL_REVALIDATE};
    add_tag(&reply, tag);
    if (call->keep != NULL) {
        keep_unchanged(call, tag);
    } else if (known != NULL && reply_has_tag(known, tag)) {
        free(body);
        reply.status = MHD_HTTP_NOT_MODIFIED;
        reply.endpoint = call->endpoint;
        return reply_send(call->connection, &reply);
    }
    if (link != NULL)
        reply_header(&reply, "Link", link);
    return call_send(call, &reply, content_type, body);
}

static const char *bearer(const struct call *call)
{
    const char *header = call_header(call, "Authorization");
    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    header += 7;
    return header + strspn(header, " ");
}

/* Who asks: a key goes before a proxy's header. */
static enum result identify(struct call *call, const char *key, struct failure *why)
{
    const struct config *config = call->service->config;
    if (key != NULL) {
        struct db *db = call_db(call, why);
        /* without a database, the keys known so far may do for a while: they are not asked for through db then */
        if (db == NULL)
            db = pthread_getspecific(call->service->db);
        return access_by_key(call->service->access, db, key, &call->identity, why);
    }
    if (config->api_auth_proxy_header[0] == '\0')
        return RESULT_NOT_FOUND;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return access_by_proxy(call->service->access, info == NULL ? NULL : info->client_addr,
        call_header(call, config->api_auth_proxy_header), &call->identity);
}

bool call_admit(struct call *call, enum access_scope scope, enum MHD_Result *answer)
{
    struct failure why = {0};
    const char *key = bearer(call);
    enum result result = identify(call, key, &why);
    if (result == RESULT_UNAVAILABLE) {
        *answer = call_unavailable(call);
        return false;
    }
    if (result != RESULT_OK) {
        journal_count(call->service->journal, NULL, key == NULL ? JOURNAL_NO_KEY : JOURNAL_UNKNOWN_KEY, "");
        *answer = call_problem(call, MHD_HTTP_UNAUTHORIZED, key == NULL ? "no_key" : "unknown_key", "",
            "send an API key as `Authorization: Bearer ak_...`; `throng key add` makes one");
        return false;
    }
    call->identified = true;
    if ((call->identity.scopes & (unsigned)scope) != 0)
        return true;
    journal_count(call->service->journal, &call->identity, JOURNAL_SCOPE, "");
    *answer = call_problem(call, MHD_HTTP_FORBIDDEN, "forbidden", "", "this key's scope does not reach here");
    return false;
}
