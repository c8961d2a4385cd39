/*
 * One question to ingest's admin socket, in JSON.
 *
 * Sees:     raw ids in bodies; wiped when sent.
 * Uses:     service/cli/poster, jansson.
 * Threads:  one.
 * Failure:  RESULT_UNAVAILABLE (no ingest, 429, 503), RESULT_NOT_FOUND (404), RESULT_DENIED (403), RESULT_INVALID (another 4xx),
 *           RESULT_FAILED. The problem's title and field explain.
 */
#ifndef THRONG_CLI_ASK_H
#define THRONG_CLI_ASK_H

#include <jansson.h>

#include "schema/failure.h"
#include "service/cli/command.h"

/* Send method to path with body (borrowed; NULL: none). Any 2xx is success: *out is its document, owned by the caller, or NULL if
 * there is none. */
enum result ask_ingest(const struct command_context *context, const char *method, const char *path, const json_t *body, json_t **out,
    struct failure *why);

#endif
