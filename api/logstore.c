#include "api/logstore.h"

#include <stdlib.h>
#include <string.h>

static enum result short_memory(struct failure *why)
{
    failure_set(why, "", "memory is short");
    return RESULT_FAILED;
}

enum result logstore_open(struct db *db, struct logstore *out, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "logstore_newest",
        "SELECT size, signed_at, note FROM audit.checkpoint ORDER BY size DESC, signed_at DESC LIMIT 1", NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 0) {
        PQclear(rows);
        failure_set(why, "", "no checkpoint is published");
        return RESULT_NOT_FOUND;
    }
    size_t length = 0;
    const uint8_t *bytes = db_get_bytes(rows, 0, 2, &length);
    char *note = calloc(1, length + 1);
    if (note != NULL) {
        memcpy(note, bytes, length);
        *out = (struct logstore){.db = db, .size = (uint64_t)db_get_int8(rows, 0, 0), .signed_at_ms = db_get_time(rows, 0, 1),
            .note = note, .note_length = length};
    }
    PQclear(rows);
    return note == NULL ? short_memory(why) : RESULT_OK;
}

void logstore_close(struct logstore *store)
{
    free(store->note);
    store->note = NULL;
}

enum result logstore_load(void *context, const struct tile *tile, uint8_t *hashes, struct failure *why)
{
    struct logstore *store = context;
    PGresult *rows = NULL;
    size_t length = 0, wanted = (size_t)tile->width * TREE_HASH_BYTES;
    struct db_params *params = db_params_new();
    db_int4(params, tile->level);
    db_int8(params, (int64_t)tile->index);
    db_int4(params, (int32_t)wanted);
    enum result result = db_run(store->db, "logstore_tile",
        "SELECT substr(hashes, 1, $3) FROM audit.tile WHERE level = $1::int AND index = $2", params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    store->loads++;
    const uint8_t *bytes = PQntuples(rows) == 1 ? db_get_bytes(rows, 0, 0, &length) : NULL;
    if (length == wanted)
        memcpy(hashes, bytes, length);
    PQclear(rows);
    if (length == wanted)
        return RESULT_OK;
    failure_set(why, "audit.tile", "a tile of the published log is missing or short");
    return RESULT_CORRUPT;
}

/* Put the leaves, which come in order, behind one another. */
static enum result put_entries(const PGresult *rows, unsigned width, uint8_t **bytes, size_t *length, struct failure *why)
{
    size_t room = 1, used = 0, size = 0;
    if (PQntuples(rows) != (int)width) {
        failure_set(why, "audit.entry", "entries of the published log are missing");
        return RESULT_CORRUPT;
    }
    for (int row = 0; row < PQntuples(rows); row++) {
        if (db_is_null(rows, row, 0)) {
            failure_set(why, "", "these entries were pruned");
            return RESULT_DENIED;
        }
        (void)db_get_bytes(rows, row, 0, &size);
        room += 2 + size;
    }
    uint8_t *bundle = malloc(room);
    enum result result = bundle == NULL ? short_memory(why) : RESULT_OK;
    for (int row = 0; row < PQntuples(rows) && result == RESULT_OK; row++) {
        const uint8_t *leaf = db_get_bytes(rows, row, 0, &size);
        result = tile_put_entry(bundle, room, &used, leaf, size, why);
    }
    if (result != RESULT_OK) {
        free(bundle);
        return result;
    }
    *bytes = bundle;
    *length = used;
    return RESULT_OK;
}

enum result logstore_bundle(struct logstore *store, const struct tile *tile, uint8_t **bytes, size_t *length, struct failure *why)
{
    PGresult *rows = NULL;
    int64_t first = (int64_t)tile->index * TILE_WIDTH;
    struct db_params *params = db_params_new();
    db_int8(params, first);
    db_int8(params, first + tile->width);
    enum result result = db_run(store->db, "logstore_bundle",
        "SELECT o.leaf FROM audit.entry e JOIN audit.outbox o USING (id) WHERE e.index >= $1 AND e.index < $2 ORDER BY e.index",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    result = put_entries(rows, tile->width, bytes, length, why);
    PQclear(rows);
    return result;
}

enum result logstore_keys(struct db *db, char **text, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "logstore_keys",
        "SELECT coalesce(string_agg(vkey || E'\\n', '' ORDER BY from_size DESC, told_at DESC), '') FROM audit.log_key", NULL, &rows,
        why);
    if (result != RESULT_OK)
        return result;
    char *copy = strdup(db_get_text(rows, 0, 0));
    PQclear(rows);
    if (copy == NULL)
        return short_memory(why);
    *text = copy;
    return RESULT_OK;
}
