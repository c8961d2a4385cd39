/*
 * The copy of the log as files, laid out as C2SP tlog-tiles has it (tile/LEVEL/INDEX[.p/WIDTH], tile/entries/…, checkpoint):
 * what is signed lies here first, so that a database that loses entries gets them back, and a web server can publish the log.
 *
 * Sees:     audit leaves.
 * Uses:     compliance/audit; files in one directory.
 * Threads:  one.
 * Failure:  RESULT_NOT_FOUND (the copy lacks it), RESULT_CORRUPT (it is of another form), RESULT_FAILED.
 */
#ifndef THRONG_SEQUENCER_MIRROR_H
#define THRONG_SEQUENCER_MIRROR_H

#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/text.h"
#include "compliance/audit/tile.h"
#include "compliance/sequencer/growth.h"

struct mirror;

/* Open the copy below directory (made if it is missing; at most FILES_DIRECTORY_MAX_BYTES). Owned by the caller until
 * mirror_close. */
enum result mirror_open(const char *directory, struct mirror **out, struct failure *why);
/* Free; NULL is allowed. */
void mirror_close(struct mirror *mirror);

/* How many entries the copy has, if it has the first known ones: known or more. */
uint64_t mirror_size(const struct mirror *mirror, uint64_t known);

/* Where its tiles come from; borrows mirror. */
struct tile_source mirror_source(struct mirror *mirror);

/* Add the entries of indexes first to first + count - 1 and the tiles that changed with them; durable when it returns. The
 * entries before first in the same bundle must be there. What is there already is written again. */
enum result mirror_append(struct mirror *mirror, uint64_t first, const struct text_view *entries, size_t count,
    const struct growth *growth, struct failure *why);

/* The first width entries of bundle index: *bytes is borrowed from mirror until its next call. */
enum result mirror_bundle(struct mirror *mirror, uint64_t index, unsigned width, const uint8_t **bytes, size_t *length,
    struct failure *why);

/* Put the newest signed checkpoint beside the tiles. */
enum result mirror_checkpoint(struct mirror *mirror, const char *note, size_t length, struct failure *why);

/* Remove the entry bundles that lie wholly below index below; their hashes stay. Goes on where it last came to. */
void mirror_prune(struct mirror *mirror, uint64_t below);

#endif
