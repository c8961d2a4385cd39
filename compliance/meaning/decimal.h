/*
 * Decimals: amounts of the privacy budget as whole units of 10^-12, exactly. No floating point.
 *
 * Sees:     costs.
 * Uses:     libc.
 * Threads:  every function may run anywhere.
 * Failure:  false; outputs are untouched then.
 */
#ifndef THRONG_MEANING_DECIMAL_H
#define THRONG_MEANING_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECIMAL_PLACES 12
#define DECIMAL_ONE UINT64_C(1000000000000)
#define DECIMAL_TEXT_BYTES 32

typedef uint64_t decimal_units; /* of 10^-12: up to 18 million */

/* *out: the number that text[0..length-1] says: digits, no needless zero before them, and at most one point followed by 1 to
 * 12 digits; a 0 may end them ("0.5", "0.500000000000"). */
bool decimal_parse(const char *text, size_t length, decimal_units *out);
/* *sum += more. False if it does not fit. */
bool decimal_add(decimal_units *sum, decimal_units more);
/* As text, without needless zeros. Returns out. */
const char *decimal_format(decimal_units units, char out[DECIMAL_TEXT_BYTES]);

#endif
