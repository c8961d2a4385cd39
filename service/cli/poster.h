/*
 * HTTP requests to ingest's admin socket, several in flight. What may be tried again is tried again here: no connection,
 * 429 and 503 (after Retry-After), and for a while 404 and 409, until ingest has heard of an app's new mode.
 *
 * Sees:     request bodies, with raw identifiers; wiped when answered.
 * Uses:     libcurl.
 * Threads:  one.
 * Failure:  RESULT_UNAVAILABLE after POSTER_PATIENCE_MS without an answer; the first failure stays.
 */
#ifndef THRONG_CLI_POSTER_H
#define THRONG_CLI_POSTER_H

#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

#define POSTER_PARALLEL_MAX 32
#define POSTER_PATIENCE_MS 60000   /* ingest may be restarting */
#define POSTER_BUSY_MS 600000      /* 503 in a row: its spool may be full */
#define POSTER_SETTLING_MS 15000   /* an app's mode travels through Redis */

struct poster;

/* A final answer: any status that is not worth another try. Borrowed for the call. */
struct poster_answer {
    void *ticket; /* of poster_submit */
    long status;
    const char *body; /* NUL-terminated */
    size_t length;
};

/* How the caller learns of answers; anything but RESULT_OK ends the posting with that result. */
struct poster_listener {
    enum result (*answered)(void *context, const struct poster_answer *answer, struct failure *why);
    void *context;
};

/* Make a poster for POST requests of JSON to path at target: a unix socket ("/run/…") or "http://HOST:PORT". With 1 to
 * POSTER_PARALLEL_MAX requests in flight. All strings are copied, listener too. Owned by the caller until poster_free. */
enum result poster_new(const char *target, const char *path, size_t parallel, const struct poster_listener *listener,
    struct poster **out, struct failure *why);
/* Give up what is in flight and free. NULL is allowed. */
void poster_free(struct poster *poster);

/* Send body[0..length-1] (taken: freed with free) as soon as a place is free, handling answers meanwhile. */
enum result poster_submit(struct poster *poster, char *body, size_t length, void *ticket, struct failure *why);

/* Wait until everything is answered. */
enum result poster_finish(struct poster *poster, struct failure *why);

/* One request without repetition: method "GET", or "POST" with body, JSON (borrowed; NULL: empty). *answer is NUL-terminated and
 * owned by the caller (free). */
enum result poster_send(const char *target, const char *method, const char *path, const char *body, long *status, char **answer,
    struct failure *why);

#endif
