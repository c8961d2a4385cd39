/*
 * The admin socket's routes: whoever may open the socket is the operator.
 *
 * Sees:     events handed in for import (raw ids) and an export's passphrase, while the request lasts; commitments to keys,
 *           never keys.
 * Uses:     exchange, events, keyd, notices, purges, selftest, jansson.
 * Threads:  the daemon's.
 * Failure:  problem documents.
 */
#ifndef THRONG_INGEST_ADMIN_H
#define THRONG_INGEST_ADMIN_H

#include <stdbool.h>

#include "service/ingest/exchange.h"

/* Take up a request for path: false if it is none of the admin socket's. */
bool admin_begin(struct exchange *exchange, const char *path, const char *method);

#endif
