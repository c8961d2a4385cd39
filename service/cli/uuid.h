/*
 * UUIDs (RFC 9562) as they are made, shown and typed.
 *
 * Sees:     random ids.
 * Uses:     libsodium.
 * Threads:  any.
 * Failure:  false.
 */
#ifndef THRONG_CLI_UUID_H
#define THRONG_CLI_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_BYTES 16
#define UUID_TEXT_BYTES 37 /* 36 characters and a NUL */

/* Make a random one (version 4). */
void uuid_make(uint8_t out[UUID_BYTES]);

/* Write id in lower case with its four dashes to out. Returns out. */
char *uuid_format(const uint8_t id[UUID_BYTES], char out[UUID_TEXT_BYTES]);

/* Read text of that form, in either case. False, and out untouched, if it has another. */
bool uuid_parse(const char *text, uint8_t out[UUID_BYTES]);

#endif
