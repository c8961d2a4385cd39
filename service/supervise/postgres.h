/*
 * The private PostgreSQL: found, made by initdb, its command line, its leftovers, and whether it accepts connections.
 *
 * Sees:     the superuser's password, while the cluster is made.
 * Uses:     the server's own programs; no libpq.
 * Threads:  the supervisor's one thread.
 * Failure:  RESULT_NOT_FOUND (no server programs, or not of the cluster's version), RESULT_FAILED. A cluster half made is
 *           made anew.
 */
#ifndef THRONG_SUPERVISE_POSTGRES_H
#define THRONG_SUPERVISE_POSTGRES_H

#include <stdbool.h>
#include <sys/types.h>

#include "schema/failure.h"
#include "service/supervise/supervise.h"

#define POSTGRES_SUPERUSER "throng_super"
#define POSTGRES_DATABASE "throng"
#define POSTGRES_PATH_BYTES 512

/* Write the directory of the server's programs, of the cluster's version if there is one, else the newest, to out. */
enum result postgres_find_programs(const char *data, char out[POSTGRES_PATH_BYTES], struct failure *why);

/* Make the cluster data/postgres with the database throng and a superuser whose password is the secret postgres-super, if
 * there is none. environment: what the server's programs get (copied). */
enum result postgres_make(struct supervise *supervise, const char *data, const struct words *environment,
    struct failure *why);

/* Fill *service to run it on the socket in data/run. data is borrowed for the service's life. */
enum result postgres_plan(const char *data, struct supervise_service *service, struct failure *why);

/* Whether process pid, the postmaster, accepts connections; for supervise_await, with the path of the data directory. */
bool postgres_ready(const void *data, pid_t pid);

#endif
