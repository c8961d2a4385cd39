/*
 * The manifest of a bundle: RFC 8785 JSON with one member for every file but manifest.json and manifest.note, in their order:
 *
 *   {"README":{"bytes":1234,"sha256":"64 lower-case hex digits"},…}
 *
 * and the note over it, signed by the log's key, whose first line can never be that of a checkpoint:
 *
 *   ORIGIN/bundle\n size\n base64(root)\n lower-case hex SHA-256 of manifest.json\n
 *
 * Sees:     names and hashes.
 * Uses:     libc, compliance/audit/text.
 * Threads:  every function may run anywhere.
 * Failure:  result codes and a struct failure; outputs are undefined on failure.
 */
#ifndef THRONG_BUNDLE_MANIFEST_H
#define THRONG_BUNDLE_MANIFEST_H

#include <stdint.h>
#include <stdio.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/text.h"
#include "schema/failure.h"

#define MANIFEST_NAME "manifest.json"
#define MANIFEST_NOTE "manifest.note"
#define MANIFEST_HEX_BYTES 65
#define MANIFEST_TEXT_MAX_BYTES (CHECKPOINT_TEXT_MAX_BYTES + 7 + MANIFEST_HEX_BYTES)

/* Append the member of a file, with a comma behind it, to a list in the making: {list without its last comma} is the
 * manifest. RESULT_FAILED: writing failed. */
enum result manifest_put(FILE *list, const char *name, uint64_t size, const uint8_t hash[32], struct failure *why);

/* What the manifest says of a file. */
struct manifest_member {
    struct text_view name; /* borrowed from the manifest */
    uint64_t size;
    uint8_t hash[32];
};

/* The member at *at (begin with 0) of the manifest; *at moves behind it. RESULT_NOT_FOUND at the end; RESULT_CORRUPT if it is
 * not a manifest in its one form. */
enum result manifest_next(struct text_view manifest, size_t *at, struct manifest_member *member, struct failure *why);

/* Write the text of the note: origin and root of checkpoint, its size, and the manifest's hash. */
void manifest_text(const struct checkpoint *checkpoint, const uint8_t hash[32], struct text_writer *out);

/* Write hash as 64 lower-case hex digits and a NUL. */
void manifest_hex(const uint8_t hash[32], char out[MANIFEST_HEX_BYTES]);

#endif
