#include "compliance/meaning/hashed.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct hashed_key hashed_texts(const char *a, const char *b, const char *c, const char *d)
{
    const char *const texts[] = {a, b, c, d};
    struct hashed_key key;
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, sizeof key.bytes);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && texts[i] != NULL; i++)
        (void)crypto_generichash_update(&state, (const unsigned char *)texts[i], strlen(texts[i]) + 1);
    (void)crypto_generichash_final(&state, key.bytes, sizeof key.bytes);
    return key;
}

struct hashed_key hashed_bytes(const void *bytes, size_t length)
{
    struct hashed_key key;
    (void)crypto_generichash(key.bytes, sizeof key.bytes, bytes, length, NULL, 0);
    return key;
}

void *hashed_at(const struct hashed *table, size_t place)
{
    return table->records + place * table->size;
}

/* The slot of key: its own, or the free one where it would be. */
static uint32_t *slot_of(const struct hashed *table, const uint8_t *key)
{
    uint64_t at;
    memcpy(&at, key, sizeof at);
    for (;; at++) {
        uint32_t *slot = &table->slots[at & (table->slot_count - 1)];
        if (*slot == 0 || memcmp(hashed_at(table, *slot - 1), key, HASHED_KEY_BYTES) == 0)
            return slot;
    }
}

void *hashed_find(const struct hashed *table, struct hashed_key key)
{
    if (table->slot_count == 0)
        return NULL;
    uint32_t slot = *slot_of(table, key.bytes);
    return slot == 0 ? NULL : hashed_at(table, slot - 1);
}

static bool widen_slots(struct hashed *table)
{
    size_t count = table->slot_count == 0 ? 64 : table->slot_count * 2;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return false;
    free(table->slots);
    table->slots = slots;
    table->slot_count = count;
    for (size_t i = 0; i < table->count; i++)
        *slot_of(table, hashed_at(table, i)) = (uint32_t)(i + 1);
    return true;
}

static bool widen_records(struct hashed *table)
{
    size_t room = table->room == 0 ? 16 : table->room * 2;
    unsigned char *records = room > UINT32_MAX / 2 ? NULL : realloc(table->records, room * table->size);
    if (records == NULL)
        return false;
    table->records = records;
    table->room = room;
    return true;
}

void *hashed_put(struct hashed *table, struct hashed_key key, bool *fresh)
{
    if (fresh != NULL)
        *fresh = false;
    void *record = hashed_find(table, key);
    if (record != NULL)
        return record;
    if (2 * (table->count + 1) > table->slot_count && !widen_slots(table))
        return NULL;
    if (table->count == table->room && !widen_records(table))
        return NULL;
    record = hashed_at(table, table->count);
    memset(record, 0, table->size);
    memcpy(record, key.bytes, sizeof key.bytes);
    *slot_of(table, key.bytes) = (uint32_t)++table->count;
    if (fresh != NULL)
        *fresh = true;
    return record;
}

void hashed_sort(struct hashed *table, int (*compare)(const void *, const void *))
{
    if (table->count > 1)
        qsort(table->records, table->count, table->size, compare);
    free(table->slots);
    table->slots = NULL;
    table->slot_count = 0;
}

void hashed_free(struct hashed *table)
{
    free(table->records);
    free(table->slots);
    *table = (struct hashed){.size = table->size};
}
