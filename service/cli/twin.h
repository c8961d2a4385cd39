/*
 * Twins: an app's test app, TWIN_SUFFIX after its name. It has the app's definition with preset exact and a population of its
 * own, lives for TWIN_HOURS, longer if another key is made, and nothing of it is released: its events are in the live view.
 *
 * Sees:     write keys while they are made; nothing of a person.
 * Uses:     jansson, service/catalogue, service/db, service/cli/act, apps, writekey.
 * Threads:  as struct db.
 * Failure:  as service/db; RESULT_INVALID: the twin's name is too long or another app's.
 */
#ifndef THRONG_CLI_TWIN_H
#define THRONG_CLI_TWIN_H

#include <jansson.h>
#include <stdbool.h>

#include "schema/limits.h"
#include "service/cli/apps.h"
#include "service/cli/writekey.h"
#include "service/db/db.h"

#define TWIN_SUFFIX "-test"
#define TWIN_HOURS 24

struct twin {
    char name[NAME_MAX_BYTES + 1];
    char key[WRITEKEY_BYTES];
    bool made; /* there was none before */
};

/* Make the twin of row, or bring it up to the app's definition and let it live for TWIN_HOURS from now, and make a key. One
 * transaction, as throng_owner. */
enum result twin_make(struct db *db, const struct apps_row *row, struct twin *out, struct failure *why);

/* Inside the transaction that gives the app of that id the definition root: give it to its living twin too. */
enum result twin_follow(struct db *db, int32_t app, const json_t *root, struct failure *why);

#endif
