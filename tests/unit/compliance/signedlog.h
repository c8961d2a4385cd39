/*
 * A log in the private PostgreSQL of a test (cluster.h), grown by the real tree code, with a signer of its own on a socket.
 * A program includes this once, in a folder from which schema/ is seen.
 */
#ifndef THRONG_TESTS_SIGNEDLOG_H
#define THRONG_TESTS_SIGNEDLOG_H

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/leaf.h"
#include "compliance/audit/tile.h"
#include "compliance/bundle/manifest.h"
#include "tests/unit/cluster.h"

#define SIGNEDLOG_ORIGIN "log.example/throng"
#define SIGNEDLOG_LEVELS 8
#define SIGNEDLOG_START_MS INT64_C(1767225600000)

static struct {
    struct tree_frontier frontier;
    uint8_t tiles[SIGNEDLOG_LEVELS][TILE_BYTES];
    struct note_signer signer;
    struct tree_hash root; /* of the newest checkpoint */
    uint64_t size, seed;
    char socket[100];
    int listener;
    pthread_t thread;
} signedlog;

/* The leaf of entry index: bytes of its own, the same for the same seed. */
static inline struct leaf *signedlog_leaf(uint64_t index, struct leaf_head *head)
{
    uint8_t seed[32] = {0}, bytes[32];
    memcpy(seed, &index, sizeof index);
    memcpy(seed + 8, &signedlog.seed, sizeof signedlog.seed);
    randombytes_buf_deterministic(bytes, sizeof bytes, seed);
    *head = (struct leaf_head){.at_ms = SIGNEDLOG_START_MS + (int64_t)index * 1000,
        .act = "trail_read",
        .actor_type = "key",
        .actor_id = "k_0123456789",
        .tenant = ""};
    memcpy(head->id, bytes, 16);
    memcpy(head->nonce, bytes + 16, 16);
    struct leaf *leaf = leaf_begin(head);
    leaf_array(leaf, "counts");
    leaf_array(leaf, NULL);
    leaf_text(leaf, NULL, "tiles");
    leaf_int(leaf, NULL, (int64_t)(index % 1000) + 1);
    leaf_close(leaf);
    leaf_close(leaf);
    leaf_int(leaf, "hour_ms", head->at_ms / 3600000 * 3600000);
    leaf_int(leaf, "reads", (int64_t)(index % 1000) + 1);
    return leaf;
}

/* Place what a new leaf completes in the tiles. */
static inline void signedlog_place(const struct tree_hash *leaf)
{
    struct tree_hash nodes[TREE_HEIGHTS];
    size_t count;
    uint64_t place = signedlog.frontier.size;
    assert_int_equal(tree_append(&signedlog.frontier, leaf, nodes, &count, NULL), RESULT_OK);
    for (size_t h = 0; h < count; h += TILE_HEIGHT) {
        uint64_t node = place >> h;
        memcpy(signedlog.tiles[h / TILE_HEIGHT] + node % TILE_WIDTH * TREE_HASH_BYTES, nodes[h].bytes, TREE_HASH_BYTES);
    }
}

