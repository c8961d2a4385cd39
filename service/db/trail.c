#include "service/db/trail.h"

#include <sodium.h>
#include <string.h>

#include "service/base/clock.h"

enum result trail_begin(
    const char *act, const char *tenant, const char *daemon, enum leaf_out out, const uint8_t *ref, struct trail *trail)
{
    *trail = (struct trail){.head = {.at_ms = clock_now_ms(),
                                .act = act,
                                .actor_type = "daemon",
                                .actor_id = daemon,
                                .tenant = tenant,
                                .out = out,
                                .ref = ref}};
    randombytes_buf(trail->head.id, sizeof trail->head.id);
    randombytes_buf(trail->head.nonce, sizeof trail->head.nonce);
    trail->leaf = leaf_begin(&trail->head);
    return trail->leaf == NULL ? RESULT_FAILED : RESULT_OK;
}

enum result trail_append(struct db *db, struct trail *trail, struct failure *why)
{
    const char *bytes;
    size_t length;
    enum result result = leaf_finish(trail->leaf, &bytes, &length, why);
    if (result != RESULT_OK)
        return result;
    struct db_params *params = db_params_new();
    db_uuid(params, trail->head.id);
    db_text(params, trail->head.act);
    db_bytes(params, bytes, length);
    result = db_run(db, "trail_append", "SELECT audit.append($1, $2, $3)", params, NULL, why);
    db_params_free(params);
    return result;
}

static void add_ids(struct db_params *params, const struct trail *trails, size_t count)
{
    db_array_begin(params, DB_ELEMENT_UUID);
    for (size_t i = 0; i < count; i++)
        db_array_bytes(params, trails[i].head.id, sizeof trails[i].head.id);
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < count; i++)
        db_array_bytes(params, trails[i].head.act, strlen(trails[i].head.act));
    db_array_end(params);
}

enum result trail_append_all(struct db *db, struct trail *trails, size_t count, struct failure *why)
{
    struct db_params *params = db_params_new();
    enum result result = RESULT_OK;
    add_ids(params, trails, count);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (size_t i = 0; result == RESULT_OK && i < count; i++) {
        const char *bytes = NULL;
        size_t length = 0;
        result = leaf_finish(trails[i].leaf, &bytes, &length, why);
        if (result == RESULT_OK)
            db_array_bytes(params, bytes, length);
    }
    db_array_end(params);
    if (result == RESULT_OK)
        result = db_run(db, "trail_append_all",
            "SELECT audit.append(l.id, l.act, l.leaf) FROM unnest($1::uuid[], $2::text[], $3::bytea[]) WITH ORDINALITY"
            " AS l (id, act, leaf, place) ORDER BY l.place",
            params, NULL, why);
    db_params_free(params);
    return result;
}

void trail_free(struct trail *trail)
{
    leaf_free(trail->leaf);
    trail->leaf = NULL;
}

static void put_hash(struct leaf *leaf, const char *key, const uint8_t hash[32])
{
    char hex[2 * 32 + 1];
    leaf_text(leaf, key, sodium_bin2hex(hex, sizeof hex, hash, 32));
}

enum result trail_started(struct db *db, const char *daemon, const uint8_t binary[32], const uint8_t configuration[32],
    struct failure *why)
{
    struct trail trail;
    enum result result = trail_begin("daemon_started", "", daemon, LEAF_OK, NULL, &trail);
    if (result == RESULT_OK) {
        put_hash(trail.leaf, "binary", binary);
        put_hash(trail.leaf, "configuration", configuration);
        leaf_text(trail.leaf, "version", THRONG_VERSION);
        result = trail_append(db, &trail, why);
    }
    trail_free(&trail);
    return result;
}

enum result trail_stopped(struct db *db, const char *daemon, struct failure *why)
{
    struct trail trail;
    enum result result = trail_begin("daemon_stopped", "", daemon, LEAF_OK, NULL, &trail);
    if (result == RESULT_OK)
        result = trail_append(db, &trail, why);
    trail_free(&trail);
    return result;
}
