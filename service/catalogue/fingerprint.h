/*
 * Fingerprints: which program runs, and how it is set up, as the audit trail records them at each start.
 *
 * Sees:     the running binary; the configuration without its secrets.
 * Uses:     libsodium (SHA-256).
 * Threads:  every function may run anywhere.
 */
#ifndef THRONG_CATALOGUE_FINGERPRINT_H
#define THRONG_CATALOGUE_FINGERPRINT_H

#include <stdint.h>

#include "schema/failure.h"
#include "service/base/config.h"

#define FINGERPRINT_BYTES 32

/* SHA-256 of /proc/self/exe. Call before the sandbox. RESULT_FAILED if it cannot be read. */
enum result fingerprint_binary(uint8_t out[FINGERPRINT_BYTES], struct failure *why);

/* SHA-256 over "section.key=value\n" of every key in the order of config.def; a secret stands as whether it is set. */
void fingerprint_config(const struct config *config, uint8_t out[FINGERPRINT_BYTES]);

#endif
