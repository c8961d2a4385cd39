/*
 * DIRECTORY/audit.sign: what other programs of this installation ask of the log's signer. One line is asked, the answer goes to
 * the end of the connection:
 *
 *   manifest SIZE HEX   a note over a bundle's manifest (signer.h), for the size of a published checkpoint
 *   checkpoint          the newest published note
 *   vkey                the log's verifier keys, a line each, the newest last
 *   rotate              begin a new signing key; answers its verifier key
 *
 * A refusal is a line "error: EXPLANATION". Only the socket's owner may connect.
 *
 * Sees:     public texts.
 * Uses:     libc.
 * Threads:  one; a client that is slow is cut off after a second.
 * Failure:  RESULT_INVALID, RESULT_FAILED.
 */
#ifndef THRONG_SEQUENCER_SOCKET_H
#define THRONG_SEQUENCER_SOCKET_H

#include "compliance/sequencer/keystore.h"
#include "compliance/sequencer/sequence.h"

/* Listen in directory, in place of a stale socket. The caller owns *fd. */
enum result socket_listen(const char *directory, int *fd, struct failure *why);

/* Answer the clients that wait, at most a few. */
void socket_serve(int fd, struct sequence *sequence, const struct keystore *keys);

/* Remove the socket. */
void socket_remove(const char *directory);

/* Ask the daemon that listens in directory; its answer goes to out with a NUL. RESULT_UNAVAILABLE if none listens. */
enum result socket_ask(const char *directory, const char *line, char *out, size_t room, struct failure *why);

#endif
