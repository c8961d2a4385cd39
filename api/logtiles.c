#include "api/logtiles.h"

#include <stdlib.h>
#include <string.h>

#include "api/logstore.h"

#define TEXT "text/plain; charset=utf-8"
#define BYTES "application/octet-stream"
#define PREFIX_BYTES (sizeof "/log/" - 1)

/* A full tile stays; a partial one has a wider successor before long. Who read by a key does not share its cache. */
static const char *caching(const struct call *call, const struct tile *tile)
{
    bool shared = !call->identified;
    if (tile->width == TILE_WIDTH)
        return shared ? "public, max-age=31536000, immutable" : "private, max-age=31536000, immutable";
    return shared ? "public, max-age=86400" : "private, max-age=86400";
}

/* Who reads without a key has no actor, and learns hashes only: that is not counted. */
static void count(struct call *call, const char *what)
{
    if (call->identified)
        journal_count(call->service->journal, &call->identity, JOURNAL_TRAIL, what);
}

/* The newest checkpoint; false: *answer is to be returned. */
static bool open_store(struct call *call, struct logstore *store, enum MHD_Result *answer)
{
    struct failure why = {0};
    struct db *db = call_db(call, &why);
    enum result result = db == NULL ? RESULT_UNAVAILABLE : logstore_open(db, store, &why);
    if (result == RESULT_OK)
        return true;
    *answer = result == RESULT_NOT_FOUND
        ? call_problem(call, MHD_HTTP_NOT_FOUND, "no_checkpoint", "", "the log has no checkpoint yet: throng-audit signs the first one")
        : call_unavailable(call);
    return false;
}

enum MHD_Result logtiles_checkpoint(struct call *call)
{
    struct logstore store;
    struct reply reply = {.cache_control = call->identified ? CALL_REVALIDATE : "no-cache"};
    enum MHD_Result answer;
    if (!open_store(call, &store, &answer))
        return answer;
    count(call, "checkpoint");
    return call_send(call, &reply, TEXT, store.note); /* takes the note */
}

enum MHD_Result logtiles_keys(struct call *call)
{
    struct failure why = {0};
    char *text = NULL;
    struct reply reply = {.cache_control = call->identified ? CALL_REVALIDATE : "no-cache"};
    struct db *db = call_db(call, &why);
    if (db == NULL || logstore_keys(db, &text, &why) != RESULT_OK)
        return call_unavailable(call);
    if (text[0] == '\0') {
        free(text);
        return call_problem(call, MHD_HTTP_NOT_FOUND, "no_log_key", "", "the log's signer has told no key yet");
    }
    count(call, "keys");
    return call_send(call, &reply, TEXT, text);
}

static enum result read_tile(struct logstore *store, const struct tile *tile, uint8_t **bytes, size_t *length, struct failure *why)
{
    if (tile->level == TILE_ENTRIES)
        return logstore_bundle(store, tile, bytes, length, why);
    uint8_t *hashes = malloc(TILE_BYTES);
    enum result result = hashes == NULL ? RESULT_FAILED : logstore_load(store, tile, hashes, why);
    if (result != RESULT_OK) {
        free(hashes);
        return result;
    }
    *bytes = hashes;
    *length = (size_t)tile->width * TREE_HASH_BYTES;
    return RESULT_OK;
}

static enum MHD_Result send_tile(struct call *call, struct logstore *store, const struct tile *tile)
{
    struct failure why = {0};
    uint8_t *bytes = NULL;
    size_t length = 0;
    if (tile->width > tile_width(tile->level, tile->index, store->size))
        return call_problem(call, MHD_HTTP_NOT_FOUND, "not_published", "", "the tree of the newest checkpoint has no such tile");
    enum result result = read_tile(store, tile, &bytes, &length, &why);
    if (result == RESULT_DENIED)
        return call_problem(call, MHD_HTTP_NOT_FOUND, "pruned", "",
            "the bodies of these entries were pruned: their hashes and proofs are still here");
    if (result == RESULT_UNAVAILABLE)
        return call_unavailable(call);
    if (result != RESULT_OK)
        return call_problem(call, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal", "", "the stored log is not whole");
    struct reply reply = {.cache_control = caching(call, tile), .body_length = length};
    count(call, tile->level == TILE_ENTRIES ? "bundles" : "tiles");
    return call_send(call, &reply, BYTES, (char *)bytes);
}

enum MHD_Result logtiles_tile(struct call *call)
{
    struct failure why = {0};
    struct logstore store;
    struct tile tile;
    enum MHD_Result answer;
    const char *path = call->path + PREFIX_BYTES;
    if (tile_parse((struct text_view){path, strlen(path)}, &tile, &why) != RESULT_OK)
        return call_not_found(call);
    if (!open_store(call, &store, &answer))
        return answer;
    answer = send_tile(call, &store, &tile);
    logstore_close(&store);
    return answer;
}
