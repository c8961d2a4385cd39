/*
 * The export: a bundle of the log up to one checkpoint, made from the database as throng_read sees it, in one snapshot. Its
 * bytes are a function of the checkpoint and of the keys: made again they are the same.
 *
 * Sees:     audit leaves, app definitions, rows of the ledger and of releases.
 * Uses:     compliance/bundle, compliance/report, service/db, libsodium; the log's signer over its unix socket.
 * Threads:  one.
 * Failure:  RESULT_NOT_FOUND (no such checkpoint), RESULT_UNAVAILABLE (database or signer away), RESULT_DENIED (a missing grant),
 *           RESULT_CORRUPT (tiles, leaves and checkpoint do not fit each other), RESULT_FULL, RESULT_FAILED (the file). Nothing is
 *           left behind: the file appears whole, or not at all.
 */
#ifndef THRONG_EXPORT_EXPORT_H
#define THRONG_EXPORT_EXPORT_H

#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "schema/failure.h"
#include "service/db/db.h"

/* What is wanted. Everything is borrowed. */
struct export_request {
    struct db *db;         /* as throng_read */
    const char *path;      /* where the bundle goes, mode 0600; what was there is replaced */
    uint64_t size;         /* of the checkpoint; 0: the newest */
    const char *signer;    /* the socket of throng-audit */
    const char *witnesses; /* file of witnesses (audit.witnesses): URL prefix, space, verifier key; "": none */
    void (*progress)(void *context, double fraction, const char *what); /* now and then; NULL: nobody asks */
    void *context;
};

/* What was made. */
struct export_made {
    uint64_t size;     /* of the log at the checkpoint */
    uint64_t bytes;    /* of the file */
    uint8_t hash[32];  /* SHA-256 of the file */
    char origin[CHECKPOINT_ORIGIN_MAX_BYTES + 1];
};

/* Make the bundle. *made is untouched on failure. */
enum result export_make(const struct export_request *request, struct export_made *made, struct failure *why);

#endif
