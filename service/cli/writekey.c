#include "service/cli/writekey.h"

#include <stdio.h>
#include <string.h>

#include "service/catalogue/catalogue.h"
#include "service/cli/act.h"

#define HINT_CHARACTERS 4 /* of the random part */

enum result writekey_make(struct db *db, int32_t app, const char *name, const char *prefix, char text[WRITEKEY_BYTES],
    struct failure *why)
{
    struct act act;
    char hint[WRITEKEY_BYTES];
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    struct db_params *params = NULL;
    enum result result = act_begin(db, "write_key_made", name, &act, why);
    if (result != RESULT_OK)
        goto out;
    act_make_key(prefix, text, WRITEKEY_BYTES);
    snprintf(hint, sizeof hint, "%.*s", (int)strlen(prefix) + HINT_CHARACTERS, text);
    catalogue_hash_key(text, strlen(text), hash);
    leaf_text(act.leaf, "hint", hint);
    result = act_append(db, &act, why);
    if (result != RESULT_OK)
        goto out;
    params = db_params_new();
    db_int4(params, app);
    db_bytes(params, hash, sizeof hash);
    db_text(params, hint);
    db_uuid(params, act.head.id);
    result = db_run(db, "app_key", "INSERT INTO config.write_key (id, app, hash, hint, leaf) VALUES ($4, $1, $2, $3::text, $4)",
        params, NULL, why);
out:
    db_params_free(params);
    act_free(&act);
    return result;
}
