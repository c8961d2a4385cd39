/*
 * A look at a daemon's status socket (service/base/status.h).
 *
 * Sees:     nothing of a person.
 * Uses:     jansson.
 * Threads:  any.
 * Failure:  NULL or false.
 */
#ifndef THRONG_CLI_PROBE_H
#define THRONG_CLI_PROBE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* Read the status of daemon from its socket in directory, waiting up to a second. Owned by the caller; NULL if there is
 * none. */
json_t *probe_status(const char *directory, const char *daemon);

/* What probe_ready asks about. */
struct probe {
    const char *directory;
    const char *daemon;
};

/* Whether process pid serves the status of the struct probe and says that it is ready. For supervise_await. */
bool probe_ready(const void *probe, pid_t pid);

/* The sum of the metric called name, over all its labels, in a status document; 0 if it is not there. */
json_int_t probe_metric(const json_t *status, const char *name);

#endif
