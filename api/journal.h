/*
 * The journal: who read which app's numbers or the audit trail, and who was denied, counted in memory and written as one audit leaf for each
 * actor and hour, when the hour is over and when the program ends. While the database is away the counts wait.
 *
 * Sees:     ids of keys and names of apps; nothing of a person.
 * Uses:     compliance/audit/leaf, libsodium, service/db; a thread and a connection of its own.
 * Threads:  journal_count from any.
 * Failure:  what a crash catches in memory is lost: an hour at most.
 */
#ifndef THRONG_API_JOURNAL_H
#define THRONG_API_JOURNAL_H

#include <stdbool.h>

#include "api/access.h"
#include "service/base/config.h"

/* What is counted: reads of numbers, reads of the trail and of receipts, and why requests were denied. */
enum journal_kind { JOURNAL_READ, JOURNAL_TRAIL, JOURNAL_NO_KEY, JOURNAL_UNKNOWN_KEY, JOURNAL_SCOPE, JOURNAL_APP };

struct journal;

/* Start the journal; NULL if there is no memory or thread. config is borrowed. */
struct journal *journal_start(const struct config *config);

/* Count one read of what (an app's name, "*" for all apps, or of the trail a word for what was read; copied), or one denial (what
 * is ""). identity NULL: nobody known. */
void journal_count(struct journal *journal, const struct access_identity *identity, enum journal_kind kind, const char *what);

/* Whether the database answered when it was last asked, a second ago at most. */
bool journal_database_up(const struct journal *journal);

/* Write what is counted and free. NULL is allowed. */
void journal_stop(struct journal *journal);

#endif
