/*
 * The sample app of `throng up`: added at first start, with a key to send events, one for pages and
 * one to read its numbers, and filled by a simulated crowd in the background. What is done is marked in
 * DATA/secrets/sample-key, sample-write-key and sample-read-key, DATA/sample-sent and DATA/sample-filled; what was interrupted goes on.
 *
 * Sees:     the sample app's keys.
 * Uses:     this program's own commands app, key, simulate and seal, as child processes.
 * Threads:  one.
 * Failure:  as service/supervise; a simulation that fails is logged and begun again at the next start.
 */
#ifndef THRONG_CLI_SAMPLE_H
#define THRONG_CLI_SAMPLE_H

#include <stdbool.h>

#include "service/cli/install.h"
#include "service/supervise/secrets.h"
#include "service/supervise/supervise.h"

#define SAMPLE_APP "sample"

/* Add the app and its keys if they are not there. */
enum result sample_add(const struct install *install, struct supervise *supervise, struct failure *why);

/* Start the crowd in the background unless it was here already; *started says which. install must outlive supervise. */
enum result sample_fill(const struct install *install, struct supervise *supervise, bool *started, struct failure *why);

/* Read the ingest key; RESULT_NOT_FOUND if there is no sample. */
enum result sample_key(const struct install *install, char out[SECRETS_MAX_BYTES], struct failure *why);
/* As sample_key, the key that reads the app's numbers. */
enum result sample_read_key(const struct install *install, char out[SECRETS_MAX_BYTES], struct failure *why);

/* As sample_key, the write key, which pages may show. RESULT_NOT_FOUND too if the app takes none. */
enum result sample_write_key(const struct install *install, char out[SECRETS_MAX_BYTES], struct failure *why);

#endif
