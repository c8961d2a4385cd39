/*
 * One request to the API and its answer: path, parameters, who asks, the thread's database connection, and the ways to
 * answer.
 *
 * Sees:     a request's header while it lasts; logs none of it.
 * Uses:     libmicrohttpd, jansson, service/http, service/db, access, journal.
 * Threads:  a call belongs to its HTTP thread, and so does the connection to the database.
 * Failure:  MHD_NO closes the connection.
 */
#ifndef THRONG_API_CALL_H
#define THRONG_API_CALL_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "api/access.h"
#include "api/journal.h"
#include "api/kept.h"
#include "api/limiter.h"
#include "schema/limits.h"
#include "service/base/config.h"
#include "service/base/metrics.h"
#include "service/db/db.h"
#include "service/http/reply.h"

#define CALL_CSV "text/csv; charset=utf-8"
#define CALL_REVALIDATE "private, no-cache"

/* What all calls share. */
struct call_service {
    const struct config *config;
    struct access *access;
    struct journal *journal;
    struct limiter *receipts; /* of reads of people's receipts */
    struct kept *kept; /* answers; NULL: none are kept */
    pthread_key_t db; /* a struct db of each HTTP thread */
    int64_t started_ms; /* steady */
    atomic_bool exporting; /* a bundle is being made */
    atomic_llong in_progress;
};

struct bundles_job;

struct call {
    struct call_service *service;
    struct MHD_Connection *connection;
    const char *path;
    enum metrics_endpoint endpoint;
    struct access_identity identity;
    bool identified;
    struct bundles_job **job; /* of the request: bundles.h */
    struct kept_answer *keep; /* what is answered 200 is left here too, for keeper.h; NULL: it is not */
};

/* This thread's connection: read-only, one snapshot a transaction, statements of at most ten seconds. NULL if the database
 * is away; why says so. */
struct db *call_db(struct call *call, struct failure *why);
/* Free a thread's connection: for pthread_key_create. */
void call_db_free(void *db);

/* A request header or query parameter, borrowed; NULL if it is not there. */
const char *call_header(const struct call *call, const char *name);
/* See call_header. */
const char *call_argument(const struct call *call, const char *name);

/* Whether all query parameters are among names, which ends with NULL. */
bool call_knows_arguments(const struct call *call, const char *const *names);

/* Answer with a problem: status, its type (a literal), and what a printf format explains about field (a literal, or ""). */
enum MHD_Result call_problem(struct call *call, unsigned status, const char *type, const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Answer that the database is away. */
enum MHD_Result call_unavailable(struct call *call);

/* Answer that there is nothing at this path that this key may see: the same for what is not and for what is hidden. */
enum MHD_Result call_not_found(struct call *call);

/* Answer 200 with body (taken; from malloc) of the content type, as reply's other members say. */
enum MHD_Result call_send(struct call *call, struct reply *reply, const char *content_type, char *body);

/* Answer 200 with root (taken) as JSON. */
enum MHD_Result call_send_json(struct call *call, json_t *root);

/* Answer with tag as strong ETag: 304 if the client has it (body is freed), else 200 with body (taken) and perhaps a Link
 * header. link is NULL or borrowed. */
enum MHD_Result call_send_tagged(struct call *call, const char *tag, const char *content_type, const char *link, char *body);

/* Answer with what is kept, borrowed: 304 if the client has it, else 200. */
enum MHD_Result call_send_kept(struct call *call, const struct kept_answer *kept);

/* Count one read of the numbers of app (a name). */
void call_count_read(struct call *call, const char *app);

/* Find out who asks and demand scope. True: go on. False: *answer is to be returned. */
bool call_admit(struct call *call, enum access_scope scope, enum MHD_Result *answer);

#endif
