/*
 * COPY … FROM STDIN BINARY: many rows into one table for a third of what INSERT … ON CONFLICT asks of PostgreSQL. For rows
 * that cannot be there yet; a violated constraint fails the whole.
 *
 * Sees:     what the role may write.
 * Uses:     libpq, service/base.
 * Threads:  a struct copy belongs to one thread.
 * Failure:  as db.h; out of memory ends the process.
 */
#ifndef THRONG_DB_COPY_H
#define THRONG_DB_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "service/db/db.h"

struct copy;

/* Begin a list of rows of so many columns; owned by the caller until copy_run. */
struct copy *copy_new(unsigned columns);

/* Begin a row; then append exactly its columns, in order. */
void copy_row(struct copy *copy);

/* Append a column, of the type named. Dates are days since 1970-01-01. */
void copy_int2(struct copy *copy, int16_t value);
/* See copy_int2. */
void copy_int4(struct copy *copy, int32_t value);
/* See copy_int2. */
void copy_int8(struct copy *copy, int64_t value);
/* See copy_int2. */
void copy_date(struct copy *copy, int32_t days);
/* See copy_int2. bytea, copied. */
void copy_bytes(struct copy *copy, const void *value, size_t length);
/* See copy_int2. An SQL NULL. */
void copy_null(struct copy *copy);

/* Append an int8multirange: copy_ranges begins one of count ranges, then so many times copy_range, [low, high), ascending. */
void copy_ranges(struct copy *copy, size_t count);
/* See copy_ranges. */
void copy_range(struct copy *copy, int64_t low, int64_t high);

/* Send the rows by sql ("COPY state.t (a, b) FROM STDIN BINARY") and free copy. name: of the statement, in failures. */
enum result copy_run(struct copy *copy, struct db *db, const char *name, const char *sql, struct failure *why);

#endif
