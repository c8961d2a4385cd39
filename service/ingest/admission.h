/*
 * Admission: a token bucket per client address (IPv6: per /64), so that one client cannot take the place of all.
 *
 * The table has a fixed size and keeps a keyed hash of each address, under a key of this process; when a set is full
 * the bucket that refilled longest ago gives way, which favours the client.
 *
 * Sees:     client addresses, while a request lasts.
 * Uses:     libsodium.
 * Threads:  admission_allow may run in many.
 * Failure:  none once made.
 */
#ifndef THRONG_INGEST_ADMISSION_H
#define THRONG_INGEST_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "service/http/proxy.h"

struct admission;

/* A table for rate requests a second (0: everything is allowed) and bursts of burst. Owned by the caller; NULL if
 * memory is short. */
struct admission *admission_new(int64_t rate, int64_t burst);
/* Free it; NULL is allowed. */
void admission_free(struct admission *admission);

/* Whether a request from address may come at now_ms (steady clock). If not, *retry_after_s is when one may (>= 1). */
bool admission_allow(struct admission *admission, const struct proxy_address *address, int64_t now_ms,
    unsigned *retry_after_s);

#endif
