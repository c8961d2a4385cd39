#include "service/aggregate/cells.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t hash, int64_t value)
{
    hash = (hash ^ (uint64_t)value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const struct cells_key *key)
{
    uint64_t hash = mix(mix(0, key->number), key->interval);
    return mix(mix(mix(mix(hash, key->due), key->period), key->item), key->n);
}

static bool same(const struct cells_key *a, const struct cells_key *b)
{
    return a->number == b->number && a->interval == b->interval && a->due == b->due && a->period == b->period &&
        a->item == b->item && a->n == b->n;
}

/* The slot of key's row, or the empty one where it belongs. */
static uint32_t *slot_of(const struct cells *cells, const struct cells_key *key)
{
    size_t at = (size_t)hash_of(key) & (cells->slot_count - 1);
    while (cells->slots[at] != 0 && !same(&cells->rows[cells->slots[at] - 1].key, key))
        at = (at + 1) & (cells->slot_count - 1);
    return &cells->slots[at];
}

static void grow(struct cells *cells)
{
    cells->size = cells->size == 0 ? 256 : cells->size * 2;
    cells->rows = realloc(cells->rows, cells->size * sizeof *cells->rows);
    free(cells->slots);
    cells->slot_count = cells->size * 2;
    cells->slots = calloc(cells->slot_count, sizeof *cells->slots);
    assert(cells->rows != NULL && cells->slots != NULL && cells->size < UINT32_MAX);
    for (size_t i = 0; i < cells->count; i++)
        *slot_of(cells, &cells->rows[i].key) = (uint32_t)i + 1;
}

void cells_add(struct cells *cells, const struct cells_key *key, int64_t value, int64_t people)
{
    if (cells->count == cells->size)
        grow(cells);
    uint32_t *slot = slot_of(cells, key);
    if (*slot == 0) {
        cells->rows[cells->count++] = (struct cells_row){.key = *key};
        *slot = (uint32_t)cells->count;
    }
    cells->rows[*slot - 1].value += value;
    cells->rows[*slot - 1].people += people;
}

enum cell_column { COLUMN_DUE, COLUMN_PERIOD, COLUMN_ITEM, COLUMN_N, COLUMN_VALUE, COLUMN_PEOPLE };

static int64_t column_of(const struct cells_row *row, enum cell_column column)
{
    const int64_t columns[] = {row->key.due, row->key.period, row->key.item, row->key.n, row->value, row->people};
    return columns[column];
}

static void add_names(struct db_params *params, const struct cells *cells, bool interval)
{
    db_array_begin(params, DB_ELEMENT_TEXT);
    for (size_t i = 0; i < cells->count; i++) {
        const struct cells_key *key = &cells->rows[i].key;
        const char *name = interval ? family_interval_name(key->interval) : family_number(key->number)->metric;
        db_array_bytes(params, name, strlen(name));
    }
    db_array_end(params);
}

enum result cells_store(const struct cells *cells, const struct stage *stage, struct failure *why)
{
    if (cells->count == 0)
        return RESULT_OK;
    struct db_params *params = stage_params(stage);
    add_names(params, cells, false);
    add_names(params, cells, true);
    for (enum cell_column column = COLUMN_DUE; column <= COLUMN_PEOPLE; column++) {
        db_array_begin(params, column <= COLUMN_PERIOD ? DB_ELEMENT_DATE : column <= COLUMN_N ? DB_ELEMENT_INT4 :
            DB_ELEMENT_INT8);
        for (size_t i = 0; i < cells->count; i++)
            db_array_int(params, column_of(&cells->rows[i], column));
        db_array_end(params);
    }
    return stage_run(stage, "cells.store",
        "INSERT INTO state.cell (shard, app, number, interval, due, period, item, n, value, people)"
        " SELECT $1, $2, w.number, w.interval, w.due, w.period, w.item, w.n, w.value, w.people FROM"
        " unnest($5::text[], $6::text[], $7::date[], $8::date[], $9::int[], $10::int[], $11::bigint[], $12::bigint[])"
        " AS w (number, interval, due, period, item, n, value, people)"
        " WHERE w.value <> 0 OR w.people <> 0",
        params, why);
}

void cells_free(struct cells *cells)
{
    free(cells->rows);
    free(cells->slots);
    *cells = (struct cells){0};
}
