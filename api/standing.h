/*
 * How the audit trail and people's requests stand, as the database says: for health and /metrics/ops.
 *
 * Sees:     counts and times; nothing of a person.
 * Uses:     service/db (role throng_read).
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_API_STANDING_H
#define THRONG_API_STANDING_H

#include <stdbool.h>
#include <stdint.h>

#include "service/db/db.h"

struct standing {
    int64_t pending;           /* leaves without an index */
    int64_t pending_s;         /* how long the oldest of them has waited; 0: there is none */
    int64_t size;              /* of the newest checkpoint; 0: there is none */
    int64_t signed_at_ms;      /* of the newest checkpoint */
    int64_t open_requests;     /* of people: applied, copies still to be removed */
    int64_t first_deadline_ms; /* by when the first of them has to be done; 0: there is none */
    bool stalled;              /* PostgreSQL or Redis was not cleaned in the two days after the first of them was applied, or a
                                * backup is there that should have expired: nothing but backups in their time may take long */
};

/* Read it to *out. */
enum result standing_read(struct db *db, struct standing *out, struct failure *why);

#endif
