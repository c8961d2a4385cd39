/*
 * One child process: started with a clean environment, its own session, its output in a log file, and a signal that
 * reaches it when its supervisor dies.
 *
 * Sees:     nothing of a person.
 * Uses:     libc.
 * Threads:  the supervisor's one thread: PR_SET_PDEATHSIG follows the thread that forked.
 * Failure:  RESULT_FAILED if there is no fork; a program that cannot be run ends with status 127, and its log says why.
 */
#ifndef THRONG_SUPERVISE_CHILD_H
#define THRONG_SUPERVISE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "schema/failure.h"
#include "service/supervise/words.h"

#define CHILD_LOG_MAX_BYTES (16 * 1024 * 1024) /* a larger log is set aside as LOG.1 when its process starts */

/* What to run. Strings are borrowed while it runs. */
struct child_plan {
    const char *name;
    int program_fd;           /* the executable, opened before privileges were dropped; -1: program */
    const char *program;      /* its path */
    struct words arguments;   /* [0] too */
    struct words environment; /* all of it */
    const char *log;          /* path of the file that standard error is appended to; NULL: the supervisor's */
    int output_fd;            /* standard output; -1: as standard error */
    const char *input;        /* path of standard input; NULL: /dev/null */
    int keep_fd;              /* a descriptor to inherit (the data directory's lock); -1: none */
    int death_signal;         /* sent to it when the supervisor dies */
};

/* Start it; writes its id to *pid. */
enum result child_start(const struct child_plan *plan, pid_t *pid, struct failure *why);

#endif
