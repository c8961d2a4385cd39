/*
 * Write keys: made with their audit leaf, shown once, stored hashed. A key's id is the id of the leaf that records its
 * making.
 *
 * Sees:     write keys while they are made.
 * Uses:     service/db, service/catalogue (hash), service/cli/act.
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_CLI_WRITEKEY_H
#define THRONG_CLI_WRITEKEY_H

#include <stdint.h>

#include "service/db/db.h"

#define WRITEKEY_BYTES 64

/* Inside a transaction of throng_owner: make a key that begins with prefix ("wk_" or "wk_test_") for the app of that id and
 * name, and write it to text. Borrows everything. */
enum result writekey_make(struct db *db, int32_t app, const char *name, const char *prefix, char text[WRITEKEY_BYTES],
    struct failure *why);

#endif
