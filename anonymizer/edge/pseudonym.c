#include "anonymizer/edge/pseudonym.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#define TAG_SHARD 'H'

/* tag ‖ length u16le ‖ bytes: the tag is one byte and the length has two, so no two inputs read alike. */
static enum result hash_id(
    const struct pseudonym_key *key, uint8_t tag, struct raw_id id, uint8_t out[PSEUDONYM_BYTES])
{
    if (id.length == 0 || id.length > RAW_ID_MAX_BYTES)
        return RESULT_INVALID;
    uint8_t input[3 + RAW_ID_MAX_BYTES];
    input[0] = tag;
    input[1] = (uint8_t)(id.length & 0xff);
    input[2] = (uint8_t)(id.length >> 8);
    memcpy(input + 3, id.bytes, id.length);
    int failed = crypto_generichash(out, PSEUDONYM_BYTES, input, 3 + id.length, key->bytes, sizeof key->bytes);
    sodium_memzero(input, 3 + id.length);
    assert(failed == 0);
    return RESULT_OK;
}

bool pseudonym_is_kind(int kind)
{
    return kind == PSEUDONYM_USER || kind == PSEUDONYM_SESSION || kind == PSEUDONYM_SOURCE ||
        kind == PSEUDONYM_VISITOR || kind == PSEUDONYM_ENTITY;
}

enum result pseudonym_make(
    const struct pseudonym_key *key, enum pseudonym_kind kind, struct raw_id id, struct pseudonym *out)
{
    return hash_id(key, (uint8_t)kind, id, out->bytes);
}

enum result pseudonym_shard(const struct pseudonym_key *shard_key, struct raw_id id, uint32_t shards, uint16_t *out)
{
    assert(shards >= 1 && shards <= SHARDS_MAX);
    uint8_t hash[PSEUDONYM_BYTES];
    enum result result = hash_id(shard_key, TAG_SHARD, id, hash);
    if (result != RESULT_OK)
        return result;
    uint64_t number = 0;
    for (unsigned i = 8; i-- > 0;)
        number = number << 8 | hash[i];
    *out = (uint16_t)(number % shards);
    return RESULT_OK;
}

void pseudonym_ratchet(struct pseudonym_key *key)
{
    static const char label[] = "throng ratchet 1";
    struct pseudonym_key next;
    int failed = crypto_generichash(
        next.bytes, sizeof next.bytes, (const uint8_t *)label, sizeof label - 1, key->bytes, sizeof key->bytes);
    assert(failed == 0);
    *key = next;
    sodium_memzero(&next, sizeof next);
}
