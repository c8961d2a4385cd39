/*
 * Typed log events, one JSON object a line on standard error:
 *   {"at":"2026-04-01T10:00:00.123Z","level":"warn","daemon":"ingest","event":"stream.retry","attempt":3}
 * A field is a number, a literal or an enumerator's name, so that a user's string cannot be logged by construction:
 * LOG_STR takes string literals and names from closed sets only; LOG_NAME takes declared names (apps, metrics, paths of
 * the installation). Never raw ids, pseudonyms, addresses, SQL parameters or request bodies.
 *
 * Sees:     nothing of a person.
 * Uses:     libc.
 * Threads:  any; a line is written by one write(2).
 * Failure:  a line that cannot be written is dropped.
 */
#ifndef THRONG_BASE_LOG_H
#define THRONG_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/failure.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_type { LOG_TYPE_INT, LOG_TYPE_UINT, LOG_TYPE_DOUBLE, LOG_TYPE_TEXT };

struct log_field {
    const char *key;
    enum log_type type;
    union {
        int64_t i;
        uint64_t u;
        double d;
        const char *text;
    } value;
};

#define LOG_INT(k, v) ((struct log_field){.key = "" k, .type = LOG_TYPE_INT, .value.i = (v)})
#define LOG_UINT(k, v) ((struct log_field){.key = "" k, .type = LOG_TYPE_UINT, .value.u = (v)})
#define LOG_DOUBLE(k, v) ((struct log_field){.key = "" k, .type = LOG_TYPE_DOUBLE, .value.d = (v)})
#define LOG_STR(k, v) ((struct log_field){.key = "" k, .type = LOG_TYPE_TEXT, .value.text = "" v})
#define LOG_NAME(k, v) ((struct log_field){.key = "" k, .type = LOG_TYPE_TEXT, .value.text = (v)})
/* Two fields from a result and its explanation: use as log_event(level, name, LOG_FAILURE(result, &why)). */
#define LOG_FAILURE(result, why) \
    LOG_NAME("result", failure_name(result)), LOG_NAME("field", (why)->field), LOG_NAME("why", (why)->text)

/* The level called "debug", "info", "warn" or "error" to *level; false (and *level untouched) for any other name. */
bool log_level_named(const char *name, enum log_level *level);

/* Set the daemon's name (borrowed for ever) and the least level written (default LOG_LEVEL_INFO). */
void log_init(const char *daemon, enum log_level least);

#define LOG_HEAD(name, ...) "" name
#define LOG_TAIL(name, ...) __VA_ARGS__
#define LOG_END ((struct log_field){.key = 0})

/* Write one event, log_event(level, name, fields …): name is a dotted literal, then come any number of fields. */
#define log_event(level, ...) \
    log_write((level), LOG_HEAD(__VA_ARGS__, LOG_END), (const struct log_field[]){LOG_TAIL(__VA_ARGS__, LOG_END)})

/* The function behind log_event; fields end with a NULL key. */
void log_write(enum log_level level, const char *name, const struct log_field *fields);

#endif
