/*
 * The catalogue as ingest serves it: polled from Redis, kept as a local fsynced copy, every app of it declared to
 * keyd before a request can name it.
 *
 * Sees:     the catalogue.
 * Uses:     service/catalogue, service/stream, keyd.
 * Threads:  mirror_hold and mirror_release in any; mirror_load and mirror_poll in one at a time.
 * Failure:  a catalogue that cannot be used leaves the one before in service.
 */
#ifndef THRONG_INGEST_MIRROR_H
#define THRONG_INGEST_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "anonymizer/edge/keyd.h"
#include "schema/failure.h"
#include "service/catalogue/catalogue.h"
#include "service/stream/stream.h"

struct mirror;
struct purges;
struct mirror_view; /* one catalogue, and which of its apps have no key here */

/* A mirror with its copy at path (copied); catalogues must have `shards` shards. keyd and purges are borrowed:
 * an app that is purged is not declared. NULL if memory is short. */
struct mirror *mirror_new(const char *path, uint32_t shards, struct keyd *keyd, struct purges *purges);
/* Free; views still held stay. NULL is allowed. */
void mirror_free(struct mirror *mirror);

/* Serve the local copy. RESULT_NOT_FOUND if there is none; RESULT_UNAVAILABLE if keyd is gone. */
enum result mirror_load(struct mirror *mirror, struct failure *why);

/* Look whether stream has another version, and serve that. RESULT_OK if there was nothing new. A faulty document is
 * reported once, and tried again when its version changes. */
enum result mirror_poll(struct mirror *mirror, struct stream *stream, struct failure *why);

/* The view now in service, held until mirror_release; NULL: there is none yet. */
struct mirror_view *mirror_hold(struct mirror *mirror);
/* See mirror_hold. NULL is allowed. */
void mirror_release(struct mirror_view *view);

/* The view's catalogue, borrowed. */
const struct catalogue *mirror_catalogue(const struct mirror_view *view);

/* Whether keyd has no key for app and may not make one: such an app cannot be served here. */
bool mirror_refuses(const struct mirror_view *view, uint32_t app);

#endif
