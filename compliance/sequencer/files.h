/*
 * Small files that survive a power loss: whole as they were before, or whole as they are now.
 *
 * Sees:     what it is given; keystore.c gives it sealed keys.
 * Uses:     libc, service/base/durable.
 * Threads:  one for each directory.
 * Failure:  RESULT_NOT_FOUND (no such file), RESULT_FULL (longer than the room), RESULT_FAILED with the system's reason.
 */
#ifndef THRONG_SEQUENCER_FILES_H
#define THRONG_SEQUENCER_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

#define FILES_PATH_BYTES 640
#define FILES_DIRECTORY_MAX_BYTES 400 /* of a path that other names are appended to */

/* Write "directory/name" to out and return out. */
char *files_join(char out[FILES_PATH_BYTES], const char *directory, const char *name);

/* Put length bytes (borrowed) in path's place, mode 0600, by way of the file fresh, which lies in the same file system: synced
 * before it gets the name. The name itself is durable after files_sync of its directory. what names the file in why. */
enum result files_put(const char *fresh, const char *path, const void *bytes, size_t length, const char *what,
    struct failure *why);

/* Make the names in directory durable. */
enum result files_sync(const char *directory, const char *what, struct failure *why);

/* files_put of "directory/name" by way of "directory/.name.new", and files_sync. */
enum result files_replace(const char *directory, const char *name, const void *bytes, size_t length, struct failure *why);

/* Read the whole of path, at most room bytes, to out; *length is its length. */
enum result files_read(const char *path, void *out, size_t room, size_t *length, const char *what, struct failure *why);

/* Make a directory, mode 0700, unless it is there; durable in its parent. */
enum result files_make_directory(const char *path, const char *what, struct failure *why);

#endif
