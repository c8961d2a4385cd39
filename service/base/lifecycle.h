/*
 * Start and end of a daemon: SIGTERM and SIGINT ask for an orderly end, SIGPIPE is ignored, core dumps are off, and the
 * process dies with its supervisor if asked to.
 *
 * Uses:     libc.
 * Threads:  lifecycle_begin before threads; the others anywhere.
 */
#ifndef THRONG_BASE_LIFECYCLE_H
#define THRONG_BASE_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

/* Install the signal handling. private_memory: also refuse core dumps and tracing by others (PR_SET_DUMPABLE 0). Ends
 * with the parent (the thread of it that forked us) if the environment has THRONG_DIE_WITH_PARENT=1, or = the parent's
 * pid, which also notices a parent that died before this call. Exits with 1 if the process has no descriptor left. */
void lifecycle_begin(bool private_memory);

/* Whether an end was asked for. */
bool lifecycle_ending(void);

/* Ask for it from inside. */
void lifecycle_end(void);

/* A descriptor that is readable once an end was asked for, for poll(2). Never read from it. */
int lifecycle_fd(void);

/* Sleep up to ms, less if an end is asked for. Returns lifecycle_ending(). */
bool lifecycle_sleep_ms(int64_t ms);

#endif
