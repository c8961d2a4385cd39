/*
 * Fields: a leaf is held to what compliance/audit/fields.def says of its act while it is written, member by member. The
 * verifier asks the same of the finished leaf, from the same table and with code of its own (compliance/meaning/members).
 *
 * What is not asked: that a leaf which is about an app names it. An app that the database does not know any more, after a
 * restore, has the tenant ""; the verifier says so.
 *
 * Sees:     what leaves see.
 * Uses:     libc.
 * Threads:  a struct fields belongs to one thread.
 * Failure:  a sentence about `member`, static; NULL if nothing is wrong. Nothing is to be done after the first.
 */
#ifndef THRONG_AUDIT_FIELDS_H
#define THRONG_AUDIT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/leaf.h"

#define FIELDS_DEPTH_MAX 5 /* data, rows, a row, its cells, a cell */
#define FIELDS_TIME_MAX_MS INT64_C(253402300799999) /* the end of the year 9999 */

struct fields_row;
struct fields_shape;

/* Where the writing of a leaf's data stands. */
struct fields {
    const char *member;            /* what was looked at last: a member of data or of the head; borrowed or static */
    const struct fields_row *next; /* the first member that may still come */
    size_t depth;                  /* of what is open; 1: data */
    struct {
        const struct fields_shape *shape;
        size_t count; /* of its elements so far */
    } levels[FIELDS_DEPTH_MAX];
};

enum fields_kind { FIELDS_INT, FIELDS_TEXT, FIELDS_NULL, FIELDS_ARRAY, FIELDS_OBJECT };

/* A value: number of FIELDS_INT, text (borrowed, may be NULL) of FIELDS_TEXT. */
struct fields_value {
    enum fields_kind kind;
    int64_t number;
    const char *text;
};

/* Begin with a leaf's head (borrowed). */
const char *fields_begin(struct fields *fields, const struct leaf_head *head);

/* The next value is about to be written: a member of what is open, by its key, or with key NULL an element. An array or
 * object is open from now on. */
const char *fields_take(struct fields *fields, const char *key, const struct fields_value *value);

/* The innermost array or object ends; there is one. */
const char *fields_close(struct fields *fields);

/* Data end: whether something is missing. */
const char *fields_end(struct fields *fields);

#endif
