/*
 * Emergency purges at this node. An order is first written down durably (DIRECTORY/purged, fsynced): from then on the app's
 * events are refused. Then its keys are destroyed, and a purge packet goes to every shard. What a crash interrupts is
 * finished after the next start. Spooled events from before the order are taken out when the spool is replayed.
 *
 *   a line:  app in decimal | order as 32 hexadecimal digits | at_ms in decimal | "ordered", "sent" or "resumed"
 *
 * Sees:     ids of apps and orders; packets on their way out of the spool (pseudonyms).
 * Uses:     keep, notices, writer, schema/packet.
 * Threads:  any; locks inside.
 * Failure:  RESULT_CORRUPT (a file that is none), RESULT_FAILED (the disk), RESULT_UNAVAILABLE (finished later).
 */
#ifndef THRONG_INGEST_PURGES_H
#define THRONG_INGEST_PURGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

struct notices;
struct purges;
struct writer;

/* Read directory/purged if it is there. */
enum result purges_open(const char *directory, struct purges **out, struct failure *why);
/* Free; the file stays. NULL is allowed. */
void purges_close(struct purges *purges);

/* Whether app is purged and not resumed: nothing of it may be taken, and no key made for it. */
bool purges_holds(struct purges *purges, uint32_t app);

/* Write the order down: RESULT_OK once it is durable. An order that is known already changes nothing, after a resumption
 * neither; another one purges the app again. RESULT_UNAVAILABLE while one that came before is not finished. */
enum result purges_order(struct purges *purges, uint32_t app, const uint8_t request[16], struct failure *why);

/* Carry out what was ordered and is not finished: destroy the keys, send the packets to shards 0 to shards - 1.
 * RESULT_UNAVAILABLE: some of it must be tried again. */
enum result purges_finish(struct purges *purges, struct notices *notices, struct writer *writer, uint32_t shards,
    struct failure *why);

/* Let app be collected again, durably. RESULT_NOT_FOUND if it is not purged, RESULT_UNAVAILABLE if its purge is not
 * finished. */
enum result purges_resume(struct purges *purges, uint32_t app, struct failure *why);

/* Take the parts of purged apps that were received before their purge out of a packet; *length gets smaller. What is no
 * packet of events stays as it is. */
void purges_strip(struct purges *purges, uint8_t *bytes, size_t *length);

#endif
