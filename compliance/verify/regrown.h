/*
 * The second level: the tree grown again from the entries, held against the tiles, the checkpoint and the proof files.
 *
 * Sees:     audit leaves.
 * Uses:     compliance/audit.
 * Threads:  one.
 * Failure:  findings.
 */
#ifndef THRONG_VERIFY_REGROWN_H
#define THRONG_VERIFY_REGROWN_H

#include "compliance/verify/evidence.h"

/* Judge. Memory does not grow with the log. */
void regrown_check(struct evidence *evidence);

#endif
