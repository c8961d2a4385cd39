/*
 * Small files of ingest's state directory, replaced as a whole and durably: a crash leaves the old or the new one.
 *
 * Sees:     what the caller keeps: commitments, ids of apps and orders, sealed keys. Nothing of a person.
 * Uses:     libc, service/base/durable.
 * Threads:  any, but one at a time for one name.
 * Failure:  RESULT_FAILED (the disk; the file is as it was, or new but not durable), RESULT_NOT_FOUND, RESULT_CORRUPT (longer than it may be).
 */
#ifndef THRONG_INGEST_KEEP_H
#define THRONG_INGEST_KEEP_H

#include <stddef.h>

#include "schema/failure.h"

#define KEEP_PATH_BYTES 600

/* Make directory/name hold bytes[0..length-1] (mode 0600): a temporary file, fsync, rename, fsync of the directory. */
enum result keep_store(const char *directory, const char *name, const void *bytes, size_t length, struct failure *why);

/* Read directory/name, at most `most` bytes, to *text: NUL-terminated, owned by the caller (free). */
enum result keep_load(const char *directory, const char *name, size_t most, char **text, struct failure *why);

#endif
