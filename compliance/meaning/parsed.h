/*
 * Leaves, read back. A leaf is in its one canonical form (RFC 8785 of what it says, with integers only) or it is none: what
 * parses, prints as it was. Nearly all are plain (canonical.h), and only their data are parsed by jansson.
 *
 * Sees:     leaves.
 * Uses:     jansson, compliance/meaning/members.
 * Threads:  a leaf belongs to one thread.
 * Failure:  RESULT_CORRUPT with the first thing that is wrong; RESULT_FULL without memory. Nothing is owned then.
 */
#ifndef THRONG_MEANING_PARSED_H
#define THRONG_MEANING_PARSED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "compliance/audit/leaf.h"
#include "compliance/audit/text.h"
#include "schema/failure.h"

#define PARSED_UUID_BYTES 37 /* as text, with its NUL */

#define PARSED_TEXTS_BYTES 512

/* A leaf. Its texts lie in it: it is not to be copied. */
struct parsed {
    const char *id_text;
    uint8_t id[16], ref[16];
    bool has_ref;
    int64_t at_ms;
    const char *act, *actor_type, *actor_id, *tenant;
    enum leaf_out out;
    json_t *data; /* an object */
    struct text_view data_text; /* data as it is written; borrowed from the leaf's bytes */
    bool known;   /* the act is known, and data and head are as compliance/audit/fields.def has them; else see why */
    struct failure why;
    json_t *root; /* data, or what they are in; owned */
    char texts[PARSED_TEXTS_BYTES];
};

/* Parse a leaf. A leaf of an act that is not known, or with other data than the act's, is read all the same, with known
 * false. parsed_free afterwards. */
enum result parsed_read(struct text_view bytes, struct parsed *out, struct failure *why);
/* Free what the leaf owns; harmless after a failure. */
void parsed_free(struct parsed *leaf);

/* A member of data that is there by fields.def: a number; 0 if it is null or not there. */
int64_t parsed_int(const struct parsed *leaf, const char *name);
/* See parsed_int. A text, owned by the leaf; NULL if it is null or not there. */
const char *parsed_text(const struct parsed *leaf, const char *name);
/* See parsed_int. Whether it is there and not null. */
bool parsed_has(const struct parsed *leaf, const char *name);

/* *out: the uuid that text is in its small form. False if it is none. */
bool parsed_uuid(const char *text, uint8_t out[16]);
/* The uuid as text. Returns out. */
const char *parsed_format_uuid(const uint8_t uuid[16], char out[PARSED_UUID_BYTES]);
/* "ok", "denied", "failed". Static. */
const char *parsed_out_name(enum leaf_out out);

#endif
