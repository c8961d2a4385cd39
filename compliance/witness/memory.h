/*
 * What a witness remembers of each log: the newest checkpoint that it signed, as size and root. One file a log, durable before
 * anybody gets the signature.
 *
 * Sees:     public texts.
 * Uses:     libsodium; files in one directory.
 * Threads:  one at a time.
 * Failure:  RESULT_CORRUPT (a file is not what was written), RESULT_FAILED.
 */
#ifndef THRONG_WITNESS_MEMORY_H
#define THRONG_WITNESS_MEMORY_H

#include "compliance/audit/tree.h"

#define MEMORY_DIRECTORY_MAX_BYTES 400

/* Make directory if it is missing, and hold it: one witness at a time. RESULT_UNAVAILABLE if another holds it. */
enum result memory_open(const char *directory, struct failure *why);

/* What was signed last of the log named origin: *size 0 if nothing was. */
enum result memory_read(
    const char *directory, const char *origin, uint64_t *size, struct tree_hash *root, struct failure *why);

/* Remember, durably. */
enum result memory_write(
    const char *directory, const char *origin, uint64_t size, const struct tree_hash *root, struct failure *why);

#endif
