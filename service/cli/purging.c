#include "service/cli/purging.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/cli/act.h"
#include "service/cli/ask.h"
#include "service/cli/nodes.h"
#include "service/db/db.h"

#define CONNINFO_BYTES 1024

void purging_blind(const char *reason, const uint8_t key[16], char out[65])
{
    unsigned char tag[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, key, 16);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)reason, strlen(reason));
    (void)crypto_auth_hmacsha256_final(&state, tag);
    (void)sodium_bin2hex(out, 65, tag, sizeof tag);
}

/* Whether the order is recorded, and the app's id. */
static enum result look_up(struct db *db, const struct orders_purge *order, bool *recorded, int32_t *app, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, order->app);
    db_uuid(params, order->id);
    enum result result = db_run(db, "purge_find",
        "SELECT app, EXISTS (SELECT FROM subject.purge WHERE id = $2) FROM config.app WHERE name = $1", params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 1) {
        *app = db_get_int4(rows, 0, 0);
        *recorded = db_get_bool(rows, 0, 1);
    } else {
        failure_set(why, "app", "there is no app of that name; `throng app list` shows them");
        result = RESULT_NOT_FOUND;
    }
    PQclear(rows);
    return result;
}

static enum result insert_purge(struct db *db, const struct orders_purge *order, int32_t app, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_uuid(params, order->id);
    db_int4(params, app);
    db_time(params, order->ordered_ms);
    db_text(params, order->reason);
    enum result result = db_run(db, "purge_insert",
        "INSERT INTO subject.purge (id, app, ordered_at, reason, intent_leaf) VALUES ($1, $2, $3, $4, $1)", params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result record_in_transaction(struct db *db, void *context, struct failure *why)
{
    struct orders_purge *order = context;
    bool recorded = false;
    int32_t app = 0;
    char blinded[65];
    struct act act = {0};
    enum result result = look_up(db, order, &recorded, &app, why);
    if (result != RESULT_OK || recorded)
        return result;
    result = act_begin_known(db, "purge_ordered", order->app, order->id, &act, why);
    if (result == RESULT_OK) {
        purging_blind(order->reason, act.head.nonce, blinded);
        leaf_text(act.leaf, "reason", blinded);
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK)
        result = insert_purge(db, order, app, why);
    act_free(&act);
    return result;
}

/* `throng up` may be recording the same order at this moment: then one of the two finds it there the second time. */
static enum result record(struct db *db, struct orders_purge *order, struct failure *why)
{
    struct failure first = {0};
    enum result result = db_transaction(db, record_in_transaction, order, &first);
    if (result == RESULT_INVALID)
        return db_transaction(db, record_in_transaction, order, why);
    if (result != RESULT_OK)
        failure_set(why, first.field, "%s", first.text);
    return result;
}

static enum result tell(struct command_context *context, const struct orders_purge *order, struct failure *why)
{
    char path[NAME_MAX_BYTES + 96], id[UUID_TEXT_BYTES];
    json_t *document = NULL;
    (void)snprintf(path, sizeof path, "/v1/apps/%s/purge?order=%s", order->app, uuid_format(order->id, id));
    enum result result = ask_ingest(context, "POST", path, NULL, &document, why);
    json_decref(document);
    return result;
}

/* How many ingest nodes are announced beside this machine's, which is one of them if it answered. */
static enum result count_others(struct db *db, bool answered, int64_t *others, struct failure *why)
{
    struct nodes_row *nodes = NULL;
    size_t count = 0;
    int64_t live = 0;
    enum result result = nodes_list(db, &nodes, &count, why);
    for (size_t i = 0; result == RESULT_OK && i < count; i++)
        live += nodes[i].ended || nodes[i].retired ? 0 : 1;
    *others = live > 0 && answered ? live - 1 : live;
    free(nodes);
    return result;
}

static enum result look_at(struct db *db, const struct orders_purge *order, struct purging_progress *out, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_uuid(params, order->id);
    enum result result = db_run(db, "purge_progress",
        "SELECT i.shards, (SELECT count(*) FROM subject.purged_shard WHERE purge = $1),"
        " EXISTS (SELECT FROM subject.purge WHERE id = $1 AND done_at IS NOT NULL) FROM config.installation i",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    *out = (struct purging_progress){.shards = db_get_int4(rows, 0, 0), .purged = db_get_int8(rows, 0, 1),
        .done = db_get_bool(rows, 0, 2)};
    PQclear(rows);
    return count_others(db, order->told, &out->others, why);
}

/* A connection, or NULL: then why says what is away. */
static struct db *connect(struct command_context *context, struct failure *why)
{
    char conninfo[CONNINFO_BYTES];
    const char *given = context->config.postgres_conninfo;
    /* A server that hangs must not hold up the rest. A URI is taken as it is. */
    (void)snprintf(conninfo, sizeof conninfo, "%.960s%s", given, strstr(given, "://") == NULL ? " connect_timeout=5" : "");
    struct db *db = db_new(conninfo, "throng purge");
    sodium_memzero(conninfo, sizeof conninfo);
    if (db_connect(db, why) == RESULT_OK)
        return db;
    db_free(db);
    return NULL;
}

enum result purging_is_open(struct command_context *context, const char *app, bool *open, struct failure *why)
{
    struct db *db = connect(context, why);
    if (db == NULL)
        return RESULT_UNAVAILABLE;
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, app);
    enum result result = db_run(db, "purge_open",
        "SELECT EXISTS (SELECT FROM subject.purge JOIN config.app USING (app) WHERE name = $1 AND done_at IS NULL)", params, &rows,
        why);
    db_params_free(params);
    if (result == RESULT_OK)
        *open = db_get_bool(rows, 0, 0);
    PQclear(rows);
    db_free(db);
    return result;
}

enum result purging_advance(struct command_context *context, struct orders_purge *order, struct purging_progress *progress,
    struct failure *why)
{
    const char *state = context->config.ingest_state;
    struct failure away = {0};
    *progress = (struct purging_progress){0};
    struct db *db = connect(context, why);
    enum result recorded = db == NULL ? RESULT_UNAVAILABLE : record(db, order, why);
    if (recorded == RESULT_OK)
        order->recorded = true;
    if (recorded == RESULT_NOT_FOUND && !order->told) {
        orders_remove(state, order->id);
        db_free(db);
        return recorded;
    }
    /* Ingest is told though the database may be away: collection stops at once. */
    enum result told = order->told ? RESULT_OK : tell(context, order, &away);
    order->told = told == RESULT_OK;
    if (told != RESULT_OK && recorded == RESULT_OK)
        failure_set(why, away.field, "%s", away.text);
    enum result result = orders_write(state, order, why);
    if (result == RESULT_OK && recorded == RESULT_OK)
        result = look_at(db, order, progress, why);
    db_free(db);
    if (progress->done && order->told)
        orders_remove(state, order->id);
    if (recorded != RESULT_OK || told != RESULT_OK)
        return recorded != RESULT_OK ? recorded : told;
    return result;
}
