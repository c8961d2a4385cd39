/*
 * Orders of emergency purges that are not finished: one durable file each, so that neither a crash nor a store that is away makes
 * one forgotten. They lie in STATE/purge, beside ingest's own state, mode 0600, and are gone when the purge is done.
 *
 * Sees:     an operator's words (the reason).
 * Uses:     jansson, service/supervise/secrets.
 * Threads:  one.
 * Failure:  RESULT_FAILED; a file that cannot be read as an order is RESULT_CORRUPT and stays.
 */
#ifndef THRONG_CLI_ORDERS_H
#define THRONG_CLI_ORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "schema/limits.h"
#include "service/cli/uuid.h"

#define ORDERS_REASON_BYTES 513 /* 512 and a NUL */
#define ORDERS_MAX 64

struct orders_purge {
    uint8_t id[UUID_BYTES]; /* of the purge, of its intent in the trail, of the packets */
    char app[NAME_MAX_BYTES + 1];
    char reason[ORDERS_REASON_BYTES];
    int64_t ordered_ms;
    bool recorded; /* its intent is in the trail */
    bool told;     /* ingest has taken it: the key is gone, collection stopped, the packets are on their way */
};

/* Write (or write anew) order under state, and make it the owner's of state if root does this. */
enum result orders_write(const char *state, const struct orders_purge *order, struct failure *why);

/* Read up to ORDERS_MAX orders into out and their number to *count; none without the folder. */
enum result orders_read(const char *state, struct orders_purge out[ORDERS_MAX], size_t *count, struct failure *why);

/* Remove the file of order id. */
void orders_remove(const char *state, const uint8_t id[UUID_BYTES]);

#endif
