/*
 * Audit leaves: one act as RFC 8785 canonical JSON, byte for byte what is stored and hashed. Members in canonical order:
 *   {"act","actor":{"id","type"},"at","data":{…},"id","nonce","out","ref"?,"tenant","v":1}
 * Keys are [a-z_]+ and sorted; numbers are integers below 2^53; text has no control characters. at: ms since 1970.
 *
 * Sees:     no user id, pseudonym, address or free text, ever; its data are numbers and declared names.
 * Uses:     libc; id and nonce are handed in.
 * Threads:  a leaf belongs to one thread.
 * Failure:  RESULT_INVALID (a key or text that breaks the rules, or what compliance/audit/fields.def does not have for the act:
 *           a member, its type or range, the outcome, the ref; or a member that is missing), RESULT_FULL (longer than
 *           LEAF_MAX_BYTES). The failure's field is "act.member". Such a leaf is a fault of the program, and nothing of the act
 *           is done: its transaction is rolled back with this failure, which the program says as it says that the database
 *           refused. A daemon goes on, tries again and shows what waits (a shard its lag, a release that it is due); a command
 *           ends with status 1.
 */
#ifndef THRONG_AUDIT_LEAF_H
#define THRONG_AUDIT_LEAF_H

#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

#define LEAF_MAX_BYTES (1024 * 1024)

enum leaf_out { LEAF_OK, LEAF_DENIED, LEAF_FAILED };

/* What every leaf says. Strings are borrowed. */
struct leaf_head {
    uint8_t id[16];    /* random uuid (version and variant bits are set by leaf_begin) */
    uint8_t nonce[16]; /* random */
    int64_t at_ms;
    const char *act;        /* of the list in compliance/audit/acts.def, with data as fields.def has them */
    const char *actor_type; /* "daemon", "operator", "key" */
    const char *actor_id;   /* a role or key handle, never a person's name */
    const char *tenant;     /* app name, or "" for the installation */
    enum leaf_out out;
    const uint8_t *ref; /* id of the intent this completes, or NULL */
};

struct leaf;

/* Start a leaf; owned by the caller until leaf_free. Sets the version and variant bits in head->id. */
struct leaf *leaf_begin(struct leaf_head *head);
/* Free; NULL is allowed. */
void leaf_free(struct leaf *leaf);

/* Append a member to data, or an element to the open array/object (key NULL inside an array). Members of one object must
 * come in ascending order of key. */
void leaf_int(struct leaf *leaf, const char *key, int64_t value);
/* See leaf_int. */
void leaf_text(struct leaf *leaf, const char *key, const char *value);
/* See leaf_int. null. */
void leaf_null(struct leaf *leaf, const char *key);
/* See leaf_int. Opens an array; leaf_close ends it. */
void leaf_array(struct leaf *leaf, const char *key);
/* See leaf_int. Opens an object; leaf_close ends it. */
void leaf_object(struct leaf *leaf, const char *key);
/* End the innermost open array or object. */
void leaf_close(struct leaf *leaf);

/* Finish: *bytes is borrowed from leaf. Reports the first thing that went wrong since leaf_begin, or is missing. May be called
 * again. */
enum result leaf_finish(struct leaf *leaf, const char **bytes, size_t *length, struct failure *why);

#endif
