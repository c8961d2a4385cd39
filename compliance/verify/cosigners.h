/*
 * The fourth level: which witnesses cosigned the checkpoint.
 *
 * Sees:     public texts.
 * Uses:     compliance/audit.
 * Threads:  one.
 * Failure:  findings.
 */
#ifndef THRONG_VERIFY_COSIGNERS_H
#define THRONG_VERIFY_COSIGNERS_H

#include "compliance/verify/evidence.h"

/* Judge. */
void cosigners_check(struct evidence *evidence);

#endif
