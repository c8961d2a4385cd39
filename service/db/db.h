/*
 * PostgreSQL: one connection a thread, parameters always, one transaction runner, arrays for set-wise statements.
 *
 * Sees:     what the role may see; never raw ids or keys.
 * Uses:     libpq, service/base.
 * Threads:  one struct db belongs to one thread.
 * Failure:  RESULT_UNAVAILABLE when the server is away (the next call connects anew), RESULT_DENIED for missing grants,
 *           RESULT_INVALID for a violated constraint, RESULT_FAILED else. why holds SQLSTATE and our statement's name,
 *           never a parameter or the server's DETAIL.
 */
#ifndef THRONG_DB_DB_H
#define THRONG_DB_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "schema/packet.h"

struct db;

/* Make a handle; connects at first use with conninfo (copied) and application_name. */
struct db *db_new(const char *conninfo, const char *application_name);
/* Close and free; NULL is allowed. */
void db_free(struct db *db);

/* Connect if not connected. */
enum result db_connect(struct db *db, struct failure *why);

/* Whether the connection was lost and made anew since the last call: leases are gone then. */
bool db_was_reconnected(struct db *db);

/* Close the connection; the next use connects anew. */
void db_disconnect(struct db *db);

/* Parameters of one statement. All are sent in binary. Fixed capacity; values are copied or built in place. */
struct db_params;

/* A fresh, empty list, owned by the caller until db_params_free; db_params_clear empties it for reuse. */
struct db_params *db_params_new(void);
/* See db_params_new. */
void db_params_free(struct db_params *params);
/* See db_params_new. */
void db_params_clear(struct db_params *params);

/* Append one scalar parameter. Dates are days since 1970-01-01; times ms since 1970. text and bytes are borrowed until the
 * statement ran. */
void db_int4(struct db_params *params, int32_t value);
/* See db_int4. */
void db_int8(struct db_params *params, int64_t value);
/* See db_int4. */
void db_bool(struct db_params *params, bool value);
/* See db_int4. NULL: SQL NULL. */
void db_text(struct db_params *params, const char *value);
/* See db_int4. NULL: SQL NULL. */
void db_bytes(struct db_params *params, const void *value, size_t length);
/* See db_int4. */
void db_date(struct db_params *params, int32_t days);
/* See db_int4. timestamptz. */
void db_time(struct db_params *params, int64_t ms);
/* See db_int4. 16 bytes. NULL: SQL NULL. */
void db_uuid(struct db_params *params, const uint8_t *uuid);
/* An SQL NULL of any type. */
void db_null(struct db_params *params);

/* Array parameters: db_array_begin opens one (element type), then one db_array_* per element, then db_array_end. */
enum db_element { DB_ELEMENT_INT4, DB_ELEMENT_INT8, DB_ELEMENT_DATE, DB_ELEMENT_BYTEA, DB_ELEMENT_TEXT, DB_ELEMENT_INT2,
    DB_ELEMENT_UUID, DB_ELEMENT_BITS };
/* See enum db_element. */
void db_array_begin(struct db_params *params, enum db_element element);
/* Append an integer or date (days since 1970) to the open array, in its element type. */
void db_array_int(struct db_params *params, int64_t value);
/* Append bytes, text, uuid bytes or a bit string (varbit, first bit highest); NULL: an SQL NULL, of any element type. */
void db_array_bytes(struct db_params *params, const void *value, size_t length);
/* See enum db_element. */
void db_array_end(struct db_params *params);

/* Run a statement with params (NULL: none), by name a prepared one (prepared once a connection; name is a literal). The
 * result, in binary, is owned by the caller (PQclear); *out may be NULL if rows are not wanted. */
enum result db_run(struct db *db, const char *name, const char *sql, const struct db_params *params, PGresult **out,
    struct failure *why);

/* Run several statements without parameters ("BEGIN", migrations). */
enum result db_script(struct db *db, const char *sql, struct failure *why);

/* Run the COPY … FROM STDIN statement sql with what copy.h made, bytes[0..length-1], borrowed. name: as for db_run. */
enum result db_copy(struct db *db, const char *name, const char *sql, const void *bytes, size_t length,
    struct failure *why);

/* Read a column of a binary result. Dates as days since 1970, times as ms. The type must be that of the column. */
int32_t db_get_int4(const PGresult *result, int row, int column);
/* See db_get_int4. */
int64_t db_get_int8(const PGresult *result, int row, int column);
/* See db_get_int4. */
bool db_get_bool(const PGresult *result, int row, int column);
/* See db_get_int4. */
int32_t db_get_date(const PGresult *result, int row, int column);
/* See db_get_int4. */
int64_t db_get_time(const PGresult *result, int row, int column);
/* See db_get_int4. Borrowed from result, NUL-terminated. */
const char *db_get_text(const PGresult *result, int row, int column);
/* See db_get_int4. Borrowed from result. */
const uint8_t *db_get_bytes(const PGresult *result, int row, int column, size_t *length);
/* See db_get_int4. */
bool db_is_null(const PGresult *result, int row, int column);

/* Run body(db, context) inside a transaction: BEGIN, body, COMMIT; ROLLBACK if body fails. Not retried here: what a lost
 * COMMIT means is the caller's to decide (RESULT_UNAVAILABLE then: it may have happened). */
enum result db_transaction(struct db *db, enum result (*body)(struct db *, void *, struct failure *), void *context,
    struct failure *why);

#endif
