#include "compliance/sequencer/database.h"

#include <string.h>

#define LOCK_KEY 7235419840168431 /* of pg_try_advisory_lock: any number that no other program takes */

/* Run a statement and read the first column of its only row. RESULT_FAILED if there is none or it is NULL. */
static enum result run_number(struct db *db, const char *name, const char *sql, const struct db_params *params,
    int64_t *value, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, name, sql, params, &rows, why);
    if (result == RESULT_OK && (PQntuples(rows) != 1 || db_is_null(rows, 0, 0))) {
        failure_set(why, name, "the database has no answer");
        result = RESULT_FAILED;
    }
    if (result == RESULT_OK)
        *value = db_get_int8(rows, 0, 0);
    PQclear(rows);
    return result;
}

/* As run_number, with one text parameter. */
static enum result run_text(
    struct db *db, const char *name, const char *sql, const char *text, int64_t *value, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_text(params, text);
    enum result result = run_number(db, name, sql, params, value, why);
    db_params_free(params);
    return result;
}

enum result database_lock(struct db *db, bool *held, struct failure *why)
{
    int64_t got = 0;
    struct db_params *params = db_params_new();
    db_int8(params, LOCK_KEY);
    enum result result = run_number(db, "audit_lock", "SELECT pg_try_advisory_lock($1)::int::bigint", params, &got, why);
    db_params_free(params);
    if (result == RESULT_OK)
        *held = got != 0;
    return result;
}

enum result database_size(struct db *db, uint64_t *size, struct failure *why)
{
    int64_t value = 0;
    enum result result =
        run_number(db, "audit_size", "SELECT coalesce(max(index) + 1, 0) FROM audit.entry", NULL, &value, why);
    if (result == RESULT_OK)
        *size = (uint64_t)value;
    return result;
}

enum result database_pending(struct db *db, int64_t limit, int64_t *pending, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, limit);
    enum result result = run_number(db, "audit_pending",
        "SELECT count(*) FROM (SELECT FROM audit.pending LIMIT $1) AS p", params, pending, why);
    db_params_free(params);
    return result;
}

/* Take over rows of (id, leaf). */
static void fill(struct database_batch *batch, PGresult *rows)
{
    batch->rows = rows;
    batch->count = (size_t)PQntuples(rows);
    for (size_t i = 0; i < batch->count; i++) {
        size_t length = 0;
        memcpy(batch->ids[i], db_get_bytes(rows, (int)i, 0, &length), 16);
        batch->leaves[i] = (struct text_view){0};
        if (db_is_null(rows, (int)i, 1))
            continue;
        const void *bytes = db_get_bytes(rows, (int)i, 1, &length);
        batch->leaves[i] = (struct text_view){.bytes = bytes, .length = length};
    }
}

enum result database_take(struct db *db, struct database_batch *batch, struct failure *why)
{
    static const char sql[] =
        "SELECT o.id, o.leaf FROM (SELECT p.id, p.written_at, row_number() OVER w AS place,"
        " sum(octet_length(o.leaf)) OVER w AS bytes"
        " FROM (SELECT id, written_at FROM audit.pending ORDER BY written_at, id LIMIT $1) AS p JOIN audit.outbox AS o USING (id)"
        " WINDOW w AS (ORDER BY p.written_at, p.id ROWS UNBOUNDED PRECEDING)) AS t JOIN audit.outbox AS o USING (id)"
        " WHERE t.bytes <= $2 OR t.place = 1 ORDER BY t.place";
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_int8(params, STORE_BATCH_LEAVES);
    db_int8(params, STORE_BATCH_BYTES);
    enum result result = db_run(db, "audit_take", sql, params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK)
        fill(batch, rows);
    return result;
}

/* The rows (index, id, leaf) must be those from first on. Reads of the columns by fill() need (id, leaf): see the statement. */
static enum result check_places(const PGresult *rows, uint64_t first, struct failure *why)
{
    int count = PQntuples(rows);
    for (int i = 0; i < count; i++) {
        if ((uint64_t)db_get_int8(rows, i, 2) == first + (uint64_t)i)
            continue;
        count = 0;
    }
    if (count > 0)
        return RESULT_OK;
    failure_set(why, "audit.entry", "an entry of the log is not there");
    return RESULT_CORRUPT;
}

enum result database_entries(
    struct db *db, uint64_t first, size_t count, struct database_batch *batch, struct failure *why)
{
    static const char sql[] =
        "SELECT o.id, o.leaf, t.index FROM (SELECT e.id, e.index, row_number() OVER w AS place,"
        " sum(octet_length(o.leaf)) OVER w AS bytes FROM audit.entry AS e JOIN audit.outbox AS o USING (id)"
        " WHERE e.index >= $1 AND e.index < $2 WINDOW w AS (ORDER BY e.index ROWS UNBOUNDED PRECEDING)) AS t"
        " JOIN audit.outbox AS o USING (id) WHERE coalesce(t.bytes, 0) <= $3 OR t.place = 1 ORDER BY t.index";
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_int8(params, (int64_t)first);
    db_int8(params, (int64_t)(first + count));
    db_int8(params, STORE_BATCH_BYTES);
    enum result result = db_run(db, "audit_entries", sql, params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK)
        result = check_places(rows, first, why);
    if (result == RESULT_OK)
        fill(batch, rows);
    else
        PQclear(rows);
    return result;
}

void database_release(struct database_batch *batch)
{
    PQclear(batch->rows);
    batch->rows = NULL;
    batch->count = 0;
}

