/*
 * Ingest nodes as the database knows them.
 *
 * Sees:     nothing of a person: node ids are random numbers of an ingest process.
 * Uses:     service/db.
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_CLI_NODES_H
#define THRONG_CLI_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/db/db.h"

#define NODES_ID_BYTES 17 /* 16 hexadecimal digits and a NUL */

struct nodes_row {
    uint64_t node;
    int32_t shards;       /* in which it was heard */
    int64_t watermark_ms; /* its least: everything received before is counted (0: it never said) */
    int64_t heard_ms;
    bool ended, retired;
};

/* All nodes, longest silent last, as an array owned by the caller (free). As throng_owner. */
enum result nodes_list(struct db *db, struct nodes_row **out, size_t *count, struct failure *why);

/* Whether node holds back the closing of what was received until at_ms. */
bool nodes_blocks(const struct nodes_row *node, int64_t at_ms);

/* Write an id as it is shown and typed; read it back. */
char *nodes_format_id(uint64_t node, char out[NODES_ID_BYTES]);
/* See nodes_format_id. */
bool nodes_parse_id(const char *text, uint64_t *node);

#endif
