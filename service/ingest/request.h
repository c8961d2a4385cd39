/*
 * One POST of events: its JSON read, checked against the app's definition and kept as records, with the raw ids it
 * names collected once each for keyd.
 *
 * Sees:     raw identifiers, while the request lasts; a struct request is wiped when freed.
 * Uses:     document, jansson (wiping), schema/, service/catalogue.
 * Threads:  a request belongs to one thread at a time.
 * Failure:  RESULT_INVALID (400) with the field at fault when the body as a whole is unusable; a faulty event is
 *           listed among the rejected and the rest goes on.
 */
#ifndef THRONG_INGEST_REQUEST_H
#define THRONG_INGEST_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/edge/device.h"
#include "anonymizer/edge/pseudonym.h"
#include "schema/app.h"
#include "schema/failure.h"
#include "schema/packet.h"
#include "service/catalogue/catalogue.h"

#define REQUEST_NO_ID SIZE_MAX
#define REQUEST_KEY_MAX_BYTES 256 /* a longer text is no key */

/* An accepted event: a packet event whose identifiers are still indexes into request.ids. */
struct request_event {
    size_t user;    /* index into ids: kind USER, or VISITOR */
    size_t session; /* index into ids, or REQUEST_NO_ID */
    bool entities;  /* some property is an entity: its value in record is an index into ids */
    struct packet_event record; /* all but the pseudonyms, with flags EVENT_ENGAGED, EVENT_VIEW, EVENT_GOAL, EVENT_SESSION */
};

struct request_id {
    enum pseudonym_kind kind;
    struct raw_id id; /* lies in the body, in request.document or in request.visitor */
};

struct request_rejection {
    size_t index; /* in "events" */
    enum packet_reason reason;
    char field[NAME_MAX_BYTES * 2]; /* declared or structural names only: "props.page"; an undeclared name is shown as sent
                                     * only if it matches [a-z][a-z0-9_]{0,62}, else as "props" */
};

/* Not to be copied or moved while it holds anything: ids may point into it. */
struct request {
    const struct app *app; /* borrowed from the catalogue that the caller holds */
    int64_t received_at_ms;
    bool import;
    bool has_source;
    size_t source; /* index into ids */
    struct request_id *ids; /* in the same piece of memory as events */
    size_t id_count;
    struct request_event *events;
    size_t event_count;
    struct request_rejection *rejected; /* NULL: none */
    size_t rejected_count;
    uint32_t reasons[PACKET_REASONS]; /* how many events went which way */
    uint32_t dropped;
    void *document;    /* json_t: owns the strings that ids point to. NULL: they lie in the body */
    char visitor[512]; /* canonical address and User-Agent, for a day visitor */
};

/* What the catalogue says of a key. */
struct request_grant {
    enum catalogue_key_kind kind;
    uint32_t app; /* 0: any */
};

/* What the HTTP layer knows. Strings are borrowed for the call. */
struct request_context {
    const struct catalogue *catalogue;
    const char *bearer;     /* text of Authorization: Bearer, or NULL */
    const struct request_grant *grant; /* bearer was looked up in catalogue already, and found; or NULL */
    const char *origin;     /* or NULL */
    const char *user_agent; /* or NULL */
    const char *address;    /* client address as text */
    bool gpc, dnt;
    bool bot;               /* the filter is on and the User-Agent is an automaton's */
    const struct app *admin_app; /* set on the admin socket: no key needed */
    bool import;            /* admin socket only: ?mode=import */
    int64_t received_at_ms;
};

/* Make jansson zero all memory that it gives back, so that no copy of a raw id survives in its buffers. Call once,
 * before threads, in every program that parses requests; what jansson hands out can still be freed with free(). */
void request_wipe_parser(void);

/* Read body[0..length-1], which stays the caller's but belongs to *out until request_free: ids may lie in it, and bytes
 * behind texts are overwritten. Wiping it is the caller's part.
 *   {"key","app","sent_at","source","consent","events":[{"name","ts","user","session","seq","engaged_ms","props"}]}
 * key: absent if it came as a bearer token. app: the app's name, wanted if the key covers any app. consent: true says
 * that the person consented; without it a write or ingest key's events for an app that requires consent are dropped,
 * with false those for every app. A missing user is a day visitor if the app takes them and the key is a write key.
 * On RESULT_OK *out is to be freed with request_free; else it is empty. RESULT_INVALID: 400. RESULT_NOT_FOUND: 401
 * (unknown or missing key). RESULT_DENIED: 403 (origin, or a write key for an app whose preset takes only ingest
 * keys). RESULT_FULL: 413 (more than REQUEST_EVENTS_MAX events). Import into sealed days: RESULT_DENIED with the
 * field "ts". RESULT_UNAVAILABLE: 503 (no memory). */
enum result request_parse(const struct request_context *context, char *body, size_t length, struct request *out,
    struct failure *why);

/* Wipe and free what request owns; the body is not its own. */
void request_free(struct request *request);

/* The 202 body for request: {"accepted":…,"rejected":[…],"dropped":…}, NUL-terminated, owned by the caller (free). */
char *request_answer(const struct request *request);

#endif
