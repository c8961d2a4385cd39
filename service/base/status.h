/*
 * A daemon's status socket: whoever connects to DIRECTORY/NAME.status gets one JSON document and the end of file:
 *   {"daemon":"ingest","version":"…","pid":1,"uptime_ms":…,"ready":true,"metrics":[{"name":…,"label":…,"value":…}]}
 * Metrics that were never touched are left out.
 *
 * Sees:     nothing of a person.
 * Uses:     libc, pthread; one thread of its own.
 * Threads:  status_ready may be called from any.
 */
#ifndef THRONG_BASE_STATUS_H
#define THRONG_BASE_STATUS_H

#include <stdbool.h>

#include "schema/failure.h"

/* Serve daemon's status (name borrowed for ever) in directory, mode 0600, replacing a stale socket. Call once. */
enum result status_start(const char *directory, const char *daemon, struct failure *why);

/* Say whether the daemon does its work now (initially false). */
void status_ready(bool ready);

/* Remove the socket. */
void status_stop(void);

#endif
