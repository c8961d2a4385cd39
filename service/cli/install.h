/*
 * The private installation of `throng up`: its programs, secrets and configuration files, and how each daemon is run with
 * no more than it needs.
 *
 * Sees:     passwords of the installation's own services.
 * Uses:     service/supervise, service/base.
 * Threads:  one.
 * Failure:  RESULT_NOT_FOUND (a program is missing), and as service/supervise.
 */
#ifndef THRONG_CLI_INSTALL_H
#define THRONG_CLI_INSTALL_H

#include "service/base/config.h"
#include "service/supervise/datadir.h"
#include "service/supervise/supervise.h"

enum install_program { INSTALL_AUDIT, INSTALL_AGGREGATE, INSTALL_RELEASE, INSTALL_INGEST, INSTALL_API, INSTALL_THRONG };
#define INSTALL_DAEMONS 5 /* in the order in which they start */

struct install {
    struct config *config; /* borrowed; its places are set to the data directory's */
    char data[DATADIR_PATH_BYTES];
    char secrets[DATADIR_PATH_BYTES];
    int lock_fd;
    int programs[INSTALL_THRONG + 1];
    struct words environment; /* what every process gets */
};

/* Open the daemons beside this program and this program itself: before privileges are dropped, since they may lie where
 * the unprivileged user cannot go. */
enum result install_open_programs(struct install *install, struct failure *why);

/* Make what secrets are missing and write connection strings and DATA/throng.conf. install->data is set. */
enum result install_write(struct install *install, struct failure *why);

/* The daemon's name: "ingest", … A static string. */
const char *install_name(enum install_program daemon);

/* Fill *service to run a daemon. */
void install_service(const struct install *install, enum install_program daemon, struct supervise_service *service);

/* A plan to run this program as a command on this installation, its output to log (borrowed); append its arguments. */
struct child_plan install_command(const struct install *install, const char *name, const char *log);

/* Replace an owned string of a configuration by what format (printf) makes. */
void install_set(const char **member, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "DATA/log/NAME.log", owned by the caller. */
char *install_log(const struct install *install, const char *name);

#endif
