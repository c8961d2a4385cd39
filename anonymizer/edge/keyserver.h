/*
 * keyd's own side: open the key file, give up everything else, answer until the socket closes. It trusts nothing that
 * comes over the socket: a frame that breaks the format ends it.
 *
 * Sees:     raw identifiers and keys.
 * Uses:     libsodium, libseccomp (keyguard).
 * Threads:  one, in a process of its own.
 * Failure:  before it is ready, one answer that says why; afterwards an answer each, and the end of the process when
 * the key file cannot be written.
 */
#ifndef THRONG_EDGE_KEYSERVER_H
#define THRONG_EDGE_KEYSERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "anonymizer/edge/keyd.h"

/* Exit statuses of the process. */
#define KEYSERVER_ENDED 0     /* the socket was closed, or sent what is no frame */
#define KEYSERVER_MALFORMED 3 /* a frame held what no request is */
#define KEYSERVER_FAILED 4    /* it could not start, or not write the key file */

struct keyserver_setup {
    const struct keyd_options *options;
    int socket;
    pid_t parent;
    int64_t clock_offset_ms; /* added to the wall clock */
};

/* Be keyd: never returns. Call in a freshly forked process. */
_Noreturn void keyserver_run(const struct keyserver_setup *setup);

#endif
