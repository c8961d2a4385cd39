/*
 * Secrets of a private installation: one file each in DATA/secrets, mode 0600, without a newline.
 *
 * Sees:     passwords of the installation's own services.
 * Uses:     libsodium.
 * Threads:  any, on different names.
 * Failure:  RESULT_NOT_FOUND (reading), RESULT_FAILED.
 */
#ifndef THRONG_SUPERVISE_SECRETS_H
#define THRONG_SUPERVISE_SECRETS_H

#include "schema/failure.h"

#define SECRETS_MAX_BYTES 512 /* a buffer for any of them */

/* Make directory/name with 192 random bits in base64url, if it is not there. */
enum result secrets_make(const char *directory, const char *name, struct failure *why);

/* Write text to directory/name durably: temporary file, fsync, rename. */
enum result secrets_write(const char *directory, const char *name, const char *text, struct failure *why);

/* Read directory/name to out, NUL-terminated, less a newline at its end. */
enum result secrets_read(const char *directory, const char *name, char out[SECRETS_MAX_BYTES], struct failure *why);

#endif
