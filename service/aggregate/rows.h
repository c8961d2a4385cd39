/*
 * What the SQL of this folder has in common: parameter lists that begin with the shard, statements that take
 * theirs over, and values read from rows.
 *
 * Sees:     pseudonyms.
 * Uses:     libpq, service/db.
 * Threads:  as db.h.
 * Failure:  as db.h.
 */
#ifndef THRONG_AGGREGATE_ROWS_H
#define THRONG_AGGREGATE_ROWS_H

#include "service/aggregate/shard.h"
#include "service/db/db.h"

/* A new parameter list with the shard's number as $1, owned by the caller. */
struct db_params *rows_params(const struct shard *shard);

/* db_run, and free params. */
enum result rows_run(struct db *db, const char *name, const char *sql, struct db_params *params, PGresult **rows,
    struct failure *why);

/* Something that is written in the order of an index, so that neighbours in it are written together. */
struct rows_key {
    uint32_t app;
    size_t at; /* where it stands in its list: the order of what has the same name */
    const struct pseudonym *name;
};

/* Sort keys[0..count-1] by app, name and place. */
void rows_sort(struct rows_key *keys, size_t count);

/* Append a pseudonym to the open array of params. */
void rows_add_name(struct db_params *params, const struct pseudonym *name);

/* The pseudonym in a column that is not null. */
struct pseudonym rows_get_name(const PGresult *rows, int row, int column);

/* The fragment in columns first …: session, session_before, start_ms, end_ms, events, views, goals, engaged_ms and, if the
 * rows have more columns, goal_bits, entry_ms, entry, exit_ms, exit, as state.fragment has them. */
struct session_fragment rows_get_fragment(const PGresult *rows, int row, int first);

#endif
