#include "api/proofs.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/proof.h"
#include "compliance/audit/text.h"

#define TEXT "text/plain; charset=utf-8"

static enum result open_reader(struct logstore *store, uint64_t size, struct tile_reader **out, struct failure *why)
{
    const struct tile_source source = {logstore_load, store};
    *out = tile_reader_open(&source, size);
    if (*out != NULL)
        return RESULT_OK;
    failure_set(why, "", "memory is short");
    return RESULT_FAILED;
}

enum result proofs_make_inclusion(struct logstore *store, uint64_t index, struct tree_proof *proof, struct failure *why)
{
    struct tile_reader *tiles;
    enum result result = open_reader(store, store->size, &tiles, why);
    if (result != RESULT_OK)
        return result;
    const struct tree_reader reader = {tile_read, tiles};
    result = tree_prove_inclusion(&reader, index, store->size, proof, why);
    tile_reader_close(tiles);
    return result;
}

static enum result read_root(const struct tree_reader *reader, uint64_t size, struct tree_hash *out, struct failure *why)
{
    struct tree_frontier frontier;
    enum result result = tree_restore(reader, size, &frontier, why);
    if (result == RESULT_OK)
        tree_root(&frontier, out);
    return result;
}

enum result proofs_make_consistency(struct logstore *store, struct proofs_pair *pair, struct failure *why)
{
    struct tile_reader *tiles;
    enum result result = open_reader(store, pair->to, &tiles, why);
    if (result != RESULT_OK)
        return result;
    const struct tree_reader reader = {tile_read, tiles};
    result = tree_prove_consistency(&reader, pair->from, pair->to, &pair->proof, why);
    if (result == RESULT_OK)
        result = read_root(&reader, pair->from, &pair->from_root, why);
    if (result == RESULT_OK)
        result = read_root(&reader, pair->to, &pair->to_root, why);
    tile_reader_close(tiles);
    return result;
}

/* --- over HTTP ----------------------------------------------------------------------------------------------------- */

/* A parameter that is a whole number; false if it is none. */
static bool read_number(const struct call *call, const char *name, uint64_t *out)
{
    const char *text = call_argument(call, name);
    return text != NULL && text_decimal((struct text_view){text, strlen(text)}, out);
}

static enum MHD_Result refuse(struct call *call, const char *field, const char *text)
{
    return call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", field, "%s", text);
}

/* What keeps the log from being read. */
static enum MHD_Result explain(struct call *call, enum result result)
{
    if (result == RESULT_NOT_FOUND)
        return call_problem(call, MHD_HTTP_NOT_FOUND, "no_checkpoint", "",
            "the log has no checkpoint yet: throng-audit signs the first one");
    if (result == RESULT_UNAVAILABLE)
        return call_unavailable(call);
    return call_problem(call, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal", "", "the proof cannot be made: the stored log is not whole");
}

static enum MHD_Result not_published(struct call *call, const char *field)
{
    return call_problem(call, MHD_HTTP_NOT_FOUND, "not_published", field, "the newest checkpoint does not reach so far");
}

/* The proof as a file, ended by a NUL; NULL if it cannot be. */
static char *print_proof(const struct logstore *store, uint64_t index, const struct tree_proof *path)
{
    struct failure why = {0};
    const struct proof proof = {.index = index, .path = *path, .checkpoint = {store->note, store->note_length}};
    char *file = calloc(1, PROOF_MAX_BYTES + 1);
    struct text_writer writer = {.bytes = file, .room = PROOF_MAX_BYTES};
    if (file != NULL && proof_print(&proof, &writer, &why) == RESULT_OK)
        return file;
    free(file);
    return NULL;
}

static enum MHD_Result send_inclusion(struct call *call, struct logstore *store, uint64_t index)
{
    struct failure why = {0};
    struct tree_proof path;
    struct reply reply = {.cache_control = CALL_REVALIDATE};
    if (index >= store->size)
        return not_published(call, "index");
    enum result result = proofs_make_inclusion(store, index, &path, &why);
    if (result != RESULT_OK)
        return explain(call, result);
    journal_count(call->service->journal, &call->identity, JOURNAL_TRAIL, "proofs");
    return call_send(call, &reply, TEXT, print_proof(store, index, &path));
}

enum MHD_Result proofs_inclusion(struct call *call)
{
    static const char *const arguments[] = {"index", NULL};
    struct failure why = {0};
    struct logstore store;
    uint64_t index;
    if (!call_knows_arguments(call, arguments))
        return refuse(call, "", "there is a parameter that is not known here");
    if (!read_number(call, "index", &index))
        return refuse(call, "index", "must be an entry's index");
    struct db *db = call_db(call, &why);
    enum result result = db == NULL ? RESULT_UNAVAILABLE : logstore_open(db, &store, &why);
    if (result != RESULT_OK)
        return explain(call, result);
    enum MHD_Result answer = send_inclusion(call, &store, index);
    logstore_close(&store);
    return answer;
}

static json_t *hash_json(const struct tree_hash *hash)
{
    char text[TEXT_BASE64_BYTES(TREE_HASH_BYTES)];
    struct text_writer writer = {.bytes = text, .room = sizeof text};
    text_put_base64(&writer, hash->bytes, sizeof hash->bytes);
    return json_stringn(text, writer.length);
}

static enum MHD_Result send_consistency(struct call *call, struct logstore *store, struct proofs_pair *pair)
{
    struct failure why = {0};
    if (pair->to == 0)
        pair->to = store->size;
    if (pair->to > store->size)
        return not_published(call, "to");
    if (pair->from > pair->to)
        return refuse(call, "from", "must not be larger than to");
    enum result result = proofs_make_consistency(store, pair, &why);
    if (result != RESULT_OK)
        return explain(call, result);
    json_t *hashes = json_array();
    for (size_t i = 0; i < pair->proof.count; i++)
        json_array_append_new(hashes, hash_json(&pair->proof.hashes[i]));
    journal_count(call->service->journal, &call->identity, JOURNAL_TRAIL, "consistency");
    return call_send_json(call, json_pack("{s:I,s:o,s:I,s:o,s:o}", "from", (json_int_t)pair->from, "from_root",
                                    hash_json(&pair->from_root), "to", (json_int_t)pair->to, "to_root", hash_json(&pair->to_root),
                                    "hashes", hashes));
}

enum MHD_Result proofs_consistency(struct call *call)
{
    static const char *const arguments[] = {"from", "to", NULL};
    struct failure why = {0};
    struct logstore store;
    struct proofs_pair pair = {.from = 0};
    if (!call_knows_arguments(call, arguments))
        return refuse(call, "", "there is a parameter that is not known here");
    if (!read_number(call, "from", &pair.from) || pair.from == 0)
        return refuse(call, "from", "must be a size of the log, 1 or more");
    if (call_argument(call, "to") != NULL && (!read_number(call, "to", &pair.to) || pair.to == 0))
        return refuse(call, "to", "must be a size of the log, 1 or more");
    struct db *db = call_db(call, &why);
    enum result result = db == NULL ? RESULT_UNAVAILABLE : logstore_open(db, &store, &why);
    if (result != RESULT_OK)
        return explain(call, result);
    enum MHD_Result answer = send_consistency(call, &store, &pair);
    logstore_close(&store);
    return answer;
}
