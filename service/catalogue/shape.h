/*
 * The shape of JSON objects, as tables: which members an object may have, of what kind and within what bounds. An app
 * definition and the catalogue's document are checked with it, so that every complaint names the member by its path
 * and says what is allowed.
 *
 * Sees:     nothing of a person: it reads what operators write.
 * Uses:     jansson, schema/.
 * Threads:  pure functions.
 * Failure:  RESULT_INVALID with the member's path ("events[2].properties[0].values").
 */
#ifndef THRONG_CATALOGUE_SHAPE_H
#define THRONG_CATALOGUE_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

/* A value's place in its document, linked towards the root; NULL is the root itself. Lives on the caller's stack. */
struct shape_place {
    const struct shape_place *above;
    const char *member; /* NULL: the index-th item of the array above */
    size_t index;
};

enum shape_kind {
    SHAPE_NAME,        /* [a-z][a-z0-9_]*, at most NAME_MAX_BYTES */
    SHAPE_HYPHEN_NAME, /* [a-z][a-z0-9_-]* likewise */
    SHAPE_TEXT,        /* least to most code points, no control characters */
    SHAPE_INTEGER,     /* least to most; 3.0 is an integer, as in JSON Schema */
    SHAPE_NUMBER,
    SHAPE_BOOLEAN,
    SHAPE_CHOICE,  /* one of choices */
    SHAPE_SCALAR,  /* a text or a boolean */
    SHAPE_NAMES,   /* least to most different names */
    SHAPE_TEXTS,   /* least to most different texts of 1 to 200 code points */
    SHAPE_OBJECT,  /* an object, which the caller checks with a table of its own */
    SHAPE_OBJECTS, /* least to most objects, likewise */
    SHAPE_LIST,    /* least to most values of any kind, likewise */
};

struct shape_member {
    const char *name;
    enum shape_kind kind;
    bool required;
    int64_t least, most;
    const char *const *choices; /* SHAPE_CHOICE: ends with NULL */
};

/* Check that value is an object which has all required members of members[0..count-1], no others, each as its row
 * says. at is value's place. */
enum result shape_check(const json_t *value, const struct shape_member *members, size_t count,
    const struct shape_place *at, struct failure *why);

/* Complain about member (NULL: about the value itself) of the value at at: fill why and return RESULT_INVALID. */
enum result shape_fail(const struct shape_place *at, const char *member, struct failure *why, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A member of a checked object, or fallback if it is absent. Text is borrowed. */
const char *shape_text(const json_t *object, const char *member, const char *fallback);
/* See shape_text. */
int64_t shape_integer(const json_t *object, const char *member, int64_t fallback);
/* See shape_text. */
double shape_number(const json_t *object, const char *member, double fallback);
/* See shape_text. */
bool shape_boolean(const json_t *object, const char *member, bool fallback);
/* The position of the member's text in choices, or fallback. */
int shape_choice(const json_t *object, const char *member, const char *const *choices, int fallback);

/* Whether text is a name as SHAPE_NAME (or, with hyphens, SHAPE_HYPHEN_NAME) wants it. */
bool shape_is_name(const char *text, bool hyphens);

/* Read value as an integer into *out: a JSON integer, or a number without fraction within ±2^53. */
bool shape_is_whole(const json_t *value, int64_t *out);

#endif
