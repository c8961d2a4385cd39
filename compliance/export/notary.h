/*
 * The log's signer, asked over its unix socket to sign a bundle's manifest.
 *
 * Sees:     a size and a hash.
 * Uses:     libc.
 * Threads:  every function may run anywhere.
 * Failure:  RESULT_UNAVAILABLE (nobody answers), RESULT_DENIED (the signer refuses), RESULT_CORRUPT (no answer of its).
 */
#ifndef THRONG_EXPORT_NOTARY_H
#define THRONG_EXPORT_NOTARY_H

#include <stdint.h>

#include "compliance/audit/text.h"
#include "schema/failure.h"

/* Have the manifest with this hash signed, of a bundle made at the checkpoint of size leaves: the note is appended to out. */
enum result notary_sign(
    const char *socket_path, uint64_t size, const uint8_t hash[32], struct text_writer *out, struct failure *why);

#endif
