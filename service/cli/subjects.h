/*
 * A person's request (erasure, objection, access) as an operator makes it: handed to ingest's admin socket, and its receipt out of
 * the database.
 *
 * Sees:     the raw id, in memory that is wiped; the database and the receipt never do.
 * Uses:     service/cli/ask, service/db, libsodium.
 * Threads:  one.
 * Failure:  as ask.h and service/db; RESULT_NOT_FOUND: no such request (yet).
 */
#ifndef THRONG_CLI_SUBJECTS_H
#define THRONG_CLI_SUBJECTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "schema/limits.h"
#include "service/cli/command.h"
#include "service/cli/uuid.h"

#define SUBJECTS_TIMEOUT_S 60

/* What is asked for. Strings are borrowed. */
struct subjects_order {
    const char *kind;     /* "erasure", "objection" or "access" */
    const char *app;
    const char *user;     /* "-": the first line of standard input */
    const char *seal_to;  /* base64 of an X25519 public key: access alone; else NULL */
    bool withdraw;        /* an objection's */
    int64_t timeout_s;
};

/* A request as subject.request has it. Times in ms; 0: not yet. */
struct subjects_request {
    char id[UUID_TEXT_BYTES];
    char kind[16];
    char app[NAME_MAX_BYTES + 1]; /* empty: the app is gone */
    int64_t received_ms, due_ms, last_due_ms, applied_ms, purge_due_ms, purged_ms;
    char leaves[3][UUID_TEXT_BYTES]; /* received, applied, purged; empty: none yet */
};

/* Hand it in and wait until it is applied, at most order->timeout_s; *out says what is known. RESULT_UNAVAILABLE: it was taken and
 * is not applied yet, or the database cannot tell. */
enum result subjects_place(struct command_context *context, struct db *db, const struct subjects_order *order,
    struct subjects_request *out, struct failure *why);

/* Read one request by id as throng_owner or throng_read. */
enum result subjects_find(struct db *db, const uint8_t id[UUID_BYTES], struct subjects_request *out, struct failure *why);

/* All, newest first, those of app (NULL: all apps), only those with something to do (open); an array owned by the caller (free). */
enum result subjects_list(struct db *db, const char *app, bool open, struct subjects_request **out, size_t *count,
    struct failure *why);

/* "received", "applied" or "purged": how far it is. A static string. */
const char *subjects_stage(const struct subjects_request *request);

/* Whether a deadline has passed at now_ms, or had when it was met. */
bool subjects_overdue(const struct subjects_request *request, int64_t now_ms);

/* As JSON, owned by the caller. */
json_t *subjects_json(const struct subjects_request *request, int64_t now_ms);

/* Print the receipt, for people or (json) machines. */
void subjects_print(const struct subjects_request *request, bool json);

/* The whole command of `throng erase` and `throng object`: place it, print the receipt. The exit status. */
int subjects_command(struct command_context *context, const char *name, const struct subjects_order *order);

#endif
