#include "service/aggregate/rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct db_params *rows_params(const struct shard *shard)
{
    struct db_params *params = db_params_new();
    db_int4(params, shard->number);
    return params;
}

enum result rows_run(struct db *db, const char *name, const char *sql, struct db_params *params, PGresult **rows,
    struct failure *why)
{
    enum result result = db_run(db, name, sql, params, rows, why);
    db_params_free(params);
    return result;
}

static int by_name(const void *left, const void *right)
{
    const struct rows_key *a = left;
    const struct rows_key *b = right;
    if (a->app != b->app)
        return a->app < b->app ? -1 : 1;
    int order = memcmp(a->name->bytes, b->name->bytes, PSEUDONYM_BYTES);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

void rows_sort(struct rows_key *keys, size_t count)
{
    if (count > 1)
        qsort(keys, count, sizeof *keys, by_name);
}

void rows_add_name(struct db_params *params, const struct pseudonym *name)
{
    db_array_bytes(params, name->bytes, PSEUDONYM_BYTES);
}

struct pseudonym rows_get_name(const PGresult *rows, int row, int column)
{
    struct pseudonym name = {{0}};
    size_t length;
    const uint8_t *bytes = db_get_bytes(rows, row, column, &length);
    assert(length == PSEUDONYM_BYTES);
    memcpy(name.bytes, bytes, PSEUDONYM_BYTES);
    return name;
}

/* A smallint that is a class. */
static uint8_t get_class(const PGresult *rows, int row, int column)
{
    size_t length;
    const uint8_t *bytes = db_get_bytes(rows, row, column, &length);
    assert(length == 2 && bytes[0] == 0);
    return bytes[1];
}

static void get_declared(const PGresult *rows, int row, int first, struct session_fragment *piece)
{
    piece->goal_bits = (uint64_t)db_get_int8(rows, row, first);
    piece->has_entry = !db_is_null(rows, row, first + 1);
    if (piece->has_entry) {
        piece->entry_ms = piece->start_ms + db_get_int4(rows, row, first + 1);
        piece->entry = get_class(rows, row, first + 2);
    }
    piece->has_exit = !db_is_null(rows, row, first + 3);
    if (piece->has_exit) {
        piece->exit_ms = piece->start_ms + db_get_int4(rows, row, first + 3);
        piece->exit = get_class(rows, row, first + 4);
    }
}

struct session_fragment rows_get_fragment(const PGresult *rows, int row, int first)
{
    struct session_fragment piece = {0};
    size_t length;
    (void)db_get_bytes(rows, row, first, &length);
    piece.named = length == PSEUDONYM_BYTES;
    if (piece.named)
        piece.name = rows_get_name(rows, row, first);
    piece.named_before = !db_is_null(rows, row, first + 1);
    if (piece.named_before)
        piece.name_before = rows_get_name(rows, row, first + 1);
    piece.start_ms = db_get_int8(rows, row, first + 2);
    piece.end_ms = db_get_int8(rows, row, first + 3);
    piece.events = db_get_int4(rows, row, first + 4);
    piece.views = db_get_int4(rows, row, first + 5);
    piece.goals = db_get_int4(rows, row, first + 6);
    piece.engaged_ms = db_get_int8(rows, row, first + 7);
    if (PQnfields(rows) >= first + 13)
        get_declared(rows, row, first + 8, &piece);
    return piece;
}
