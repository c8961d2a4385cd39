/*
 * A ration: so many of something an hour and holder, the holder told by a hash. For access requests, which say whether
 * somebody is known.
 *
 * Sees:     hashes of API keys.
 * Uses:     libc.
 * Threads:  any; one lock inside.
 * Failure:  none: with more holders than places the one that was quiet longest is forgotten.
 */
#ifndef THRONG_INGEST_RATION_H
#define THRONG_INGEST_RATION_H

#include <stdbool.h>
#include <stdint.h>

#define RATION_AN_HOUR 10
#define RATION_HOLDERS 512

struct ration;

/* NULL if memory is short. */
struct ration *ration_new(void);
/* Free; NULL is allowed. */
void ration_free(struct ration *ration);

/* Take one for holder at now_ms (steady clock). If there is none left, false, and *retry_after_s says when (>= 1). */
bool ration_take(struct ration *ration, uint64_t holder, int64_t now_ms, unsigned *retry_after_s);

#endif
