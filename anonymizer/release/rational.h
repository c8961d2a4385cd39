/*
 * Rationals: exact non-negative fractions on checked 64-bit integers, for what may not be rounded by chance: variances, rho,
 * delta. Every result is in lowest terms. Sums of many unlike fractions outgrow 64 bits; who sums, first rounds to a common
 * decimal unit (rational_ceil, as accounting.h does). Also the 128-bit integer that the samplers reckon in.
 *
 * Sees:     nothing of a person.
 * Uses:     schema/failure.h; integers only.
 * Threads:  pure functions.
 * Failure:  RESULT_INVALID (a denominator of 0, a text that is no number), RESULT_FULL (a result that does not fit);
 *           outputs are untouched on failure.
 */
#ifndef THRONG_RELEASE_RATIONAL_H
#define THRONG_RELEASE_RATIONAL_H

#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

/* ISO C has no 128-bit integer; gcc and clang do on every 64-bit machine. */
__extension__ typedef unsigned __int128 rational_wide;

#define RATIONAL_PLACES_MAX 18 /* decimals that a text may have */
#define RATIONAL_TEXT_MAX 48   /* bytes that any text of a rational needs, its 0 included */

/* numerator / denominator; the denominator is never 0. {38, 1} and {19, 2} may be written down as they are. */
struct rational {
    uint64_t numerator;
    uint64_t denominator;
};

enum rational_rounding { RATIONAL_DOWN, RATIONAL_UP };

/* Write numerator/denominator in lowest terms to *out. RESULT_INVALID for a denominator of 0, RESULT_FULL if 64 bits do not
 * hold the lowest terms. */
enum result rational_make(rational_wide numerator, rational_wide denominator, struct rational *out, struct failure *why);

/* a + b, a × b, a ÷ b, exactly. RESULT_FULL if that does not fit; RESULT_INVALID for a division by 0. */
enum result rational_add(struct rational a, struct rational b, struct rational *out, struct failure *why);
/* See rational_add. */
enum result rational_multiply(struct rational a, struct rational b, struct rational *out, struct failure *why);
/* See rational_add. */
enum result rational_divide(struct rational a, struct rational b, struct rational *out, struct failure *why);

/* Less than, equal to or greater than 0, as a is less than, equal to or greater than b. Exact for all values. */
int rational_compare(struct rational a, struct rational b);

/* Round a to a multiple of 1/unit (unit >= 1). RESULT_FULL if the multiple's count exceeds 64 bits. */
enum result rational_round(struct rational a, uint64_t unit, enum rational_rounding rounding, struct rational *out,
    struct failure *why);

/* Read a decimal number, digits with at most one point and at most RATIONAL_PLACES_MAX decimals ("0.7328", "38"). No sign,
 * exponent or blanks. */
enum result rational_parse(const char *text, struct rational *out, struct failure *why);

/* Write a with at most places (0 to RATIONAL_PLACES_MAX) decimals, rounded as said, without trailing zeros: "0.7328", "38".
 * Never fails; a number that has so many decimals or fewer is written exactly. */
void rational_decimal(struct rational a, unsigned places, enum rational_rounding rounding, char out[RATIONAL_TEXT_MAX]);

/* Write a exactly: "38/3", or "38" if it is whole. */
void rational_fraction(struct rational a, char out[RATIONAL_TEXT_MAX]);

#endif
