/*
 * Durable files: small ones that are replaced as a whole, so that a crash or a power loss leaves the old one or the new one.
 *
 * Sees:     bytes.
 * Uses:     libc.
 * Threads:  any, but one at a time for one file.
 * Failure:  false, and errno says why. What had the name has it still, unless it was durable_sync that failed: then the new one has
 *           it, which may not outlive a power loss.
 */
#ifndef THRONG_BASE_DURABLE_H
#define THRONG_BASE_DURABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Put length bytes (borrowed) in path's place, mode 0600, by way of the file fresh, which lies in the same file system: synced
 * before it gets the name. The name itself is durable after durable_sync of its directory. */
bool durable_put(const char *fresh, const char *path, const void *bytes, size_t length);

/* Make the names in directory durable. */
bool durable_sync(const char *directory);

/* Write all of length bytes (borrowed) where fd stands. Not synced. */
bool durable_write(int fd, const void *bytes, size_t length);

#endif
