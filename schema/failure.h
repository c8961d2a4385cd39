/*
 * Result codes and the one explanation that travels with a failure.
 *
 * Sees:     nothing of a person: an explanation names a field, a limit and a length, never a value.
 * Uses:     libc.
 * Threads:  every function may run anywhere; a struct failure belongs to one thread.
 * Failure:  none of these functions fails.
 */
#ifndef THRONG_SCHEMA_FAILURE_H
#define THRONG_SCHEMA_FAILURE_H

enum result {
    RESULT_OK = 0,
    RESULT_INVALID,     /* what the caller or the outside handed in breaks a rule; the failure names the field */
    RESULT_NOT_FOUND,   /* what was asked for is not there */
    RESULT_DENIED,      /* it is there and this caller may not */
    RESULT_FULL,        /* a stated bound is reached; trying later or with less may work */
    RESULT_UNAVAILABLE, /* a dependency is away; trying again may work */
    RESULT_CORRUPT,     /* stored bytes are not what was written */
    RESULT_FAILED,      /* the system refused for another reason */
};

/* The first explanation of what went wrong. Zero-initialise: {0}. field is a path such as "events[3].props.page" or a
 * configuration key, and may be empty; text says what is wrong and what to do. */
struct failure {
    char field[128];
    char text[256];
};

/* Fill why from format (printf), unless it already holds an explanation or is NULL. Copies field (may be NULL).
 * Arguments must not be user input. */
void failure_set(struct failure *why, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The lower-case name of code, for logs and documents: "ok", "invalid", … A static string. */
const char *failure_name(enum result code);

#endif
