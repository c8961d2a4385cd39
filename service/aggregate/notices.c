#include "service/aggregate/notices.h"

#include <string.h>

#include "service/aggregate/acts.h"
#include "service/aggregate/rows.h"

static const uint8_t zeros[PACKET_HASH_BYTES];

struct telling {
    struct db *db;
    const struct shard *shard;
    uint64_t node;
    const struct packet_notice *notice;
    struct trail trail;
};

static bool is_set(const uint8_t hash[PACKET_HASH_BYTES])
{
    return memcmp(hash, zeros, PACKET_HASH_BYTES) != 0;
}

static enum result begin(struct telling *telling, const char *act)
{
    const struct packet_notice *notice = telling->notice;
    bool ordered = memcmp(notice->request, zeros, sizeof notice->request) != 0;
    bool ours = notice->act == PACKET_STARTED || notice->act == PACKET_STOPPED;
    return acts_begin_told(act, telling->shard->directory, ours ? 0 : notice->app, notice->at_ms,
        ordered ? notice->request : NULL, &telling->trail);
}

/* Keys' lives */

/* $1 shard, $2 app, $3 ring, $4 commitment, $5 epoch, $6 time, $7 leaf. */
static struct db_params *key_params(const struct telling *telling, const uint8_t *commitment)
{
    struct db_params *params = rows_params(telling->shard);
    db_int4(params, (int32_t)telling->notice->app);
    db_bytes(params, telling->notice->ring, PACKET_HASH_BYTES);
    db_bytes(params, commitment, PACKET_HASH_BYTES);
    db_int8(params, telling->notice->epoch);
    db_time(params, telling->notice->at_ms);
    db_uuid(params, telling->trail.head.id);
    return params;
}

/* Run a statement about a key; *changed becomes true if it changed a row. */
static enum result change_key(struct telling *telling, const char *name, const char *sql, const uint8_t *commitment, bool *changed,
    struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = rows_run(telling->db, name, sql, key_params(telling, commitment), &rows, why);
    if (result == RESULT_OK && PQntuples(rows) > 0)
        *changed = true;
    PQclear(rows);
    return result;
}

static enum result bear(struct telling *telling, bool *changed, struct failure *why)
{
    return change_key(telling, "notices.born",
        "INSERT INTO subject.key_life (shard, app, ring, commitment, epoch, born_at, born_leaf) VALUES ($1, $2, $3, $4, $5, $6, $7)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        telling->notice->hash, changed, why);
}

/* A key of whose birth nobody told has one as its death is told. */
static enum result bury(struct telling *telling, const uint8_t *commitment, bool *changed, struct failure *why)
{
    return change_key(telling, "notices.died",
        "INSERT INTO subject.key_life AS k (shard, app, ring, commitment, epoch, born_at, born_leaf, died_at, died_leaf)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7) ON CONFLICT (shard, app, ring, commitment) DO UPDATE"
        " SET died_at = excluded.died_at, died_leaf = excluded.died_leaf WHERE k.died_at IS NULL RETURNING 1",
        commitment, changed, why);
}

static void put_key(struct telling *telling)
{
    const struct packet_notice *notice = telling->notice;
    struct leaf *leaf = telling->trail.leaf;
    acts_hash(leaf, "commitment", notice->hash);
    leaf_int(leaf, "epoch", notice->epoch);
    if (notice->act == PACKET_KEY_RATCHETED || notice->act == PACKET_KEY_ROTATED) {
        if (is_set(notice->former))
            acts_hash(leaf, "former", notice->former);
        else
            leaf_null(leaf, "former");
    }
    acts_node(leaf, "node", telling->node);
    acts_hash(leaf, "ring", notice->ring);
}

static enum result tell_key(struct telling *telling, const char *act, struct failure *why)
{
    const struct packet_notice *notice = telling->notice;
    bool changed = notice->act == PACKET_KEYS_JOINED;
    enum result result = begin(telling, act);
    if (result == RESULT_OK && notice->act != PACKET_KEY_DESTROYED)
        result = bear(telling, &changed, why);
    if (result == RESULT_OK && notice->act == PACKET_KEY_DESTROYED)
        result = bury(telling, notice->hash, &changed, why);
    else if (result == RESULT_OK && is_set(notice->former))
        result = bury(telling, notice->former, &changed, why);
    if (result != RESULT_OK || !changed)
        return result;
    put_key(telling);
    return trail_append(telling->db, &telling->trail, why);
}

/* Others */

static enum result tell_start(struct telling *telling, struct failure *why)
{
    enum result result = begin(telling, "daemon_started");
    if (result != RESULT_OK)
        return result;
    acts_hash(telling->trail.leaf, "binary", telling->notice->hash);
    acts_hash(telling->trail.leaf, "configuration", telling->notice->former);
    leaf_text(telling->trail.leaf, "version", THRONG_VERSION);
    return trail_append(telling->db, &telling->trail, why);
}

/* An act with a number and, if with_node, the node: the number's name comes before "node". */
static enum result tell_count(struct telling *telling, const char *act, const char *key, bool with_node, struct failure *why)
{
    enum result result = begin(telling, act);
    if (result != RESULT_OK)
        return result;
    if (key != NULL)
        leaf_int(telling->trail.leaf, key, (int64_t)telling->notice->count);
    if (with_node)
        acts_node(telling->trail.leaf, "node", telling->node);
    return trail_append(telling->db, &telling->trail, why);
}

/* The trail has one leaf a day for those that passed: caretaker.h. */
static enum result count_test(struct telling *telling, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_date(params, (int32_t)(telling->notice->at_ms / 86400000));
    db_int8(params, (int64_t)telling->notice->count);
    return rows_run(telling->db, "notices.test",
        "INSERT INTO subject.self_test AS t (day, runs, places) VALUES ($1, 1, $2)"
        " ON CONFLICT (day) DO UPDATE SET runs = t.runs + 1, places = greatest(t.places, excluded.places)",
        params, NULL, why);
}

static enum result tell(struct telling *telling, struct failure *why)
{
    enum result result;
    switch (telling->notice->act) {
    case PACKET_KEY_BORN:
        return tell_key(telling, "key_born", why);
    case PACKET_KEY_RATCHETED:
        return tell_key(telling, "key_ratcheted", why);
    case PACKET_KEY_ROTATED:
        return tell_key(telling, "key_rotated", why);
    case PACKET_KEY_DESTROYED:
        return tell_key(telling, "key_destroyed", why);
    case PACKET_KEYS_JOINED:
        return tell_key(telling, "keys_joined", why);
    case PACKET_SPOOL_REPLAYED:
        return tell_count(telling, "spool_replayed", "entries", true, why);
    case PACKET_CLOCK_STEPPED_BACK:
        return tell_count(telling, "clock_stepped_back", "ms", true, why);
    case PACKET_STARTED:
        result = tell_start(telling, why);
        trail_free(&telling->trail);
        return result == RESULT_OK ? tell_count(telling, "node_announced", NULL, true, why) : result;
    case PACKET_STOPPED:
        return tell_count(telling, "daemon_stopped", NULL, false, why);
    case PACKET_SELF_TEST_FAILED:
        return tell_count(telling, "self_test_failed", "places", false, why);
    case PACKET_SELF_TEST_PASSED:
        return count_test(telling, why);
    }
    return RESULT_OK;
}

enum result notices_apply(struct db *db, const struct shard *shard, uint64_t node, const struct packet_notice *notice,
    struct failure *why)
{
    struct telling telling = {.db = db, .shard = shard, .node = node, .notice = notice};
    enum result result = tell(&telling, why);
    trail_free(&telling.trail);
    return result;
}
