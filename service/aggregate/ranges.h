/*
 * A set of integers kept as disjoint, ascending, half-open ranges: the C side of PostgreSQL's int8multirange.
 *
 * Uses:     libc.
 * Threads:  a set belongs to one thread.
 * Failure:  RESULT_CORRUPT for text that is no multirange; out of memory ends the process.
 */
#ifndef THRONG_AGGREGATE_RANGES_H
#define THRONG_AGGREGATE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

struct range {
    int64_t low;  /* first member */
    int64_t high; /* first non-member after it */
};

/* Zero-initialise: {0} is the empty set. The first range lies in the struct: most sets have no other. */
struct ranges {
    struct range one;
    struct range *more; /* all of them, once there are two */
    size_t count, capacity;
};

/* Free what set holds and make it empty. */
void ranges_clear(struct ranges *set);

/* Add [low, high), low < high; returns how many members are new. */
int64_t ranges_add(struct ranges *set, int64_t low, int64_t high);

/* Add every member of other to set. */
void ranges_add_all(struct ranges *set, const struct ranges *other);

/* Whether value is a member. */
bool ranges_has(const struct ranges *set, int64_t value);

/* How many members are below limit. */
int64_t ranges_count_below(const struct ranges *set, int64_t limit);

/* The ranges, borrowed until set changes; *count of them. */
const struct range *ranges_list(const struct ranges *set, size_t *count);

/* Write set as multirange text "{[0,3),[5,6)}" to a string owned by the caller. */
char *ranges_format(const struct ranges *set);

/* Add the members of multirange text (as PostgreSQL prints it) to set. RESULT_CORRUPT: set may have grown. */
enum result ranges_parse(struct ranges *set, const char *text);

#endif
