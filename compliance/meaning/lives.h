/*
 * Lives: what begins and ends in a trail, and in which order: apps and their versions, keys, people's requests, orders and what
 * became of them, backups, incidents, access keys, the log's own key.
 *
 * Sees:     leaves, definitions.
 * Uses:     compliance/meaning.
 * Threads:  one.
 * Failure:  RESULT_FULL without memory, what the source returns.
 */
#ifndef THRONG_MEANING_LIVES_H
#define THRONG_MEANING_LIVES_H

#include "compliance/meaning/findings.h"
#include "compliance/meaning/hashed.h"
#include "compliance/meaning/parsed.h"
#include "compliance/meaning/source.h"

/* An intent without an outcome is a finding once it is older than this before the newest leaf. */
#define LIVES_PATIENCE_MS INT64_C(3600000)

/* Begin with lives_begin. */
struct lives {
    const struct source *source;
    struct findings *findings;
    struct hashed apps, keys, requests, purges, intents, outcomes, backups, incidents, access, days,
        again, restored;
    char log_key[501]; /* the newest; "": none was told */
    uint64_t pruned_below; /* the most that a leaf said */
};

/* Begin; everything is borrowed until lives_free. */
void lives_begin(struct lives *lives, const struct source *source, struct findings *findings);
/* Take leaf number index, which is known. Leaves come in ascending order. */
enum result lives_take(struct lives *lives, const struct parsed *leaf, uint64_t index, struct failure *why);
/* After the last leaf, whose newest was of newest_ms: what never came to its end, or came twice, unless a restored database had lost
 * the first time. */
void lives_end(struct lives *lives, int64_t newest_ms);
/* Free what lives owns. */
void lives_free(struct lives *lives);

/* The population of an app, by its newest definition so far; NULL if that is not known. Owned by lives. */
const char *lives_population(const struct lives *lives, const char *app);

#endif
