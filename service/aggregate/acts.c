#include "service/aggregate/acts.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

const char *acts_tenant(const struct directory *directory, uint32_t app)
{
    return directory == NULL ? "" : directory_name(directory, app);
}

enum result acts_begin(const char *act, const struct directory *directory, uint32_t app, enum leaf_out out, const uint8_t *ref,
    struct trail *trail)
{
    return trail_begin(act, acts_tenant(directory, app), "aggregate", out, ref, trail);
}

enum result acts_begin_told(const char *act, const struct directory *directory, uint32_t app, int64_t at_ms, const uint8_t *ref,
    struct trail *trail)
{
    *trail = (struct trail){.head = {.at_ms = at_ms,
                                .act = act,
                                .actor_type = "daemon",
                                .actor_id = "ingest",
                                .tenant = acts_tenant(directory, app),
                                .out = LEAF_OK,
                                .ref = ref}};
    randombytes_buf(trail->head.id, sizeof trail->head.id);
    randombytes_buf(trail->head.nonce, sizeof trail->head.nonce);
    trail->leaf = leaf_begin(&trail->head);
    return trail->leaf == NULL ? RESULT_FAILED : RESULT_OK;
}

void acts_uuid(struct leaf *leaf, const char *key, const uint8_t uuid[16])
{
    char hex[33];
    char text[37];
    (void)sodium_bin2hex(hex, sizeof hex, uuid, 16);
    (void)snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    leaf_text(leaf, key, text);
}

void acts_hash(struct leaf *leaf, const char *key, const uint8_t hash[32])
{
    char hex[65];
    leaf_text(leaf, key, sodium_bin2hex(hex, sizeof hex, hash, 32));
}

void acts_node(struct leaf *leaf, const char *key, uint64_t node)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, node);
    leaf_text(leaf, key, text);
}

int64_t acts_power_of_two(int64_t count)
{
    int64_t power = count > 0 ? 1 : 0;
    while (power > 0 && power <= count / 2)
        power *= 2;
    return power;
}
