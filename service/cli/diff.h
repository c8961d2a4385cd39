/*
 * What differs between two JSON documents, member by member.
 *
 * Sees:     app definitions.
 * Uses:     jansson.
 * Threads:  pure functions.
 */
#ifndef THRONG_CLI_DIFF_H
#define THRONG_CLI_DIFF_H

#include <jansson.h>

/* The differences from old to new (borrowed) as an array, owned by the caller, of {"member":"events.share.goal","old":…,
 * "new":…}; old or new is absent if the member was added or removed. Objects in an array are told apart by their "name"
 * (or "id"), other arrays are compared whole; 1 equals 1.0. Empty: they say the same. */
json_t *diff_documents(json_t *old, json_t *new);

/* Print them for people, a line each: "+ member", "- member", "~ member: old -> new". */
void diff_print(const json_t *differences);

#endif
