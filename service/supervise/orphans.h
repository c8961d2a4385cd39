/*
 * Orphans: processes whose parent, a child of this supervisor, died and left them to it (PR_SET_CHILD_SUBREAPER). The
 * backends of a killed postmaster are such; they would keep a new one from starting.
 *
 * Sees:     nothing of a person.
 * Uses:     /proc.
 * Threads:  the supervisor's one thread.
 * Failure:  without /proc nothing is found.
 */
#ifndef THRONG_SUPERVISE_ORPHANS_H
#define THRONG_SUPERVISE_ORPHANS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Be the parent of what one's children leave behind. */
void orphans_adopt(void);

/* Wait up to grace_ms until no child but known[0..count-1] is left, then kill the others by id and reap them. Returns how
 * many had to be killed. */
size_t orphans_end(const pid_t *known, size_t count, int64_t grace_ms);

#endif
