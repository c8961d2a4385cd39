/*
 * Listening sockets: TCP from "HOST:PORT", and unix sockets that only their owner may use.
 *
 * Uses:     libc.
 * Threads:  any; listen_unix changes the process's umask for a moment, so call it before threads.
 * Failure:  RESULT_INVALID (address), RESULT_FAILED (with the system's reason); *fd is untouched.
 */
#ifndef THRONG_HTTP_LISTEN_H
#define THRONG_HTTP_LISTEN_H

#include "schema/failure.h"

/* Listen on address ("127.0.0.1:8080", "[::1]:8080", "localhost:8080"); name is the configuration key for why. The
 * caller owns *fd: non-blocking, close-on-exec. */
enum result listen_tcp(const char *address, const char *name, int *fd, struct failure *why);

/* Listen on the unix socket path (at most 107 bytes), mode 0600, in place of a stale one. */
enum result listen_unix(const char *path, int *fd, struct failure *why);

#endif
