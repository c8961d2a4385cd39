/*
 * What people ask for: erasure, objection (and its withdrawal), access. Here, because only here may a raw id be seen: it is
 * mapped by keyd and goes on as pseudonyms in a packet to the person's shard, which is safe before the answer.
 *
 *   POST /v1/apps/{app}/erasures          {"user":"…"}
 *   POST /v1/apps/{app}/objections        {"user":"…"}, or {"user":"…","withdraw":true}
 *   POST /v1/apps/{app}/access-requests   {"user":"…","seal_to":"base64 of an X25519 public key"}
 *
 * 202 {"request":"uuid","kind":"erasure|objection|withdrawal|access","app":"…","received_at":ms,"due_at":ms,
 * "last_due_at":ms}. On the admin socket without a key; on the private listener by an API key of scope erase.
 *
 * Sees:     a raw id, while the request lasts; it is wiped with the body.
 * Uses:     exchange, document, writer, ration, libsodium.
 * Threads:  the daemon's.
 * Failure:  problem documents, which name the field and never its value.
 */
#ifndef THRONG_INGEST_PEOPLE_H
#define THRONG_INGEST_PEOPLE_H

#include <stdbool.h>

#include "service/ingest/exchange.h"

/* Take up a request for path: false if it is none of these. trusted: it comes by the admin socket. */
bool people_begin(struct exchange *exchange, const char *path, const char *method, bool trusted);

#endif
