/*
 * The head: how many releases there are, and a hash over their leaves in that order. The database has it, and a file in
 * the daemon's state directory, written after each transaction, has a copy: a database that was restored from a backup lacks
 * releases that were read already, and what they cost. Drawing their noise anew would give both away, so nothing more is
 * released until the missing ones are back.
 *
 * Sees:     release leaves: numbers and declared names.
 * Uses:     service/db; SHA-256 of libsodium; a directory of our own.
 * Threads:  one. The file is replaced whole; two daemons on one database have a directory each, or none.
 * Failure:  as db_run; RESULT_CORRUPT if the database does not have what the file says, or the file is damaged;
 *           RESULT_FAILED if the file cannot be read or written.
 */
#ifndef THRONG_RELEASE_HEAD_H
#define THRONG_RELEASE_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "service/db/db.h"

#define HEAD_FILE "release.head"
#define HEAD_HASH_BYTES 32

/* Zero-initialised: nothing was released. */
struct head {
    int64_t count;
    uint8_t hash[HEAD_HASH_BYTES];
};

/* Read directory's file to *out; {0} if there is none. Makes the directory if it is not there. */
enum result head_load(const char *directory, struct head *out, struct failure *why);

/* Replace directory's file durably. */
enum result head_store(const char *directory, const struct head *head, struct failure *why);

/* Whether the database has everything that known counts, and the same. */
enum result head_check(struct db *db, const struct head *known, struct failure *why);

/* In a transaction: read the head to *out; nobody else moves it until the transaction ends. */
enum result head_lock(struct db *db, struct head *out, struct failure *why);

/* Move head on by one release, whose leaf is bytes[0 … length - 1]. */
void head_add(struct head *head, const void *bytes, size_t length);

/* In the transaction of head_lock: write the head. */
enum result head_write(struct db *db, const struct head *head, struct failure *why);

#endif
