/*
 * Joining: a node takes over the keys that another one exported, offline, before it first runs:
 *   throng-ingest --config FILE --import-keys FILE      the passphrase in THRONG_IMPORT_PASSPHRASE, or in the file that
 *                                                       THRONG_IMPORT_PASSPHRASE_FILE names
 * Its keyd seals them under ingest.seal. From then on the node gives the same names, with ingest.create_keys=false.
 *
 * Sees:     a passphrase; keys never leave keyd.
 * Uses:     keyd, notices.
 * Threads:  one.
 * Failure:  the exit status, with the reason on standard error.
 */
#ifndef THRONG_INGEST_JOIN_H
#define THRONG_INGEST_JOIN_H

#include "service/base/config.h"

struct join_order {
    const char *file; /* NULL: nothing is to be imported */
    char passphrase[512];
};

/* Take --import-keys FILE out of the arguments, and the passphrase out of the environment. Exits with 2 on a usage
 * error. */
void join_take_arguments(int *argc, char **argv, struct join_order *out);

/* Make the key file of the state directory, which exists, and wipe the passphrases. The process's exit status. */
int join_run(const struct config *config, struct join_order *order);

#endif
