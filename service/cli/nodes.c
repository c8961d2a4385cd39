#include "service/cli/nodes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum result nodes_list(struct db *db, struct nodes_row **out, size_t *count, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "nodes_list",
        "SELECT n.node, count(*)::int, min(n.watermark_ms), max(n.heard_ms), bool_and(n.ended),"
        " EXISTS (SELECT FROM config.node_retired r WHERE r.node = n.node)"
        " FROM state.node n GROUP BY n.node ORDER BY 4 DESC, 1",
        NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    size_t found = (size_t)PQntuples(rows);
    struct nodes_row *list = calloc(found + 1, sizeof *list);
    for (int row = 0; list != NULL && row < PQntuples(rows); row++)
        list[row] = (struct nodes_row){.node = (uint64_t)db_get_int8(rows, row, 0),
            .shards = db_get_int4(rows, row, 1),
            .watermark_ms = db_get_int8(rows, row, 2),
            .heard_ms = db_get_int8(rows, row, 3),
            .ended = db_get_bool(rows, row, 4),
            .retired = db_get_bool(rows, row, 5)};
    PQclear(rows);
    if (list == NULL)
        return RESULT_FAILED;
    *out = list;
    *count = found;
    return RESULT_OK;
}

bool nodes_blocks(const struct nodes_row *node, int64_t at_ms)
{
    return !node->ended && !node->retired && node->watermark_ms < at_ms;
}

char *nodes_format_id(uint64_t node, char out[NODES_ID_BYTES])
{
    snprintf(out, NODES_ID_BYTES, "%016" PRIx64, node);
    return out;
}

bool nodes_parse_id(const char *text, uint64_t *node)
{
    if (strlen(text) != NODES_ID_BYTES - 1 || strspn(text, "0123456789abcdefABCDEF") != NODES_ID_BYTES - 1)
        return false;
    *node = strtoull(text, NULL, 16);
    return true;
}