/* Append the three arrays of tiles. */
static void put_tiles(struct db_params *params, const struct growth *growth)
{
    db_array_begin(params, DB_ELEMENT_INT2);
    for (size_t i = 0; i < growth->count; i++)
        db_array_int(params, growth->tiles[i].tile.level);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_INT8);
    for (size_t i = 0; i < growth->count; i++)
        db_array_int(params, (int64_t)growth->tiles[i].tile.index);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < growth->count; i++)
        db_array_bytes(params, growth->tiles[i].hashes, growth->tiles[i].tile.width * TREE_HASH_BYTES);
    db_array_end(params);
}

enum result database_sequence(
    struct db *db, uint64_t first, const struct database_batch *batch, const struct growth *growth, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)first);
    db_array_begin(params, DB_ELEMENT_UUID);
    for (size_t i = 0; i < batch->count; i++)
        db_array_bytes(params, batch->ids[i], sizeof batch->ids[i]);
    db_array_end(params);
    put_tiles(params, growth);
    enum result result = db_run(db, "audit_sequence", "SELECT audit.sequence($1, $2, $3, $4, $5)", params, NULL, why);
    db_params_free(params);
    return result;
}

enum result database_recover(struct db *db, uint64_t first, const struct text_view *leaves, size_t count,
    const struct growth *growth, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)first);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; i < count; i++)
        db_array_bytes(params, leaves[i].bytes, leaves[i].length);
    db_array_end(params);
    put_tiles(params, growth);
    enum result result = db_run(db, "audit_recover", "SELECT audit.recover($1, $2, $3, $4, $5)", params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result load(void *context, const struct tile *tile, uint8_t *hashes, struct failure *why)
{
    struct db *db = context;
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_int4(params, tile->level);
    db_int8(params, (int64_t)tile->index);
    enum result result = db_run(
        db, "audit_tile", "SELECT hashes FROM audit.tile WHERE level = $1 AND index = $2", params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    size_t length = 0, wanted = tile->width * TREE_HASH_BYTES;
    const uint8_t *stored = PQntuples(rows) == 1 ? db_get_bytes(rows, 0, 0, &length) : NULL;
    if (stored == NULL || length < wanted) {
        failure_set(why, "audit.tile", "a tile of the log is not there, or is narrower than the log is long");
        result = RESULT_CORRUPT;
    } else {
        memcpy(hashes, stored, wanted);
    }
    PQclear(rows);
    return result;
}

struct tile_source database_source(struct db *db)
{
    return (struct tile_source){.load = load, .context = db};
}

enum result database_publish(struct db *db, uint64_t size, int64_t signed_at_ms, const char *note, size_t length,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)size);
    db_time(params, signed_at_ms);
    db_bytes(params, note, length);
    enum result result = db_run(db, "audit_publish", "SELECT audit.publish($1, $2, $3)", params, NULL, why);
    db_params_free(params);
    return result;
}

enum result database_published(struct db *db, uint64_t size, char *note, size_t room, size_t *length, struct failure *why)
{
    struct db_params *params = db_params_new();
    PGresult *rows = NULL;
    db_int8(params, (int64_t)size);
    enum result result = db_run(db, "audit_published",
        "SELECT note FROM audit.checkpoint WHERE size = $1 OR $1 = 0 ORDER BY size DESC, signed_at DESC LIMIT 1", params, &rows,
        why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    size_t stored = 0;
    const uint8_t *bytes = PQntuples(rows) == 1 ? db_get_bytes(rows, 0, 0, &stored) : NULL;
    if (stored > room) {
        failure_set(why, "audit.checkpoint", "is longer than %zu bytes", room);
        result = RESULT_CORRUPT;
    } else {
        if (bytes != NULL)
            memcpy(note, bytes, stored);
        *length = stored;
    }
    PQclear(rows);
    return result;
}

enum result database_witness(struct db *db, const char *name, uint64_t size, int64_t seen_at_ms, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_text(params, name);
    db_int8(params, (int64_t)size);
    db_time(params, seen_at_ms);
    enum result result = db_run(db, "audit_witness",
        "INSERT INTO audit.witness (name, size, seen_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (name) DO UPDATE SET size = excluded.size, seen_at = excluded.seen_at", params, NULL, why);
    db_params_free(params);
    return result;
}

enum result database_witnessed(struct db *db, const char *name, uint64_t *size, struct failure *why)
{
    int64_t value = 0;
    enum result result = run_text(
        db, "audit_witnessed", "SELECT coalesce(max(size), 0) FROM audit.witness WHERE name = $1", name, &value, why);
    if (result == RESULT_OK)
        *size = (uint64_t)value;
    return result;
}

enum result database_tell_key(struct db *db, const char *vkey, uint64_t from_size, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_text(params, vkey);
    db_int8(params, (int64_t)from_size);
    enum result result = db_run(db, "audit_tell_key", "SELECT audit.tell_key($1, $2)", params, NULL, why);
    db_params_free(params);
    return result;
}

enum result database_key_told(struct db *db, const char *vkey, bool *told, struct failure *why)
{
    int64_t count = 0;
    enum result result = run_text(db, "audit_key_told",
        "SELECT count(*) FROM audit.outbox AS o WHERE o.id IN (SELECT e.id FROM audit.entry AS e WHERE e.act = 'log_key_rotated'"
        " UNION ALL SELECT p.id FROM audit.pending AS p) AND o.act = 'log_key_rotated'"
        " AND convert_from(o.leaf, 'UTF8')::jsonb->'data'->>'new' = $1", vkey, &count, why);
    if (result == RESULT_OK)
        *told = count > 0;
    return result;
}

enum result database_pruned(struct db *db, uint64_t *below, struct failure *why)
{
    int64_t value = 0;
    enum result result =
        run_number(db, "audit_pruned", "SELECT coalesce(max(below), 0) FROM audit.pruned", NULL, &value, why);
    if (result == RESULT_OK)
        *below = (uint64_t)value;
    return result;
}
