#include "service/paper/anchor.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/note.h"

static enum result take(const char *bytes, size_t length, struct anchor *out, struct failure *why)
{
    struct note *note = malloc(sizeof *note);
    struct checkpoint checkpoint;
    if (note == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_FAILED;
    }
    enum result result = note_parse(bytes, length, note, why);
    if (result == RESULT_OK)
        result = checkpoint_parse(note->text, &checkpoint, why);
    free(note);
    if (result != RESULT_OK)
        return RESULT_CORRUPT;
    (void)snprintf(out->origin, sizeof out->origin, "%s", checkpoint.origin);
    out->size = checkpoint.size;
    (void)sodium_bin2base64(out->root, sizeof out->root, checkpoint.root.bytes, sizeof checkpoint.root.bytes,
        sodium_base64_VARIANT_ORIGINAL);
    out->note = strndup(bytes, length);
    out->any = out->note != NULL;
    return out->any ? RESULT_OK : RESULT_FAILED;
}

enum result anchor_read(struct db *db, int64_t covers, struct anchor *out, struct failure *why)
{
    PGresult *rows = NULL;
    size_t length;
    struct db_params *params = db_params_new();
    db_int8(params, covers);
    enum result result = db_run(db, "anchor",
        "SELECT note, signed_at FROM audit.checkpoint WHERE size > $1::bigint"
        " ORDER BY CASE WHEN $1::bigint < 0 THEN -size ELSE size END,"
        " CASE WHEN $1::bigint < 0 THEN -extract(epoch FROM signed_at) ELSE extract(epoch FROM signed_at) END LIMIT 1",
        params, &rows, why);
    db_params_free(params);
    *out = (struct anchor){.any = false};
    if (result == RESULT_OK && PQntuples(rows) > 0) {
        const char *bytes = (const char *)db_get_bytes(rows, 0, 0, &length);
        out->signed_at_ms = db_get_time(rows, 0, 1);
        result = take(bytes, length, out, why);
    }
    PQclear(rows);
    return result;
}

void anchor_free(struct anchor *anchor)
{
    free(anchor->note);
    anchor->note = NULL;
}
