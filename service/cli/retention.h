/*
 * Physical removal: what people's requests deleted is still in pages, indexes and the write-ahead log of PostgreSQL until these are
 * written anew, and in backups until these are gone. How far that came is in subject.retention.
 *
 * Sees:     no row about a person; names of tables and of backups.
 * Uses:     service/db (role throng_owner), service/cli/backups.
 * Threads:  one.
 * Failure:  as service/db; RESULT_UNAVAILABLE: a transaction stays open, trying later works; RESULT_DENIED: the server keeps old
 *           log segments (why says what to look at). Nothing is claimed to be clean then.
 */
#ifndef THRONG_CLI_RETENTION_H
#define THRONG_CLI_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "service/cli/command.h"
#include "service/db/db.h"

#define RETENTION_PAUSE_MS (24LL * 3600 * 1000) /* tables are written anew once a day at most, unless asked */

/* What a run did. */
struct retention_report {
    int64_t clean_through_ms; /* of PostgreSQL */
    bool dirty;               /* requests had deleted something since the last run */
    bool rewritten;           /* tables and log were written anew now */
    int64_t tables;           /* how many */
    int64_t backups_gone, backups_kept, backups_unknown; /* unknown: expired, and where its files are nobody told us */
    int64_t answers;          /* expired answers deleted */
};

/* Hold back every other run, until owner's connection ends: for as long as a backup is being made, nothing else may call itself clean
 * that may be in it. RESULT_UNAVAILABLE: another run, or a backup, holds it. Taken again by the same connection it counts up. */
enum result retention_hold(struct db *owner, struct failure *why);

/* Make PostgreSQL clean (holding it meanwhile): now, or once the last time is RETENTION_PAUSE_MS ago. Fills the first members of *report. */
enum result retention_postgres(struct db *owner, bool now, struct retention_report *report, struct failure *why);

/* Delete expired answers; delete expired backups where they are ours, and record which are gone. Fills the last members. */
enum result retention_expire(struct command_context *context, struct db *owner, struct retention_report *report, struct failure *why);

/* Inside a transaction: record that backup id (16 bytes) is gone, with its leaf. RESULT_NOT_FOUND: there is none that is not. */
enum result retention_record_gone(struct db *db, const uint8_t *id, struct failure *why);

#endif
