/*
 * Problem documents (RFC 9457): what every error answer of ours says.
 *
 * Sees:     explanations, which name fields and limits, never a value.
 * Uses:     libc.
 * Threads:  pure functions.
 * Failure:  NULL if memory is short.
 */
#ifndef THRONG_HTTP_PROBLEM_H
#define THRONG_HTTP_PROBLEM_H

#include "schema/failure.h"

/* The document as JSON: type "urn:throng:problem:TYPE", title and status, detail and field from why (NULL: none of them).
 * NUL-terminated, owned by the caller (free). */
char *problem_document(unsigned status, const char *type, const struct failure *why);

#endif
