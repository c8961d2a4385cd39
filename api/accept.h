/*
 * Content negotiation: how welcome a media type is to a client (RFC 9110, section 12.5.1).
 *
 * Uses:     libc.
 * Threads:  pure functions.
 */
#ifndef THRONG_API_ACCEPT_H
#define THRONG_API_ACCEPT_H

#include <stdbool.h>

/* The quality that the Accept header gives to type ("text/csv"), 0 to 1000; the most specific range counts. No header (NULL)
 * welcomes everything. Parameters other than q are ignored. */
int accept_quality(const char *header, const char *type);

/* Whether the header welcomes CSV more than JSON. */
bool accept_prefers_csv(const char *header);

/* Whether the header names type itself, not by a range. */
bool accept_names(const char *header, const char *type);

#endif
