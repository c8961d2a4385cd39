/*
 * The beacon: the script that pages embed, carried by this program as it is and compressed, and served to anybody.
 *
 * Sees:     the headers Accept-Encoding and If-None-Match.
 * Uses:     the build, which writes embedded.inc from api/beacon/embedded; libsodium (the tags), service/http.
 * Threads:  any.
 * Failure:  problem documents; MHD_NO if memory is short.
 */
#ifndef THRONG_INGEST_BEACON_H
#define THRONG_INGEST_BEACON_H

#include "service/ingest/exchange.h"

/* Begin an exchange on ingest.beacon_path: GET and HEAD are answered with the script when it is complete, all else is
 * refused. */
void beacon_begin(struct exchange *exchange, const char *method);

#endif
