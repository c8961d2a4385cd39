/*
 * A scan of files for an identifier: in every way in which it could have been written down by accident. As it is, in capitals or
 * small letters, hexadecimal, UTF-16, percent-encoded, base64 at each alignment; and its plain SHA-256, as
 * bytes, hexadecimal and base64. Its pseudonyms are not looked for: nobody but keyd can know them.
 *
 * Sees:     the identifier, and bytes of files; neither is told.
 * Uses:     libsodium.
 * Threads:  one.
 * Failure:  files that cannot be read are counted.
 */
#ifndef THRONG_CLI_STORESCAN_H
#define THRONG_CLI_STORESCAN_H

#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

#define STORESCAN_LEAST_BYTES 6 /* of an identifier: shorter ones are found everywhere by chance */

struct storescan; /* the patterns of one identifier */

struct storescan_count {
    uint64_t files, bytes, unreadable, found;
};

/* Make the patterns of id, length bytes (wiped with storescan_free). RESULT_INVALID: shorter than STORESCAN_LEAST_BYTES. */
enum result storescan_new(const char *id, size_t length, struct storescan **out, struct failure *why);
/* Free; NULL is allowed. */
void storescan_free(struct storescan *scan);

/* Look through every file below directory; found is told the path and the form of each hit (borrowed), the first of each form and
 * file. Adds to *count. progress (NULL: nobody asks) is told now and then. */
enum result storescan_run(const struct storescan *scan, const char *directory,
    void (*found)(void *context, const char *path, const char *form), void (*progress)(void *context, const struct storescan_count *),
    void *context, struct storescan_count *count, struct failure *why);

#endif
