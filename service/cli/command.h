/*
 * The subcommands of `throng`: one row of commands.def each, one file each (NAME.c exports NAME_command).
 *
 * Sees:     raw ids in import, erase, access and object, which hand them to ingest's admin socket.
 * Failure:  exit status 0, 1 (failed, said on standard error) or 2 (usage).
 */
#ifndef THRONG_CLI_COMMAND_H
#define THRONG_CLI_COMMAND_H

#include <stdbool.h>

#include "schema/failure.h"
#include "service/base/config.h"
#include "service/db/db.h"

struct command_context {
    struct config config; /* loaded from --config, $THRONG_CONFIG, DATA/throng.conf or /etc/throng/throng.conf */
    bool json;            /* --json was given, anywhere on the line */
    bool terminal;        /* standard error is a terminal: progress bars */
    const char *data;     /* --data or $THRONG_DATA; NULL: not given */
};

/* argv[0] is the subcommand's name. Each returns the exit status. */
#define COMMAND(name, synopsis, summary, help) int name##_command(struct command_context *context, int argc, char **argv);
#include "service/cli/commands.def"
#undef COMMAND

/* The program: find the subcommand of argv, load its configuration, run it. Returns the exit status. */
int command_run(int argc, char **argv);

/* Print "throng NAME: FIELD: TEXT" (or without field) from why to standard error and return 1. */
int command_fail(const char *name, const struct failure *why);

/* Print what is wrong with the usage (printf) and where to look, and return 2. */
int command_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A connection as throng_owner (owner) or throng_read, owned by the caller; on failure prints and returns NULL. */
struct db *command_db(struct command_context *context, const char *name, bool owner);

/* The path of ingest's admin socket, a static buffer. */
const char *command_admin_socket(const struct command_context *context);

#endif
