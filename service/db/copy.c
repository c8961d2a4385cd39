#include "service/db/copy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_DAYS_2000 10957 /* PostgreSQL counts from 2000-01-01 */
#define SIGNATURE_BYTES 11
#define RANGE_BYTES 25        /* flags, then each bound with its length: range_send */
#define RANGE_LOW_INCLUDED 2

struct copy {
    uint8_t *bytes;
    size_t length, size;
    unsigned columns;
};

static uint8_t *grow(struct copy *copy, size_t more)
{
    if (copy->length + more > copy->size) {
        copy->size = (copy->length + more) * 2 + 4096;
        copy->bytes = realloc(copy->bytes, copy->size);
        assert(copy->bytes != NULL);
    }
    uint8_t *to = copy->bytes + copy->length;
    copy->length += more;
    return to;
}

static void put_big(struct copy *copy, uint64_t value, size_t length)
{
    uint8_t *to = grow(copy, length);
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)(value >> (8 * (length - 1 - i)));
}

struct copy *copy_new(unsigned columns)
{
    struct copy *copy = calloc(1, sizeof *copy);
    assert(copy != NULL);
    copy->columns = columns;
    memcpy(grow(copy, SIGNATURE_BYTES), "PGCOPY\n\377\r\n\0", SIGNATURE_BYTES);
    put_big(copy, 0, 8); /* no flags, no extension */
    return copy;
}

void copy_row(struct copy *copy)
{
    put_big(copy, copy->columns, 2);
}

static void put_number(struct copy *copy, uint64_t value, size_t length)
{
    put_big(copy, length, 4);
    put_big(copy, value, length);
}

void copy_int2(struct copy *copy, int16_t value)
{
    put_number(copy, (uint16_t)value, 2);
}

void copy_int4(struct copy *copy, int32_t value)
{
    put_number(copy, (uint32_t)value, 4);
}

void copy_int8(struct copy *copy, int64_t value)
{
    put_number(copy, (uint64_t)value, 8);
}

void copy_date(struct copy *copy, int32_t days)
{
    copy_int4(copy, days - EPOCH_DAYS_2000);
}

void copy_bytes(struct copy *copy, const void *value, size_t length)
{
    put_big(copy, length, 4);
    if (length > 0)
        memcpy(grow(copy, length), value, length);
}

void copy_null(struct copy *copy)
{
    put_big(copy, UINT32_MAX, 4);
}

void copy_ranges(struct copy *copy, size_t count)
{
    put_big(copy, 4 + count * (4 + RANGE_BYTES), 4);
    put_big(copy, count, 4);
}

void copy_range(struct copy *copy, int64_t low, int64_t high)
{
    put_big(copy, RANGE_BYTES, 4);
    put_big(copy, RANGE_LOW_INCLUDED, 1);
    put_number(copy, (uint64_t)low, 8);
    put_number(copy, (uint64_t)high, 8);
}

enum result copy_run(struct copy *copy, struct db *db, const char *name, const char *sql, struct failure *why)
{
    put_big(copy, UINT16_MAX, 2);
    enum result result = db_copy(db, name, sql, copy->bytes, copy->length, why);
    free(copy->bytes);
    free(copy);
    return result;
}
