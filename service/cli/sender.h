/*
 * History sent to ingest in import mode: events gathered into requests, and the account of what became of them.
 *
 * Every event has a source and a seq, so that sending it again, in whatever request, counts once.
 *
 * Sees:     raw identifiers, until the request that holds them is answered.
 * Uses:     service/cli/poster, jansson (answers), libsodium.
 * Threads:  one.
 * Failure:  as service/cli/poster; RESULT_INVALID or RESULT_DENIED with ingest's own explanation.
 */
#ifndef THRONG_CLI_SENDER_H
#define THRONG_CLI_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/app.h"
#include "schema/failure.h"
#include "schema/packet.h"

#define SENDER_SOURCE_BYTES 44 /* 43 characters and a NUL */
#define SENDER_SHOWN 20

struct sender;

/* A property as text; it is sent in the type that the app declares for it. */
struct sender_prop {
    const char *name;
    const char *text;
};

/* One event, borrowed for the call. */
struct sender_event {
    const char *name;
    const char *user;
    const char *session; /* or NULL */
    int64_t ts_ms;
    uint64_t seq;        /* within its source; shown as the line number of a rejected event */
    int64_t engaged_ms;  /* below 0: not measured */
    const struct sender_prop *props;
    size_t prop_count;
};

/* What became of the events so far. */
struct sender_tally {
    uint64_t sent, accepted, rejected, dropped;
    uint64_t reasons[PACKET_REASONS];
    uint64_t other; /* rejected for a reason that this program does not know */
    size_t shown_count;
    struct sender_rejection {
        uint64_t seq;
        char reason[40];
        char field[128]; /* a declared or structural name */
    } shown[SENDER_SHOWN];
};

/* Make a sender to app (borrowed) at target (see poster_new), with parallel requests in flight. */
enum result sender_new(const char *target, const struct app *app, size_t parallel, struct sender **out,
    struct failure *why);
/* Free; NULL is allowed. */
void sender_free(struct sender *sender);

/* Send event, which belongs to source: events of one source come one after the other. */
enum result sender_add(struct sender *sender, const char *source, const struct sender_event *event,
    struct failure *why);

/* Send what is gathered and wait for all answers. */
enum result sender_finish(struct sender *sender, struct failure *why);

/* The account, borrowed. */
const struct sender_tally *sender_tally(const struct sender *sender);

/* Derive a source from what an import is (kind: a literal; what: its options; hash: of its content) and the number of the
 * chunk: base64url of BLAKE2b-256 over the length-prefixed parts. */
void sender_make_source(const char *kind, const char *what, const uint8_t hash[32], uint64_t chunk,
    char out[SENDER_SOURCE_BYTES]);

/* A reason's name. A static string. */
const char *sender_reason_name(enum packet_reason reason);

#endif
