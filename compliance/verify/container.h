/*
 * The container of a bundle: one form of every byte, and every file as the manifest has it. Part of the first level.
 *
 * Sees:     the bundle.
 * Uses:     compliance/bundle, libsodium (SHA-256).
 * Threads:  one.
 * Failure:  findings; false if the rest of the bundle cannot be read.
 */
#ifndef THRONG_VERIFY_CONTAINER_H
#define THRONG_VERIFY_CONTAINER_H

#include "compliance/verify/evidence.h"

/* Index evidence->request->bundle to evidence->index, and hold every file against the manifest. */
bool container_check(struct evidence *evidence);

#endif
