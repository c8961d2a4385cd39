/*
 * What is in every bundle: README and verify.sh, carried in the program.
 *
 * Sees:     nothing.
 * Uses:     compliance/bundle.
 * Threads:  every function may run anywhere.
 * Failure:  as archive_put.
 */
#ifndef THRONG_EXPORT_PAPERS_H
#define THRONG_EXPORT_PAPERS_H

#include "compliance/bundle/archive.h"
#include "schema/failure.h"

/* Add the paper of this name, "README" or "verify.sh", to the archive. */
enum result papers_put(const char *name, struct archive_writer *archive, struct failure *why);

#endif
