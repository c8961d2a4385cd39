/*
 * A trial of a private Redis's users: each tries what it must not be able to do, in ways that would do no harm.
 *
 * Sees:     passwords of the installation's own services.
 * Uses:     a unix socket (inline commands of the Redis protocol), service/supervise/secrets.
 * Threads:  one.
 * Failure:  TRIAL_IMPOSSIBLE, with why.
 */
#ifndef THRONG_CLI_TRIAL_H
#define THRONG_CLI_TRIAL_H

#include <stddef.h>

enum trial_verdict { TRIAL_HELD, TRIAL_BROKEN, TRIAL_IMPOSSIBLE };

/* Try the users of the Redis in data, a directory of `throng up`. text: what was not refused, or why nothing could be tried. */
enum trial_verdict trial_of_acls(const char *data, char *text, size_t size);

#endif
