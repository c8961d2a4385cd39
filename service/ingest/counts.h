/*
 * What was not counted and why: per app and reason, gathered here and sent as counts packets, since ingest has no
 * database.
 *
 * Sees:     app ids and numbers only.
 * Uses:     libc.
 * Threads:  any; one lock inside.
 * Failure:  a count for which there is no memory is dropped.
 */
#ifndef THRONG_INGEST_COUNTS_H
#define THRONG_INGEST_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "schema/packet.h"

#define COUNTS_ROWS_MAX 500 /* as many as one packet takes */

struct counts;

/* NULL if memory is short. */
struct counts *counts_new(void);
/* Free; NULL is allowed. */
void counts_free(struct counts *counts);

/* Add reasons[r] events of app for each reason r. */
void counts_add(struct counts *counts, uint32_t app, const uint32_t reasons[PACKET_REASONS]);

/* Move up to COUNTS_ROWS_MAX rows that are not 0 to rows; returns their number. */
size_t counts_take(struct counts *counts, struct packet_count *rows);

/* Put rows back: they could not be sent. */
void counts_return(struct counts *counts, const struct packet_count *rows, size_t count);

#endif
