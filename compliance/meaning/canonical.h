/*
 * Canonical: JSON (RFC 8785) in the form that leaves nearly always have, of printable ASCII without a backslash, scanned where it
 * lies and making nothing. Another form may be a leaf's all the same: that is for a parser to tell.
 *
 * Sees:     leaves.
 * Uses:     compliance/audit/text.
 * Threads:  every function may run anywhere.
 * Failure:  false; *rest is then somewhere behind its beginning, outputs are undefined.
 */
#ifndef THRONG_MEANING_CANONICAL_H
#define THRONG_MEANING_CANONICAL_H

#include <stdbool.h>
#include <stdint.h>

#include "compliance/audit/text.h"

/* Take a text off the front of *rest: *text is what is between its quotation marks, borrowed. */
bool canonical_text(struct text_view *rest, struct text_view *text);
/* Take an integer of less than 2^53. */
bool canonical_number(struct text_view *rest, int64_t *number);
/* Take an object and all in it: texts, integers, null, arrays and objects, of which each has its members in ascending order. */
bool canonical_object(struct text_view *rest);

#endif
