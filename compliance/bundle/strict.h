/*
 * JSON texts of a closed form, read as they are written: the reader is told what must come next, so a member that is
 * missing, repeated, out of order or in another spelling than RFC 8785's is refused.
 *
 *   string   RFC 8785 section 3.2.2.2: escapes \" \\ \b \f \n \r \t, and \u00xx (lower case) of other control characters, no other
 *   number   a decimal integer, 0 to 2^53 - 1 (RFC 7493 section 2.2)
 *
 * Sees:     public texts.
 * Uses:     compliance/audit/text.
 * Threads:  every function may run anywhere.
 * Failure:  false; the text is not in its form then, and outputs are undefined.
 */
#ifndef THRONG_BUNDLE_STRICT_H
#define THRONG_BUNDLE_STRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/text.h"

#define STRICT_NUMBER_MAX (((uint64_t)1 << 53) - 1)

/* Read a string off the front of *rest to out, a string of room bytes; a NUL inside or too little room is refused. */
bool strict_string(struct text_view *rest, char *out, size_t room);

/* Read a number off the front of *rest. */
bool strict_number(struct text_view *rest, uint64_t *value);

/* Append a string (without quotation marks: plain text, a NUL at its end) in its JSON form. */
void strict_put_string(struct text_writer *writer, const char *string);

#endif
