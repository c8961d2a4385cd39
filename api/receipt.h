/*
 * Receipts of people's requests: GET /v1/requests/{id}, how far an erasure, objection or request for access came, by the id that its
 * sender was given, which cannot be guessed. Of a request for access the sealed answer comes with it, which only the holder of the key
 * that came with the request can read.
 *
 * Sees:     times, ids of leaves, sealed answers; no raw id, no pseudonym.
 * Uses:     service/db, call, limiter; jansson, libsodium.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_RECEIPT_H
#define THRONG_API_RECEIPT_H

#include "api/call.h"

#define RECEIPT_RATE 2    /* requests a second that a key may make in the long run */
#define RECEIPT_BURST 120 /* and at once */

/* Answer for the request called id. 404 if there is none, or none that was applied yet. */
enum MHD_Result receipt_answer(struct call *call, const char *id);

#endif
