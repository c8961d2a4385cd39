/*
 * Members: whether a leaf's data are what compliance/audit/fields.def says of its act, no more and no less.
 *
 * Sees:     leaves.
 * Uses:     jansson.
 * Threads:  every function may run anywhere.
 * Failure:  false and a sentence that names the member.
 */
#ifndef THRONG_MEANING_MEMBERS_H
#define THRONG_MEANING_MEMBERS_H

#include <stdbool.h>

#include "compliance/meaning/parsed.h"

#define MEMBERS_TIME_MAX_MS INT64_C(253402300799999) /* the end of the year 9999 */

/* Whether the leaf's act is known, and its tenant, outcome, ref and data fit it. */
bool members_check(const struct parsed *leaf, struct failure *why);

/* The name of act number n in the order of fields.def, NULL beyond the last. Static. */
const char *members_act(size_t n);

#endif
