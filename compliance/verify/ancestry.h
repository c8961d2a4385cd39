/*
 * The third level: checkpoints of earlier, the auditor's own and those in the bundle, are of beginnings of this log.
 *
 * Sees:     public texts.
 * Uses:     compliance/audit.
 * Threads:  one.
 * Failure:  findings.
 */
#ifndef THRONG_VERIFY_ANCESTRY_H
#define THRONG_VERIFY_ANCESTRY_H

#include "compliance/verify/evidence.h"

/* Judge. */
void ancestry_check(struct evidence *evidence);

#endif
