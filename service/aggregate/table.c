#include "service/aggregate/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct table_slot {
    struct pseudonym name;
    uint32_t app;
    uint32_t index; /* + 1; 0: free */
    enum table_kind kind;
};

static size_t place_of(const struct table *table, uint32_t app, enum table_kind kind, const struct pseudonym *name)
{
    uint64_t hash;
    memcpy(&hash, name->bytes, sizeof hash);
    hash ^= (uint64_t)app << 32 | (uint64_t)kind;
    return (size_t)(hash & (table->size - 1));
}

/* The slot that holds the key, or the free one where it belongs. */
static struct table_slot *locate(const struct table *table, uint32_t app, enum table_kind kind,
    const struct pseudonym *name)
{
    for (size_t at = place_of(table, app, kind, name);; at = (at + 1) & (table->size - 1)) {
        struct table_slot *slot = &table->slots[at];
        if (slot->index == 0 || (slot->app == app && slot->kind == kind &&
            memcmp(slot->name.bytes, name->bytes, PSEUDONYM_BYTES) == 0))
            return slot;
    }
}

uint32_t table_find(const struct table *table, uint32_t app, enum table_kind kind, const struct pseudonym *name)
{
    if (table->size == 0)
        return TABLE_NONE;
    return locate(table, app, kind, name)->index - 1;
}

static void enlarge(struct table *table)
{
    struct table old = *table;
    table->size = old.size == 0 ? 1024 : old.size * 2;
    table->slots = calloc(table->size, sizeof *table->slots);
    assert(table->slots != NULL);
    for (size_t i = 0; i < old.size; i++) {
        const struct table_slot *slot = &old.slots[i];
        if (slot->index != 0)
            *locate(table, slot->app, slot->kind, &slot->name) = *slot;
    }
    free(old.slots);
}

void table_put(struct table *table, uint32_t app, enum table_kind kind, const struct pseudonym *name, uint32_t index)
{
    if (table->used * 10 >= table->size * 7)
        enlarge(table);
    struct table_slot *slot = locate(table, app, kind, name);
    if (slot->index == 0)
        table->used++;
    *slot = (struct table_slot){.name = *name, .app = app, .index = index + 1, .kind = kind};
}

void table_clear(struct table *table)
{
    if (table->used > 0)
        memset(table->slots, 0, table->size * sizeof *table->slots);
    table->used = 0;
}

void table_free(struct table *table)
{
    free(table->slots);
    *table = (struct table){0};
}

size_t table_bytes(const struct table *table)
{
    return table->size * sizeof(struct table_slot);
}
