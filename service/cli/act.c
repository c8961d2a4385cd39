#include "service/cli/act.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/db/trail.h"

enum result act_begin(struct db *db, const char *act, const char *tenant, struct act *out, struct failure *why)
{
    return act_begin_outcome(db, act, tenant, LEAF_OK, NULL, out, why);
}

/* Begin with the id in *to. */
static enum result begin(struct db *db, const char *act, const char *tenant, enum leaf_out out, const uint8_t *ref, struct act *to,
    struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "act_role", "SELECT current_user::text", NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    snprintf(to->role, sizeof to->role, "%s", db_get_text(rows, 0, 0));
    PQclear(rows);
    to->head.at_ms = clock_now_ms();
    to->head.act = act;
    to->head.actor_type = "operator";
    to->head.actor_id = to->role;
    to->head.tenant = tenant;
    to->head.out = out;
    to->head.ref = ref;
    randombytes_buf(to->head.nonce, sizeof to->head.nonce);
    to->leaf = leaf_begin(&to->head);
    return to->leaf == NULL ? RESULT_FAILED : RESULT_OK;
}

enum result act_begin_outcome(struct db *db, const char *act, const char *tenant, enum leaf_out out, const uint8_t *ref,
    struct act *to, struct failure *why)
{
    *to = (struct act){0};
    randombytes_buf(to->head.id, sizeof to->head.id);
    return begin(db, act, tenant, out, ref, to, why);
}

enum result act_begin_known(struct db *db, const char *act, const char *tenant, const uint8_t id[16], struct act *out,
    struct failure *why)
{
    *out = (struct act){0};
    memcpy(out->head.id, id, sizeof out->head.id);
    return begin(db, act, tenant, LEAF_OK, NULL, out, why);
}

enum result act_append(struct db *db, struct act *act, struct failure *why)
{
    struct trail trail = {.head = act->head, .leaf = act->leaf};
    return trail_append(db, &trail, why);
}

void act_free(struct act *act)
{
    leaf_free(act->leaf);
    act->leaf = NULL;
}

void act_make_key(const char *prefix, char *out, size_t size)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t at = strlen(prefix);
    assert(size > at + ACT_KEY_CHARACTERS);
    memcpy(out, prefix, at);
    for (int i = 0; i < ACT_KEY_CHARACTERS; i++)
        out[at++] = alphabet[randombytes_uniform(62)];
    out[at] = '\0';
}
