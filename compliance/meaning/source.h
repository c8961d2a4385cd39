/*
 * Where leaves and definitions come from: a database while a bundle is made, the bundle while it is verified. What is said
 * about a trail is a function of this alone, so that both say the same bytes.
 *
 * Sees:     leaves and app definitions: numbers, declared names, hashes; nothing of a person.
 * Uses:     libc.
 * Threads:  a source belongs to one thread.
 * Failure:  what the functions return is passed on.
 */
#ifndef THRONG_MEANING_SOURCE_H
#define THRONG_MEANING_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/text.h"
#include "schema/failure.h"

/* The trail up to one checkpoint. Everything is borrowed. */
struct source {
    void *context;
    struct checkpoint checkpoint; /* verified by whoever made the source; size >= 1 */
    uint64_t pruned_below;        /* leaves below have no body any more */

    /* *leaf: the bytes of leaf index (pruned_below <= index < checkpoint.size), borrowed until the next call. Leaves are asked
     * for in ascending order from pruned_below, each once a pass; index 0 or pruned_below again begins another pass. */
    enum result (*leaf)(void *context, uint64_t index, struct text_view *leaf, struct failure *why);

    /* *definition: the RFC 8785 form of an app definition by its SHA-256 (as a leaf of app_added or app_changed names it),
     * borrowed until the next call. RESULT_NOT_FOUND if there is none. */
    enum result (*definition)(void *context, const uint8_t hash[32], struct text_view *definition, struct failure *why);

    /* The database's own rows, to be held against the leaves; each pass begins with row 0, RESULT_NOT_FOUND ends it. What they
     * hold is what database/ledger.csv and database/releases.csv of a bundle say, line by line, without the header. */
    enum result (*ledger)(void *context, uint64_t row, struct text_view *line, struct failure *why);
    enum result (*release)(void *context, uint64_t row, struct text_view *line, struct failure *why);
};

/* ledger line:  population,month,app,family,rho,leaf          (app: its name; rho: decimal, 12 places; leaf: uuid)
 * release line: population,app,family,item,interval,period,definition,leaf */

#endif