static inline void signedlog_run(const char *name, const char *sql, struct db_params *params)
{
    struct failure why = {0};
    if (db_run(cluster.owner, name, sql, params, NULL, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    db_params_free(params);
}

/* Store the tile that the last node of a level lies in. */
static inline void signedlog_store(int level)
{
    uint64_t nodes = signedlog.frontier.size >> (TILE_HEIGHT * (unsigned)level);
    if (nodes == 0)
        return;
    uint64_t index = (nodes - 1) / TILE_WIDTH;
    struct db_params *params = db_params_new();
    db_int4(params, level);
    db_int8(params, (int64_t)index);
    db_bytes(params, signedlog.tiles[level], tile_width(level, index, signedlog.frontier.size) * (size_t)TREE_HASH_BYTES);
    signedlog_run("signedlog_tile", "INSERT INTO audit.tile VALUES ($1, $2, $3) ON CONFLICT (level, index) DO UPDATE "
        "SET hashes = excluded.hashes", params);
}

/* Append count leaves, which are of one tile: into outbox, entry and tile, as the superuser. */
static inline void signedlog_grow_tile(uint64_t count)
{
    struct leaf *kept[TILE_WIDTH];
    struct leaf_head heads[TILE_WIDTH];
    struct db_params *params = db_params_new();
    const char *bytes;
    size_t length;
    uint64_t first = signedlog.frontier.size;
    db_int8(params, (int64_t)first);
    db_array_begin(params, DB_ELEMENT_UUID);
    for (uint64_t i = 0; i < count; i++) {
        struct tree_hash hash;
        kept[i] = signedlog_leaf(first + i, &heads[i]);
        assert_int_equal(leaf_finish(kept[i], &bytes, &length, NULL), RESULT_OK);
        tree_leaf(bytes, length, &hash);
        signedlog_place(&hash);
        db_array_bytes(params, heads[i].id, 16);
    }
    db_array_end(params);
    db_array_begin(params, DB_ELEMENT_BYTEA);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(leaf_finish(kept[i], &bytes, &length, NULL), RESULT_OK);
        db_array_bytes(params, bytes, length);
    }
    db_array_end(params);
    signedlog_run("signedlog_grow",
        "WITH n AS (SELECT * FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS u (id, leaf, place)), "
        "o AS (INSERT INTO audit.outbox (id, act, leaf) SELECT id, 'trail_read', leaf FROM n) "
        "INSERT INTO audit.entry (index, id, at, act, tenant) SELECT $1 + place - 1, id, now(), 'trail_read', '' FROM n",
        params);
    for (uint64_t i = 0; i < count; i++)
        leaf_free(kept[i]);
    for (int level = 0; level < SIGNEDLOG_LEVELS; level++)
        signedlog_store(level);
}

/* Grow to size leaves. */
static inline void signedlog_grow(uint64_t size)
{
    while (signedlog.frontier.size < size) {
        uint64_t room = TILE_WIDTH - signedlog.frontier.size % TILE_WIDTH, left = size - signedlog.frontier.size;
        signedlog_grow_tile(left < room ? left : room);
    }
}

/* Sign and publish a checkpoint of the log as it is, at "YYYY-MM-DD …". The note goes to out, a string. */
static inline void signedlog_publish(const char *signed_at, char *out, size_t room)
{
    char text[CHECKPOINT_TEXT_MAX_BYTES];
    struct checkpoint checkpoint = {.origin = SIGNEDLOG_ORIGIN, .size = signedlog.frontier.size};
    struct text_writer writer = {.bytes = text, .room = sizeof text}, note = {.bytes = out, .room = room - 1};
    tree_root(&signedlog.frontier, &checkpoint.root);
    assert_int_equal(checkpoint_print(&checkpoint, &writer, NULL), RESULT_OK);
    assert_int_equal(note_write((struct text_view){text, writer.length}, &signedlog.signer, 0, &note, NULL), RESULT_OK);
    out[note.length] = '\0';
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)checkpoint.size);
    db_text(params, signed_at);
    db_bytes(params, out, note.length);
    signedlog_run("signedlog_publish", "INSERT INTO audit.checkpoint VALUES ($1, $2::text::timestamptz, $3)", params);
    signedlog.root = checkpoint.root;
    signedlog.size = checkpoint.size;
}

/* Answer one client: "manifest SIZE HEX". Only the newest checkpoint's size is known here. */
static inline void signedlog_answer(int client)
{
    char line[160], hex[65], bytes[4096], text[MANIFEST_TEXT_MAX_BYTES];
    uint64_t size = 0;
    uint8_t hash[32];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes}, writer = {.bytes = text, .room = sizeof text};
    struct checkpoint checkpoint = {.origin = SIGNEDLOG_ORIGIN, .root = signedlog.root};
    ssize_t length = recv(client, line, sizeof line - 1, 0);
    line[length < 0 ? 0 : length] = '\0';
    if (sscanf(line, "manifest %" SCNu64 " %64s", &size, hex) == 2 && size == signedlog.size &&
        sodium_hex2bin(hash, sizeof hash, hex, 64, NULL, NULL, NULL) == 0) {
        checkpoint.size = size;
        manifest_text(&checkpoint, hash, &writer);
        (void)note_write((struct text_view){text, writer.length}, &signedlog.signer, 0, &out, NULL);
    } else {
        text_puts(&out, "error: no such checkpoint\n");
    }
    (void)!send(client, bytes, out.length, MSG_NOSIGNAL);
}

static inline void *signedlog_serve(void *unused)
{
    for (;;) {
        int client = accept(signedlog.listener, NULL, NULL);
        if (client < 0)
            return unused;
        signedlog_answer(client);
        (void)close(client);
    }
}

/* Begin: the key, and the signer on its socket. The cluster is up. */
static inline void signedlog_begin(void)
{
    const uint8_t seed[NOTE_SEED_BYTES] = {7};
    char key[NOTE_KEY_MAX_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_int_equal(note_signer_make(SIGNEDLOG_ORIGIN, NOTE_ED25519, seed, &signedlog.signer, NULL), RESULT_OK);
    note_key_print(&signedlog.signer.key, key);
    struct db_params *params = db_params_new();
    db_text(params, key);
    signedlog_run("signedlog_key", "INSERT INTO audit.log_key (vkey, from_size) VALUES ($1, 0)", params);
    (void)snprintf(signedlog.socket, sizeof signedlog.socket, "%s/audit.sign", cluster.directory);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", signedlog.socket);
    signedlog.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(signedlog.listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(signedlog.listener, 4), 0);
    assert_int_equal(pthread_create(&signedlog.thread, NULL, signedlog_serve, NULL), 0);
}

static inline void signedlog_end(void)
{
    (void)shutdown(signedlog.listener, SHUT_RDWR);
    (void)pthread_join(signedlog.thread, NULL);
    (void)close(signedlog.listener);
}

#endif
