/*
 * Sums of declared things that C makes, gathered in memory and put into state.cell at once.
 *
 * Sees:     nothing of a person.
 * Uses:     libpq, service/db; anonymizer/release (names of numbers).
 * Threads:  a struct cells belongs to one thread.
 * Failure:  as db.h; out of memory ends the process (there are as many cells as are declared, times the days).
 */
#ifndef THRONG_AGGREGATE_CELLS_H
#define THRONG_AGGREGATE_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "anonymizer/release/family.h"
#include "schema/failure.h"
#include "service/aggregate/stage.h"

/* Which cell; as the columns of state.cell. */
struct cells_key {
    enum family_number number;
    enum family_interval interval;
    int32_t due, period, item, n;
};

struct cells_row {
    struct cells_key key;
    int64_t value, people;
};

/* All zero: empty. */
struct cells {
    struct cells_row *rows;
    size_t count, size;
    uint32_t *slots; /* open addressing: index of a row + 1 */
    size_t slot_count;
};

/* Add value and people to the cell of key. */
void cells_add(struct cells *cells, const struct cells_key *key, int64_t value, int64_t people);

/* Insert all of them that are not zero. */
enum result cells_store(const struct cells *cells, const struct stage *stage, struct failure *why);

/* Give the memory back. */
void cells_free(struct cells *cells);

#endif
