/*
 * The data directory of a private installation: made, handed to the unprivileged user, held by one supervisor at a time.
 *
 *   DATA/lock      held (flock) by the supervisor and by the Redis and PostgreSQL that it started
 *   DATA/run       unix sockets     DATA/log      one log per process      DATA/secrets  passwords, mode 0600
 *   DATA/redis     append-only file DATA/postgres the database             DATA/ingest   keys, spool, catalogue copy
 *   DATA/release   by which a restored database is noticed                DATA/audit    the log's key and its copy as files
 *
 * Sees:     nothing of a person.
 * Uses:     libc.
 * Threads:  one, before any other exists: it changes the process's user.
 * Failure:  RESULT_INVALID (a path that cannot serve, an unknown user), RESULT_DENIED (someone else's or in use).
 */
#ifndef THRONG_SUPERVISE_DATADIR_H
#define THRONG_SUPERVISE_DATADIR_H

#include <stddef.h>

#include "schema/failure.h"

#define DATADIR_MAX_BYTES 76   /* so that DATA/run/.s.PGSQL.5432.lock fits a socket address of 107 bytes, with room */
#define DATADIR_PATH_BYTES 192 /* a buffer for any path below it */

/* Make wanted (and its parents), make it the working directory, and as root become user from here on. An existing
 * directory must be that user's, or empty. Writes its absolute path to path, and the descriptor that holds the lock, for
 * the life of the process, to *lock_fd. If an earlier supervisor was killed, waits for what it left running. */
enum result datadir_open(const char *wanted, const char *user, char path[DATADIR_PATH_BYTES], int *lock_fd,
    struct failure *why);

/* Write "path/name" to out and return out. path is at most DATADIR_MAX_BYTES, name at most 100. */
char *datadir_join(char out[DATADIR_PATH_BYTES], const char *path, const char *name);

#endif
