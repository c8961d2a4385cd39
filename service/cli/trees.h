/*
 * Folders of files, as a whole: listed with their hashes, compared with such a list, copied durably, removed.
 *
 *   a list is JSON: {"files":[{"bytes":N,"path":"a/b","sha256":"64 hexadecimal digits"},…]}, in ascending order of path
 *
 * Sees:     whatever lies in them, as bytes.
 * Uses:     libsodium (SHA-256), jansson.
 * Threads:  one.
 * Failure:  RESULT_FAILED (the system; the path that it was about is named), RESULT_CORRUPT (a folder is not as its list says).
 */
#ifndef THRONG_CLI_TREES_H
#define THRONG_CLI_TREES_H

#include <jansson.h>
#include <sys/types.h>

#include "schema/failure.h"

#define TREES_PATH_BYTES 1024
#define TREES_HASH_TEXT_BYTES 65

/* List every file below folder: *out is owned by the caller. Symbolic links and other special files are RESULT_FAILED. */
enum result trees_list(const char *folder, json_t **out, struct failure *why);

/* Whether folder holds exactly what list (borrowed) says, byte for byte. */
enum result trees_check(const char *folder, const json_t *list, struct failure *why);

/* Copy folder from to to, which does not exist, with files 0600 and folders 0700, and sync every file and folder. */
enum result trees_copy(const char *from, const char *to, struct failure *why);

/* Give everything in and below path to a user and group; for root. */
enum result trees_give(const char *path, uid_t user, gid_t group, struct failure *why);

/* Remove path and everything below. Not being there is success. */
enum result trees_remove(const char *path, struct failure *why);

/* SHA-256 of a text, as hexadecimal digits. Returns out. */
char *trees_hash_text(const char *text, char out[TREES_HASH_TEXT_BYTES]);

#endif
