/*
 * The body of a request as a row of values: each list and object is followed by what is in it. Two readers make the same
 * row. document_scan() takes what clients send nearly always, in one pass and without memory of its own, and leaves the
 * texts in the body; what is not of that kind (escapes, bytes beyond ASCII, exponents, long numbers, anything wrong) it
 * leaves to document_load(), which knows all of JSON and explains what is none.
 *
 * Sees:     raw identifiers, while the request lasts.
 * Uses:     jansson (document_load only).
 * Threads:  a struct document belongs to one thread.
 * Failure:  document_scan says no and has changed nothing; document_load says why.
 */
#ifndef THRONG_INGEST_DOCUMENT_H
#define THRONG_INGEST_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

enum document_kind {
    DOCUMENT_OBJECT, /* followed by its members: the name (a text), then the value */
    DOCUMENT_LIST,   /* followed by its items */
    DOCUMENT_TEXT,
    DOCUMENT_WHOLE, /* a number written without fraction and exponent */
    DOCUMENT_REAL,
    DOCUMENT_TRUE,
    DOCUMENT_FALSE,
    DOCUMENT_NULL,
};

struct document_value {
    enum document_kind kind;
    uint32_t count;  /* OBJECT: members, LIST: items, TEXT: bytes */
    uint32_t length; /* values that this one takes: itself and all that are in it */
    union {
        const char *text; /* NUL-terminated, holds no other NUL */
        int64_t whole;
        double real;
    };
};

struct document {
    struct document_value *values; /* the first is the whole */
    size_t count, capacity;
    bool grown;  /* values is from malloc */
    void *owner; /* json_t whose texts the values borrow; NULL: they lie in the body */
};

/* Begin with room for values in first[0..capacity-1], which is borrowed until document_free. */
void document_begin(struct document *document, struct document_value *first, size_t capacity);

/* Free what document holds; texts of document_load are gone then, unless the caller has taken owner (and set it to
 * NULL). */
void document_free(struct document *document);

/* Read body[0..length-1], an object. True: document holds it, the byte behind each text in body is overwritten with NUL,
 * and values point into body. False: this reader does not take it, or memory is short; body is as it was. */
bool document_scan(struct document *document, char *body, size_t length);

/* As document_scan, for any JSON object; body is left as it is. RESULT_INVALID if it is none, says a member twice or is
 * nested too deep; RESULT_FULL if it has more values than a request can have; RESULT_UNAVAILABLE if memory is short. */
enum result document_load(struct document *document, const char *body, size_t length, struct failure *why);

/* The value behind value and all that is in it. */
static inline const struct document_value *document_next(const struct document_value *value)
{
    return value + value->length;
}

/* Read value as an integer into *out: one written as such, or a number without fraction within ±2^53. */
bool document_is_whole(const struct document_value *value, int64_t *out);

#endif
