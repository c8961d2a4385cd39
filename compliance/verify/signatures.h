/*
 * Signatures of a bundle: its policy and keys, the note over the manifest, and the log's signature under the checkpoint.
 * Part of the first level.
 *
 * Sees:     public texts.
 * Uses:     compliance/bundle, compliance/audit.
 * Threads:  one.
 * Failure:  findings; evidence->opened tells whether the other levels can be judged.
 */
#ifndef THRONG_VERIFY_SIGNATURES_H
#define THRONG_VERIFY_SIGNATURES_H

#include "compliance/verify/evidence.h"

/* Read policy, keys and checkpoint into evidence, and verify who signed. */
void signatures_check(struct evidence *evidence);

#endif
