/*
 * Pseudonymization keys on their way from one ingest node to another: a file sealed under a passphrase of its own, which the other
 * node takes in while it is stopped.
 *
 * Sees:     the passphrase; keys only sealed.
 * Uses:     service/cli/ask, throng-ingest beside this program.
 * Threads:  one.
 * Failure:  exit status; no file is left half written.
 */
#ifndef THRONG_CLI_SHARING_H
#define THRONG_CLI_SHARING_H

#include "service/cli/command.h"

/* Write every key of the node on this machine to file, which must not exist (mode 0600), sealed under the passphrase that the first
 * line of passphrase_file holds. The exit status. */
int sharing_export(struct command_context *context, const char *file, const char *passphrase_file);

/* Make this (stopped) node's key file of such a file, by throng-ingest --import-keys. Does not return if that can be run. */
int sharing_join(struct command_context *context, const char *file, const char *passphrase_file);

#endif
