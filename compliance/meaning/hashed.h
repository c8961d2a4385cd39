/*
 * Hashed: records of one size, found by a key of any length, kept in the order in which they came. Keys are told apart by their
 * BLAKE2b (16 bytes).
 *
 * Sees:     what is put in.
 * Uses:     libsodium.
 * Threads:  a table belongs to one thread.
 * Failure:  NULL without memory.
 */
#ifndef THRONG_MEANING_HASHED_H
#define THRONG_MEANING_HASHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASHED_KEY_BYTES 16

/* Begin with {.size = sizeof(struct …)}: a struct whose first member is uint8_t key[HASHED_KEY_BYTES]. */
struct hashed {
    size_t size;
    unsigned char *records;
    size_t count, room;
    uint32_t *slots; /* place in records + 1; 0: free */
    size_t slot_count;
};

/* A key of up to four texts; NULL ends them. */
struct hashed_key {
    uint8_t bytes[HASHED_KEY_BYTES];
};

/* The key of the texts, each with its end. NULL texts count as none. */
struct hashed_key hashed_texts(const char *a, const char *b, const char *c, const char *d);
/* The key of some bytes (length >= 1). */
struct hashed_key hashed_bytes(const void *bytes, size_t length);

/* The record of key, owned by the table until the next hashed_put; NULL if there is none. */
void *hashed_find(const struct hashed *table, struct hashed_key key);
/* The record of key; a new one is zeroes but for its key, and *fresh (may be NULL) is set. NULL without memory. */
void *hashed_put(struct hashed *table, struct hashed_key key, bool *fresh);
/* Record number place, 0 to count - 1, as they came. */
void *hashed_at(const struct hashed *table, size_t place);
/* Sort the records by compare (as qsort); nothing can be found any more. */
void hashed_sort(struct hashed *table, int (*compare)(const void *, const void *));
/* Free the table; not what its records own. */
void hashed_free(struct hashed *table);

#endif
