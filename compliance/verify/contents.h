/*
 * The fifth level: what the leaves mean, the files that are told about them, and nothing else in the bundle.
 *
 * Sees:     audit leaves, definitions, rows of the ledger and of releases, reports.
 * Uses:     compliance/meaning, compliance/report, libsodium (SHA-256).
 * Threads:  one.
 * Failure:  findings.
 */
#ifndef THRONG_VERIFY_CONTENTS_H
#define THRONG_VERIFY_CONTENTS_H

#include "compliance/verify/evidence.h"

/* Judge. The tree was found right. */
void contents_check(struct evidence *evidence);

#endif
