/*
 * What a trail means, checked: every leaf is of a known act with exactly the members that the act has; intents have
 * outcomes; keys are born before they are used and die once; what the leaves say was planned and spent is what the ledger
 * says; every release has its leaf and every leaf its release; a tombstone follows a request, and so on.
 *
 * Sees:     leaves, definitions, rows of the ledger and of releases.
 * Uses:     jansson, compliance/audit.
 * Threads:  one.
 * Failure:  findings are no failure; RESULT_* only if the source fails or memory is short.
 */
#ifndef THRONG_MEANING_MEANING_H
#define THRONG_MEANING_MEANING_H

#include <stdbool.h>

#include "compliance/meaning/source.h"

/* One thing found wrong. where: a path in the bundle and what in it ("log entry 991", "database/ledger.csv line 4"); what: a
 * sentence for people. Borrowed during the call. */
struct meaning_finding {
    const char *where;
    const char *what;
};

/* Check everything there is to check and tell found of each thing wrong, at most 100 times; *count: how many there were. An
 * intent without an outcome that is younger than an hour before the newest leaf is no finding. */
enum result meaning_check(const struct source *source, void (*found)(void *context, const struct meaning_finding *finding),
    void *context, uint64_t *count, struct failure *why);

#endif
