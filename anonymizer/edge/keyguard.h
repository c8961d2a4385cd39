/*
 * What keyd's process gives up: descriptors, signals, dumps, tracing and, at last, every system call it does not
 * need.
 *
 * Sees:     nothing.
 * Uses:     libseccomp.
 * Threads:  for a process with one thread.
 * Failure:  a struct failure; the process must not go on.
 */
#ifndef THRONG_EDGE_KEYGUARD_H
#define THRONG_EDGE_KEYGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "schema/failure.h"

#define KEYGUARD_SOCKET 3 /* keyd's descriptor of the socketpair */

/* Refuse tracing and core dumps, die with `parent`, ignore the signals meant for it. */
enum result keyguard_harden(pid_t parent, struct failure *why);

/* Move socket to KEYGUARD_SOCKET, close every descriptor above, point 0 and 1 (and 2, if quiet) at /dev/null. */
enum result keyguard_close_others(int socket, bool quiet, struct failure *why);

/* Pages that are locked, zero and in no dump; NULL if the limit of locked memory (RLIMIT_MEMLOCK) forbids. Never
 * freed: they live as long as the process. */
void *keyguard_locked_pages(size_t size, struct failure *why);

/* Allow only what answering takes: receiving and sending on KEYGUARD_SOCKET, reading and writing key_file, clock,
 * randomness, exit. Anything else kills the process. */
enum result keyguard_filter(int key_file, struct failure *why);

#endif
